//! Desired state: what one device must be, under a generation that only grows (I7).

use crate::{
    catalog::RevisionNumber,
    names::{PolicyName, ProfileName, SiteCode},
};
use muster_firmware_policy::FirmwarePolicy;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// SHA-256 of a content; names it on the wire and in records.
pub type ContentDigest = [u8; 32];

/// What a device must be, by reference: revisions are immutable, so the content can be rendered again
/// at any time and comes out the same; the digest proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// From 1; never falls.
    pub generation: u64,
    /// Of the content.
    pub digest: ContentDigest,
    /// The profile revision.
    pub profile: Option<(ProfileName, RevisionNumber)>,
    /// The firmware policy revision.
    pub firmware_policy: Option<(PolicyName, RevisionNumber)>,
}

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// The site.
    pub site: SiteCode,
    /// Its name.
    pub name: String,
    /// Two letters, or empty.
    pub country: String,
    /// Degrees north and east, WGS 84.
    pub coordinates: Option<(f64, f64)>,
    /// IANA name, or empty for UTC.
    pub time_zone: String,
    /// Where in the site.
    pub position: Option<String>,
}

/// A firmware policy revision as a device gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirmwareContent {
    /// Its name.
    pub name: PolicyName,
    /// Its revision.
    pub revision: RevisionNumber,
    /// The rules.
    pub policy: FirmwarePolicy,
}

/// What a device must be, in full.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Content {
    /// The profile revision that rendered the files.
    pub profile: Option<(ProfileName, RevisionNumber)>,
    /// Rendered files, by key.
    pub files: BTreeMap<String, String>,
    /// Site and position.
    pub location: Option<Location>,
    /// The firmware policy.
    pub firmware: Option<FirmwareContent>,
}

impl Content {
    /// SHA-256 of the JSON text: maps are ordered, so equal contents have equal digests.
    pub fn digest(&self) -> ContentDigest {
        #[expect(clippy::expect_used, reason = "plain data with string keys always serialises")]
        let text = serde_json::to_vec(self).expect("plain data");
        Sha256::digest(text).into()
    }
}
