//! Hardware addresses: EUI-48 and EUI-64 (IEEE 802), in any common notation, kept canonical.
//!
//! Read are pairs, fours and sixes of hexadecimal digits with `:`, `-`, `.` or blanks between them, digits alone, with
//! `0x` in front, and the URNs of RFC 9039. Written are capital pairs with colons.

mod block;

pub use block::{Block, BlockError};

use core::{fmt, str::FromStr};
use serde::{Deserialize, Serialize};

/// What may stand in front of the digits, in lower case.
const PREFIXES: [&str; 2] = ["0x", "urn:dev:mac:"];

/// A hardware address of 48 or 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mac {
    /// Six octets.
    Eui48([u8; 6]),
    /// Eight octets.
    Eui64([u8; 8]),
}

/// Why a text is not a hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacError {
    /// A character that is neither hexadecimal nor a separator.
    Character(char),
    /// Not 12 or 16 hexadecimal digits.
    Length(usize),
    /// Separators of two kinds, or in odd places.
    Separators,
    /// The multicast bit is set: it names a group, not a device.
    Multicast,
}

impl fmt::Display for MacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character(c) => write!(f, "contains {c:?}, which is not hexadecimal"),
            Self::Length(digits) => write!(f, "has {digits} hexadecimal digits instead of 12 or 16"),
            Self::Separators => f.write_str("has its separators in odd places"),
            Self::Multicast => f.write_str("has the multicast bit set, so it cannot name one device"),
        }
    }
}

/// Hex digits of a text with at most one kind of separator at equal distances; returns how many there were.
fn digits(text: &str, out: &mut [u8; 16]) -> Result<usize, MacError> {
    let mut count = 0;
    let mut separator = None;
    let mut group = None;
    let mut run = 0;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(16) {
            if count < out.len() {
                out[count] = u8::try_from(digit).unwrap_or(0);
            }
            count += 1;
            run += 1;
        } else if matches!(c, ':' | '-' | '.' | ' ') {
            if *separator.get_or_insert(c) != c || run == 0 || *group.get_or_insert(run) != run {
                return Err(MacError::Separators);
            }
            run = 0;
        } else {
            return Err(MacError::Character(c));
        }
    }
    if !matches!(count, 12 | 16) {
        return Err(MacError::Length(count));
    }
    match group {
        Some(size) if run != size || !matches!(size, 2 | 4 | 6) => Err(MacError::Separators),
        _ => Ok(count),
    }
}

/// Without what people put in front of the digits.
fn bare(text: &str) -> &str {
    let prefixed = PREFIXES.iter().find_map(|prefix| {
        let (start, rest) = text.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some(rest)
    });
    prefixed.unwrap_or(text)
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut nibbles = [0; 16];
        let count = digits(bare(text), &mut nibbles)?;
        let mut octets = [0u8; 8];
        for (octet, pair) in octets.iter_mut().zip(nibbles.chunks_exact(2)) {
            *octet = pair[0] << 4 | pair[1];
        }
        if octets[0] & 1 == 1 {
            return Err(MacError::Multicast);
        }
        let [a, b, c, d, e, f, ..] = octets;
        Ok(if count == 12 {
            Self::Eui48([a, b, c, d, e, f])
        } else {
            Self::Eui64(octets)
        })
    }
}

impl Mac {
    /// The octets, first on the wire first.
    pub fn octets(&self) -> &[u8] {
        match self {
            Self::Eui48(octets) => octets,
            Self::Eui64(octets) => octets,
        }
    }

    /// Was it chosen by whoever runs the device, rather than assigned by IEEE? Then another device may have the same.
    pub fn is_local(&self) -> bool {
        self.octets()[0] & 2 == 2
    }

    /// A number for indexes: an EUI-48 never equals an EUI-64.
    pub fn key(&self) -> u128 {
        match self {
            Self::Eui48(octets) => octets.iter().fold(0, |key, &octet| key << 8 | u128::from(octet)),
            Self::Eui64(octets) => octets.iter().fold(1, |key, &octet| key << 8 | u128::from(octet)),
        }
    }
}

fn write_octets(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, octet) in octets.iter().enumerate() {
        if place > 0 {
            f.write_str(":")?;
        }
        write!(f, "{octet:02X}")?;
    }
    Ok(())
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_octets(self.octets(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_panics(text in "(urn:dev:mac:|0x)?[0-9a-fü:. -]{0,40}") {
            if let Ok(mac) = text.parse::<Mac>() {
                prop_assert_eq!(mac.to_string().parse(), Ok(mac));
            }
        }
    }

    #[test]
    fn every_notation_means_the_same_address() {
        for text in [
            "00:1B:C5:00:70:01",
            "00-1b-c5-00-70-01",
            "001b.c500.7001",
            "001BC5007001",
            "001bc5-007001",
            "00 1B C5 00 70 01",
            "001b c500 7001",
            "0x001BC5007001",
            "0X001bc5007001",
            "urn:dev:mac:001bc5007001",
            "URN:DEV:MAC:001bc5007001",
        ] {
            assert_eq!(
                text.parse::<Mac>().unwrap().to_string(),
                "00:1B:C5:00:70:01",
                "{text}"
            );
        }
        assert_eq!(
            "001BC5FFFE007001".parse::<Mac>().unwrap().to_string(),
            "00:1B:C5:FF:FE:00:70:01"
        );
    }

    #[test]
    fn bad_addresses_say_why() {
        let check = |text: &str, expected| assert_eq!(text.parse::<Mac>(), Err(expected), "{text}");
        check("00:1B:C5:0G:00:01", MacError::Character('G'));
        check("00-1B-C5-00", MacError::Length(8));
        check("01:1B:C5:00:00:09", MacError::Multicast);
        check("00:1B-C5:00:00:09", MacError::Separators);
        check("001:BC5:000:009", MacError::Separators);
        check("00:1B:C5:00:00:09:", MacError::Separators);
        check("00:1B:C5 00:00:09", MacError::Separators);
        check("00:1B::C5:00:00:09", MacError::Separators);
        check("0:1b:c5:0:0:9", MacError::Separators);
        check("0x0x001BC50000", MacError::Character('x'));
        check("urn:dev:mac:", MacError::Length(0));
        check("", MacError::Length(0));
    }

    #[test]
    fn local_addresses_are_known_by_their_second_bit() {
        let check =
            |text: &str, expected| assert_eq!(text.parse::<Mac>().unwrap().is_local(), expected, "{text}");
        check("00:1B:C5:00:00:09", false);
        check("02:1B:C5:00:00:09", true);
        check("FE:1B:C5:00:00:00:00:09", true);
        check("FC:1B:C5:00:00:09", false);
    }
}
