//! Records: postcard behind a version.
//!
//! Postcard knows fields by position only. A record whose type changes gets the next version; a copy of the old type
//! stays in `former`, with a conversion, so that every file ever written opens. What is written is always the newest
//! version. `tests/fixtures/store` holds golden bytes of each.

use super::{former, requests::Asked};
use crate::store::StoreError;
use muster_domain::{
    access::Operator,
    audit::Entry,
    batch::{Batch, PartRecord},
    catalog::{
        ChannelsSource, GroupSource, ModelSource, NamingRuleSource, ProfileSource, Revision, SiteSource,
    },
    certificate::CertificateRecord,
    change::{ChangeRecord, Exclusion, Listed, Target},
    device::{Device, Presence},
    ids::{BatchId, ChangeId},
};
use redb::{AccessGuard, ReadableTable};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Something kept in a table of its own.
pub(in crate::store) trait Record: Serialize + Sized {
    /// The table, for errors.
    const TABLE: &'static str;
    /// What [`Record::encode`] writes; from 1, below 128. The byte in front of a record is one less: records of the first
    /// musterd were variant 0 of an enum.
    const VERSION: u8;

    /// Reads a body of any version that was ever written.
    fn decode_body(version: u8, body: &[u8]) -> Result<Self, String>;

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        postcard::to_extend(self, vec![Self::VERSION - 1]).map_err(|why| StoreError::Unencodable {
            table: Self::TABLE,
            why: why.to_string(),
        })
    }

    /// Reads a record; bytes behind it are damage too.
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let read = match bytes.split_first() {
            Some((version, body)) => Self::decode_body(version.saturating_add(1), body),
            None => Err("it is empty".to_owned()),
        };
        read.map_err(|why| StoreError::damaged(Self::TABLE, why))
    }

    fn from_guard(guard: AccessGuard<'_, &'static [u8]>) -> Result<Self, StoreError> {
        Self::decode(guard.value())
    }
}

/// A value that fills its bytes.
fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes too many", rest.len())),
        Err(why) => Err(why.to_string()),
    }
}

/// Models, sites, groups and naming rules are replaced as a whole; the record counts how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::store) struct Replaceable<T> {
    /// From 1.
    pub(in crate::store) changes: u32,
    /// As written; checked again when it is loaded.
    pub(in crate::store) source: T,
}

/// A mapping's source, as JSON: what a mapping can say grows, and a document's shape has room for that where the
/// fields of a record have not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct MappingText(pub(in crate::store) String);

/// A profile's source, as JSON, for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct ProfileText(pub(in crate::store) String);

impl ProfileText {
    pub(in crate::store) fn of(source: &ProfileSource) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "plain data with string keys always serialises into memory"
        )]
        let text = serde_json::to_string(source).expect("plain data");
        Self(text)
    }
}

/// A firmware policy's source, as JSON, for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct PolicyText(pub(in crate::store) String);

impl PolicyText {
    pub(in crate::store) fn of(source: &ChannelsSource) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "plain data with string keys always serialises into memory"
        )]
        let text = serde_json::to_string(source).expect("plain data");
        Self(text)
    }
}

/// A revision of a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct SecretRecord {
    /// As [`Secret::is_tame`](muster_domain::catalog::Secret::is_tame).
    pub(in crate::store) is_tame: bool,
    /// The value, sealed under a key that is not here; `None` once it is retired.
    pub(in crate::store) value: Option<Vec<u8>>,
}

impl std::fmt::Debug for SecretRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretRecord")
            .field("is_tame", &self.is_tame)
            .finish_non_exhaustive()
    }
}

/// `Type: "table" v NEWEST, OLDER => FormerType, ...;` where the newest type is `From<FormerType>`.
macro_rules! records {
    ($($type:ty: $table:literal v $version:literal $(, $older:literal => $former:ty)*;)*) => {
        $(impl Record for $type {
            const TABLE: &'static str = $table;
            const VERSION: u8 = $version;

            fn decode_body(version: u8, body: &[u8]) -> Result<Self, String> {
                match version {
                    $version => whole(body),
                    $($older => whole::<$former>(body).map(Self::from),)*
                    other => Err(format!("it has the unknown version {other}")),
                }
            }
        })*
    };
}

records! {
    Device: "devices" v 5, 1 => former::DeviceV1, 2 => former::DeviceV2, 3 => former::DeviceV3, 4 => former::DeviceV4;
    Presence: "presence" v 1;
    CertificateRecord: "certificates" v 2, 1 => former::CertificateV1;
    Batch: "batches" v 2, 1 => former::BatchV1;
    Asked<BatchId>: "batch_requests" v 1;
    PartRecord: "parts" v 1;
    Replaceable<ModelSource>: "models" v 3, 1 => Replaceable<former::ModelV1>, 2 => Replaceable<former::ModelV2>;
    Replaceable<SiteSource>: "sites" v 2, 1 => Replaceable<former::SiteV1>;
    Replaceable<GroupSource>: "groups" v 1;
    Replaceable<NamingRuleSource>: "naming_rules" v 1;
    Revision<ProfileText>: "profiles" v 2, 1 => former::ProfileV1;
    Revision<PolicyText>: "policies" v 2, 1 => former::PolicyV1;
    Revision<MappingText>: "mappings" v 1;
    Revision<SecretRecord>: "secrets" v 1;
    Operator: "operators" v 2, 1 => former::OperatorV1;
    Entry: "audit" v 1;
    ChangeRecord: "changes" v 2, 1 => former::ChangeV1;
    Asked<ChangeId>: "change_requests" v 1;
    Target: "targets" v 2, 1 => former::TargetV1;
    Exclusion: "excluded" v 1;
    Listed: "listed" v 1;
    crate::store::RegistryInfo: "registry" v 1;
    crate::store::KeptRules: "approval_rules" v 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: u32,
        y: u32,
    }

    /// As it was.
    #[derive(Serialize, Deserialize)]
    struct PointV1 {
        x: u32,
    }

    impl From<PointV1> for Point {
        fn from(former: PointV1) -> Self {
            Self { x: former.x, y: 7 }
        }
    }

    records! {
        Point: "points" v 2, 1 => PointV1;
    }

    #[test]
    fn every_version_is_read_and_the_newest_is_written() {
        let check = |bytes: &[u8], expected: Option<Point>| {
            assert_eq!(Point::decode(bytes).ok(), expected, "{bytes:?}");
        };
        check(&[0, 3], Some(Point { x: 3, y: 7 }));
        check(&[1, 3, 4], Some(Point { x: 3, y: 4 }));
        check(&[2, 3, 4], None);
        check(&[255, 3, 4], None);
        check(&[], None);
        check(&[0], None);
        check(&[0, 3, 4], None);
        check(&[1, 3], None);
        assert_eq!(Point { x: 3, y: 4 }.encode().unwrap(), [1, 3, 4]);
    }
}
