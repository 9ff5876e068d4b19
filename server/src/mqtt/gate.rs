//! The listener: every connection in a task of its own from the first byte, so that whoever stalls stalls alone.

use super::{
    Limits,
    bus::Bus,
    places::{Place, Source},
    registry::Registry,
    session::{self, CONNECT_LIMIT, Parts, Peer},
    throttle::Throttle,
    wire::{Wire, WireError},
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// After a failed accept (out of descriptors, for one), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What is cut gets this long to fall.
const CUT_PAUSE: Duration = Duration::from_secs(1);

/// Why serving ended badly.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Sessions were still there at the end of the drain time, and were cut.
    #[error("{0} connections did not end in time and were cut")]
    Undrained(usize),
}

/// Why a connection came to nothing before its CONNECT.
#[derive(Debug, thiserror::Error)]
enum StrangerError {
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    #[error("no CONNECT came")]
    Connect(#[from] WireError),
    #[error("nothing was shown in time")]
    Late,
    #[error("a newcomer needed the place")]
    Evicted,
}

/// Serves devices and claimants on a bound listener until `stop`; then finishes what is under way, says goodbye, and
/// cuts what is left after [`Limits::drain`]. `tls` asks for a client certificate of the device CA and does not
/// insist on it.
pub async fn serve<R: Registry>(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    registry: R,
    bus: Bus,
    throttle: Arc<Throttle>,
    limits: Limits,
    stop: CancellationToken,
) -> Result<(), GateError> {
    let parts = Arc::new(Parts::new(registry, bus, throttle, limits, stop.clone()));
    let acceptor = TlsAcceptor::from(tls);
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, address)) => {
                let place = parts.places.enter(Source::from(address.ip()));
                let connection = connection(Arc::clone(&parts), acceptor.clone(), tcp, address, place);
                let cut = cut.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = cut.cancelled() => {}
                        () = connection => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drain(&tasks, &cut, limits.drain).await
}

async fn drain(tasks: &TaskTracker, cut: &CancellationToken, within: Duration) -> Result<(), GateError> {
    tasks.close();
    if timeout(within, tasks.wait()).await.is_ok() {
        return Ok(());
    }
    let left = tasks.len();
    cut.cancel();
    // Whether they fall or not, the process ends.
    drop(timeout(CUT_PAUSE, tasks.wait()).await);
    Err(GateError::Undrained(left))
}

async fn connection<R: Registry>(
    parts: Arc<Parts<R>>,
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    address: SocketAddr,
    mut place: Place,
) {
    let deadline = Instant::now() + parts.limits.connect_deadline;
    // In a box: what a handshake needs is given back when it is done.
    let introduction = Box::pin(async {
        // In a box too: a TLS stream is over a kilobyte, and a future that moves it on holds room for each stop.
        let stream = Box::new(handshake(acceptor, tcp).await?);
        Ok(session::connect(Wire::new(stream, CONNECT_LIMIT)).await?)
    });
    let introduced = tokio::select! {
        biased;
        () = parts.stop.cancelled() => return,
        () = place.evicted() => Err(StrangerError::Evicted),
        introduced = timeout_at(deadline, introduction) => introduced.unwrap_or(Err(StrangerError::Late)),
    };
    match introduced {
        Ok((wire, connect)) => {
            let peer = Peer {
                leaf: peer_leaf(wire.stream()),
                source: address.ip().to_canonical(),
            };
            Box::pin(session::run(&parts, wire, peer, connect, &mut place)).await;
        }
        Err(error) => tracing::debug!(%address, error = &error as &dyn std::error::Error, "stranger leaves"),
    }
}

async fn handshake(acceptor: TlsAcceptor, tcp: TcpStream) -> Result<TlsStream<TcpStream>, StrangerError> {
    let handshake = async {
        // Acknowledgements are small and somebody waits for each.
        tcp.set_nodelay(true)?;
        // A silent peer gets no TLS state. By a peek: a socket fresh from accept passes for readable, data or not.
        tcp.peek(&mut [0]).await?;
        acceptor.accept(tcp).await
    };
    handshake.await.map_err(StrangerError::Handshake)
}

/// The client's certificate, DER, as the handshake checked it.
fn peer_leaf(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().map(|leaf| leaf.to_vec())
}
