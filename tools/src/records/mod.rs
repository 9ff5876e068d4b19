//! Resources as they are printed: the fields of the wire under their own names, in their own order.
//!
//! Times are RFC 3339 in UTC, digests hexadecimal, states their short names, absent messages null. These forms are
//! what scripts read: fields are only ever added.

mod access;
mod approval;
mod audit;
mod catalog;
mod certificate;
mod change;
mod device;
mod firmware;
mod fleet;
mod forecast;
mod manifest;
mod refusal;
mod row;
mod secret;

pub use access::Operator;
pub use approval::{ApprovalRule, ApprovalRules, Demand};
pub use audit::AuditEntry;
pub(crate) use audit::actor;
pub use catalog::{
    FirmwarePolicy, Group, Mapping, Model, NamingRule, Outcome, Parameter, Profile, RenderedFile, Revision,
    Site, SourcedValue,
};
pub use certificate::{Certificate, Expiry, RevocationList};
pub use change::{Change, ChangeTarget, Counts as ChangeCounts, Stage};
pub use device::{Device, Explanation, MemberOutcome, OrderedRenewals, ReissuedCode, Step};
pub use firmware::{CheckedImage, SignedImage};
pub use fleet::Counts;
pub use forecast::{FirmwareForecast, ForetoldAlike, ForetoldDevice};
pub use manifest::{Batch, ImportReport, ReportColumn, UndoBlock};
pub use refusal::KnownRefusal;
pub use row::{RowProblem, RowReport};
pub use secret::Secret;

use std::fmt::Write as _;

/// A time of the wire; `None` also for one that no calendar has.
pub(crate) fn time(at: Option<&prost_types::Timestamp>) -> Option<String> {
    let at = at?;
    jiff::Timestamp::new(at.seconds, at.nanos)
        .ok()
        .map(|at| at.to_string())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

/// The short name of a state of the wire: `STATE_DONE` -> `DONE`; an unknown number stays a number.
fn state<E: TryFrom<i32>>(number: i32, name: impl Fn(&E) -> &'static str, prefix: &str) -> String {
    match E::try_from(number) {
        Ok(known) => {
            let full = name(&known);
            full.strip_prefix(prefix).unwrap_or(full).to_owned()
        }
        Err(_) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::v1;

    #[test]
    fn times_states_and_digests_read_as_documented() {
        let at = |seconds, nanos| time(Some(&prost_types::Timestamp { seconds, nanos }));
        assert_eq!(at(0, 0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(
            at(1_000, 125_000_000).as_deref(),
            Some("1970-01-01T00:16:40.125Z")
        );
        assert_eq!(at(i64::MAX, 0), None);
        assert_eq!(time(None), None);
        assert_eq!(state(2, v1::batch::State::as_str_name, "STATE_"), "DONE");
        assert_eq!(state(3, v1::device::State::as_str_name, "STATE_"), "ACTIVE");
        assert_eq!(state(99, v1::device::State::as_str_name, "STATE_"), "99");
        assert_eq!(hex(&[0, 0xab]), "00ab");
    }
}
