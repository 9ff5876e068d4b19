//! The gRPC listener: TLS handshakes in tasks of their own, then HTTP/2.

use super::{
    SetUpError,
    peer::{Authorize, Peer},
    routes,
};
use crate::{mqtt::throttle::Throttle, service::Service, tls};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, server::Connected};

/// Handshakes under way at once; further connections wait in the kernel's queue.
const HANDSHAKES: usize = 256;
/// Connections accepted and not yet taken up.
const ACCEPTED_AHEAD: usize = 64;
/// Streams of one connection at once.
const STREAMS: u32 = 128;
/// Idle connections are pinged, and closed when nothing answers.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Resets of streams a peer may leave unanswered (rapid reset, CVE-2023-44487).
const PENDING_RESETS: usize = 64;
/// Bytes of headers that one request may have.
const HEADER_LIMIT: u32 = 16 << 10;
/// After a failed accept (out of descriptors, for one), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection and what its certificate says.
struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
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

async fn handshake(acceptor: TlsAcceptor, tcp: TcpStream, address: SocketAddr) -> Option<Connection> {
    match tls::accept(&acceptor, tcp, tls::HANDSHAKE_DEADLINE).await {
        Ok(stream) => {
            let leaf = tls::peer_leaf(&stream).map(Arc::from);
            Some(Connection {
                stream,
                peer: Peer { address, leaf },
            })
        }
        Err(error) => {
            tracing::debug!(%address, %error, "handshake failed");
            None
        }
    }
}

/// Accepts until `stop`; a slow handshake holds up nobody but itself.
async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<io::Result<Connection>>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Ok(place), Ok((tcp, address))) => {
                let (acceptor, ready) = (acceptor.clone(), ready.clone());
                tokio::spawn(async move {
                    let connection = handshake(acceptor, tcp, address).await;
                    drop(place);
                    if let Some(connection) = connection
                        && ready.send(Ok(connection)).await.is_err()
                    {
                        tracing::debug!(%address, "stopping; connection dropped");
                    }
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (Err(_), _) => return,
        }
    }
}

/// Why serving ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The services could not be set up.
    #[error("cannot set up the gRPC services")]
    SetUp(#[from] SetUpError),
    /// The transport failed.
    #[error("the gRPC transport failed")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves on a bound listener until `stop`; then finishes the calls under way.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    service: Service,
    claims: Arc<Throttle>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let routes = routes(service.clone(), claims)?;
    let (ready, connections) = mpsc::channel(ACCEPTED_AHEAD);
    tokio::spawn(accept(listener, TlsAcceptor::from(tls), ready, stop.clone()));
    Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_max_header_list_size(HEADER_LIMIT)
        .http2_adaptive_window(Some(true))
        .layer(Authorize { service })
        .add_routes(routes)
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), stop.cancelled_owned())
        .await?;
    Ok(())
}
