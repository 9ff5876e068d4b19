//! Failures as gRPC statuses: the only place that knows both.

use crate::{fault::Failure, mqtt::throttle, retry};
use muster_domain::{Refusal, refusal::Kind};
use std::{collections::HashMap, time::Duration};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// `google.rpc.ErrorInfo.domain` of everything we say.
const DOMAIN: &str = "muster";
/// How long a caller should wait at least after a refusal that time alone mends, where nothing says how long.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Most field violations in one status: more would not fit the 8 KiB that many clients allow for trailers.
const VIOLATION_LIMIT: usize = 20;

const fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Denied => Code::PermissionDenied,
        Kind::Missing => Code::NotFound,
        Kind::Exists => Code::AlreadyExists,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::Conflict => Code::Aborted,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
    }
}

/// One refusal as a status.
pub(super) fn refused(refusal: &Refusal) -> Status {
    refused_all(std::slice::from_ref(refusal))
}

/// A claim that came too early: `wait` is how long its way is closed.
pub(super) fn throttled(wait: Duration) -> Status {
    status(&[throttle::refusal()], wait)
}

/// Several refusals of one call as a status: the first gives the code, each field is listed.
pub(super) fn refused_all(refusals: &[Refusal]) -> Status {
    status(refusals, RETRY_AFTER)
}

fn status(refusals: &[Refusal], wait: Duration) -> Status {
    let Some(first) = refusals.first() else {
        return Status::internal("refused without a reason");
    };
    let metadata = HashMap::from([
        ("code".to_owned(), first.code.number().to_string()),
        ("help".to_owned(), first.code.help().to_owned()),
    ]);
    let mut details = ErrorDetails::new();
    details.set_error_info(first.code.reason(), DOMAIN, metadata);
    for refusal in refusals
        .iter()
        .filter(|refusal| !refusal.field.is_empty())
        .take(VIOLATION_LIMIT)
    {
        details.add_bad_request_violation(&refusal.field, &refusal.message);
    }
    match first.code.kind() {
        Kind::Exhausted | Kind::Unavailable => {
            details.set_retry_info(Some(retry::spread(wait)));
        }
        Kind::Invalid
        | Kind::Unauthenticated
        | Kind::Denied
        | Kind::Missing
        | Kind::Exists
        | Kind::Precondition
        | Kind::Conflict => {}
    }
    let more = match refusals.len() {
        1 => String::new(),
        all => format!(" (and {} more)", all - 1),
    };
    Status::with_error_details(code(first.code.kind()), format!("{first}{more}"), details)
}

/// A failure as a status: refusals in full, faults by reference only.
pub(super) fn failed(failure: &Failure) -> Status {
    match failure {
        Failure::Refused(refusal) => refused(refusal),
        Failure::Broken(fault) => {
            let metadata = HashMap::from([("reference".to_owned(), fault.reference().to_owned())]);
            let details = ErrorDetails::with_error_info("FAULT", DOMAIN, metadata);
            Status::with_error_details(Code::Internal, failure.to_string(), details)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_domain::Code as Number;

    #[test]
    fn a_status_carries_number_field_and_help() {
        let status = refused(&Refusal::new(Number::MacMalformed, "contains 'G'").at("rows[5].mac"));
        assert_eq!(
            (status.code(), status.message()),
            (Code::InvalidArgument, "M2111: rows[5].mac: contains 'G'")
        );
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.metadata["code"].as_str()),
            ("MAC_MALFORMED", "2111")
        );
        assert_eq!(info.metadata["help"], Number::MacMalformed.help());
        assert_eq!(
            details.bad_request().unwrap().field_violations[0].field,
            "rows[5].mac"
        );
    }

    #[test]
    fn many_fields_fit_the_trailers() {
        let refusals: Vec<_> = (0..1000)
            .map(|i| Refusal::new(Number::ModelInvalid, "is wrong").at(format!("resources[{i}].name")))
            .collect();
        let status = refused_all(&refusals);
        assert!(status.details().len() < 6 << 10, "{}", status.details().len());
        assert!(status.message().ends_with("(and 999 more)"));
    }

    #[test]
    fn a_throttled_claim_is_told_how_long_to_wait() {
        for wait in [
            Duration::ZERO,
            Duration::from_millis(700),
            Duration::from_secs(30),
        ] {
            let told = |status: Status| status.get_error_details().retry_info()?.retry_delay;
            let told: Vec<_> = (0..20).filter_map(|_| told(throttled(wait))).collect();
            assert!(told.iter().all(|told| *told >= wait), "{told:?}");
            assert!(
                told.iter().any(|other| *other != told[0]),
                "all come back at once"
            );
        }
    }

    #[test]
    fn every_refusal_has_a_status_that_is_not_ok() {
        for &number in Number::ALL {
            assert_ne!(refused(&Refusal::new(number, "why")).code(), Code::Ok);
        }
    }
}
