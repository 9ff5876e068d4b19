//! Who this device is: its key, its certificate, and whom it trusts.

pub(crate) mod der;
mod key;
mod next;
mod tls;
mod trust;

pub(crate) use key::{DeviceKey, Origin};
pub(crate) use next::Next;
pub(crate) use tls::{Sessions, claimant};
pub(crate) use trust::Trust;
pub use trust::TrustError;

use crate::{
    disk::{Disk, Place},
    record::{self, StateError},
};
use muster_proto::{payload::Binary, topic::ID_LENGTH};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The id that the registry gave this device: 26 lower-case letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(String);

impl DeviceId {
    /// `None` when the text cannot be a device id.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        (text.len() == ID_LENGTH && text.bytes().all(plain)).then(|| Self(text.into()))
    }

    /// As it stands in topics.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DeviceId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a device id")
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a claim earned. Id and chain are one record: there is never one without the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    device: DeviceId,
    /// DER; the device's own certificate first.
    chain: Vec<Binary>,
    /// When the own certificate begins: a floor for the clock.
    not_before: u64,
}

fn place() -> Place {
    Place::fixed("identity")
}

impl Identity {
    /// Of a chain that [`Trust::identity`] checked.
    fn new(device: DeviceId, chain: Vec<Binary>, not_before: u64) -> Self {
        Self {
            device,
            chain,
            not_before,
        }
    }

    pub(crate) fn load(disk: &dyn Disk) -> Result<Option<Self>, StateError> {
        record::load(disk, &place())
    }

    /// Durable on return.
    pub(crate) fn save(&self, disk: &dyn Disk) -> Result<(), StateError> {
        record::save(disk, &place(), self)
    }

    pub(crate) fn device(&self) -> &DeviceId {
        &self.device
    }

    /// DER of the own certificate.
    pub(crate) fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], |leaf| &leaf.0)
    }

    pub(crate) fn not_before(&self) -> u64 {
        self.not_before
    }

    /// From when on the certificate should be renewed, and when it ends, in seconds since 1970. Two thirds of its life, and a
    /// share of a twelfth more that is the certificate's own: a fleet that was made on one day does not renew on one day, and
    /// a restart changes nothing.
    pub(crate) fn renewal(&self) -> Option<(u64, u64)> {
        let validity = der::Validity::of(self.leaf())?;
        let life = validity.not_after.saturating_sub(validity.not_before);
        let digest: [u8; 32] = Sha256::digest(self.leaf()).into();
        let [first, second, ..] = digest;
        let share = u64::from(u16::from_be_bytes([first, second]));
        let from = validity.not_before + life / 3 * 2 + (life / 12).saturating_mul(share) / (1 << 16);
        Some((from, validity.not_after))
    }
}
