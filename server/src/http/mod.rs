//! Enrollment over Secure Transport (EST, RFC 7030 as clarified by RFC 8951): any standard client earns a device's identity.
//!
//! **What this is.** A few paths below `/.well-known/est`, answered over HTTP/2 beside gRPC and over HTTP/1.1, which
//! `serve` bounds; revocation lists below `/crl`, there and on a port without TLS (`plain`); and `/metrics`, for operators. A handler reads the request, finds out who asks, calls one service function, renders.
//!
//! **What it must not know.** How a claim is decided, how a certificate is made, gRPC.

mod answer;
mod body;
mod credentials;
mod enroll;
mod label;
mod lists;
mod metrics;
mod plain;
mod serve;
mod trust;

use crate::{
    config::EstSettings,
    mqtt::{
        Limits,
        places::Places,
        throttle::{self, Throttle},
    },
    random::NoRandom,
    service::{Keygen, Service},
};
use answer::No;
use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use muster_domain::{Code, Refusal, ids::DeviceId};
pub(crate) use plain::serve_lists;
use serve::{HEAD_DEADLINE, HEAD_LIMIT, HEADERS, LIFE};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Without and with a label, which names a model (RFC 7030, 3.2.2).
const BASES: [&str; 2] = ["/.well-known/est", "/.well-known/est/{label}"];
/// From a request's head to its answer. A claim takes milliseconds; what is left is a body that trickles in.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// HTTP/1.1 connections at once, in all and from one source; the oldest gives way to a newcomer.
const CONNECTIONS: usize = 4096;
const CONNECTIONS_PER_SOURCE: usize = 1024;

/// EST on a port.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    routes: Router,
    places: Arc<Places>,
}

/// What every handler has.
#[derive(Debug, Clone)]
struct Api {
    service: Service,
    claims: Arc<Throttle>,
    /// `None` where keys are made on devices only.
    keygen: Option<Keygen>,
}

impl Api {
    /// Whether a claim may be tried now.
    fn admit(&self, source: IpAddr, serial: &str) -> Result<(), No> {
        let admitted = self.claims.admit(source, serial);
        admitted.map_err(|wait| No::Later(throttle::refusal(), wait))
    }

    /// Whether a device may renew its certificate now.
    fn admit_renewal(&self, device: DeviceId) -> Result<(), No> {
        let refusal = || Refusal::new(Code::ClaimThrottled, "too many renewals of this device");
        let admitted = self.claims.admit_renewal(device);
        admitted.map_err(|wait| No::Later(refusal(), wait))
    }
}

impl Http {
    /// Over a service, with the throttle that all doors for claims share.
    ///
    /// # Errors
    ///
    /// When the machine gives no random bytes.
    pub(crate) fn new(
        service: Service,
        claims: Arc<Throttle>,
        settings: EstSettings,
    ) -> Result<Self, NoRandom> {
        let keygen = match settings.serverkeygen {
            true => Some(Keygen::new(service.clone())?),
            false => None,
        };
        let api = Api {
            service,
            claims,
            keygen,
        };
        // Here a connection stays a stranger: it is done in seconds, whoever is at its other end.
        let places = Places::new(Limits {
            strangers: CONNECTIONS,
            strangers_per_source: CONNECTIONS_PER_SOURCE,
            ..Limits::default()
        });
        Ok(Self {
            routes: routes(api),
            places,
        })
    }

    /// All that is answered here.
    pub(crate) fn routes(&self) -> Router {
        self.routes.clone()
    }
}

/// Every path. `serverkeygen` is one only where the settings allow it.
fn routes(api: Api) -> Router {
    let mut routes = lists::routes(api.service.clone()).merge(metrics::routes(api.service.clone()));
    for base in BASES {
        let path = |operation: &str| format!("{base}/{operation}");
        routes = routes
            .route(&path("cacerts"), get(trust::cacerts))
            .route(&path("csrattrs"), get(trust::csrattrs))
            .route(&path("simpleenroll"), post(enroll::simpleenroll))
            .route(&path("simplereenroll"), post(enroll::simplereenroll));
        if api.keygen.is_some() {
            routes = routes.route(&path("serverkeygen"), post(enroll::serverkeygen));
        }
    }
    routes
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn(in_time))
        .with_state(api)
}

async fn in_time(request: Request, next: Next) -> Result<Response, No> {
    let answered = tokio::time::timeout(REQUEST_DEADLINE, next.run(request)).await;
    answered.map_err(|_| {
        let refusal = Refusal::new(Code::Busy, "the request was not answered in time");
        No::Later(refusal, Duration::ZERO)
    })
}

async fn nothing() -> No {
    No::Refused(
        StatusCode::NOT_FOUND,
        Refusal::new(Code::NotFound, "nothing is served here").at("path"),
    )
}

async fn other_method() -> No {
    No::Refused(
        StatusCode::METHOD_NOT_ALLOWED,
        Refusal::new(Code::RequestInvalid, "is none of those that Allow names").at("method"),
    )
}
