//! The credential that a row brings: what kind it is, and which key it names.
//!
//! Factories send requests to be signed, and the keys or certificates that a secure element or a maker's line put into
//! the device. Their text is PEM as any tool writes it, DER in base64, or a JSON Web Key. Nothing is verified here but
//! the form and that the key is one that can prove itself: whoever holds the private half shows it later.

mod jwk;
mod moment;
mod name;
mod pem;
mod spki;
mod x509;

pub(super) use jwk::coordinates as jwk_spki;
pub(super) use name::{COMMON_NAME, SERIAL_NUMBER};
pub(super) use pem::{armour, base64, certificates as pem_certificates};
pub use spki::KeyKind;
pub(super) use spki::p256_point as p256_key;
pub(super) use x509::Certificate;

use crate::{
    Code, Refusal, Timestamp,
    certificate::SpkiDigest,
    der::{NotDer, Reader, tag},
};
use sha2::{Digest as _, Sha256};

/// Longest text of a credential, in bytes: a request of RSA with 4096 bits takes 1.7 KiB as PEM, a chain of three
/// certificates some 6.
pub const CREDENTIAL_LIMIT: usize = 8 << 10;

/// What a row's credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowCredential {
    /// A certificate request (PKCS#10). That it is signed by its own key is for the authority to check.
    Request {
        /// As it stands in the row.
        der: Vec<u8>,
        /// The key that it asks a certificate for.
        spki: SpkiDigest,
        /// Its kind.
        key: KeyKind,
    },
    /// A public key that the device holds the private half of.
    PublicKey {
        /// Its name.
        spki: SpkiDigest,
        /// SubjectPublicKeyInfo.
        der: Vec<u8>,
        /// Its kind.
        key: KeyKind,
    },
    /// A certificate that the device has from somebody else.
    Certificate {
        /// The certified key.
        spki: SpkiDigest,
        /// SHA-256 of `der`.
        sha256: [u8; 32],
        /// The certificate.
        der: Vec<u8>,
        /// The subject as RFC 4514 writes it.
        subject: String,
        /// End of validity. Whether that has passed is for whoever has a clock.
        not_after: Timestamp,
        /// Kind of the key.
        key: KeyKind,
    },
}

impl RowCredential {
    /// Reads the text of a row. Of several certificates in one PEM text, the first is the device's, as in TLS.
    ///
    /// # Errors
    /// [`Code::CredentialMissing`] when there is no text, [`Code::CredentialMalformed`] when it is none of the kinds, its
    /// key is weak or no point of its curve, or it is over [`CREDENTIAL_LIMIT`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Refusal::new(Code::CredentialMissing, "is empty"));
        }
        let read = if text.len() > CREDENTIAL_LIMIT {
            Err(format!("is longer than {CREDENTIAL_LIMIT} bytes"))
        } else {
            Self::read(text)
        };
        read.map_err(|why| Refusal::new(Code::CredentialMalformed, why))
    }

    /// The key that the device holds.
    pub const fn spki(&self) -> SpkiDigest {
        match self {
            Self::Request { spki, .. } | Self::PublicKey { spki, .. } | Self::Certificate { spki, .. } => {
                *spki
            }
        }
    }

    /// The kind of that key.
    pub const fn key(&self) -> KeyKind {
        match self {
            Self::Request { key, .. } | Self::PublicKey { key, .. } | Self::Certificate { key, .. } => *key,
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.starts_with('{') {
            return Self::public_key(jwk::spki(text)?);
        }
        if let Some(block) = pem::first(text)? {
            return match block.label.as_str() {
                "CERTIFICATE" | "X509 CERTIFICATE" => Self::certificate(block.der),
                "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Self::request(block.der),
                "PUBLIC KEY" => Self::public_key(block.der),
                label if label.ends_with("PRIVATE KEY") => Err(PRIVATE.into()),
                _ => Err(NOTHING.into()),
            };
        }
        let der = base64(text).ok_or(NOTHING)?;
        match Shape::of(&der) {
            Ok(Shape::Certificate) => Self::certificate(der),
            Ok(Shape::Request) => Self::request(der),
            Ok(Shape::PublicKey) => Self::public_key(der),
            Ok(Shape::PrivateKey) => Err(PRIVATE.into()),
            Err(NotDer) => Err(NOTHING.into()),
        }
    }

    fn certificate(der: Vec<u8>) -> Result<Self, String> {
        let certificate = Certificate::read(&der)?;
        Ok(Self::Certificate {
            spki: digest(certificate.spki),
            sha256: Sha256::digest(&der).into(),
            subject: certificate.subject.to_string(),
            not_after: certificate.not_after,
            key: certificate.key,
            der,
        })
    }

    fn public_key(der: Vec<u8>) -> Result<Self, String> {
        Ok(Self::PublicKey {
            spki: digest(&der),
            key: KeyKind::of(&der)?,
            der,
        })
    }

    fn request(der: Vec<u8>) -> Result<Self, String> {
        let spki = request_key(&der).map_err(|NotDer| "is not a certificate request in DER")?;
        Ok(Self::Request {
            spki: digest(spki),
            key: KeyKind::of(spki)?,
            der,
        })
    }
}

/// What DER without a label can be.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Certificate,
    Request,
    PublicKey,
    PrivateKey,
}

const NOTHING: &str =
    "is no certificate request, public key or certificate: write PEM, DER in base64, or a JSON Web Key";
const PRIVATE: &str = "is a private key, which must not leave the device; take it for disclosed";
/// CertificationRequestInfo has four fields (RFC 2986, 4.1), TBSCertificate six at least (RFC 5280, 4.1).
const REQUEST_FIELDS: usize = 4;

impl Shape {
    fn of(der: &[u8]) -> Result<Self, NotDer> {
        let mut outer = Reader::new(der);
        let mut fields = Reader::new(outer.expect(tag::SEQUENCE)?.content);
        outer.end()?;
        let first = fields.next()?;
        match (first.tag, fields.next()?.tag) {
            // PrivateKeyInfo and ECPrivateKey, RSAPrivateKey: a version comes first.
            (tag::INTEGER, _) => Ok(Self::PrivateKey),
            (tag::SEQUENCE, tag::BIT_STRING) => Ok(Self::PublicKey),
            (tag::SEQUENCE, tag::SEQUENCE) => {
                let mut inner = Reader::new(first.content);
                let mut count = 0;
                while !inner.is_empty() {
                    inner.next()?;
                    count += 1;
                }
                Ok(if count > REQUEST_FIELDS {
                    Self::Certificate
                } else {
                    Self::Request
                })
            }
            _ => Err(NotDer),
        }
    }
}

/// The SubjectPublicKeyInfo of a request.
fn request_key(der: &[u8]) -> Result<&[u8], NotDer> {
    let mut outer = Reader::new(der);
    let mut request = Reader::new(outer.expect(tag::SEQUENCE)?.content);
    outer.end()?;
    let mut info = Reader::new(request.expect(tag::SEQUENCE)?.content);
    request.expect(tag::SEQUENCE)?;
    request.expect(tag::BIT_STRING)?;
    request.end()?;
    info.expect(tag::INTEGER)?;
    info.expect(tag::SEQUENCE)?;
    Ok(info.expect(tag::SEQUENCE)?.whole)
}

/// The name of a key.
pub(super) fn digest(spki: &[u8]) -> SpkiDigest {
    SpkiDigest(Sha256::digest(spki).into())
}
