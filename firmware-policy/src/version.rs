//! Firmware versions and how two of them relate.

use alloc::string::{String, ToString};
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use semver::{BuildMetadata, Prerelease, Version};
use serde::{Deserialize, Serialize};

use crate::problem::Defect;
use crate::text::check_length;

/// Longest version text in bytes. SemVer sets no limit; this one keeps hostile reports small.
const MAX_VERSION: usize = 128;

/// A semantic version of a firmware, such as `2.4.1`, `2.5.0-rc.1` or `2.4.1+hotfix.7`.
///
/// Order is SemVer precedence, in which build metadata (after the `+`) does not count. There is no `Ord`,
/// because an order that says "equal" of two different builds would contradict `Eq`, which compares whole
/// versions. Where a policy names a version, [`FirmwareVersion::covers`] says which running versions it means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FirmwareVersion(Version);

impl FirmwareVersion {
    /// Compares by SemVer precedence.
    pub fn precedence(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }

    /// Whether this version comes before `other`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.precedence(other).is_lt()
    }

    /// Whether a policy that names this version means `running`: without build metadata it means every build
    /// of the version, with build metadata exactly that build.
    pub fn covers(&self, running: &Self) -> bool {
        self.precedence(running).is_eq() && (self.0.build.is_empty() || self.0.build == running.0.build)
    }

    /// Whether there is a version that both cover.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// Whether the version is a pre-release, such as `2.5.0-rc.1`.
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// The version as the `semver` crate has it.
    pub fn as_semver(&self) -> &Version {
        &self.0
    }

    /// The release that a pre-release leads up to: `2.5.0` of `2.5.0-rc.1`.
    pub(crate) fn release(&self) -> Version {
        Version {
            pre: Prerelease::EMPTY,
            build: BuildMetadata::EMPTY,
            ..self.0
        }
    }

    /// The version again, unless it names a build; for places where only precedence counts.
    pub(crate) fn without_build(self) -> Result<Self, Defect> {
        if self.0.build.is_empty() {
            Ok(self)
        } else {
            Err(Defect::BuildWithoutEffect)
        }
    }
}

impl FromStr for FirmwareVersion {
    type Err = Defect;

    fn from_str(text: &str) -> Result<Self, Defect> {
        check_length(text, MAX_VERSION)?;
        Version::parse(text)
            .map(Self)
            .map_err(|error| Defect::NotAVersion(error.to_string()))
    }
}

impl TryFrom<String> for FirmwareVersion {
    type Error = Defect;

    fn try_from(text: String) -> Result<Self, Defect> {
        text.parse()
    }
}

impl From<FirmwareVersion> for String {
    fn from(version: FirmwareVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of the version that a device runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Running {
    /// The device has not said.
    Unreported,
    /// The device said something that is not a semantic version, as factory images often do.
    Unreadable(String),
    /// The device runs this version.
    Version(FirmwareVersion),
}

impl Running {
    /// Reads what a device says of itself. Lenient where the meaning is certain: surrounding blanks and the
    /// customary `v` of `v2.4.1` are dropped. Of what cannot be read, 128 characters are kept.
    pub fn from_report(text: &str) -> Self {
        let text = text.trim();
        let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
        match bare.parse() {
            Ok(version) => Self::Version(version),
            Err(_) if text.is_empty() => Self::Unreported,
            Err(_) => Self::Unreadable(text.chars().take(MAX_VERSION).collect()),
        }
    }
}

#[cfg(test)]
mod tests;
