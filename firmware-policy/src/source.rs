//! The written form of a policy: what a person puts into `policy.toml`, and what travels and is stored.
//!
//! Every field is text, a number or a list, so that the same form serves TOML, JSON and postcard. Postcard
//! knows fields by position only: a new field goes into a new version of whatever carries the policy.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::policy::{UnreadableVersion, WhenForbidden};

/// A policy as written, not yet checked; [`FirmwarePolicy`](crate::FirmwarePolicy) is the checked one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySource {
    /// Letters, digits, `-`, `_` and `.`, at most 64.
    pub name: String,
    /// Which devices the policy is for.
    pub applies_to: SelectorSource,
    /// Which versions may run; all releases if left out.
    #[serde(default)]
    pub permit: PermitSource,
    /// Which version is wanted; none if left out.
    #[serde(default)]
    pub update: Option<UpdateSource>,
}

/// `[applies_to]`: which devices a policy is for. Patterns may end in `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectorSource {
    /// Patterns of models, at least one; `["*"]` for all.
    pub models: Vec<String>,
    /// Patterns of hardware revisions; empty for any.
    #[serde(default)]
    pub hardware_revisions: Vec<String>,
    /// For each label that a device must carry, patterns of good values.
    #[serde(default)]
    pub labels: BTreeMap<String, Vec<String>>,
}

/// `[permit]`: which versions may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermitSource {
    /// Range of versions, such as `>=2.0.0, <3.0.0`; `*` if left out.
    #[serde(default)]
    pub range: Option<String>,
    /// Whether pre-releases of the range's releases may run; false if left out.
    #[serde(default)]
    pub prereleases: bool,
    /// Lowest version that may run.
    #[serde(default)]
    pub minimum: Option<String>,
    /// Versions that must not run.
    #[serde(default)]
    pub blocked: Vec<BlockedSource>,
}

/// `[[permit.blocked]]`: a version that must not run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockedSource {
    /// The version; without build metadata all its builds.
    pub version: String,
    /// Why, for whoever asks later.
    #[serde(default)]
    pub because: Option<String>,
}

/// `[update]`: which version is wanted, how to get there, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateSource {
    /// Whether devices that run something newer go back to the target; false if left out.
    #[serde(default)]
    pub allow_downgrade: bool,
    /// `hold` (if left out) or `treat-as-oldest`.
    #[serde(default)]
    pub unreadable_version: UnreadableVersion,
    /// `wait` (if left out) or `at-once`.
    #[serde(default)]
    pub when_forbidden: WhenForbidden,
    /// Windows in device-local time, such as `Mon-Fri 22:00-05:00`; any time if left out.
    #[serde(default)]
    pub windows: Vec<String>,
    /// Part of the fleet that may install, such as `12.5%`; `100%` if left out. `0%` stops everything.
    #[serde(default)]
    pub rollout: Option<String>,
    /// Decides the order of devices in the rollout; the policy's name if left out.
    #[serde(default)]
    pub rollout_salt: Option<String>,
    /// RFC 3339 time from which neither windows nor rollout hold a device back.
    #[serde(default)]
    pub deadline: Option<String>,
    /// The version wanted, with its image.
    pub target: ArtifactSource,
    /// Versions that cannot be jumped over.
    #[serde(default)]
    pub stepping_stones: Vec<SteppingStoneSource>,
}

/// `[[update.stepping_stones]]`: a version that cannot be jumped over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SteppingStoneSource {
    /// Devices that cross from below this version ...
    pub below: String,
    /// ... must first install this one.
    pub through: ArtifactSource,
}

/// A firmware image: `[update.target]` and `[update.stepping_stones.through]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactSource {
    /// The version that a device reports once it runs the image.
    pub version: String,
    /// Absolute `http` or `https` address, without credentials.
    pub url: String,
    /// SHA-256 of the image in hexadecimal digits.
    pub sha256: String,
    /// Size of the image in bytes.
    pub size: u64,
    /// Its author's signature, as `openssl dgst -sha256 -sign` makes it, in base64; none if left out.
    #[serde(default)]
    pub signature: Option<String>,
}

/// By hand, because text has no signature where there is none: an unsigned image is written as it was before there were
/// signatures, so that whatever takes digests of policies goes on to find the same. Postcard has every field.
impl Serialize for ArtifactSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let leaves_out = serializer.is_human_readable() && self.signature.is_none();
        let mut fields = serializer.serialize_struct("ArtifactSource", if leaves_out { 4 } else { 5 })?;
        fields.serialize_field("version", &self.version)?;
        fields.serialize_field("url", &self.url)?;
        fields.serialize_field("sha256", &self.sha256)?;
        fields.serialize_field("size", &self.size)?;
        if leaves_out {
            fields.skip_field("signature")?;
        } else {
            fields.serialize_field("signature", &self.signature)?;
        }
        fields.end()
    }
}
