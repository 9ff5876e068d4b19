//! A row of a manifest, read, mapped and checked.

use super::Problem;
use crate::{
    Timestamp,
    certificate::SpkiDigest,
    desired::Target,
    device::ClaimWindow,
    mac::Mac,
    names::{ModelName, Serial, SiteCode},
};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a row says of a device. `None` means that the file has no such column or the cell is empty:
/// on update, the device keeps what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// As the file counts: the header is row 1.
    pub row: u32,
    /// Its number in the first file of the batch, where this is a file of refused rows that came back.
    pub retry_row: Option<u32>,
    /// Unique in the registry.
    pub serial: Serial,
    /// Unique in the registry.
    pub mac: Option<Mac>,
    /// The hardware kind.
    pub model: ModelName,
    /// The hardware revision.
    pub hardware: Option<String>,
    /// The firmware it leaves the factory with.
    pub firmware: Option<Version>,
    /// Where it goes.
    pub site: Option<SiteCode>,
    /// Where in the site.
    pub position: Option<String>,
    /// Labels it sets.
    pub labels: BTreeMap<String, String>,
    /// Variables it sets.
    pub variables: BTreeMap<String, String>,
    /// The revision that the device must have, from its etag.
    pub etag: Option<u64>,
    /// What it says of the claim. In a box, as most rows say nothing of it, and there are millions.
    pub claim: Option<Box<RowClaim>>,
    /// Cells of columns that fill no field, by column: kept with the device as the factory wrote them.
    pub kept: BTreeMap<String, String>,
}

/// What a row says of the claim of its device, which has a code for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowClaim {
    /// The one key that may come with the code.
    pub key: Option<SpkiDigest>,
    /// No claim before.
    pub not_before: Option<Timestamp>,
    /// No claim from then on.
    pub not_after: Option<Timestamp>,
}

impl RowClaim {
    /// The field of [`Self::key`].
    pub const KEY: &str = "spki_sha256";
    /// The field of [`Self::not_before`].
    pub const NOT_BEFORE: &str = "claim_not_before";
    /// The field of [`Self::not_after`].
    pub const NOT_AFTER: &str = "claim_not_after";
    /// All of them.
    pub const FIELDS: [&str; 3] = [Self::KEY, Self::NOT_BEFORE, Self::NOT_AFTER];

    /// When a claim may begin, as far as the row says.
    pub const fn window(&self) -> ClaimWindow {
        ClaimWindow {
            opens: self.not_before,
            closes: self.not_after,
        }
    }
}

/// A row that passed every check which needs no look into the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidRow {
    /// What it says.
    pub row: DeviceRow,
    /// What the device must be if the row creates it.
    pub target: Rendered,
}

/// What comes of a row's values alone, without those that a registered device has already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rendered {
    /// The profile was rendered with them: enough for a new device.
    Whole(Target),
    /// Something is missing, so no device can be created; one that exists may have it.
    Lacking(Vec<Problem>),
}
