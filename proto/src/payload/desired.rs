//! Desired state: what the device must be.

use super::Digest;
use muster_firmware_policy::FirmwarePolicy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The signed content of an [`crate::envelope::Envelope`] on `muster/v1/<id>/desired`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// For whom. A device refuses what is not for it.
    pub device_id: String,
    /// Grows only. A device refuses lower ones, and the same with another digest.
    pub generation: u64,
    /// When this was signed, seconds since 1970: a floor for the device's clock.
    pub issued_at: u64,
    /// Names the content; comes back in reports. Opaque to the device.
    pub digest: Digest,
    /// `name@revision` of the profile that rendered the files.
    pub profile: Option<String>,
    /// Configuration files, by key.
    pub files: Vec<File>,
    /// Where the device is.
    pub location: Option<Location>,
    /// Which firmware it may run.
    pub firmware: Option<Firmware>,
}

/// One configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// A plain name without path; the device maps it to a place of its own choice.
    pub key: String,
    /// The rendered text.
    pub content: String,
}

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Code of the site.
    pub site: String,
    /// Its name.
    pub name: String,
    /// ISO 3166-1, two letters, or empty.
    pub country: String,
    /// WGS 84.
    pub coordinates: Option<Coordinates>,
    /// IANA name, or empty for UTC.
    pub time_zone: String,
    /// Seconds that local time is ahead of UTC at `issued_at`: devices carry no zone database.
    pub utc_offset_seconds: i32,
    /// Where in the site.
    pub position: Option<String>,
}

/// A point on WGS 84, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coordinates {
    /// North.
    pub latitude: f64,
    /// East.
    pub longitude: f64,
}

/// A firmware policy revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: u32,
    /// The model and hardware revision the registry knows, for the policy's selectors.
    pub model: String,
    /// See `model`.
    pub hardware: Option<String>,
    /// Of the device's labels, those that the policy selects by.
    pub labels: BTreeMap<String, String>,
    /// The rules, evaluated on the device by the same crate as on the server.
    pub policy: FirmwarePolicy,
}
