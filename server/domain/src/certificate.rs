//! What the registry knows of a certificate: its serial, its key, its life.

use crate::{Timestamp, ids::DeviceId};
use core::fmt;
use serde::{Deserialize, Serialize};

/// SHA-256 of the DER of a SubjectPublicKeyInfo: the name of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpkiDigest(pub [u8; 32]);

/// A certificate's serial number: 16 bytes, positive (RFC 5280, 4.1.2.2), time first so that serials sort by age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CertificateSerial(u128);

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertificateState {
    /// Recorded before signing: a crash here is finished by the claim's repetition.
    Intended,
    /// Signed, recorded, handed out.
    Current,
    /// No longer accepted, since then.
    Revoked(Timestamp),
}

/// The record of one certificate of a device. Stored before it is signed (I1) and again with its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// Unique (I2).
    pub serial: CertificateSerial,
    /// Whose.
    pub device: DeviceId,
    /// The certified key.
    pub spki: SpkiDigest,
    /// Start of validity, back-dated for slow clocks.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// How it stands.
    pub state: CertificateState,
    /// The certificate, DER; empty while intended.
    pub der: Vec<u8>,
}

const RANDOM_BITS: u32 = 80;

impl CertificateSerial {
    /// From the instant of issue and random bits (the low 80 are used). 47 bits of milliseconds last until the
    /// year 6429 and leave the sign bit clear.
    pub fn new(at: Timestamp, random: u128) -> Self {
        let time = u128::from(at.millis()) & ((1 << 47) - 1);
        Self(time << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1))
    }

    /// Big-endian bytes, as in the certificate.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From the bytes of a certificate; `None` when it cannot be one of ours.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut full = [0; 16];
        let skip = full.len().checked_sub(bytes.len())?;
        full[skip..].copy_from_slice(bytes);
        Some(Self(u128::from_be_bytes(full)))
    }

    /// Its stored form.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// From its stored form.
    pub const fn from_u128(value: u128) -> Self {
        Self(value)
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for CertificateSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.to_bytes(), f)
    }
}

impl fmt::Debug for CertificateSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateSerial({self})")
    }
}

impl fmt::Display for SpkiDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for SpkiDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpkiDigest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn serials_are_positive_and_sort_by_age(a in 1u64..1 << 46, b in 1u64..1 << 46, random: u128) {
            let [x, y] = [a, b].map(|at| CertificateSerial::new(Timestamp::from_millis(at), random));
            prop_assert!(x.to_bytes()[0] < 0x80);
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
            prop_assert_eq!(CertificateSerial::from_bytes(&x.to_bytes()), Some(x));
        }
    }
}
