//! What is answered: certificates, keys, and every kind of "no".

use crate::{
    ca,
    fault::{Failure, Fault},
    retry,
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use muster_domain::{Code, Refusal, refusal::Kind};
use std::time::Duration;
use zeroize::Zeroizing;

/// RFC 8951 lets receivers ignore it; clients of RFC 7030 alone read a body without it as DER.
const TRANSFER_ENCODING: (HeaderName, HeaderValue) = (
    HeaderName::from_static("content-transfer-encoding"),
    HeaderValue::from_static("base64"),
);
const CERTS_ONLY: &str = "application/pkcs7-mime; smime-type=certs-only";
const PKCS8: &str = "application/pkcs8";
/// Never part of base64, which has no hyphen.
const BOUNDARY: &str = "muster-est-part";
/// What a client shows serial and activation code for (RFC 7617).
const CHALLENGE: &str = r#"Basic realm="muster", charset="UTF-8""#;
/// After a refusal that time alone mends, where nothing says how long.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a request is not granted.
#[derive(Debug)]
pub(super) enum No {
    /// By a rule; mending the request helps.
    Refused(StatusCode, Refusal),
    /// Nobody known asks, or not with what opens a claim.
    Unknown(Refusal),
    /// Not now; how long the way is closed at least.
    Later(Refusal, Duration),
    /// Our breakage.
    Broken(Fault),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code.kind() {
            Kind::Exhausted | Kind::Unavailable => return Self::Later(refusal, RETRY_AFTER),
            // Whatever is wrong with serial or code, it is the same answer.
            Kind::Denied if refusal.code == Code::ClaimRefused => return Self::Unknown(refusal),
            Kind::Invalid if refusal.code == Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Unauthenticated | Kind::Denied => StatusCode::FORBIDDEN,
            Kind::Missing => StatusCode::NOT_FOUND,
            Kind::Exists | Kind::Precondition | Kind::Conflict => StatusCode::CONFLICT,
        };
        Self::Refused(status, refusal)
    }
}

impl From<Failure> for No {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Broken(fault) => Self::Broken(fault),
        }
    }
}

/// For people; EST clients show it or log it (RFC 7030, 4.2.3). Number and reason, and below what to do.
fn said(refusal: &Refusal) -> String {
    format!("{refusal}\n{}: {}\n", refusal.code.reason(), refusal.code.help())
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let (status, text) = match &self {
            Self::Refused(status, refusal) => (*status, said(refusal)),
            Self::Unknown(refusal) => (StatusCode::UNAUTHORIZED, said(refusal)),
            Self::Later(refusal, _) => (StatusCode::SERVICE_UNAVAILABLE, said(refusal)),
            Self::Broken(fault) => {
                let failure = Failure::Broken(fault.clone());
                (StatusCode::INTERNAL_SERVER_ERROR, format!("{failure}\n"))
            }
        };
        let mut response = (
            status,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            text,
        )
            .into_response();
        let headers = response.headers_mut();
        match self {
            Self::Unknown(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
            }
            Self::Later(_, wait) => {
                let seconds = retry::seconds(retry::spread(wait));
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            Self::Refused(..) | Self::Broken(_) => {}
        }
        response
    }
}

/// Base64 in one line without an end, wiped when dropped: there are clients that pass over no line break (strongSwan's).
fn encode(der: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE64_STANDARD.encode(der))
}

fn encoded(media_type: &'static str, der: &[u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        TRANSFER_ENCODING,
    ];
    (headers, BASE64_STANDARD.encode(der)).into_response()
}

/// Certificates, DER.
pub(super) fn certificates(certificates: &[Vec<u8>]) -> Response {
    encoded(CERTS_ONLY, &ca::certs_only(certificates))
}

/// What a certificate request should be made of.
pub(super) fn attributes(wanted: &[u8]) -> Response {
    encoded("application/csrattrs", wanted)
}

/// A key that was made here, PKCS#8, and its certificate (RFC 7030, 4.4.2).
pub(super) fn key_and_certificate(pkcs8: &[u8], certificate: &[Vec<u8>]) -> Response {
    let head = |media_type: &str| {
        format!("--{BOUNDARY}\r\nContent-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n")
    };
    let (key_head, key) = (head(PKCS8), encode(pkcs8));
    let (certificate_head, certificate) = (head(CERTS_ONLY), encode(&ca::certs_only(certificate)));
    let end = format!("--{BOUNDARY}--\r\n");
    let pieces = [
        &key_head,
        key.as_str(),
        "\r\n",
        &certificate_head,
        certificate.as_str(),
        "\r\n",
        &end,
    ];
    // One buffer of the right size: growing would leave copies of the key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum()));
    for piece in pieces {
        text.extend_from_slice(piece.as_bytes());
    }
    let headers = [
        (
            header::CONTENT_TYPE,
            format!("multipart/mixed; boundary={BOUNDARY}"),
        ),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    // Ours is wiped once it is sent; what the transport holds of it is encrypted next.
    (headers, Body::from(Bytes::from_owner(text))).into_response()
}
