//! What its author signed an image with: the form of it. Whether it is by the right key is for whoever has that key.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::problem::Defect;

/// The order of the group of P-256 (FIPS 186-5, SP 800-186, 3.2.1.3): both numbers of a signature are below it.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// Most characters of a signature: its DER has at most 72 bytes.
const MAX_TEXT: usize = 96;
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// A signature of an image: ECDSA on P-256 over the SHA-256 of all its bytes, written as the base64 (RFC 4648, 4) of
/// the DER of an ECDSA-Sig-Value (RFC 3279, 2.2.3), which is what `openssl dgst -sha256 -sign KEY IMAGE | base64 -w0`
/// makes.
///
/// There is one text for each value, so that texts can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; 64]);

impl Signature {
    /// From the DER of an ECDSA-Sig-Value.
    ///
    /// # Errors
    /// [`Defect::NotASignature`] for anything else, also in BER.
    pub fn from_der(der: &[u8]) -> Result<Self, Defect> {
        read(der).map(Self).ok_or(Defect::NotASignature)
    }

    /// Its two numbers, `r` and then `s`, each in 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// The DER of an ECDSA-Sig-Value.
    pub fn to_der(&self) -> Vec<u8> {
        let (r, s) = self.0.split_at(32);
        let mut numbers = Vec::new();
        push_integer(&mut numbers, r);
        push_integer(&mut numbers, s);
        let mut der = Vec::new();
        push_element(&mut der, SEQUENCE, &numbers);
        der
    }
}

fn read(der: &[u8]) -> Option<[u8; 64]> {
    let (numbers, []) = element(SEQUENCE, der)? else {
        return None;
    };
    let (r, numbers) = element(INTEGER, numbers)?;
    let (s, []) = element(INTEGER, numbers)? else {
        return None;
    };
    let mut both = [0; 64];
    let (first, second) = both.split_at_mut(32);
    first.copy_from_slice(&scalar(r)?);
    second.copy_from_slice(&scalar(s)?);
    Some(both)
}

/// The content of an element with this tag, and what is behind it. Nothing here needs a length of two bytes.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [found, length @ 0..0x80, rest @ ..] = der else {
        return None;
    };
    rest.split_at_checked(usize::from(*length))
        .filter(|_| *found == tag)
}

/// A number from 1 to below the order of the group.
fn scalar(integer: &[u8]) -> Option<[u8; 32]> {
    let digits = match integer {
        // A zero stands in front where the number would be negative without it, and nowhere else.
        [0, digits @ ..] if digits.first().is_some_and(|first| *first >= 0x80) => digits,
        [1..0x80, ..] => integer,
        _ => return None,
    };
    let mut number = [0; 32];
    let start = number.len().checked_sub(digits.len())?;
    number.get_mut(start..)?.copy_from_slice(digits);
    (number < ORDER).then_some(number)
}

fn push_integer(der: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|digit| **digit == 0).count();
    let mut digits: Vec<u8> = number.iter().skip(zeros).copied().collect();
    if digits.first().is_some_and(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    push_element(der, INTEGER, &digits);
}

fn push_element(der: &mut Vec<u8>, tag: u8, content: &[u8]) {
    der.push(tag);
    // Two numbers of 33 bytes at most.
    der.push(u8::try_from(content.len()).unwrap_or(u8::MAX));
    der.extend(content);
}

impl FromStr for Signature {
    type Err = Defect;

    fn from_str(text: &str) -> Result<Self, Defect> {
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        if text.is_empty() {
            return Err(Defect::Empty);
        }
        if !text.bytes().all(is_base64) {
            return Err(Defect::NotBase64);
        }
        if text.len() > MAX_TEXT {
            return Err(Defect::NotASignature);
        }
        let der = STANDARD.decode(text).map_err(|_| Defect::NotBase64)?;
        Self::from_der(&der)
    }
}

impl TryFrom<String> for Signature {
    type Error = Defect;

    fn try_from(text: String) -> Result<Self, Defect> {
        text.parse()
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        signature.to_string()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.to_der()))
    }
}

#[cfg(test)]
mod tests;
