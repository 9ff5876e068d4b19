//! The first step: a new key, and the request to certify it.

use super::{Session, settle};
use crate::ca::{
    AuthorityKind, CaError, CertificationRequest, Passphrase, files,
    hierarchy::{PRIVATE_KEY, REQUEST},
    key::{PrivateKey, PublicKey},
    kind::{authority_name, mark},
    lint_bytes, profile, sealed,
};
use pkcs8::{LineEnding, der::pem};
use rcgen::CertificateParams;
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use std::path::Path;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer as _};

const LABEL: &str = "CERTIFICATE REQUEST";

/// Makes a sealed key of a kind, which waits for its certificate, and gives the request for it: PKCS#10, PEM. As long as a key
/// of this kind waits, the same request comes again.
///
/// # Errors
///
/// [`CaError::Passphrase`] when the passphrase is not that of the other keys, [`CaError::Damaged`], or a fault.
pub fn request(server: &Path, kind: AuthorityKind, passphrase: &Passphrase) -> Result<String, CaError> {
    let Session { hierarchy, _lock } = Session::open(server)?;
    // 1. One passphrase opens them all, or the server would not start with the new key.
    let codes = hierarchy.directory.join(files::CODES_KEY);
    sealed::open(&files::read(&codes)?, passphrase, &codes)?;
    // 2. A request that was lost is not made anew: the certificate may be on its way.
    if let Some(pending) = hierarchy.pending(kind) {
        return files::read(&pending.directory.join(REQUEST));
    }
    // 3. Key and request appear together.
    let (key, document) = PrivateKey::generate()?;
    let request = write(kind, &hierarchy.newest_root().certificate.organisation, &key)?;
    let sealed = sealed::seal(&document, passphrase)?;
    settle::appear(
        &hierarchy.directory.join(kind.as_str()),
        &key.public().authority_id().to_string(),
        &[(PRIVATE_KEY, sealed.as_str()), (REQUEST, request.as_str())],
    )?;
    Ok(request)
}

/// The subject says what the certificate is to be: the person at the root key reads it, and so does the program.
fn write(kind: AuthorityKind, organisation: &str, key: &PrivateKey) -> Result<String, CaError> {
    let mut params = CertificateParams::default();
    let common_name = authority_name(kind.what(), &mark(key.public()));
    params.distinguished_name = profile::distinguished_name(organisation, &common_name);
    let request = params.serialize_request(key)?;
    pem::encode_string(LABEL, LineEnding::LF, request.der())
        .map_err(|error| CaError::Ceremony(format!("the request cannot be written: {error}")))
}

/// A request of ours, checked.
#[derive(Debug)]
pub(in crate::ca) struct AuthorityRequest {
    pub(in crate::ca) kind: AuthorityKind,
    pub(in crate::ca) key: PublicKey,
}

impl AuthorityRequest {
    /// Reads what [`request`] wrote, for an authority of this organisation.
    pub(in crate::ca) fn read(text: &str, organisation: &str) -> Result<Self, CaError> {
        let refuse = |why: &str| CaError::Ceremony(format!("the request {why}; nothing was signed"));
        let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes())
            .map_err(|_| refuse("is not a certificate request in PEM"))?;
        let request = CertificationRequest::parse(&der).map_err(|refusal| refuse(&refusal.message))?;
        let key = *request.key();
        let (_, parsed) =
            X509CertificationRequest::from_der(&der).map_err(|_| refuse("is not a certificate request"))?;
        let subject = parsed.certification_request_info.subject;
        let kind = AuthorityKind::ALL.into_iter().find(|kind| {
            let common_name = authority_name(kind.what(), &mark(&key));
            subject.as_raw() == lint_bytes::name(organisation, None, &common_name)
        });
        match kind {
            Some(kind) => Ok(Self { kind, key }),
            None => Err(refuse(&format!(
                "is for {subject}, which is no authority of {organisation}: make it with `musterd authority request` on the server"
            ))),
        }
    }
}
