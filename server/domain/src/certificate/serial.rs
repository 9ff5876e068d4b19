//! Serial numbers: unique, in the order of issue, spread over the shards of revocation lists.

use super::write_hex;
use crate::Timestamp;
use core::{fmt, str::FromStr};
use serde::{Deserialize, Serialize};

/// Revocation lists of one authority: a certificate names the one that it would stand on, so that a list stays small however
/// many certificates there are (RFC 5280, 5.2.5).
pub const CRL_SHARDS: u8 = 16;

/// A certificate's serial number: 16 bytes, positive (RFC 5280, 4.1.2.2), time first so that serials sort by age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CertificateSerial(u128);

const RANDOM_BITS: u32 = 80;

impl CertificateSerial {
    /// From the instant of issue and random bits (the low 80 are used). 47 bits of milliseconds last until the
    /// year 6429 and leave the sign bit clear.
    pub fn new(at: Timestamp, random: u128) -> Self {
        let time = u128::from(at.millis()) & ((1 << 47) - 1);
        Self(time << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1))
    }

    /// The smallest of those made at an instant or later.
    pub fn first_at(at: Timestamp) -> Self {
        Self::new(at, 0)
    }

    /// When it was made.
    pub fn time(self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.0 >> RANDOM_BITS).unwrap_or(u64::MAX))
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

    /// The revocation list that it would stand on: from its random bits, so that all lists are alike.
    pub const fn shard(self) -> u8 {
        self.to_bytes()[15] % CRL_SHARDS
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

impl FromStr for CertificateSerial {
    type Err = String;

    /// From 32 hexadecimal digits, as it is written.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_serial = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(text, 16) {
            Ok(number) if is_serial && number >> 127 == 0 => Ok(Self(number)),
            Ok(_) | Err(_) => Err("is not a serial of 32 hexadecimal digits".to_owned()),
        }
    }
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
            prop_assert_eq!(x.time(), Timestamp::from_millis(a));
            prop_assert!(CertificateSerial::first_at(x.time()) <= x);
            prop_assert!(x.shard() < CRL_SHARDS);
            prop_assert_eq!(x.to_string().parse(), Ok(x));
            prop_assert_eq!(CertificateSerial::from_bytes(&x.to_bytes()), Some(x));
        }
    }
}
