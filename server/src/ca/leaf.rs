//! What the service reads from a certificate that a peer presented. TLS has verified it before.

use super::CaError;
use muster_domain::certificate::SpkiDigest;
use sha2::{Digest as _, Sha256};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

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

/// A certificate's serial: the content of its INTEGER.
///
/// # Errors
///
/// [`CaError::NotACertificate`].
pub fn certificate_serial(leaf: &[u8]) -> Result<Vec<u8>, CaError> {
    Ok(parse(leaf)?.tbs_certificate.raw_serial().to_vec())
}
