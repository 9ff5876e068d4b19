//! Activation codes: the one-time secret on a device's label.
//!
//! 120 random bits as 24 Crockford base32 digits and a check symbol, in groups of five:
//! `7Q2RK-0XW4M-...`. 120 bits cannot be guessed (A1), so codes need no slow hash and no lock-out; the registry keeps
//! only an HMAC-SHA-256 under a key that is outside the database.

use crate::{Timestamp, certificate::CertificateSerial, ids::DeviceId};
use core::{fmt, str::FromStr};
use hmac::{Hmac, KeyInit, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Crockford's check symbols 32 to 36, behind the alphabet.
const CHECK_EXTRA: &[u8; 5] = b"*~$=U";
const SECRET_BYTES: usize = 15;
const DIGITS: usize = 24;
const GROUP: usize = 5;
/// Most characters read of a typed code, separators included.
const TYPED_LIMIT: usize = 64;

/// An activation code in the clear. Never logged, shown once, wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ActivationCode([u8; SECRET_BYTES]);

/// What the registry keeps of a code.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct CodeHash([u8; 32]);

/// The key of [`CodeHash`]; kept outside the database.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CodeKey([u8; 32]);

/// What the codes and certificate serials of one part of an import, or the codes of a change, follow from, under a
/// [`CodeKey`]. It stays on record until what was made from it is acknowledged, so that the same codes can be shown again; once
/// it is erased, nobody can make them. Without the key it says nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 16]);

/// A typed text that cannot be a code: mistyped, or something else. Says nothing about the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotACode;

impl fmt::Display for NotACode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an activation code: 24 digits or letters and a check symbol, as on the label")
    }
}

impl core::error::Error for NotACode {}

impl ActivationCode {
    /// A code from random bytes.
    pub const fn from_random(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    fn value(&self) -> u128 {
        self.0
            .iter()
            .fold(0, |value, &byte| value << 8 | u128::from(byte))
    }

    /// What to store of it.
    pub fn hash(&self, key: &CodeKey) -> CodeHash {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("any length");
        mac.update(b"muster activation code v1");
        mac.update(&self.0);
        CodeHash(mac.finalize().into_bytes().into())
    }

    /// The code as it is printed; the caller takes care where it goes.
    pub fn reveal(&self) -> String {
        let value = self.value();
        let mut text = String::with_capacity(DIGITS + GROUP);
        for place in 0..DIGITS {
            if place > 0 && place % GROUP == 0 {
                text.push('-');
            }
            let digit = value >> (5 * (DIGITS - 1 - place)) & 31;
            text.push(char::from(ALPHABET[usize::try_from(digit).unwrap_or(0)]));
        }
        text.push(check_symbol(value));
        text
    }
}

/// Crockford's check: the value modulo 37.
fn check_symbol(value: u128) -> char {
    let rest = usize::try_from(value % 37).unwrap_or(0);
    char::from(if rest < 32 {
        ALPHABET[rest]
    } else {
        CHECK_EXTRA[rest - 32]
    })
}

/// A typed digit: any case, `O` as zero, `I` and `L` as one.
fn digit(c: char) -> Option<u128> {
    let c = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let place = ALPHABET.iter().position(|&known| char::from(known) == c)?;
    u128::try_from(place).ok()
}

impl FromStr for ActivationCode {
    type Err = NotACode;

    fn from_str(text: &str) -> Result<Self, NotACode> {
        if text.len() > TYPED_LIMIT {
            return Err(NotACode);
        }
        let typed: Vec<char> = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
        let (&check, secret) = typed.split_last().ok_or(NotACode)?;
        if secret.len() != DIGITS {
            return Err(NotACode);
        }
        let value = secret
            .iter()
            .try_fold(0u128, |value, &c| digit(c).map(|d| value << 5 | d))
            .ok_or(NotACode)?;
        let expected = check_symbol(value);
        let same = check.to_ascii_uppercase() == expected
            || digit(check).is_some() && digit(check) == digit(expected) && expected != 'U';
        if !same {
            return Err(NotACode);
        }
        let mut bytes = [0; SECRET_BYTES];
        bytes.copy_from_slice(&value.to_be_bytes()[1..]);
        Ok(Self(bytes))
    }
}

impl fmt::Debug for ActivationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActivationCode(..)")
    }
}

impl CodeKey {
    /// A key from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl CodeKey {
    /// The code of a row, always the same for the same seed. 120 bits of an HMAC under a key of 256 bits are as good as random to
    /// whoever lacks the key.
    pub fn code(&self, seed: &Seed, row: u32) -> ActivationCode {
        let mut secret = [0; SECRET_BYTES];
        let place = row.to_be_bytes();
        secret.copy_from_slice(&self.derive(b"muster batch code v1", seed, &place)[..SECRET_BYTES]);
        ActivationCode(secret)
    }

    /// The code that a change gives a device, always the same for the same seed: a change gives a device one code at most.
    pub fn code_of(&self, seed: &Seed, device: DeviceId) -> ActivationCode {
        let mut secret = [0; SECRET_BYTES];
        let place = device.as_u128().to_be_bytes();
        secret.copy_from_slice(&self.derive(b"muster change code v1", seed, &place)[..SECRET_BYTES]);
        ActivationCode(secret)
    }

    /// The serial of the certificate of a row, always the same for the same seed and instant.
    pub fn certificate_serial(&self, seed: &Seed, row: u32, at: Timestamp) -> CertificateSerial {
        let mut random = [0; 16];
        let place = row.to_be_bytes();
        random.copy_from_slice(&self.derive(b"muster batch serial v1", seed, &place)[..16]);
        CertificateSerial::new(at, u128::from_be_bytes(random))
    }

    /// The lengths of the seed and of the place are fixed for each `what`, and none of these begins another one, so no two inputs
    /// run into each other.
    fn derive(&self, what: &[u8], seed: &Seed, place: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length");
        mac.update(what);
        mac.update(&seed.0);
        mac.update(place);
        mac.finalize().into_bytes().into()
    }
}

impl CodeHash {
    /// What no code has: for asking whether a code could be given, without one.
    pub const NOTHING: Self = Self([0; 32]);
}

impl Seed {
    /// From random bytes, or its stored form.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its stored form.
    pub const fn to_bytes(&self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl fmt::Debug for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeKey(..)")
    }
}

impl fmt::Debug for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeHash(..)")
    }
}

/// Equality takes the same time whatever the bytes are.
impl PartialEq for CodeHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for CodeHash {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_printed_code_reads_back(bytes: [u8; 15]) {
            let code = ActivationCode::from_random(bytes);
            prop_assert_eq!(code.reveal().parse(), Ok(code.clone()));
            let typed = code.reveal().to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
            prop_assert_eq!(typed.parse(), Ok(code));
        }

        #[test]
        fn one_mistyped_digit_is_noticed(bytes: [u8; 15], place in 0usize..24, digit in 0usize..32) {
            let printed = ActivationCode::from_random(bytes).reveal().replace('-', "");
            let mut typed = printed.clone().into_bytes();
            typed[place] = ALPHABET[digit];
            let typed = String::from_utf8(typed).unwrap();
            prop_assert_eq!(typed.parse::<ActivationCode>().is_ok(), typed == printed);
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let parsed = text.parse::<ActivationCode>();
            prop_assert!(parsed.is_err() || text.chars().count() >= DIGITS);
        }
    }

    #[test]
    fn neither_code_nor_hash_shows_in_debug() {
        let code = ActivationCode::from_random([7; 15]);
        let shown = format!(
            "{code:?} {:?} {:?} {:?}",
            code.hash(&CodeKey([1; 32])),
            CodeKey([1; 32]),
            Seed([1; 16])
        );
        assert_eq!(shown, "ActivationCode(..) CodeHash(..) CodeKey(..) Seed(..)");
    }

    #[test]
    fn a_hash_depends_on_code_and_key() {
        let [a, b] = [[1; 15], [2; 15]].map(ActivationCode::from_random);
        let [k, l] = [[1; 32], [2; 32]].map(CodeKey::from_bytes);
        assert!(a.hash(&k) == a.hash(&k) && a.hash(&k) != b.hash(&k) && a.hash(&k) != a.hash(&l));
    }

    #[test]
    fn what_follows_from_a_seed_depends_on_key_seed_and_row() {
        let [k, l] = [[1; 32], [2; 32]].map(CodeKey::from_bytes);
        let [s, t] = [[1; 16], [2; 16]].map(Seed::from_bytes);
        let code = k.code(&s, 7);
        assert!(code == k.code(&s, 7));
        assert!(code != l.code(&s, 7) && code != k.code(&t, 7) && code != k.code(&s, 8));
        // HMAC-SHA-256 of the label, the seed and the row, by another implementation (Python's hmac).
        assert_eq!(code.reveal(), "3HP5Y-Z8N1K-R3Y5K-2QWMY-MCDEU");
        let [a, b] = [1, 2].map(DeviceId::from_u128);
        let given = k.code_of(&s, a);
        assert!(given == k.code_of(&s, a) && given != k.code_of(&s, b) && given != k.code_of(&t, a));
        // As above.
        assert_eq!(given.reveal(), "TJZFF-FEJ2B-VQRME-Z70RZ-ZHZQA");
        let at = Timestamp::from_seconds(1_800_000_000);
        let serial = k.certificate_serial(&s, 7, at);
        assert_eq!(serial, k.certificate_serial(&s, 7, at));
        assert!(serial != k.certificate_serial(&s, 8, at) && serial != k.certificate_serial(&t, 7, at));
    }
}
