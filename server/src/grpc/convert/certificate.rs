//! Certificates.

use super::timestamp;
use crate::store::ListInfo;
use muster_domain::{
    Code, Refusal, Timestamp,
    certificate::{CertificateRecord, CertificateStanding, CertificateState, Expiry, RevocationReason},
};
use muster_proto::v1;

/// Why, as it is written.
pub(crate) fn reason(text: &str) -> Result<RevocationReason, Refusal> {
    text.parse()
        .map_err(|why: String| Refusal::new(Code::RequestInvalid, why).at("reason"))
}

/// A certificate as it stands at `now`, without its bytes.
pub(crate) fn certificate(record: &CertificateRecord, now: Timestamp) -> v1::Certificate {
    use v1::certificate::State;
    let state = match record.standing(now) {
        CertificateStanding::Intended => State::Intended,
        CertificateStanding::Current => State::Current,
        CertificateStanding::Revoked => State::Revoked,
        CertificateStanding::Expired => State::Expired,
    };
    let (revoke_time, reason) = match record.state {
        CertificateState::Revoked { at, reason } => (Some(timestamp(at)), reason.to_string()),
        CertificateState::Intended | CertificateState::Current => (None, String::new()),
    };
    v1::Certificate {
        name: record.name(),
        serial: record.serial.to_string(),
        holder: record.holder.to_string(),
        profile: record.profile.to_string(),
        state: state.into(),
        issuer: record.issuer.map(|issuer| issuer.to_string()).unwrap_or_default(),
        key: record.spki.to_string(),
        create_time: Some(timestamp(record.serial.time())),
        not_before: Some(timestamp(record.not_before)),
        not_after: Some(timestamp(record.not_after)),
        revoke_time,
        reason,
        der: Vec::new(),
    }
}

/// A revocation list without its bytes.
pub(crate) fn list(info: &ListInfo) -> v1::RevocationList {
    v1::RevocationList {
        name: format!("authorities/{}/revocationLists/{}", info.authority, info.shard),
        number: info.number,
        this_update: Some(timestamp(info.this_update)),
        next_update: Some(timestamp(info.next_update)),
        der: Vec::new(),
    }
}

/// Authority and shard of a list's name.
pub(crate) fn list_name(name: &str) -> Result<(&str, &str), Refusal> {
    let rest = name.strip_prefix("authorities/");
    let parts = rest.and_then(|rest| rest.split_once("/revocationLists/"));
    parts.ok_or_else(|| {
        let why = format!("{name:?} is not a name like authorities/NAME/revocationLists/SHARD");
        Refusal::new(Code::RequestInvalid, why).at("name")
    })
}

pub(crate) fn expiry(at: Timestamp, expiry: Expiry) -> v1::Expiry {
    v1::Expiry {
        time: Some(timestamp(at)),
        expired: expiry.expired,
        week: expiry.week,
        month: expiry.month,
        quarter: expiry.quarter,
        year: expiry.year,
        longer: expiry.longer,
        renewal_overdue: expiry.overdue,
    }
}
