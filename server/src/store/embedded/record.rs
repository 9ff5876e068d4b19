//! Records: postcard inside a version.
//!
//! Postcard knows fields by position only. A record whose type changes gets the next variant of a version enum of its
//! own, beside a copy of the old type, so that every file ever written opens; `tests/fixtures/store` holds golden bytes of each.

use crate::store::StoreError;
use muster_domain::{
    access::Operator,
    audit::Entry,
    batch::Batch,
    catalog::{ModelSource, ProfileSource, Revision, SiteSource},
    certificate::CertificateRecord,
    device::Device,
};
use muster_firmware_policy::FirmwarePolicy;
use redb::{AccessGuard, ReadableTable};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version in front of every record.
#[derive(Serialize, Deserialize)]
enum Versioned<T> {
    V1(T),
}

/// Something kept in a table of its own.
pub(in crate::store) trait Record: Serialize + DeserializeOwned {
    /// The table, for errors.
    const TABLE: &'static str;

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        postcard::to_allocvec(&Versioned::V1(self)).map_err(|why| StoreError::Unencodable {
            table: Self::TABLE,
            why: why.to_string(),
        })
    }

    /// Reads a record; bytes behind it are damage too.
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        match postcard::take_from_bytes(bytes) {
            Ok((Versioned::V1(value), [])) => Ok(value),
            Ok((_, rest)) => Err(StoreError::damaged(
                Self::TABLE,
                format!("{} bytes too many", rest.len()),
            )),
            Err(why) => Err(StoreError::damaged(Self::TABLE, why)),
        }
    }

    fn from_guard(guard: AccessGuard<'_, &'static [u8]>) -> Result<Self, StoreError> {
        Self::decode(guard.value())
    }
}

/// Models and sites are replaced as a whole; the record counts how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::store) struct Replaceable<T> {
    /// From 1.
    pub(in crate::store) changes: u32,
    /// As written; checked again when it is loaded.
    pub(in crate::store) source: T,
}

macro_rules! records {
    ($($type:ty: $table:literal;)*) => {
        $(impl Record for $type {
            const TABLE: &'static str = $table;
        })*
    };
}

records! {
    Device: "devices";
    CertificateRecord: "certificates";
    Batch: "batches";
    Replaceable<ModelSource>: "models";
    Replaceable<SiteSource>: "sites";
    Revision<ProfileSource>: "profiles";
    Revision<FirmwarePolicy>: "policies";
    Operator: "operators";
    Entry: "audit";
    crate::store::RegistryInfo: "registry";
}

/// The record under a numeric key.
pub(super) fn load<R: Record>(
    table: &impl ReadableTable<u128, &'static [u8]>,
    key: u128,
) -> Result<Option<R>, StoreError> {
    table.get(key)?.map(R::from_guard).transpose()
}

/// The record under a name.
pub(super) fn load_named<R: Record>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<Option<R>, StoreError> {
    table.get(name)?.map(R::from_guard).transpose()
}
