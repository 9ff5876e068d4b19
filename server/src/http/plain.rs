//! The port without TLS: revocation lists and nothing else, since whoever checks a certificate of TLS cannot be made to use
//! TLS for that.

use super::{HEAD_DEADLINE, HEAD_LIMIT, HEADERS, LIFE, lists, nothing};
use crate::{
    mqtt::Limits,
    mqtt::places::{Places, Source},
    service::Service,
};
use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// Connections at once, in all and from one source; the oldest gives way to a newcomer.
const CONNECTIONS: usize = 1024;
const CONNECTIONS_PER_SOURCE: usize = 64;
/// After a failed accept (out of descriptors, for one), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves lists on a bound listener until `stop`.
pub(crate) async fn serve_lists(listener: TcpListener, service: Service, stop: CancellationToken) {
    let routes: Router = lists::routes(service).fallback(nothing);
    let places = Places::new(Limits {
        strangers: CONNECTIONS,
        strangers_per_source: CONNECTIONS_PER_SOURCE,
        ..Limits::default()
    });
    let open = TaskTracker::new();
    loop {
        let accepted = stop.run_until_cancelled(listener.accept()).await;
        match accepted {
            None => break,
            Some(Ok((tcp, address))) => {
                let serving = serve(tcp, address, routes.clone(), Arc::clone(&places), stop.clone());
                open.spawn(serving);
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    open.close();
    open.wait().await;
}

/// One connection: it is done in a moment, or cut.
async fn serve(
    tcp: TcpStream,
    address: SocketAddr,
    routes: Router,
    places: Arc<Places>,
    stop: CancellationToken,
) {
    let mut place = places.enter(Source::from(address.ip()));
    let service =
        service_fn(move |request: http::Request<Incoming>| routes.clone().oneshot(request.map(Body::new)));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_LIMIT)
        .max_headers(HEADERS);
    let serving = builder.serve_connection(TokioIo::new(tcp), service);
    tokio::select! {
        ended = serving => if let Err(error) = ended {
            tracing::debug!(%address, %error, "connection failed");
        },
        () = place.evicted() => tracing::debug!(%address, "a newcomer needed the place"),
        () = stop.cancelled() => {}
        () = sleep(LIFE) => {}
    }
}
