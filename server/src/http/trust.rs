//! What anybody may know: the certificates to trust, and what a request should be made of.

use super::{
    Api,
    answer::{self, No},
    label::Label,
};
use crate::ca;
use axum::{extract::State, response::Response};

/// RFC 7030, 4.1: roots, and the authorities that issue to devices.
pub(super) async fn cacerts(State(api): State<Api>, _: Label) -> Result<Response, No> {
    Ok(answer::certificates(&api.service.authorities()))
}

/// RFC 7030, 4.5.
pub(super) async fn csrattrs(_: State<Api>, _: Label) -> Result<Response, No> {
    Ok(answer::attributes(&ca::wanted_attributes()))
}
