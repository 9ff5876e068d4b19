//! Hybrid public key encryption (RFC 9180), the receiver's side, base mode: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
//!
//! ring has the hash, the key derivation and the cipher, and no exchange with a key that is kept, which `p256` has. A crate
//! for all of HPKE would bring each of them a second time to devices with little flash.

use p256::{PublicKey, SecretKey, ecdh::diffie_hellman, elliptic_curve::sec1::ToSec1Point as _};
use ring::{
    aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
};
use zeroize::Zeroizing;

/// `"KEM" || I2OSP(kem_id, 2)` (4.1).
const KEM: &[u8] = b"KEM\x00\x10";
/// `"HPKE" || kem_id || kdf_id || aead_id` (5.1).
const SUITE: &[u8] = b"HPKE\x00\x10\x00\x01\x00\x01";
const VERSION: &[u8] = b"HPKE-v1";
/// Bytes of an encapsulated key: an uncompressed point (7.1.1).
const ENCAPSULATED: usize = 65;
/// Bytes of a shared secret, and of a hash.
const SECRET: usize = 32;
const KEY: usize = 16;

/// A length of key material, in the form that ring asks for.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Opens what was sealed alone in its context. `None` when it was not sealed to this key with this `info` and `aad`, or is
/// damaged: nobody needs to know which.
pub(crate) fn open(
    key: &SecretKey,
    encapsulated: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (cipher, nonce) = schedule(&*decapsulate(key, encapsulated)?, info)?;
    let mut text = Zeroizing::new(ciphertext.to_vec());
    let length = cipher.open_in_place(nonce, Aad::from(aad), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

/// `KeySchedule` (5.1), and the nonce of the first message of a context: its number, 0, leaves the nonce as it is (5.2).
fn schedule(shared: &[u8; SECRET], info: &[u8]) -> Option<(LessSafeKey, Nonce)> {
    // Base mode: no key that is shared before, and no name of one.
    let context = [
        &[0][..],
        extract(&[], SUITE, b"psk_id_hash", &[]).as_ref(),
        extract(&[], SUITE, b"info_hash", info).as_ref(),
    ]
    .concat();
    let secret = extract(shared, SUITE, b"secret", &[]);
    let key = expand::<KEY>(&secret, SUITE, b"key", &context)?;
    let nonce = expand::<NONCE_LEN>(&secret, SUITE, b"base_nonce", &context)?;
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..]).ok()?);
    Some((cipher, Nonce::assume_unique_for_key(*nonce)))
}

/// `Decap` (4.1).
fn decapsulate(key: &SecretKey, encapsulated: &[u8]) -> Option<Zeroizing<[u8; SECRET]>> {
    if encapsulated.len() != ENCAPSULATED {
        return None;
    }
    // Refuses what is not on the curve.
    let sender = PublicKey::from_sec1_bytes(encapsulated).ok()?;
    let exchanged = diffie_hellman(key.to_nonzero_scalar(), sender.as_affine());
    let own = key.public_key().to_sec1_point(false);
    let context = [encapsulated, own.as_bytes()].concat();
    let prk = extract(&[], KEM, b"eae_prk", exchanged.raw_secret_bytes());
    expand(&prk, KEM, b"shared_secret", &context)
}

/// `LabeledExtract` (4).
fn extract(salt: &[u8], suite: &[u8], label: &[u8], material: &[u8]) -> hmac::Tag {
    let mut hmac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt));
    for part in [VERSION, suite, label, material] {
        hmac.update(part);
    }
    hmac.sign()
}

/// `LabeledExpand` (4).
fn expand<const LENGTH: usize>(
    prk: &hmac::Tag,
    suite: &[u8],
    label: &[u8],
    info: &[u8],
) -> Option<Zeroizing<[u8; LENGTH]>> {
    let length = u16::try_from(LENGTH).ok()?.to_be_bytes();
    let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, prk.as_ref());
    let mut out = Zeroizing::new([0; LENGTH]);
    let parts = [&length[..], VERSION, suite, label, info];
    prk.expand(&parts, Length(LENGTH)).ok()?.fill(&mut out[..]).ok()?;
    Some(out)
}

/// The sender's side, for tests: with a key for once that is the same each time.
#[cfg(test)]
pub(crate) fn seal(recipient: &PublicKey, info: &[u8], text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let once = SecretKey::from_slice(&[7; SECRET]).unwrap();
    let [encapsulated, theirs] =
        [&once.public_key(), recipient].map(|key| key.to_sec1_point(false).as_bytes().to_vec());
    let exchanged = diffie_hellman(once.to_nonzero_scalar(), recipient.as_affine());
    let prk = extract(&[], KEM, b"eae_prk", exchanged.raw_secret_bytes());
    let context = [encapsulated.as_slice(), &theirs].concat();
    let shared = expand::<SECRET>(&prk, KEM, b"shared_secret", &context).unwrap();
    let (cipher, nonce) = schedule(&shared, info).unwrap();
    let mut sealed = text.to_vec();
    cipher
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed)
        .unwrap();
    (encapsulated, sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    /// RFC 9180, A.3.1: the first message of the base setup.
    #[test]
    fn the_vector_of_the_standard_opens_and_nothing_beside_it() {
        let key = bytes("f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2");
        let key = SecretKey::from_slice(&key).unwrap();
        let good = [
            bytes(
                "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900be\
                 863c403ce65c9bfcb9382657222d18c4",
            ),
            b"Ode on a Grecian Urn".to_vec(),
            b"Count-0".to_vec(),
            bytes(
                "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434",
            ),
        ];
        let opened =
            |key: &SecretKey, parts: &[Vec<u8>; 4]| open(key, &parts[0], &parts[1], &parts[2], &parts[3]);
        assert_eq!(**opened(&key, &good).unwrap(), *b"Beauty is truth, truth beauty");
        for part in 0..good.len() {
            for bit in 0..good[part].len() * 8 {
                let mut other = good.clone();
                other[part][bit / 8] ^= 1 << (bit % 8);
                assert_eq!(opened(&key, &other), None, "part {part}, bit {bit}");
            }
            let mut cut = good.clone();
            cut[part].pop();
            assert_eq!(opened(&key, &cut), None, "part {part}, cut");
        }
        let mut other = [1; 32];
        other[0] = 2;
        assert_eq!(opened(&SecretKey::from_slice(&other).unwrap(), &good), None);
    }
}
