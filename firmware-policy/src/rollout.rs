//! Rollout: which part of the fleet goes first, the same on every machine and at every revision.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::problem::Defect;

/// Basis points in a whole: 1 % is 100.
const WHOLE: u16 = 10_000;

/// A part of the fleet in basis points, `0%` to `100%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percentage(u16);

impl Percentage {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(WHOLE);

    /// From hundredths of a percent, at most 10 000.
    pub fn from_basis_points(points: u16) -> Result<Self, Defect> {
        if points <= WHOLE {
            Ok(Self(points))
        } else {
            Err(Defect::NotAPercentage)
        }
    }

    /// Hundredths of a percent, at most 10 000.
    pub const fn basis_points(self) -> u16 {
        self.0
    }

    /// Whether a device in `bucket` belongs to this part. A larger part holds every device of a smaller one.
    pub fn includes(self, bucket: Bucket) -> bool {
        bucket.0 < self.0
    }
}

impl FromStr for Percentage {
    type Err = Defect;

    /// Reads `25%`, `12.5%` or `0.25 %`.
    fn from_str(text: &str) -> Result<Self, Defect> {
        parse_basis_points(text)
            .ok_or(Defect::NotAPercentage)
            .and_then(Self::from_basis_points)
    }
}

fn parse_basis_points(text: &str) -> Option<u16> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let plain =
        |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole, 3) || !plain(fraction, 2) {
        return None;
    }
    let tens = if fraction.len() == 1 { 10 } else { 1 };
    // At most 999 * 100 + 99, too large for 16 bits until it is checked.
    let points = whole.parse::<u32>().ok()? * 100 + fraction.parse::<u32>().ok()? * tens;
    u16::try_from(points).ok()
}

impl TryFrom<String> for Percentage {
    type Error = Defect;

    fn try_from(text: String) -> Result<Self, Defect> {
        text.parse()
    }
}

impl From<Percentage> for String {
    fn from(percentage: Percentage) -> Self {
        percentage.to_string()
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 100, self.0 % 100);
        match (fraction / 10, fraction % 10) {
            (0, 0) => write!(f, "{whole}%"),
            (tenths, 0) => write!(f, "{whole}.{tenths}%"),
            (tenths, hundredths) => write!(f, "{whole}.{tenths}{hundredths}%"),
        }
    }
}

/// A device's place in the order of a rollout, 0 to 9999: it is in as soon as the percentage exceeds it.
///
/// The place depends on the salt and the device id alone, so that raising the percentage only adds devices
/// and another revision of the policy keeps the order. To compute it elsewhere:
///
/// 1. FNV-1a (64 bit) over the salt's UTF-8 bytes, one zero byte, and the device id's UTF-8 bytes. A salt
///    holds no zero byte, so no two pairs share an input.
/// 2. The 64-bit finaliser of MurmurHash3, because the upper bits of FNV-1a alone are not well mixed for
///    ids that differ in their last characters.
/// 3. The upper 32 bits times 10 000, divided by 2^32.
///
/// ```
/// use muster_firmware_policy::Bucket;
/// assert_eq!(Bucket::of("gw-200-stable", "0000000000000000000000000a").number(), 2031);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// The place of `device` in the rollout order of `salt`.
    pub fn of(salt: &str, device: &str) -> Self {
        let bytes = salt.bytes().chain([0]).chain(device.bytes());
        let scaled = ((finalise(fnv1a(bytes)) >> 32) * u64::from(WHOLE)) >> 32;
        // Below 10 000, so the low two bytes are the whole number.
        let [.., high, low] = scaled.to_be_bytes();
        Self(u16::from_be_bytes([high, low]))
    }

    /// The place, 0 to 9999.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The smallest percentage that includes the place.
    pub const fn turn(self) -> Percentage {
        Percentage(self.0 + 1)
    }
}

/// FNV-1a, 64 bit, with the offset basis and prime of draft-eastlake-fnv.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finaliser of MurmurHash3 (`fmix64`): a bijection in which every input bit moves every output bit.
fn finalise(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests;
