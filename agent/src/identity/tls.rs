//! How the device speaks TLS: version 1.3, the server checked against the pinned roots at the believed time.

use super::{DeviceKey, Identity, Trust, trust};
use crate::clock::{Believed, Clock};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};
use std::sync::Arc;

/// To claim: no certificate of its own yet.
pub(crate) fn claimant(trust: &Trust) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = verifying(trust)?.with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// As the device: with its certificate. The leaf goes alone, for the registry knows its issuer.
fn device(trust: &Trust, identity: &Identity, key: &DeviceKey) -> Result<ClientConfig, rustls::Error> {
    let chain = vec![CertificateDer::from(identity.leaf().to_vec())];
    let mut config = verifying(trust)?.with_client_auth_cert(chain, key.for_tls())?;
    // Of the one server that there is.
    config.resumption = Resumption::in_memory_sessions(1);
    Ok(config)
}

/// How the device speaks TLS, kept from one connection to the next together with the session that the next may resume.
///
/// Who resumes a session judges nothing anew. So it goes with all that was judged by or shown in it: another certificate, and
/// with it another key, or other roots begin without one. It is never on disk.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Option<Kept>);

#[derive(Debug)]
struct Kept {
    leaf: Vec<u8>,
    roots: Vec<CertificateDer<'static>>,
    config: Arc<ClientConfig>,
}

impl Sessions {
    /// As the device: with its certificate, and the session of its last connection if nothing is other since.
    pub(crate) fn device(
        &mut self,
        trust: &Trust,
        identity: &Identity,
        key: &DeviceKey,
    ) -> Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(kept) = &self.0
            && kept.leaf == identity.leaf()
            && kept.roots == trust.roots()
        {
            return Ok(Arc::clone(&kept.config));
        }
        self.forget();
        let config = Arc::new(device(trust, identity, key)?);
        self.0 = Some(Kept {
            leaf: identity.leaf().to_vec(),
            roots: trust.roots().to_vec(),
            config: Arc::clone(&config),
        });
        Ok(config)
    }

    /// The next connection proves everything anew: for whoever was refused cannot know what for.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

type WantsClientCert = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn verifying(trust: &Trust) -> Result<WantsClientCert, rustls::Error> {
    let provider = Arc::new(default_provider());
    let verifier = Arc::new(AtBelievedTime::new(trust, Arc::clone(&provider))?);
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
    // "Dangerous" is the library's word for any verifier but its own; this one asks that one, with another time.
    Ok(config.dangerous().with_custom_certificate_verifier(verifier))
}

/// The library's verifier, asked at the moment that the agent believes in and not the system's.
#[derive(Debug)]
struct AtBelievedTime {
    inner: Arc<WebPkiServerVerifier>,
    clock: Clock,
}

impl AtBelievedTime {
    fn new(trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for root in trust.roots() {
            roots.add(root.clone())?;
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self {
            inner,
            clock: trust.clock().clone(),
        })
    }
}

impl ServerCertVerifier for AtBelievedTime {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _system_time: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let now: Believed = self.clock.now();
        let at = trust::moment(now, end_entity, intermediates);
        self.inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
