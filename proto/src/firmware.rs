//! The author's signature of a firmware image (in the words of RFC 9019), as a device checks it.
//!
//! The registry's keys say what a device shall run; the author's key, which no registry has, says what is firmware at all. The
//! signature is over the image, so whoever has its SHA-256 can check it before a byte of the image is fetched; the image
//! itself is held to the SHA-256 afterwards.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_firmware_policy::Artifact;
use p256::{
    ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier as _},
    pkcs8::DecodePublicKey as _,
};

/// Most keys that a device takes signatures by: today's and tomorrow's of an author, and a second author's.
pub const AUTHOR_KEYS_LIMIT: usize = 4;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// Why a text is no key that a device could take signatures by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorKeyError {
    /// No PEM, or something else in it.
    #[error("not a public key in PEM (`BEGIN PUBLIC KEY`)")]
    NotPem,
    /// Which of them would count is not to be guessed.
    #[error("more than one PEM block; each key has a file of its own")]
    Several,
    /// It does not belong where signatures are checked.
    #[error(
        "a private key, which is for signing alone; `openssl pkey -in KEY -pubout` makes the public key of it"
    )]
    Private,
    /// RSA, another curve, or not on it.
    #[error("not a P-256 key")]
    NotP256,
}

/// The public key of an author of firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorKey(VerifyingKey);

impl AuthorKey {
    /// From a SubjectPublicKeyInfo in PEM (RFC 7468, 13).
    ///
    /// # Errors
    /// [`AuthorKeyError`]: it is something else.
    pub fn from_pem(pem: &str) -> Result<Self, AuthorKeyError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(AuthorKeyError::Private);
        }
        if pem.matches("-----BEGIN ").count() > 1 {
            return Err(AuthorKeyError::Several);
        }
        let behind = pem.split_once(BEGIN).map(|(_, behind)| behind);
        let between = behind.and_then(|behind| behind.split_once(END));
        let (base64, _) = between.ok_or(AuthorKeyError::NotPem)?;
        // Lines may be of any length (RFC 7468, 2).
        let base64: String = base64.split_ascii_whitespace().collect();
        let spki = STANDARD.decode(base64).map_err(|_| AuthorKeyError::NotPem)?;
        let key = VerifyingKey::from_public_key_der(&spki);
        key.map(Self).map_err(|_| AuthorKeyError::NotP256)
    }

    /// Whether the author signed an image of this SHA-256.
    pub fn has_signed(&self, image: &Artifact) -> bool {
        let signature = image
            .signature
            .as_ref()
            .map(|signature| signature.as_bytes().as_slice());
        let signature = signature.and_then(|bytes| Signature::from_slice(bytes).ok());
        signature.is_some_and(|signature| self.0.verify_prehash(image.sha256.as_bytes(), &signature).is_ok())
    }
}
