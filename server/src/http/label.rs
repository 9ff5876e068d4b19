//! The label in a path (RFC 7030, 3.2.2): the model that the device must be of.

use super::{Api, answer::No};
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use muster_domain::{Code, Refusal, names::ModelName};

/// `None` without a label: any model.
pub(super) struct Label(pub(super) Option<ModelName>);

impl FromRequestParts<Api> for Label {
    type Rejection = No;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, No> {
        let unknown = || Refusal::new(Code::NotFound, "no model has this name").at("label");
        let label = Option::<Path<String>>::from_request_parts(parts, api).await;
        let Some(Path(label)) = label.map_err(|_| unknown())? else {
            return Ok(Self(None));
        };
        let model: ModelName = label.parse().map_err(|_| unknown())?;
        if api.service.has_model(&model) {
            Ok(Self(Some(model)))
        } else {
            Err(unknown().into())
        }
    }
}
