//! A certificate request out of a request's body: nothing is held that is longer than it may be.

use super::answer::No;
use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, StatusCode, header},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::StreamExt as _;
use muster_domain::{Code, Refusal};
use std::time::Duration;

/// Longest body. A request of 4 KiB has 5.5 KiB in base64; line breaks and old clients' padding have room.
const LIMIT: usize = 16 << 10;
/// From the head of a request to the end of its body: ten round trips of a satellite link.
const DEADLINE: Duration = Duration::from_secs(10);

fn malformed(why: impl Into<String>) -> No {
    No::Refused(
        StatusCode::BAD_REQUEST,
        Refusal::new(Code::CsrMalformed, why).at("body"),
    )
}

fn too_large() -> No {
    Refusal::new(Code::TooLarge, format!("is over {LIMIT} bytes"))
        .at("body")
        .into()
}

/// Only certificate requests are read.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), No> {
    let said = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = said.and_then(|said| said.split(';').next()).map(str::trim);
    if media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/pkcs10")) {
        return Ok(());
    }
    Err(No::Refused(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::new(Code::RequestInvalid, "is not application/pkcs10").at("content-type"),
    ))
}

/// The whole body.
pub(super) async fn read(body: Body) -> Result<Vec<u8>, No> {
    // What is announced too long is not even begun.
    if body.size_hint().lower() > LIMIT as u64 {
        return Err(too_large());
    }
    let read = tokio::time::timeout(DEADLINE, collect(body)).await;
    read.unwrap_or_else(|_| {
        Err(No::Refused(
            StatusCode::REQUEST_TIMEOUT,
            Refusal::new(Code::RequestInvalid, "did not arrive in time").at("body"),
        ))
    })
}

async fn collect(body: Body) -> Result<Vec<u8>, No> {
    let mut parts = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| malformed("broke off"))?;
        if whole.len() + part.len() > LIMIT {
            return Err(too_large());
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

/// DER out of base64 (RFC 8951, 3.1), with or without line breaks. A header Content-Transfer-Encoding counts for nothing.
pub(super) fn decode(body: &[u8]) -> Result<Vec<u8>, No> {
    match body {
        // A SEQUENCE; base64 of one begins with M.
        [0x30, 0x80..=0xff, ..] => return Err(malformed("is raw DER; encode it in base64")),
        [b'-', b'-', b'-', b'-', b'-', ..] => {
            return Err(malformed(
                "is PEM; send the base64 between its first and last line",
            ));
        }
        _ => {}
    }
    let text: Vec<u8> = body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    BASE64_STANDARD
        .decode(text)
        .map_err(|_| malformed("is not base64"))
}
