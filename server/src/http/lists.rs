//! What certificates point to: revocation lists, and the certificates of their issuers. Signed, so whoever fetches them
//! needs no TLS, and public.

use super::answer::No;
use crate::{service::Service, store::PublishedList};
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::fmt::rfc2822::DateTimePrinter;
use muster_domain::{Code, Refusal, Timestamp};

/// Registered for RFC 5280.
const LIST_TYPE: &str = "application/pkix-crl";
const CERTIFICATE_TYPE: &str = "application/pkix-cert";
/// Caches ask again after so many seconds: a list is published anew within a second of a revocation.
const CACHE: &str = "public, max-age=60";

/// The paths below `/crl`.
pub(super) fn routes<S>(service: Service) -> Router<S> {
    Router::new()
        .route("/crl/{authority}", get(issuer))
        .route("/crl/{authority}/{list}", get(list))
        .with_state(service)
}

fn nothing(what: &str) -> No {
    let why = format!("there is no {what} of that name");
    No::Refused(
        StatusCode::NOT_FOUND,
        Refusal::new(Code::NotFound, why).at("path"),
    )
}

/// As HTTP writes it (RFC 9110, 5.6.7).
fn date(at: Timestamp) -> Option<String> {
    let seconds = i64::try_from(at.seconds()).ok()?;
    let at = jiff::Timestamp::from_second(seconds).ok()?;
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

/// A list never changes under its number.
fn etag(list: &PublishedList) -> String {
    format!("\"{}\"", list.info.number)
}

/// Whether the client has it already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let asked = headers.get_all(header::IF_NONE_MATCH).iter();
    let tags = asked.filter_map(|tags| tags.to_str().ok());
    tags.flat_map(|tags| tags.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == etag || tag == "*")
}

async fn list(
    State(service): State<Service>,
    Path((authority, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, No> {
    let shard = file.strip_suffix(".crl").ok_or_else(|| nothing("list"))?;
    let list = service.revocation_list(&authority, shard).await?;
    let etag = etag(&list);
    let common = [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, CACHE.to_owned()),
        (
            header::LAST_MODIFIED,
            date(list.info.this_update).unwrap_or_default(),
        ),
    ];
    if is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let kind = [(header::CONTENT_TYPE, LIST_TYPE)];
    Ok((common, kind, list.der).into_response())
}

async fn issuer(State(service): State<Service>, Path(file): Path<String>) -> Result<Response, No> {
    let authority = file.strip_suffix(".cer").ok_or_else(|| nothing("certificate"))?;
    let der = service
        .issuer_certificate(authority)
        .ok_or_else(|| nothing("certificate"))?;
    let headers = [
        (header::CONTENT_TYPE, CERTIFICATE_TYPE),
        (header::CACHE_CONTROL, CACHE),
    ];
    Ok((headers, der).into_response())
}
