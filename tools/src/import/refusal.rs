//! A batch that failed as a whole.

use crate::failure::{Answer, Failure};
use muster_domain::{Code, refusal::Kind};
use muster_proto::v1::{Batch, batch::State};

/// Why a batch failed, if it did.
pub fn failed(batch: &Batch) -> Option<Failure> {
    if batch.state() != State::Failed {
        return None;
    }
    let refusal = batch.refusal.clone().unwrap_or_default();
    let number = u16::try_from(refusal.code).ok().filter(|&number| number > 0);
    let kind = number
        .and_then(|number| Code::try_from(number).ok())
        .map(Code::kind);
    Some(Failure::Refused(Box::new(Answer {
        status: match kind {
            Some(Kind::Missing) => tonic::Code::NotFound,
            Some(Kind::Denied) => tonic::Code::PermissionDenied,
            Some(
                Kind::Invalid
                | Kind::Unauthenticated
                | Kind::Exists
                | Kind::Precondition
                | Kind::Conflict
                | Kind::Exhausted
                | Kind::Unavailable,
            )
            | None => tonic::Code::FailedPrecondition,
        },
        number,
        reason: refusal.reason,
        message: if refusal.message.is_empty() {
            format!("{} failed", batch.name)
        } else {
            refusal.message
        },
        help: refusal.help,
        fields: Vec::new(),
        retry_after: None,
        reference: None,
    })))
}
