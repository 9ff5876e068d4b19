//! Certificates of the servers that are measured beside ours: the same shape and curve as ours.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;

/// What a server needs for TLS.
pub(super) struct Server {
    /// What its clients trust.
    pub(super) root: CertificateDer<'static>,
    /// Its own certificate first, PEM.
    pub(super) chain: String,
    /// PEM.
    pub(super) key: String,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// A root, an authority under it, and a server's certificate.
pub(super) fn server() -> anyhow::Result<Server> {
    let (root, root_key) = (authority("bench root"), KeyPair::generate()?);
    let root_certificate = root.self_signed(&root_key)?;
    let root = Issuer::from_params(&root, &root_key);
    let (issuing, issuing_key) = (authority("bench servers"), KeyPair::generate()?);
    let issuing_certificate = issuing.signed_by(&issuing_key, &root)?;
    let issuing = Issuer::from_params(&issuing, &issuing_key);
    let mut server = params("localhost");
    server.subject_alt_names = vec![rcgen::SanType::DnsName("localhost".try_into()?)];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &issuing)?;
    Ok(Server {
        root: root_certificate.der().clone(),
        chain: certificate.pem() + &issuing_certificate.pem(),
        key: key.serialize_pem(),
    })
}
