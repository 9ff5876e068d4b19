//! A certificate as the filter language sees it.

use super::{CertificateHolder, CertificateProfile, CertificateRecord, CertificateState, RevocationReason};
use crate::{
    Timestamp,
    filter::{Field, Kind, Record, Schema, Short, Value},
};
use core::fmt;

/// How a certificate stands at some instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateStanding {
    /// Recorded, and not signed yet.
    Intended,
    /// Good.
    Current,
    /// Revoked, whether or not its end has come since.
    Revoked,
    /// Its end has come. Nobody did anything for that, so no record says it.
    Expired,
}

impl CertificateStanding {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Intended, Self::Current, Self::Revoked, Self::Expired];

    /// As in filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "INTENDED",
            Self::Current => "CURRENT",
            Self::Revoked => "REVOKED",
            Self::Expired => "EXPIRED",
        }
    }
}

impl fmt::Display for CertificateStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl CertificateRecord {
    /// How it stands at `now`.
    pub fn standing(&self, now: Timestamp) -> CertificateStanding {
        match self.state {
            CertificateState::Intended => CertificateStanding::Intended,
            CertificateState::Revoked { .. } => CertificateStanding::Revoked,
            CertificateState::Current if self.not_after <= now => CertificateStanding::Expired,
            CertificateState::Current => CertificateStanding::Current,
        }
    }
}

/// The fields that certificates can be filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateField {
    /// `serial`: 32 hexadecimal digits, lower case.
    Serial,
    /// `device`: the id of the device that it is of.
    Device,
    /// `operator`: the name of the operator that it is of.
    Operator,
    /// `profile`: the form that it was made by.
    Profile,
    /// `state`: how it stands.
    State,
    /// `reason`: why it was revoked.
    Reason,
    /// `issuer`: the authority that signed it, by its key identifier.
    Issuer,
    /// `key`: SHA-256 of its SubjectPublicKeyInfo.
    Key,
    /// `create_time`: when it was recorded.
    CreateTime,
    /// `not_before`: start of validity.
    NotBefore,
    /// `not_after`: end of validity.
    NotAfter,
    /// `revoke_time`: since when it is revoked.
    RevokeTime,
}

macro_rules! words {
    ($name:ident, $type:ty) => {
        const $name: [&str; <$type>::ALL.len()] = {
            let mut names = [""; <$type>::ALL.len()];
            let mut place = 0;
            while place < names.len() {
                names[place] = <$type>::ALL[place].as_str();
                place += 1;
            }
            names
        };
    };
}

words! { PROFILES, CertificateProfile }
words! { STANDINGS, CertificateStanding }
words! { REASONS, RevocationReason }

/// What a listing of certificates can be filtered by.
pub const fn schema() -> &'static Schema<CertificateField> {
    const SCHEMA: Schema<CertificateField> = Schema::new(&[
        Field::new(CertificateField::Serial, "serial", Kind::Text),
        Field::new(CertificateField::Device, "device", Kind::Text),
        Field::new(CertificateField::Operator, "operator", Kind::Text),
        Field::new(CertificateField::Profile, "profile", Kind::Enum(&PROFILES)),
        Field::new(CertificateField::State, "state", Kind::Enum(&STANDINGS)),
        Field::new(CertificateField::Reason, "reason", Kind::Enum(&REASONS)),
        Field::new(CertificateField::Issuer, "issuer", Kind::Text),
        Field::new(CertificateField::Key, "key", Kind::Text),
        Field::new(CertificateField::CreateTime, "create_time", Kind::Timestamp),
        Field::new(CertificateField::NotBefore, "not_before", Kind::Timestamp),
        Field::new(CertificateField::NotAfter, "not_after", Kind::Timestamp),
        Field::new(CertificateField::RevokeTime, "revoke_time", Kind::Timestamp),
    ]);
    &SCHEMA
}

/// A certificate, looked at at some instant.
#[derive(Debug, Clone, Copy)]
pub struct CertificateAt<'a> {
    /// Which.
    pub record: &'a CertificateRecord,
    /// When: a certificate expires without anybody writing it down.
    pub now: Timestamp,
}

impl Record for CertificateAt<'_> {
    type Field = CertificateField;

    fn value(&self, field: CertificateField) -> Option<Value<'_>> {
        let record = self.record;
        let revoked = match record.state {
            CertificateState::Revoked { at, reason } => Some((at, reason)),
            CertificateState::Intended | CertificateState::Current => None,
        };
        match field {
            CertificateField::Serial => Short::of(record.serial).map(Value::Short),
            CertificateField::Device => record.holder.device().and_then(Short::of).map(Value::Short),
            CertificateField::Operator => match &record.holder {
                CertificateHolder::Operator(name) => Some(Value::Text(name.as_str())),
                CertificateHolder::Device(_) => None,
            },
            CertificateField::Profile => Some(Value::Enum(record.profile.as_str())),
            CertificateField::State => Some(Value::Enum(record.standing(self.now).as_str())),
            CertificateField::Reason => revoked.map(|(_, reason)| Value::Enum(reason.as_str())),
            CertificateField::Issuer => record.issuer.and_then(Short::of).map(Value::Short),
            CertificateField::Key => Short::of(record.spki).map(Value::Short),
            CertificateField::CreateTime => Some(Value::Timestamp(record.serial.time())),
            CertificateField::NotBefore => Some(Value::Timestamp(record.not_before)),
            CertificateField::NotAfter => Some(Value::Timestamp(record.not_after)),
            CertificateField::RevokeTime => revoked.map(|(at, _)| Value::Timestamp(at)),
        }
    }

    fn label(&self, _: CertificateField, _: &str) -> Option<&str> {
        None
    }
}
