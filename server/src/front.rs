//! The port of operators and of HTTP: handshakes in tasks of their own; then HTTP/2 is gRPC's, with EST beside it, and
//! HTTP/1.1 is EST's alone.

use crate::{
    config::EstSettings,
    grpc,
    http::Http,
    mqtt::throttle::Throttle,
    random::NoRandom,
    service::Service,
    tls::{Connection, Protocol, WebTls},
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Handshakes under way at once; further connections wait in the kernel's queue.
const HANDSHAKES: usize = 256;
/// HTTP/2 connections accepted and not yet taken up.
const ACCEPTED_AHEAD: usize = 64;
/// After a failed accept (out of descriptors, for one), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why serving ended badly.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// gRPC could not be served.
    #[error("gRPC failed")]
    Grpc(#[from] grpc::ServeError),
    /// EST could not be set up.
    #[error("cannot set up EST")]
    Est(#[from] NoRandom),
}

/// Where connections go.
#[derive(Clone)]
struct Doors {
    tls: WebTls,
    http: Http,
    http2: mpsc::Sender<io::Result<Connection>>,
    http1: TaskTracker,
    stop: CancellationToken,
}

impl Doors {
    /// Everything before the protocol is known. The place is held meanwhile.
    async fn enter(self, tcp: TcpStream, address: SocketAddr) {
        match self.tls.accept(tcp, address).await {
            Ok(connection) if connection.protocol() == Protocol::Http2 => {
                if self.http2.send(Ok(connection)).await.is_err() {
                    tracing::debug!(%address, "stopping; connection dropped");
                }
            }
            Ok(connection) => {
                let serving = self.http.serve(connection, self.stop);
                self.http1.spawn(serving);
            }
            Err(error) => tracing::debug!(%address, %error, "handshake failed"),
        }
    }
}

/// Accepts until stopped; a slow handshake holds up nobody but itself.
async fn accept(listener: TcpListener, doors: Doors) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let accepted = tokio::select! {
            () = doors.stop.cancelled() => return,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Ok(place), Ok((tcp, address))) => {
                let entering = doors.clone().enter(tcp, address);
                tokio::spawn(async move {
                    entering.await;
                    drop(place);
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

/// Serves on a bound listener until `stop`; then finishes the calls under way.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: WebTls,
    service: Service,
    claims: Arc<Throttle>,
    settings: EstSettings,
    stop: CancellationToken,
) -> Result<(), FrontError> {
    let http = Http::new(service.clone(), Arc::clone(&claims), settings)?;
    let (http2, connections) = mpsc::channel(ACCEPTED_AHEAD);
    let http1 = TaskTracker::new();
    let beside = http.routes();
    let doors = Doors {
        tls,
        http,
        http2,
        http1: http1.clone(),
        stop: stop.clone(),
    };
    tokio::spawn(accept(listener, doors));
    let served = grpc::serve(ReceiverStream::new(connections), beside, service, claims, stop).await;
    http1.close();
    http1.wait().await;
    Ok(served?)
}
