//! The signed envelope: a hostile broker can withhold desired state, not forge or alter it.
//!
//! The payload (an encoded [`Desired`]) is signed as bytes, with ECDSA P-256 and SHA-256, by a config-signing key whose
//! certificate travels along. The device checks that the certificate chains to the root it pinned and carries
//! [`CONFIG_SIGNING_EKU`], then the signature, and only then parses the payload. Because the certificate travels
//! with every envelope, the key rotates without touching devices.

use crate::{
    payload::{self, Binary, Desired, Digest, PayloadError, Sealed},
    topic::Encoding,
};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
use p256::pkcs8::DecodePublicKey as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::Digest as _;

/// The extended key usage of config-signing certificates, under 2.25: that arc (X.667) needs no registration, and
/// a private usage keeps other certificates of the root from signing desired state.
pub const CONFIG_SIGNING_EKU: &[u64] = &[2, 25, 3_112_437_019, 1];
/// The same, as the DER content of an OBJECT IDENTIFIER.
pub const CONFIG_SIGNING_EKU_DER: &[u8] = &[0x69, 0x8b, 0xcc, 0x90, 0x8a, 0x1b, 0x01];
/// The extended key usage of certificates that sign checkpoints of the audit log: another one, so that neither key can do the
/// other's work.
pub const CHECKPOINT_SIGNING_EKU: &[u64] = &[2, 25, 3_112_437_019, 3];
/// The same, as the DER content of an OBJECT IDENTIFIER.
pub const CHECKPOINT_SIGNING_EKU_DER: &[u8] = &[0x69, 0x8b, 0xcc, 0x90, 0x8a, 0x1b, 0x03];
/// Put in front of what is signed, so that a signature means nothing in another place.
const CONTEXT: &[u8] = b"muster desired state v1\0";
/// The same in front of sealed secrets: neither message passes for the other.
const SEALED_CONTEXT: &[u8] = b"muster sealed secrets v1\0";

/// What travels on `muster/v1/<id>/desired`, and on `muster/v1/<id>/sealed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// SHA-256 of the signing certificate, DER.
    pub key_id: Digest,
    /// The signing certificate, DER, issued by the root.
    pub certificate: Binary,
    /// An encoded [`Desired`] or [`Sealed`].
    pub payload: Binary,
    /// ECDSA-Sig-Value (RFC 3279, 2.2.3), DER.
    pub signature: Binary,
}

/// Why an envelope is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The outside is not an envelope.
    #[error("not an envelope")]
    Envelope(#[source] PayloadError),
    /// The key id is not that of the certificate.
    #[error("envelope names another certificate than it carries")]
    KeyId,
    /// The caller's check of the certificate failed.
    #[error("certificate of the envelope is not trusted: {0}")]
    Certificate(String),
    /// The signature is wrong.
    #[error("signature of the envelope is wrong")]
    Signature,
    /// Signed, but not a desired state, or not sealed secrets.
    #[error("signed payload is not the message of its topic")]
    Payload(#[source] PayloadError),
}

/// What the signing key signs for a payload.
pub fn signing_input(payload: &[u8]) -> Vec<u8> {
    [CONTEXT, payload].concat()
}

/// What it signs for sealed secrets.
pub fn sealed_signing_input(payload: &[u8]) -> Vec<u8> {
    [SEALED_CONTEXT, payload].concat()
}

impl Envelope {
    /// An envelope from an encoded payload, its signer's certificate and the DER signature over
    /// [`signing_input`].
    pub fn new(certificate: Vec<u8>, payload: Vec<u8>, signature: Vec<u8>) -> Self {
        let key_id = Digest(sha2::Sha256::digest(&certificate).into());
        Self {
            key_id,
            certificate: Binary(certificate),
            payload: Binary(payload),
            signature: Binary(signature),
        }
    }

    /// Checks and opens an encoded envelope with a desired state. `trust` gets the signing certificate (DER); it must check chain, validity
    /// and [`CONFIG_SIGNING_EKU`] and give back the DER of its SubjectPublicKeyInfo.
    pub fn open(
        bytes: &[u8],
        encoding: Encoding,
        trust: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
    ) -> Result<Desired, EnvelopeError> {
        Self::read(bytes, encoding, signing_input, trust)
    }

    /// The same for sealed secrets.
    pub fn open_sealed(
        bytes: &[u8],
        encoding: Encoding,
        trust: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
    ) -> Result<Sealed, EnvelopeError> {
        Self::read(bytes, encoding, sealed_signing_input, trust)
    }

    fn read<T: DeserializeOwned>(
        bytes: &[u8],
        encoding: Encoding,
        signing_input: fn(&[u8]) -> Vec<u8>,
        trust: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
    ) -> Result<T, EnvelopeError> {
        let envelope: Self = payload::decode(bytes, encoding).map_err(EnvelopeError::Envelope)?;
        if sha2::Sha256::digest(&envelope.certificate.0)[..] != envelope.key_id.0 {
            return Err(EnvelopeError::KeyId);
        }
        let spki = trust(&envelope.certificate.0).map_err(EnvelopeError::Certificate)?;
        let key = VerifyingKey::from_public_key_der(&spki)
            .map_err(|_| EnvelopeError::Certificate("not a P-256 key".into()))?;
        let signature = Signature::from_der(&envelope.signature.0).map_err(|_| EnvelopeError::Signature)?;
        key.verify(&signing_input(&envelope.payload.0), &signature)
            .map_err(|_| EnvelopeError::Signature)?;
        payload::decode(&envelope.payload.0, encoding).map_err(EnvelopeError::Payload)
    }
}
