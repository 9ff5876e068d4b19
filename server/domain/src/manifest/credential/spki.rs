//! Public keys: SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), of the kinds that TLS clients prove themselves with.

use crate::der::{self, NotDer, Reader, tag};
use serde::{Deserialize, Serialize};

/// Bytes of an uncompressed point of P-256.
const P256_POINT: usize = 65;
/// Bytes of an uncompressed point of P-384.
const P384_POINT: usize = 97;
/// What stands before the point of id-ecPublicKey on prime256v1 (RFC 5480, 2.1): there is one DER encoding.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The same on secp384r1.
const P384_PREFIX: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
/// id-ecPublicKey (RFC 5480, 2.1.1) and rsaEncryption (RFC 8017, A.1), as DER content.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// First byte of an uncompressed point.
const UNCOMPRESSED: u8 = 4;
/// Sizes of RSA that are taken, in bits: what TLS libraries verify (RFC 9155 and NIST SP 800-131A ask for 2048).
const RSA_BITS: core::ops::RangeInclusive<usize> = 2048..=8192;

/// What kind of key a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// ECDSA on prime256v1: the one kind that this registry certifies.
    P256,
    /// ECDSA on secp384r1.
    P384,
    /// RSA.
    Rsa {
        /// Length of the modulus.
        bits: u16,
    },
}

impl KeyKind {
    /// The kind of the key in a SubjectPublicKeyInfo, once it is found sound.
    ///
    /// # Errors
    /// Why it cannot be used, for people.
    pub(super) fn of(spki: &[u8]) -> Result<Self, String> {
        if let Some(point) = spki.strip_prefix(&P256_PREFIX) {
            return check_p256(point).map(|()| Self::P256);
        }
        if let Some(point) = spki.strip_prefix(&P384_PREFIX) {
            let fine = point.len() == P384_POINT && point.first() == Some(&UNCOMPRESSED);
            return fine.then_some(Self::P384).ok_or_else(|| COMPRESSED.into());
        }
        let (algorithm, key) = parts(spki).map_err(|NotDer| "has a public key that is not DER")?;
        match algorithm {
            RSA => rsa(key),
            EC => Err(CURVE.into()),
            _ => Err("has a key that is neither ECDSA (P-256, P-384) nor RSA".into()),
        }
    }
}

const COMPRESSED: &str = "has a key that is no uncompressed point of its curve";
const CURVE: &str = "has a key on another curve than P-256 and P-384, or in a compressed form";

/// The algorithm's identifier and the bits of a SubjectPublicKeyInfo.
fn parts(spki: &[u8]) -> Result<(&[u8], &[u8]), NotDer> {
    let mut outer = Reader::new(spki);
    let mut fields = Reader::new(outer.expect(tag::SEQUENCE)?.content);
    outer.end()?;
    let mut algorithm = Reader::new(fields.expect(tag::SEQUENCE)?.content);
    let key = fields.expect(tag::BIT_STRING)?.content;
    fields.end()?;
    Ok((
        algorithm.expect(tag::OID)?.content,
        key.strip_prefix(&[0]).ok_or(NotDer)?,
    ))
}

fn rsa(key: &[u8]) -> Result<KeyKind, String> {
    let broken = |NotDer| "has an RSA key that is not DER".to_owned();
    if !der::well_formed(key) {
        return Err(broken(NotDer));
    }
    let (modulus, exponent) = rsa_numbers(key).map_err(broken)?;
    let bits = bits(modulus);
    if !RSA_BITS.contains(&bits) {
        return Err(format!("has an RSA key of {bits} bits; 2048 to 8192 are taken"));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !is_odd(modulus) || !is_odd(exponent) || exponent == [1] {
        return Err(
            "has an RSA key that cannot be one: modulus and exponent are odd, the exponent over 1".into(),
        );
    }
    let bits = u16::try_from(bits).map_err(|_| "has an RSA key that is too long")?;
    Ok(KeyKind::Rsa { bits })
}

/// Modulus and exponent, both positive, without the byte that says so.
fn rsa_numbers(key: &[u8]) -> Result<(&[u8], &[u8]), NotDer> {
    let mut outer = Reader::new(key);
    let mut numbers = Reader::new(outer.expect(tag::SEQUENCE)?.content);
    outer.end()?;
    let mut number = || match numbers.expect(tag::INTEGER)?.content {
        [0, rest @ ..] => Ok(rest),
        [first, ..] if *first >= 0x80 => Err(NotDer),
        rest => Ok(rest),
    };
    let found = (number()?, number()?);
    numbers.end().map(|()| found)
}

fn bits(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |first| first.leading_zeros());
    number.len() * 8 - usize::try_from(unused).unwrap_or_default()
}

/// Is this an uncompressed point of P-256?
fn check_p256(point: &[u8]) -> Result<(), String> {
    if point.len() != P256_POINT || point.first() != Some(&UNCOMPRESSED) {
        return Err(COMPRESSED.into());
    }
    p256::PublicKey::from_sec1_bytes(point)
        .map(drop)
        .map_err(|_| "has a key that is not a point of its curve".into())
}

/// The point in a SubjectPublicKeyInfo on P-256.
pub(in crate::manifest) fn p256_point(spki: &[u8]) -> Option<&[u8]> {
    spki.strip_prefix(&P256_PREFIX)
}

/// The SubjectPublicKeyInfo of a point of P-256, from its coordinates.
pub(super) fn p256(x: &[u8; 32], y: &[u8; 32]) -> Result<Vec<u8>, String> {
    let point = [&[UNCOMPRESSED], &x[..], &y[..]].concat();
    check_p256(&point)?;
    Ok([&P256_PREFIX[..], &point].concat())
}
