//! Which field of a certificate is not what it should be: an X.509 parser of somebody else reads what was found to differ.

use super::{
    der::{self, NotDer, Reader, tag},
    key::PublicKey,
    lint::Signer,
    lint_bytes::{self, GENERALIZED_FROM},
    oid,
    profile::Template,
};
use std::fmt;
use x509_parser::{
    certificate::TbsCertificate,
    prelude::FromDer as _,
    time::ASN1Time,
    x509::{AlgorithmIdentifier, X509Version},
};

/// The field of a certificate or revocation list that differs from what was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Not a certificate in DER, or one with other fields than ours, or something behind it.
    Form,
    /// Not version 3.
    Version,
    /// Not the 16 bytes that were recorded.
    Serial,
    /// Not ECDSA with SHA-256, inside and outside.
    Algorithm,
    /// Not the subject of the issuing certificate.
    Issuer,
    /// Not the recorded start and end, or in the wrong form.
    Validity,
    /// Not the names of the registry.
    Subject,
    /// Not the key that proved itself.
    Key,
    /// An extension is missing, added, repeated, or has another value or criticality.
    Extensions,
    /// The issuer's key did not sign it.
    Signature,
    /// A revocation list with other entries than were ordered.
    Entries,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "it is not one certificate or list of ours in DER",
            Self::Version => "its version is not that of its kind",
            Self::Serial => "its serial is not the recorded one",
            Self::Algorithm => "its signature algorithm is not ECDSA with SHA-256",
            Self::Issuer => "its issuer is not ours",
            Self::Validity => "its validity is not the recorded one",
            Self::Subject => "its subject is not the recorded one",
            Self::Key => "its key is not the one that was asked for",
            Self::Extensions => "its extensions are not those of its profile",
            Self::Signature => "its signature is wrong",
            Self::Entries => "its entries are not those that were ordered",
        })
    }
}

impl std::error::Error for Defect {}

/// The extensions of what is signed, of which the parser below overlooks odd tags and defaults that are written out.
fn extensions(to_be_signed: &[u8]) -> Result<&[u8], NotDer> {
    // Version, serial, algorithm, issuer, validity, subject, key. No unique identifiers (RFC 5280, 4.1.2.8).
    const FIELDS: [u8; 7] = [
        tag::CONTEXT_0,
        tag::INTEGER,
        tag::SEQUENCE,
        tag::SEQUENCE,
        tag::SEQUENCE,
        tag::SEQUENCE,
        tag::SEQUENCE,
    ];
    let mut outer = Reader::new(to_be_signed);
    let mut inner = Reader::new(outer.expect(tag::SEQUENCE)?.content);
    outer.end()?;
    for field in FIELDS {
        inner.expect(field)?;
    }
    let list = inner.expect(tag::CONTEXT_3)?.content;
    inner.end()?;
    Ok(list)
}

pub(super) fn is_ecdsa_sha256(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    algorithm.algorithm.as_bytes() == oid::ECDSA_WITH_SHA256 && algorithm.parameters.is_none()
}

pub(super) fn is_at(time: ASN1Time, seconds: u64) -> bool {
    i64::try_from(seconds).is_ok_and(|written| {
        time.timestamp() == written && time.is_generalizedtime() == (seconds >= GENERALIZED_FROM)
    })
}

/// The first field of what is to be signed that is not the template's.
pub(super) fn of(to_be_signed: &[u8], template: &Template, key: &PublicKey, signer: Signer<'_>) -> Defect {
    let Ok(written) = extensions(to_be_signed) else {
        return Defect::Form;
    };
    if !der::well_formed(to_be_signed) {
        return Defect::Form;
    }
    let Ok((&[], inner)) = TbsCertificate::from_der(to_be_signed) else {
        return Defect::Form;
    };
    let [start, end] = [template.not_before.seconds(), template.not_after.seconds()];
    let subject = lint_bytes::name(
        &template.organisation,
        template.unit.as_deref(),
        &template.common_name,
    );
    [
        (inner.version() == X509Version::V3, Defect::Version),
        (inner.raw_serial() == template.serial.to_bytes(), Defect::Serial),
        (is_ecdsa_sha256(&inner.signature), Defect::Algorithm),
        (inner.issuer().as_raw() == signer.name, Defect::Issuer),
        (
            is_at(inner.validity.not_before, start) && is_at(inner.validity.not_after, end),
            Defect::Validity,
        ),
        (inner.subject().as_raw() == subject, Defect::Subject),
        (inner.public_key().raw == key.spki(), Defect::Key),
        (
            written == lint_bytes::extension_list(template, key, signer),
            Defect::Extensions,
        ),
    ]
    .into_iter()
    .find_map(|(holds, defect)| (!holds).then_some(defect))
    // It differs, and the parser does not see where.
    .unwrap_or(Defect::Form)
}
