//! The name of a key, and how people write it.

use super::write_hex;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use core::{fmt, str::FromStr};
use serde::{Deserialize, Serialize};

/// SHA-256 of the DER of a SubjectPublicKeyInfo: the name of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpkiDigest(pub [u8; 32]);

/// Hexadecimal digits of a SHA-256.
const HEX: usize = 64;
/// The same with a colon between two bytes.
const HEX_COLONS: usize = 95;
/// Characters of a SHA-256 in base64, one of them padding.
const BASE64: usize = 44;

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

/// Why a text is not the SHA-256 of a key, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoDigest(String);

impl fmt::Display for NoDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for NoDigest {}

impl FromStr for SpkiDigest {
    type Err = NoDigest;

    /// Reads 64 hexadecimal digits of either case, with or without colons between bytes, or base64 of either alphabet.
    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let bytes = match text.len() {
            HEX => hex(text.as_bytes()),
            HEX_COLONS if text.bytes().skip(2).step_by(3).all(|byte| byte == b':') => {
                hex(text.replace(':', "").as_bytes())
            }
            BASE64 => {
                let engine = if text.contains(['-', '_']) {
                    URL_SAFE
                } else {
                    STANDARD
                };
                let bytes = engine.decode(text).ok();
                bytes.and_then(|bytes| bytes.try_into().ok())
            }
            _ => None,
        };
        bytes.map(Self).ok_or_else(|| {
            NoDigest(format!(
                "is no SHA-256: write {HEX} hexadecimal digits, or base64 of {BASE64} characters; these are {}",
                text.chars().count()
            ))
        })
    }
}

fn hex(digits: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_form_reads_back(bytes: [u8; 32]) {
            let key = SpkiDigest(bytes);
            let hex = key.to_string();
            let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            let forms = [hex.to_uppercase(), hex, pairs.join(":"), STANDARD.encode(bytes), URL_SAFE.encode(bytes)];
            for form in forms {
                prop_assert_eq!(form.parse(), Ok(key), "{}", form);
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,100}", digits in "[0-9a-fA-F:ü]{60,100}") {
            drop((text.parse::<SpkiDigest>(), digits.parse::<SpkiDigest>()));
        }
    }

    #[test]
    fn what_is_no_digest_is_told_with_its_length() {
        let check = |text: &str| {
            let NoDigest(why) = text.parse::<SpkiDigest>().unwrap_err();
            assert!(
                why.ends_with(&format!("these are {}", text.chars().count())),
                "{why}"
            );
        };
        let hex = "0".repeat(63);
        check("");
        check(&hex);
        check(&format!("{hex}g"));
        check(&format!("{hex}00"));
        // SHA-1, colons at the wrong places, a letter of two bytes.
        check(&"0".repeat(40));
        check(&format!("{}{}", ":".repeat(31), "0".repeat(64)));
        check(&format!("{}ü", "0".repeat(62)));
        // 33 bytes.
        check(&STANDARD.encode([7; 33]));
    }
}
