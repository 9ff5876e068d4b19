//! Enrollment: a device comes with the code of its label, or with its maker's certificate, and leaves with ours.

use super::{
    Api,
    answer::{self, No},
    body,
    credentials::{self, Basic},
    label::Label,
};
use crate::{
    ca::CertificationRequest,
    service::{ClaimInput, KeygenInput},
    tls::{Peer, Shown},
};
use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use muster_domain::{Code, Refusal};

/// The answer to a request without credentials: a client that waits to be asked for them comes back.
fn nobody() -> No {
    No::Unknown(Refusal::new(
        Code::ClaimRefused,
        "neither serial and activation code nor a certificate on record were shown",
    ))
}

/// RFC 7030, 4.2: the answer is the issued certificate alone.
pub(super) async fn simpleenroll(
    State(api): State<Api>,
    Label(model): Label,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, No> {
    // 1. All of the body, whatever the answer: a connection is of use again only when it is read.
    let (parts, body) = request.into_parts();
    body::check_type(&parts.headers)?;
    let body = body::read(body).await?;
    // 2. Who asks, before what: a client may ask without a body to learn how to show who it is.
    let source = peer.source();
    let claimed = match (credentials::basic(&parts.headers), peer.shown) {
        (Some(Basic { serial, code }), _) => {
            api.admit(source, &serial)?;
            let input = ClaimInput {
                serial,
                code,
                csr: body::decode(&body)?,
                source,
            };
            api.service.claim_of_model(model.as_ref(), input).await
        }
        (None, Shown::Device(leaf)) => {
            let device = api.service.bearer(&leaf, model.as_ref()).await?;
            api.admit(source, device.serial.as_str())?;
            let csr = body::decode(&body)?;
            api.service.claim_by_certificate(device, csr, source).await
        }
        (None, Shown::Nothing | Shown::Operator(_)) => return Err(nobody()),
    };
    Ok(answer::certificates(&claimed?.chain[..1]))
}

/// RFC 7030, 4.4: the answer is a key made here and its certificate.
pub(super) async fn serverkeygen(
    State(api): State<Api>,
    Label(model): Label,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, No> {
    let (parts, body) = request.into_parts();
    body::check_type(&parts.headers)?;
    let body = body::read(body).await?;
    let (Some(keygen), Some(Basic { serial, code })) = (&api.keygen, credentials::basic(&parts.headers))
    else {
        return Err(nobody());
    };
    let source = peer.source();
    api.admit(source, &serial)?;
    // Its key counts for nothing, but it may ask for what we do not give, such as a key that is sealed to another.
    CertificationRequest::check_form(&body::decode(&body)?).map_err(|refusal| refusal.at("body"))?;
    let made = keygen
        .claim(KeygenInput {
            model,
            serial,
            code,
            source,
        })
        .await?;
    Ok(answer::key_and_certificate(made.pkcs8(), made.certificate()))
}
