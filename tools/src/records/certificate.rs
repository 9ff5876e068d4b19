//! Certificates, how long they live, and revocation lists.

use super::{state, time};
use crate::output::{Column, Look, Record};
use muster_proto::v1;
use serde::Serialize;

/// A certificate on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// `certificates/{serial}`
    pub name: String,
    /// 32 hexadecimal digits; they sort by age.
    pub serial: String,
    /// `devices/{id}` or `operators/{name}`
    pub holder: String,
    /// The form that it was made by, such as `device`.
    pub profile: String,
    /// `INTENDED`, `CURRENT`, `REVOKED` or `EXPIRED`.
    pub state: String,
    /// Key identifier of the authority that signed it; empty where that is none of ours.
    pub issuer: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: String,
    /// When it was recorded.
    pub create_time: Option<String>,
    /// Start of validity.
    pub not_before: Option<String>,
    /// End of validity.
    pub not_after: Option<String>,
    /// Since when it is revoked.
    pub revoke_time: Option<String>,
    /// Why.
    pub reason: String,
}

impl From<v1::Certificate> for Certificate {
    fn from(wire: v1::Certificate) -> Self {
        Self {
            state: state(wire.state, v1::certificate::State::as_str_name, "STATE_"),
            create_time: time(wire.create_time.as_ref()),
            not_before: time(wire.not_before.as_ref()),
            not_after: time(wire.not_after.as_ref()),
            revoke_time: time(wire.revoke_time.as_ref()),
            name: wire.name,
            serial: wire.serial,
            holder: wire.holder,
            profile: wire.profile,
            issuer: wire.issuer,
            key: wire.key,
            reason: wire.reason,
        }
    }
}

impl Record for Certificate {
    const COLUMNS: &'static [Column] = &[
        Column::shown("serial", "SERIAL", Look::Plain),
        Column::shown("holder", "HOLDER", Look::Plain),
        Column::shown("profile", "PROFILE", Look::Plain),
        Column::shown("state", "STATE", Look::Plain),
        Column::shown("not_after", "ENDS", Look::Time),
        Column::shown("reason", "REASON", Look::Plain),
        Column::extra("name", Look::Plain),
        Column::extra("issuer", Look::Plain),
        Column::extra("key", Look::Plain),
        Column::extra("create_time", Look::Time),
        Column::extra("not_before", Look::Time),
        Column::extra("revoke_time", Look::Time),
    ];
}

/// Current certificates by the time that they have left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expiry {
    /// When they were counted.
    pub time: Option<String>,
    /// Their end has come.
    pub expired: u64,
    /// Less than 7 days are left.
    pub week: u64,
    /// Less than 30.
    pub month: u64,
    /// Less than 90.
    pub quarter: u64,
    /// Less than 365.
    pub year: u64,
    /// More.
    pub longer: u64,
    /// Two thirds of their lives are over.
    pub renewal_overdue: u64,
}

impl From<v1::Expiry> for Expiry {
    fn from(wire: v1::Expiry) -> Self {
        Self {
            time: time(wire.time.as_ref()),
            expired: wire.expired,
            week: wire.week,
            month: wire.month,
            quarter: wire.quarter,
            year: wire.year,
            longer: wire.longer,
            renewal_overdue: wire.renewal_overdue,
        }
    }
}

impl Record for Expiry {
    const COLUMNS: &'static [Column] = &[
        Column::shown("expired", "EXPIRED", Look::Number),
        Column::shown("week", "< 7 D", Look::Number),
        Column::shown("month", "< 30 D", Look::Number),
        Column::shown("quarter", "< 90 D", Look::Number),
        Column::shown("year", "< 365 D", Look::Number),
        Column::shown("longer", "LONGER", Look::Number),
        Column::shown("renewal_overdue", "RENEWAL OVERDUE", Look::Number),
        Column::extra("time", Look::Time),
    ];
}

/// A revocation list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevocationList {
    /// `authorities/{key identifier}/revocationLists/{shard}`
    pub name: String,
    /// Grows by one with each.
    pub number: u64,
    /// When it was made.
    pub this_update: Option<String>,
    /// When the next will be there at the latest.
    pub next_update: Option<String>,
}

impl From<v1::RevocationList> for RevocationList {
    fn from(wire: v1::RevocationList) -> Self {
        Self {
            this_update: time(wire.this_update.as_ref()),
            next_update: time(wire.next_update.as_ref()),
            name: wire.name,
            number: wire.number,
        }
    }
}

impl Record for RevocationList {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "NAME", Look::Plain),
        Column::shown("number", "NUMBER", Look::Number),
        Column::shown("this_update", "MADE", Look::Time),
        Column::shown("next_update", "NEXT BY", Look::Time),
    ];
}
