//! gRPC over HTTP/2 connections whose handshake is done.

use super::{SetUpError, peer::Authorize, routes};
use crate::{
    mqtt::throttle::Throttle,
    service::Service,
    tls::{Connection, Peer},
};
use futures_util::Stream;
use std::{io, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::RoutesBuilder,
    transport::{Server, server::Connected},
};

/// Streams of one connection at once.
const STREAMS: u32 = 128;
/// Idle connections are pinged, and closed when nothing answers.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Resets of streams a peer may leave unanswered (rapid reset, CVE-2023-44487).
const PENDING_RESETS: usize = 64;
/// Bytes of headers that one request may have.
const HEADER_LIMIT: u32 = 16 << 10;

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer().clone()
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

/// Serves connections until `stop`; then finishes the calls under way. `beside` answers what is not gRPC and needs no
/// permit of an operator.
pub(crate) async fn serve(
    connections: impl Stream<Item = io::Result<Connection>>,
    beside: impl Into<RoutesBuilder>,
    service: Service,
    claims: Arc<Throttle>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let routes = routes(beside.into(), service.clone(), claims)?;
    Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_max_header_list_size(HEADER_LIMIT)
        .http2_adaptive_window(Some(true))
        .layer(Authorize { service })
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, stop.cancelled_owned())
        .await?;
    Ok(())
}
