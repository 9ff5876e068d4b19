//! What the service reads from a certificate that a peer presented. TLS has verified it before.

use super::CaError;
use muster_domain::{
    Timestamp,
    certificate::{AuthorityId, CertificateRecord, CertificateSerial, SpkiDigest},
    names::OperatorName,
};
use sha2::{Digest as _, Sha256};
use x509_parser::{
    certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer as _, time::ASN1Time,
};

fn parse(leaf: &[u8]) -> Result<X509Certificate<'_>, CaError> {
    match X509Certificate::from_der(leaf) {
        Ok((&[], certificate)) => Ok(certificate),
        _ => Err(CaError::NotACertificate),
    }
}

/// The name of a certificate's key.
///
/// # Errors
///
/// [`CaError::NotACertificate`].
pub fn spki_digest(leaf: &[u8]) -> Result<SpkiDigest, CaError> {
    Ok(SpkiDigest(Sha256::digest(parse(leaf)?.public_key().raw).into()))
}

/// The point of a certificate's key, as it stands in the SubjectPublicKeyInfo.
///
/// # Errors
///
/// [`CaError::NotACertificate`].
pub(super) fn public_key(leaf: &[u8]) -> Result<Vec<u8>, CaError> {
    Ok(parse(leaf)?.public_key().subject_public_key.data.to_vec())
}

/// Start and end of a certificate's validity.
///
/// # Errors
///
/// [`CaError::NotACertificate`], also when it begins before 1970.
pub fn certificate_validity(leaf: &[u8]) -> Result<(Timestamp, Timestamp), CaError> {
    let validity = parse(leaf)?.tbs_certificate.validity;
    let at = |time: ASN1Time| u64::try_from(time.timestamp()).map(Timestamp::from_seconds);
    match (at(validity.not_before), at(validity.not_after)) {
        (Ok(start), Ok(end)) => Ok((start, end)),
        _ => Err(CaError::NotACertificate),
    }
}

/// The authority that signed a certificate, by its authority key identifier; `None` when it names none of this form.
pub fn issuer(leaf: &[u8]) -> Option<AuthorityId> {
    let certificate = parse(leaf).ok()?;
    let named = certificate
        .extensions()
        .iter()
        .find_map(|one| match one.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(named) => named.key_identifier.as_ref(),
            _ => None,
        });
    named?.0.try_into().ok().map(AuthorityId)
}

/// A certificate's serial: the content of its INTEGER.
///
/// # Errors
///
/// [`CaError::NotACertificate`].
pub fn certificate_serial(leaf: &[u8]) -> Result<Vec<u8>, CaError> {
    Ok(parse(leaf)?.tbs_certificate.raw_serial().to_vec())
}

/// The record of an operator's certificate that was just signed.
///
/// # Errors
///
/// [`CaError::NotACertificate`].
pub fn operator_record(
    operator: OperatorName,
    issuer: AuthorityId,
    der: Vec<u8>,
) -> Result<CertificateRecord, CaError> {
    let serial = CertificateSerial::from_bytes(&certificate_serial(&der)?).ok_or(CaError::NotACertificate)?;
    let (spki, validity) = (spki_digest(&der)?, certificate_validity(&der)?);
    Ok(CertificateRecord::of_operator(
        operator, serial, issuer, spki, validity, der,
    ))
}
