//! Certificate requests (PKCS#10, RFC 2986). They prove possession of a key, and that is all we take from them:
//! names and extensions come from the registry (A4, A5).

use super::{
    der::{self, NotDer, Reader, tag},
    key::{PublicKey, UnfitKey},
    oid,
};
use muster_domain::{Code, Refusal, certificate::SpkiDigest};
use serde::{Deserialize, Serialize};

/// Longest request read, in bytes. One of ours has 220.
pub const REQUEST_LIMIT: usize = 4 << 10;
/// Longest challenge password, in characters (RFC 2985, ub-pkcs9-challengePassword).
const CHALLENGE_LIMIT: usize = 255;

/// A request that proved possession of its key. Nothing but the key is kept.
#[derive(Debug, Clone)]
pub struct CertificationRequest {
    key: PublicKey,
}

/// A request that was checked, as it is put aside until its device is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRequest(PublicKey);

impl KeptRequest {
    /// The request again.
    pub const fn request(&self) -> CertificationRequest {
        CertificationRequest { key: self.0 }
    }

    /// The name of the key.
    pub fn digest(&self) -> SpkiDigest {
        self.0.digest()
    }
}

/// The four parts of CertificationRequestInfo, and what signs them.
struct Parts<'a> {
    signed: &'a [u8],
    spki: &'a [u8],
    attributes: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

fn refuse(code: Code, why: &'static str) -> Refusal {
    Refusal::new(code, why)
}

impl CertificationRequest {
    /// Reads and checks a request in DER.
    ///
    /// # Errors
    ///
    /// [`Code::CsrMalformed`], [`Code::CsrKey`], [`Code::CsrAttribute`] or [`Code::CsrSignature`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let parts = read(bytes)?;
        let key = PublicKey::from_spki(parts.spki).map_err(|unfit| {
            refuse(
                Code::CsrKey,
                match unfit {
                    UnfitKey::Kind => "has a key other than an uncompressed point on prime256v1",
                    UnfitKey::OffCurve => "has a key that is not a point of its curve",
                    UnfitKey::Known => "has a key whose private half is publicly known",
                },
            )
        })?;
        check_attributes(parts.attributes)?;
        if parts.algorithm != der::sequence(&[&der::oid(oid::ECDSA_WITH_SHA256)]) {
            return Err(refuse(
                Code::CsrSignature,
                "is signed with an algorithm other than ECDSA with SHA-256",
            ));
        }
        if !key.has_signed(parts.signed, parts.signature) {
            return Err(refuse(Code::CsrSignature, "is not signed by its key"));
        }
        Ok(Self { key })
    }

    /// Reads a request that only carries attributes: its key and signature are not what is certified (RFC 7030, 4.4.1).
    ///
    /// # Errors
    ///
    /// [`Code::CsrMalformed`], or [`Code::CsrAttribute`], such as for one that asks for a sealed key.
    pub fn check_form(bytes: &[u8]) -> Result<(), Refusal> {
        check_attributes(read(bytes)?.attributes)
    }

    /// For a key that was made here: no proof is needed.
    pub(super) const fn of(key: PublicKey) -> Self {
        Self { key }
    }

    /// The name of the key.
    pub fn digest(&self) -> SpkiDigest {
        self.key.digest()
    }

    /// To put aside; only this process may read it back, because nothing is checked again.
    pub const fn keep(&self) -> KeptRequest {
        KeptRequest(self.key)
    }

    pub(super) const fn key(&self) -> &PublicKey {
        &self.key
    }
}

fn read(bytes: &[u8]) -> Result<Parts<'_>, Refusal> {
    if bytes.len() > REQUEST_LIMIT {
        return Err(refuse(Code::CsrMalformed, "is longer than 4096 bytes"));
    }
    let malformed = |NotDer| refuse(Code::CsrMalformed, "is not a certificate request in DER");
    if !der::well_formed(bytes) {
        return Err(malformed(NotDer));
    }
    split(bytes).map_err(malformed)
}

fn split(bytes: &[u8]) -> Result<Parts<'_>, NotDer> {
    let mut outer = Reader::new(bytes);
    let mut request = Reader::new(outer.expect(tag::SEQUENCE)?.content);
    outer.end()?;
    let info = request.expect(tag::SEQUENCE)?;
    let algorithm = request.expect(tag::SEQUENCE)?.whole;
    let signature = request.expect(tag::BIT_STRING)?.content;
    request.end()?;
    let mut fields = Reader::new(info.content);
    // Version 1 is written as zero.
    if fields.expect(tag::INTEGER)?.content != [0] {
        return Err(NotDer);
    }
    // The subject is passed over: well-formed, and of no consequence.
    fields.expect(tag::SEQUENCE)?;
    let spki = fields.expect(tag::SEQUENCE)?.whole;
    let attributes = fields.expect(tag::CONTEXT_0)?.content;
    fields.end()?;
    let (&unused, signature) = signature.split_first().ok_or(NotDer)?;
    if unused != 0 {
        return Err(NotDer);
    }
    Ok(Parts {
        signed: info.whole,
        spki,
        attributes,
        algorithm,
        signature,
    })
}

/// At most one challenge password and one empty request for extensions, in the order of DER.
fn check_attributes(set: &[u8]) -> Result<(), Refusal> {
    let malformed = |NotDer| refuse(Code::CsrMalformed, "has attributes that are not in DER");
    let mut reader = Reader::new(set);
    let mut before: &[u8] = &[];
    let mut kinds = Vec::new();
    while !reader.is_empty() {
        let attribute = reader.expect(tag::SEQUENCE).map_err(malformed)?;
        // X.690, 11.6: elements of a SET OF are sorted.
        if attribute.whole < before {
            return Err(malformed(NotDer));
        }
        before = attribute.whole;
        let mut fields = Reader::new(attribute.content);
        let kind = fields.expect(tag::OID).map_err(malformed)?.content;
        let values = fields.expect(tag::SET).map_err(malformed)?.content;
        fields.end().map_err(malformed)?;
        if kinds.contains(&kind) {
            return Err(refuse(Code::CsrAttribute, "has an attribute twice"));
        }
        kinds.push(kind);
        let harmless = match kind {
            oid::CHALLENGE_PASSWORD => is_password(values),
            // RFC 2986 lets the list of extensions be empty; a full one asks for what is not ours to give.
            oid::EXTENSION_REQUEST => values == der::sequence(&[]),
            _ => false,
        };
        if !harmless {
            return Err(refuse(
                Code::CsrAttribute,
                "has an attribute other than a challenge password or an empty extension request",
            ));
        }
    }
    Ok(())
}

fn is_password(values: &[u8]) -> bool {
    const STRINGS: [u8; 6] = [
        tag::UTF8_STRING,
        tag::PRINTABLE_STRING,
        tag::TELETEX_STRING,
        tag::IA5_STRING,
        tag::UNIVERSAL_STRING,
        tag::BMP_STRING,
    ];
    let mut reader = Reader::new(values);
    reader
        .next()
        .is_ok_and(|value| STRINGS.contains(&value.tag) && value.content.len() <= 4 * CHALLENGE_LIMIT)
        && reader.is_empty()
}
