//! HTTP/1.1 connections: short, small, and none for ever.

use super::{Http, REQUEST_DEADLINE};
use crate::{mqtt::places::Source, tls::Connection};
use axum::body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{pin::pin, time::Duration};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// From the first chance to send a head to its end; so long may a connection be silent between requests, too.
pub(super) const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of a head.
pub(super) const HEAD_LIMIT: usize = 16 << 10;
/// Headers of a head; clients send a dozen.
pub(super) const HEADERS: usize = 64;
/// How long a connection may be used. Whoever enrolls is done in a second; who never reads its answers is cut here.
pub(super) const LIFE: Duration = Duration::from_secs(60);

impl Http {
    /// Serves a connection to its end. On stop the request under way is answered first.
    pub(crate) fn serve(
        &self,
        connection: Connection,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let peer = connection.peer().clone();
        let source = peer.source();
        let mut place = self.places.enter(Source::from(source));
        let routes = self.routes();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            routes.clone().oneshot(request)
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(HEAD_LIMIT)
            .max_headers(HEADERS);
        async move {
            let mut serving = pin!(builder.serve_connection(TokioIo::new(connection), service));
            let enough = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(LIFE) => {}
                }
            };
            let ended = tokio::select! {
                ended = serving.as_mut() => Some(ended),
                () = place.evicted() => return tracing::debug!(%source, "a newcomer needed the place"),
                () = enough => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    serving.as_mut().graceful_shutdown();
                    timeout(REQUEST_DEADLINE, serving).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%source, %error, "connection failed");
            }
        }
    }
}
