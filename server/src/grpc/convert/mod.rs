//! Between the wire and the domain, one file a `.proto`.

pub(super) mod access;
pub(super) mod approval;
pub(super) mod batch;
pub(super) mod catalog;
pub(super) mod certificate;
pub(super) mod change;
pub(super) mod device;
pub(super) mod forecast;
pub(super) mod rows;
pub(super) mod spec;

use muster_domain::{Code, Refusal, Timestamp};
use muster_proto::v1;
use std::str::FromStr;

/// The last part of a resource name such as `models/GW-200`.
pub(super) fn name<'a>(text: &'a str, collection: &str, field: &str) -> Result<&'a str, Refusal> {
    let rest = text
        .strip_prefix(collection)
        .and_then(|rest| rest.strip_prefix('/'));
    match rest {
        Some(rest) if !rest.is_empty() => Ok(rest),
        _ => Err(Refusal::new(
            Code::RequestInvalid,
            format!("{text:?} is not a name like {collection}/NAME"),
        )
        .at(field)),
    }
}

/// The same, parsed into an identifier.
pub(super) fn id<T: FromStr>(text: &str, collection: &str, field: &str) -> Result<T, Refusal>
where
    T::Err: std::fmt::Display,
{
    name(text, collection, field)?
        .parse()
        .map_err(|why| Refusal::new(Code::RequestInvalid, format!("{text:?}: {why}")).at(field))
}

/// A resource name, or empty where there is none.
pub(super) fn optional_name<'a>(text: &'a str, collection: &str, field: &str) -> Result<&'a str, Refusal> {
    if text.is_empty() {
        Ok("")
    } else {
        name(text, collection, field)
    }
}

pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(at.seconds()).unwrap_or(i64::MAX),
        nanos: i32::try_from(at.millis() % 1000 * 1_000_000).unwrap_or(0),
    }
}

/// An instant from 1970 on; milliseconds count.
pub(super) fn instant(wire: &prost_types::Timestamp) -> Option<Timestamp> {
    let (seconds, nanos) = (u64::try_from(wire.seconds).ok()?, u64::try_from(wire.nanos).ok()?);
    let millis = seconds.checked_mul(1000)?.checked_add(nanos / 1_000_000)?;
    (nanos < 1_000_000_000).then_some(Timestamp::from_millis(millis))
}

pub(super) fn refusal(refusal: &Refusal) -> v1::Refusal {
    v1::Refusal {
        code: u32::from(refusal.code.number()),
        reason: refusal.code.reason().to_owned(),
        field: refusal.field.clone(),
        message: refusal.message.clone(),
        help: refusal.code.help().to_owned(),
        ..v1::Refusal::default()
    }
}
