//! The port of operators and of HTTP: whose certificate a client showed, and which protocol it wants to speak.

use super::{Pins, ServerIdentity, TlsError, own_certificates, web_config};
use crate::{ca::Ca, clock::Clock, live::Live};
use rustls::{
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
    time_provider::TimeProvider as _,
};
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The protocol of gRPC (RFC 9113, 3.2).
pub(super) const HTTP_2: &[u8] = b"h2";
/// What most EST clients speak (RFC 7301, 6).
pub(super) const HTTP_1_1: &[u8] = b"http/1.1";

/// The certificate that a client showed, DER, and by which authority the handshake let it in. What a device shows can never
/// pass for an operator's, even over an operator's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// None.
    Nothing,
    /// One of the operator CA.
    Operator(Arc<[u8]>),
    /// One of the device CA, or one that is pinned to a device.
    Device(Arc<[u8]>),
}

/// What a connection knows of its other end.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it calls from.
    pub address: SocketAddr,
    /// Its certificate.
    pub shown: Shown,
}

impl Peer {
    /// The address without its port, in its one form.
    pub fn source(&self) -> IpAddr {
        self.address.ip().to_canonical()
    }
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC, and EST by clients that can.
    Http2,
    /// Everything else: HTTP/2 over TLS is never spoken unasked (RFC 9113, 3.2).
    Http1,
}

/// What an authority makes of this port.
pub(super) struct WebConfig {
    acceptor: TlsAcceptor,
    operators: Arc<dyn ClientCertVerifier>,
}

/// TLS of this port.
#[derive(Clone)]
pub struct WebTls {
    config: Live<WebConfig>,
    clock: Clock,
}

impl fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebConfig").finish_non_exhaustive()
    }
}

impl fmt::Debug for WebTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebTls").finish_non_exhaustive()
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
}

impl WebConfig {
    /// Operators and devices may show their certificates, none of them must.
    pub(super) fn new(
        ca: &Ca,
        identity: &Arc<ServerIdentity>,
        clock: &Clock,
        pins: Pins,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            acceptor: TlsAcceptor::from(web_config(ca, identity, clock, pins)?),
            operators: own_certificates(ca.operator_anchors())?,
        })
    }

    /// The handshake took the chain; here it is asked once more by which authority. Whatever is not plainly an operator's is
    /// a device's, which opens less.
    fn shown(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Shown {
        let Some((leaf, above)) = chain.split_first() else {
            return Shown::Nothing;
        };
        let judged = self.operators.verify_client_cert(leaf, above, now);
        let leaf = Arc::from(leaf.as_ref());
        if judged.is_ok() {
            Shown::Operator(leaf)
        } else {
            Shown::Device(leaf)
        }
    }
}

impl WebTls {
    pub(super) const fn new(config: Live<WebConfig>, clock: Clock) -> Self {
        Self { config, clock }
    }

    /// One handshake under the usual deadline.
    ///
    /// # Errors
    ///
    /// [`super::HandshakeError`]; the connection is closed.
    pub async fn accept(
        &self,
        tcp: TcpStream,
        address: SocketAddr,
    ) -> Result<Connection, super::HandshakeError> {
        // What the handshake began by is what its chain is judged by.
        let config = self.config.current();
        let stream = super::accept(&config.acceptor, tcp, super::HANDSHAKE_DEADLINE).await?;
        let now = self.clock.current_time().unwrap_or_else(UnixTime::now);
        let shown = config.shown(stream.get_ref().1.peer_certificates().unwrap_or_default(), now);
        let peer = Peer { address, shown };
        Ok(Connection { stream, peer })
    }
}

impl Connection {
    /// Who is at the other end.
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What was agreed on.
    pub fn protocol(&self) -> Protocol {
        match self.stream.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => Protocol::Http2,
            Some(_) | None => Protocol::Http1,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
