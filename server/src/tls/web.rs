//! The port of operators and of HTTP: whose certificate a client showed, and which protocol it wants to speak.

use super::{Pins, ServerIdentity, Shown, TlsError, Whose, web_config};
use crate::{ca::Ca, clock::Clock, live::Live};
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
    whose: Whose,
}

/// TLS of this port.
#[derive(Clone)]
pub struct WebTls {
    config: Live<WebConfig>,
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
            whose: Whose::new(ca, clock)?,
        })
    }
}

impl WebTls {
    pub(super) const fn new(config: Live<WebConfig>) -> Self {
        Self { config }
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
        let shown = config
            .whose
            .shown(stream.get_ref().1.peer_certificates().unwrap_or_default());
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
