//! Who is calling: from the connection's certificate to a principal to a permit, before any handler runs.

use super::status;
use crate::{
    fault::{Failure, Fault},
    service::Service,
    tls::{Peer, Shown},
};
use http::{Request, Response};
use muster_domain::access::{self, Permit, Principal};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tonic::{Status, body::Body};
use tower::{Layer, Service as TowerService};

/// What carries no secrets and needs no certificate, a load balancer's and a developer's tools; and what is beside gRPC, where
/// each call proves its right by itself.
const OPEN: [&str; 5] = [
    "/.well-known/est/",
    "/metrics",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// The permit of a request; every handler asks for it first.
pub(super) fn permit<T>(request: &tonic::Request<T>) -> Result<Permit, Status> {
    request
        .extensions()
        .get::<Permit>()
        .cloned()
        .ok_or_else(|| Status::internal("request was not authorised"))
}

async fn principal(service: &Service, peer: Option<&Peer>) -> Result<Principal, Failure> {
    match peer.map(|peer| &peer.shown) {
        None | Some(Shown::Nothing) => Ok(Principal::Nobody),
        Some(Shown::Device(_)) => Ok(Principal::Stranger),
        Some(Shown::Operator(leaf)) => {
            let operator = service.operator_of(leaf).await?;
            Ok(operator.map_or(Principal::Stranger, Principal::Operator))
        }
    }
}

async fn check(service: &Service, path: &str, peer: Option<&Peer>) -> Result<Option<Permit>, Status> {
    if OPEN.iter().any(|open| path.starts_with(open)) {
        return Ok(None);
    }
    let principal = principal(service, peer)
        .await
        .map_err(|failure| status::failed(&failure))?;
    let method = path.trim_start_matches('/');
    access::authorize(method, &principal)
        .map(Some)
        .map_err(|refusal| {
            tracing::info!(method, code = refusal.code.number(), "call refused");
            status::refused(&refusal)
        })
}

/// Wraps all services: no handler runs without a permit.
#[derive(Clone)]
pub(super) struct Authorize {
    pub(super) service: Service,
}

impl<S> Layer<S> for Authorize {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Authorized<S> {
        Authorized {
            service: self.service.clone(),
            inner,
        }
    }
}

/// See [`Authorize`].
#[derive(Clone)]
pub(super) struct Authorized<S> {
    service: Service,
    inner: S,
}

impl<S> TowerService<Request<Body>> for Authorized<S>
where
    S: TowerService<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let service = self.service.clone();
        // The instance that was polled ready is the one to call (tower's contract for clones).
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>();
            match check(&service, request.uri().path(), peer).await {
                Ok(Some(permit)) => {
                    request.extensions_mut().insert(permit);
                    inner.call(request).await
                }
                Ok(None) => inner.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

/// For services that fail outside a service function.
pub(super) fn broken(doing: &str, error: &(dyn std::error::Error + 'static)) -> Status {
    status::failed(&Failure::Broken(Fault::log(doing, error)))
}
