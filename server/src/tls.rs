//! TLS for both ports: handshakes under a deadline, client certificates by port, resumption on one.

mod pinned;
mod ports;
mod shown;
mod tickets;
mod web;

pub use pinned::Pins;
pub use ports::{Derived, Ports};
pub use shown::{Shown, Whose};
pub use web::{Connection, Peer, Protocol, WebTls};

use crate::{
    ca::{Ca, CaError, ServerCertificate, ServerNames},
    clock::Clock,
};
use muster_domain::Timestamp;
use pinned::PinnedVerifier;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, UnixTime},
    server::{
        ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
    time_provider::TimeProvider,
};
use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{net::TcpStream, time};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use web::{HTTP_1_1, HTTP_2};

/// How long a handshake may take (B5): ten round trips of a satellite link and a slow key.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// The protocol of the gate, for clients that name one. One that names only others is at the wrong port.
const MQTT: &[u8] = b"mqtt";

/// Why a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The issuing authority cannot be a trust anchor.
    #[error("cannot trust the issuing authority")]
    Anchor(#[source] rustls::Error),
    /// Client certificates could not be set up.
    #[error("cannot set up client certificates")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
    /// The server's own certificate could not be made.
    #[error("cannot make the server's certificate")]
    Certificate(#[from] CaError),
    /// There are no keys for tickets.
    #[error("cannot make keys for tickets")]
    Tickets(#[source] rustls::Error),
    /// The protocol versions do not fit the provider.
    #[error("cannot set up TLS")]
    Versions(#[source] rustls::Error),
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer took too long.
    #[error("handshake not finished in time")]
    Late,
    /// The peer broke off, or is not acceptable.
    #[error("handshake failed: {0}")]
    Failed(#[from] io::Error),
}

/// The server's certificate, which can be replaced while connections are served.
#[derive(Debug)]
pub struct ServerIdentity {
    names: ServerNames,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    certified: Arc<CertifiedKey>,
    renew_from: Timestamp,
}

impl From<ServerCertificate> for Current {
    fn from(certificate: ServerCertificate) -> Self {
        let ServerCertificate {
            chain,
            key,
            renew_from,
        } = certificate;
        Self {
            certified: Arc::new(CertifiedKey::new(chain, key)),
            renew_from,
        }
    }
}

impl ServerIdentity {
    /// A fresh certificate.
    ///
    /// # Errors
    ///
    /// As [`Ca::server_certificate`].
    pub fn new(ca: &Ca, names: ServerNames, now: Timestamp) -> Result<Arc<Self>, CaError> {
        let current = RwLock::new(ca.server_certificate(&names, now)?.into());
        Ok(Arc::new(Self { names, current }))
    }

    /// Replaces the certificate when two thirds of its life are over; to be called daily. Connections that stand keep
    /// theirs. Says whether it did.
    ///
    /// # Errors
    ///
    /// As [`Ca::server_certificate`]; the old certificate stays.
    pub fn renew_if_due(&self, ca: &Ca, now: Timestamp) -> Result<bool, CaError> {
        let due = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .renew_from
            <= now;
        if due {
            let fresh = ca.server_certificate(&self.names, now)?.into();
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        Ok(due)
    }
}

impl ResolvesServerCert for ServerIdentity {
    /// The same for whatever name the client asks: one server, one certificate.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self
                .current
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .certified,
        ))
    }
}

/// Certificates are judged by the service's clock.
impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(
            self.now().seconds(),
        )))
    }
}

/// TLS of the port of gRPC and EST: operators may show a certificate of the operator CA, devices one of the device CA or
/// one that is pinned. No other is accepted; which it is, [`Whose`] tells.
fn web_config(
    ca: &Ca,
    identity: &Arc<ServerIdentity>,
    clock: &Clock,
    pins: Pins,
) -> Result<Arc<ServerConfig>, TlsError> {
    let own = own_certificates([ca.operator_anchors(), ca.device_anchors()].concat())?;
    let protocols = &[HTTP_2, HTTP_1_1];
    let config = config(Arc::new(PinnedVerifier { own, pins }), protocols, identity, clock)?;
    Ok(Arc::new(config))
}

/// TLS of the MQTT port: devices may show a certificate of the device CA, or one that is pinned, operators one of the
/// operator CA. No other is accepted; which it is, [`Whose`] tells.
///
/// Who comes back with a ticket shows none, and nothing here judges the one in the ticket: that is for
/// [`Registry::admit`](crate::mqtt::registry::Registry::admit), which judges both alike.
///
/// # Errors
///
/// [`TlsError`], when the authority's certificates cannot be used.
pub fn mqtt_config(
    ca: &Ca,
    identity: &Arc<ServerIdentity>,
    clock: &Clock,
    pins: Pins,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let own = own_certificates([ca.device_anchors(), ca.operator_anchors()].concat())?;
    let mut config = config(Arc::new(PinnedVerifier { own, pins }), &[MQTT], identity, clock)?;
    config.ticketer = tickets;
    // One is enough for one connection, and each brings the next. Data before the handshake's end (0-RTT), which could be
    // replayed, stays off: the library's default.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// Takes certificates under these authorities, and no others.
fn own_certificates(anchors: Vec<Vec<u8>>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    // The issuing authority is the anchor, not the root: the other authorities under it are not for this port.
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots
            .add(CertificateDer::from(anchor))
            .map_err(TlsError::Anchor)?;
    }
    // Optional, since a claim comes from a device that has none yet. A usage other than clientAuth is refused.
    let provider = Arc::new(aws_lc_rs::default_provider());
    Ok(
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()?,
    )
}

fn config(
    verifier: Arc<dyn ClientCertVerifier>,
    protocols: &[&[u8]],
    identity: &Arc<ServerIdentity>,
    clock: &Clock,
) -> Result<ServerConfig, TlsError> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(clock.clone()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(identity) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // No sessions are kept, and the default ticketer makes no tickets: a port that wants resumption says so, and must judge
    // what a session resumed after a revocation does not show again (B4).
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// One handshake, which may take as long as `deadline`.
///
/// # Errors
///
/// [`HandshakeError`]; the connection is closed.
pub async fn accept(
    acceptor: &TlsAcceptor,
    tcp: TcpStream,
    deadline: Duration,
) -> Result<TlsStream<TcpStream>, HandshakeError> {
    // Messages are small and complete: waiting for more of them helps nobody.
    tcp.set_nodelay(true)?;
    match time::timeout(deadline, acceptor.accept(tcp)).await {
        Ok(accepted) => Ok(accepted?),
        Err(_) => Err(HandshakeError::Late),
    }
}

/// The verified certificate of the other side, in this handshake or the one that it resumes, DER; `None` when it showed none.
pub fn peer_leaf(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates()?.first().map(|leaf| leaf.to_vec())
}

#[cfg(test)]
mod tests;
