//! What a monitoring system fetches: `/metrics`, for operators who may read the fleet's counts.

use super::answer::No;
use crate::{
    fault::{Failure, Fault},
    monitor::{MEDIA_TYPE, Monitor},
    service::Service,
    tls::{Peer, Shown},
};
use axum::{
    Extension, Router,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
    routing::get,
};
use muster_domain::access::{self, Principal};
use std::sync::Arc;

/// Whoever may call this may see the metrics: they are counts of the same things.
const RIGHT: &str = "muster.v1.Fleet/GetCounts";

#[derive(Debug, Clone)]
struct Watched {
    service: Service,
    monitor: Arc<Monitor>,
}

/// The one path.
pub(super) fn routes<S>(service: Service) -> Router<S> {
    let monitor = Arc::new(Monitor::new(&service));
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(Watched { service, monitor })
}

async fn principal(service: &Service, shown: &Shown) -> Result<Principal, Failure> {
    match shown {
        Shown::Nothing => Ok(Principal::Nobody),
        Shown::Device(_) => Ok(Principal::Stranger),
        Shown::Operator(leaf) => {
            let operator = service.operator_of(leaf).await?;
            Ok(operator.map_or(Principal::Stranger, Principal::Operator))
        }
    }
}

async fn metrics(
    State(Watched { service, monitor }): State<Watched>,
    Extension(peer): Extension<Peer>,
) -> Result<Response, No> {
    let principal = principal(&service, &peer.shown).await?;
    access::authorize(RIGHT, &principal)?;
    let text = tokio::task::spawn_blocking(move || monitor.text()).await;
    let fault = |error: &(dyn std::error::Error + 'static)| {
        No::from(Failure::Broken(Fault::log("write the metrics", error)))
    };
    let text = text
        .map_err(|error| fault(&error))?
        .map_err(|error| fault(&error))?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}
