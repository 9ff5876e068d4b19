//! Identifiers the registry assigns: 128 bits, time first, written as 26 lower-case base32 characters.
//!
//! The first 48 bits are milliseconds since the epoch and the rest is random, so ids sort by age and bulk
//! inserts append to an index (`anchors.md`: keys in order are up to 25 times cheaper than random ones).

use crate::Timestamp;
use core::{fmt, str::FromStr};
use serde::{Deserialize, Serialize};

/// Crockford's alphabet, lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of a written id: ceil(128 / 5).
pub const ID_LENGTH: usize = 26;
const RANDOM_BITS: u32 = 80;
const RANDOM_MASK: u128 = (1 << RANDOM_BITS) - 1;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is 26 characters of 0-9 and a-z without i, l, o, u")
    }
}

fn encode(value: u128) -> [u8; ID_LENGTH] {
    let mut text = [b'0'; ID_LENGTH];
    let mut rest = value;
    for place in text.iter_mut().rev() {
        let digit = usize::try_from(rest & 31).unwrap_or(0);
        *place = ALPHABET[digit];
        rest >>= 5;
    }
    text
}

fn decode(text: &str) -> Result<u128, NotAnId> {
    // 26 characters carry 130 bits: the first may only be 0 to 7.
    if text.len() != ID_LENGTH || text.as_bytes()[0] > b'7' {
        return Err(NotAnId);
    }
    text.bytes().try_fold(0u128, |value, byte| {
        let digit = ALPHABET.iter().position(|&known| known == byte).ok_or(NotAnId)?;
        Ok(value << 5 | u128::try_from(digit).map_err(|_| NotAnId)?)
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u128);

        impl $name {
            /// From a time and random bits (the low 80 are used).
            pub fn new(at: Timestamp, random: u128) -> Self {
                Self(u128::from(at.millis()) << RANDOM_BITS | random & RANDOM_MASK)
            }

            /// From its stored form.
            pub const fn from_u128(value: u128) -> Self {
                Self(value)
            }

            /// Its stored form; the numeric order is the order of age.
            pub const fn as_u128(self) -> u128 {
                self.0
            }

            /// The `offset`-th id after this one, for many ids of one instant.
            pub const fn offset(self, offset: u32) -> Self {
                Self(self.0.wrapping_add(offset as u128))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(core::str::from_utf8(&encode(self.0)).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                decode(text).map(Self)
            }
        }
    };
}

id! {
    /// A registered device. Assigned once, never reused (I9); it is the MQTT client id and the certificate's CN.
    DeviceId
}
id! {
    /// One import of a manifest.
    BatchId
}
id! {
    /// One change of many devices.
    ChangeId
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_value_round_trip(value: u128) {
            let id = DeviceId::from_u128(value);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn written_order_is_numeric_order(a: u128, b: u128) {
            let (a, b) = (DeviceId::from_u128(a), DeviceId::from_u128(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let parsed = text.parse::<DeviceId>();
            prop_assert!(parsed.is_err() || parsed.is_ok_and(|id| id.to_string() == text));
        }
    }

    #[test]
    fn only_the_canonical_text_is_an_id() {
        for text in [
            "",
            "0",
            "80000000000000000000000000",
            "0000000000000000000000000A",
            "0000000000000000000000000i",
        ] {
            assert_eq!(text.parse::<DeviceId>(), Err(NotAnId), "{text}");
        }
    }
}
