//! The listener: every connection in a task of its own from the first byte, so that whoever stalls stalls alone.

use super::{
    Limits,
    bus::Bus,
    meter::Introduction,
    places::{Place, Source},
    registry::Registry,
    session::{self, Parts, Peer},
    throttle::Throttle,
    wire::WireError,
};
use crate::{live::Live, tls::Whose};
use rustls::pki_types::CertificateDer;
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

impl From<&StrangerError> for Introduction {
    fn from(error: &StrangerError) -> Self {
        match error {
            StrangerError::Handshake(_) => Self::Handshake,
            StrangerError::Connect(_) => Self::Garbled,
            StrangerError::Late => Self::Late,
            StrangerError::Evicted => Self::Evicted,
        }
    }
}

/// TLS of the gate.
#[derive(Debug, Clone)]
pub struct GateTls {
    /// Asks for a client certificate of the device CA or the operator CA, and does not insist on it.
    pub config: Arc<rustls::ServerConfig>,
    /// Tells the one from the other.
    pub whose: Whose,
}

/// Serves devices, integrators and claimants on a bound listener until `stop`; then finishes what is under way, says
/// goodbye, and cuts what is left after [`Limits::drain`]. A connection begins by what `tls` is at that moment.
pub async fn serve<R: Registry>(
    listener: TcpListener,
    tls: Live<GateTls>,
    registry: R,
    bus: Bus,
    throttle: Arc<Throttle>,
    limits: Limits,
    stop: CancellationToken,
) -> Result<(), GateError> {
    let parts = Arc::new(Parts::new(registry, bus, throttle, limits, stop.clone()));
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
                let tls = tls.current();
                let tls = (TlsAcceptor::from(Arc::clone(&tls.config)), tls.whose.clone());
                let connection = connection(Arc::clone(&parts), tls, tcp, address, place);
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
    (acceptor, whose): (TlsAcceptor, Whose),
    tcp: TcpStream,
    address: SocketAddr,
    mut place: Place,
) {
    let meter = parts.bus.meter();
    let _counted = meter.connection();
    let deadline = Instant::now() + parts.limits.connect_deadline;
    // In a box: what a handshake needs is given back when it is done.
    let introduction = Box::pin(async {
        // In a box too: a TLS stream is over a kilobyte, and a future that moves it on holds room for each stop.
        let stream = Box::new(handshake(acceptor, tcp).await?);
        Ok(session::connect(parts.wire(stream)).await?)
    });
    let introduced = tokio::select! {
        biased;
        () = parts.stop.cancelled() => return,
        () = place.evicted() => Err(StrangerError::Evicted),
        introduced = timeout_at(deadline, introduction) => introduced.unwrap_or(Err(StrangerError::Late)),
    };
    match introduced {
        Ok((wire, connect)) => {
            meter.introduces(Introduction::Connected);
            let peer = Peer {
                shown: whose.shown(chain(wire.stream())),
                source: address.ip().to_canonical(),
            };
            Box::pin(session::run(&parts, wire, peer, connect, &mut place)).await;
        }
        Err(error) => {
            meter.introduces((&error).into());
            tracing::debug!(%address, error = &error as &dyn std::error::Error, "stranger leaves");
        }
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

/// The client's certificates as the handshake checked them, or the one whose session this resumes; its own first.
fn chain(stream: &TlsStream<TcpStream>) -> &[CertificateDer<'static>] {
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap_or_default()
}
