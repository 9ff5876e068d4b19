//! What can be wrong with a written policy, and where.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

/// What is wrong with one value.
///
/// The text (`Display`) is made for the person who wrote the value: lower case, no full stop, without the
/// place, which [`Problem::path`] gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// A value that must be there is empty.
    Empty,
    /// The text is longer than this many bytes.
    TooLong(usize),
    /// The list has more than this many entries.
    TooMany(usize),
    /// The text holds a control character.
    ControlCharacter,
    /// Not a policy name or rollout salt.
    BadName,
    /// Not a semantic version; the text is the parser's explanation.
    NotAVersion(String),
    /// Not a version range; the text is the parser's explanation.
    NotARange(String),
    /// Build metadata where only precedence counts, so that it would silently have no effect.
    BuildWithoutEffect,
    /// A `*` anywhere but at the end of a pattern.
    BadPattern,
    /// Not an install window.
    NotAWindow,
    /// A window that starts and ends at the same minute could mean a whole day or nothing.
    EmptyWindow,
    /// Not a percentage with at most two decimals.
    NotAPercentage,
    /// Not an RFC 3339 time.
    NotATimestamp,
    /// A UTC offset of a day or more.
    OffsetOutOfRange,
    /// Not an `http` or `https` address.
    NotAUrl,
    /// The address carries a user name or password, which would end up in logs and reports.
    UrlWithCredentials,
    /// Not 64 hexadecimal digits.
    NotASha256,
    /// An artifact of no bytes.
    ZeroSize,
    /// The same value stands at this earlier path.
    Duplicate(String),
    /// The version is not in the range that the policy permits.
    OutsideRange(String),
    /// The version is a pre-release, and neither the range nor `permit.prereleases` admits it.
    PrereleaseNotPermitted,
    /// The version is below the policy's own minimum.
    BelowMinimum(String),
    /// The version, or some build of it, is blocked by the entry for this version.
    Blocked(String),
    /// The same version is described at this earlier path by another artifact.
    OtherArtifact(String),
    /// Devices that pass the stepping stone at `at` land on `landing`, which is no longer below this stone's
    /// `below`, so they would skip this stone.
    SkippedBy {
        /// Path of the other stepping stone.
        at: String,
        /// Version on which devices land there.
        landing: String,
    },
    /// Not base64 with padding, on one line.
    NotBase64,
    /// Not an ECDSA signature on P-256 in DER.
    NotASignature,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong(limit) => write!(f, "is longer than {limit} bytes"),
            Self::TooMany(limit) => write!(f, "has more than {limit} entries"),
            Self::ControlCharacter => f.write_str("contains a control character"),
            Self::BadName => {
                f.write_str("must be letters, digits, '-', '_' and '.', and start with a letter or digit")
            }
            Self::NotAVersion(why) => write!(f, "is not a version such as 2.4.1: {why}"),
            Self::NotARange(why) => write!(f, "is not a version range such as \">=2.0.0, <3.0.0\": {why}"),
            Self::BuildWithoutEffect => {
                f.write_str("names a build, but builds have no order: leave out the '+' part")
            }
            Self::BadPattern => f.write_str("may have a '*' only at the end"),
            Self::NotAWindow => f.write_str("is not a window such as \"Mon-Fri 22:00-05:00\""),
            Self::EmptyWindow => {
                f.write_str("starts and ends at the same time; a whole day is written 00:00-24:00")
            }
            Self::NotAPercentage => {
                f.write_str("is not a percentage from \"0%\" to \"100%\" with at most two decimals")
            }
            Self::NotATimestamp => f.write_str("is not a time such as \"2026-03-01T00:00:00Z\""),
            Self::OffsetOutOfRange => f.write_str("is not a UTC offset of less than a day"),
            Self::NotAUrl => f.write_str("is not an http or https address in plain ASCII"),
            Self::UrlWithCredentials => f.write_str("carries credentials, which devices would write to logs"),
            Self::NotASha256 => f.write_str("is not a SHA-256 digest of 64 hexadecimal digits"),
            Self::ZeroSize => f.write_str("must be the artifact's size in bytes, at least 1"),
            Self::Duplicate(first) => write!(f, "repeats {first}"),
            Self::OutsideRange(range) => write!(f, "is outside the permitted range {range}"),
            Self::PrereleaseNotPermitted => {
                f.write_str("is a pre-release: name it in permit.range or set permit.prereleases")
            }
            Self::BelowMinimum(minimum) => write!(f, "is below permit.minimum {minimum}"),
            Self::Blocked(version) => write!(f, "is blocked: permit.blocked lists {version}"),
            Self::OtherArtifact(at) => write!(f, "describes the version of {at} with another artifact"),
            Self::SkippedBy { at, landing } => write!(
                f,
                "would be skipped: devices that pass {at} land on {landing}, which is not below this version"
            ),
            Self::NotBase64 => f.write_str("is not base64 with padding, on one line"),
            Self::NotASignature => {
                f.write_str("is not a signature by a P-256 key, as `openssl dgst -sha256 -sign` makes it")
            }
        }
    }
}

impl core::error::Error for Defect {}

/// One thing wrong with a written policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: a field path such as `update.windows[2]`, counted from 0.
    pub path: String,
    /// What.
    pub defect: Defect,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.defect)
    }
}

/// Everything wrong with a written policy; the author's mistake, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, in the order of the policy's fields, contradictions between fields last.
    pub fn iter(&self) -> core::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = core::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = alloc::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl core::error::Error for Problems {}

/// Gathers problems while a policy is read, so that the first does not hide the second.
#[derive(Default)]
pub(crate) struct Collector(Vec<Problem>);

impl Collector {
    pub(crate) fn report(&mut self, path: impl fmt::Display, defect: Defect) {
        self.0.push(Problem {
            path: path.to_string(),
            defect,
        });
    }

    /// The value, or `None` after noting what is wrong with it.
    pub(crate) fn take<T>(&mut self, path: impl fmt::Display, result: Result<T, Defect>) -> Option<T> {
        result.map_err(|defect| self.report(path, defect)).ok()
    }

    /// The finished value, unless anything at all was reported on the way.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            Some(_) | None => Err(Problems(self.0)),
        }
    }
}
