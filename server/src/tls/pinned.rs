//! Client certificates that only the registry can judge: those of other authorities that it has pinned to a device are as good
//! as our own, and one of our own that ended is good enough to be renewed for a while.
//!
//! Secure elements and modules come with a certificate of their maker. No authority of theirs is trusted here: the
//! registry knows each such certificate, byte by byte, and the handshake proves that the peer holds its key.

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use std::{fmt, sync::Arc};

/// Is this certificate, DER, on record as one with which a device may connect now, be it only to renew it? Byte by byte, so
/// nothing that a stranger made is.
pub type Pins = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Judges as `own` does, and lets in what is on record.
pub(super) struct PinnedVerifier {
    pub(super) own: Arc<dyn ClientCertVerifier>,
    pub(super) pins: Pins,
}

impl fmt::Debug for PinnedVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedVerifier").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for PinnedVerifier {
    fn offer_client_auth(&self) -> bool {
        self.own.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.own.client_auth_mandatory()
    }

    /// None: a client that sends only what is hinted at would keep its maker's certificate to itself.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let judged = self.own.verify_client_cert(leaf, intermediates, now);
        judged.or_else(|error| {
            if (self.pins)(leaf) {
                Ok(ClientCertVerified::assertion())
            } else {
                Err(error)
            }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.own.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.own.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.own.supported_verify_schemes()
    }
}
