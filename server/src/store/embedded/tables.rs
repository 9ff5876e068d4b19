//! Every table, in one place.
//!
//! Ids are 128-bit numbers whose order is the order of age, so new devices append to `devices` and, within each
//! value, to every index. An index holds its value in the key, `(value, id) -> ()`: one range is the devices of one
//! value in the order of their ids. Names contain no byte that sorts before their end, so tuples sort by name, then id.

use crate::store::StoreError;
use redb::{ReadOnlyTable, ReadTransaction, Table, TableDefinition, WriteTransaction};

macro_rules! tables {
    ($($(#[$doc:meta])* $constant:ident $field:ident: $key:ty => $value:ty;)*) => {
        $($(#[$doc])* pub(super) const $constant: TableDefinition<'static, $key, $value> =
            TableDefinition::new(stringify!($field));)*

        /// Every table, open for writing.
        pub(super) struct Tables<'t> {
            $(pub(super) $field: Table<'t, $key, $value>,)*
        }

        impl<'t> Tables<'t> {
            /// Opening costs about a microsecond a table, and what stays unchanged costs nothing at commit.
            pub(super) fn open(txn: &'t WriteTransaction) -> Result<Self, StoreError> {
                Ok(Self { $($field: txn.open_table($constant)?,)* })
            }
        }

        /// Every table, as of one instant.
        pub(super) struct View {
            $(pub(super) $field: ReadOnlyTable<$key, $value>,)*
        }

        impl View {
            pub(super) fn open(txn: &ReadTransaction) -> Result<Self, StoreError> {
                Ok(Self { $($field: txn.open_table($constant)?,)* })
            }
        }

        /// Every entry of every table as text, to compare two states of a store.
        #[cfg(test)]
        pub(super) fn dump(txn: &ReadTransaction) -> Result<Vec<String>, StoreError> {
            use redb::ReadableTable as _;
            let view = View::open(txn)?;
            let mut lines = Vec::new();
            $(for entry in view.$field.iter()? {
                let (key, value) = entry?;
                lines.push(format!("{} {:?} {:?}", stringify!($field), key.value(), value.value()));
            })*
            Ok(lines)
        }
    };
}

tables! {
    /// What the registry knows of itself, by the keys in `registry.rs`.
    REGISTRY registry: &'static str => &'static [u8];
    /// Devices by id.
    DEVICES devices: u128 => &'static [u8];
    /// The device of a serial.
    SERIALS serials: &'static str => u128;
    /// The device of a hardware address, by [`Mac::key`](muster_domain::mac::Mac::key).
    MACS macs: u128 => u128;
    /// Devices by model.
    MODELS_INDEX by_model: (&'static str, u128) => ();
    /// Devices by site.
    SITES_INDEX by_site: (&'static str, u128) => ();
    /// Devices by static group.
    GROUPS_INDEX by_group: (&'static str, u128) => ();
    /// Devices by standing.
    STATES_INDEX by_state: (u8, u128) => ();
    /// Devices by verdict.
    VERIFICATIONS_INDEX by_verification: (u8, u128) => ();
    /// Devices by the import that created them.
    BATCHES_INDEX by_batch: (u128, u128) => ();
    /// The live device that holds a key, or has it intended.
    KEYS keys: &'static [u8; 32] => u128;
    /// Connections of devices by id, as of the last flush; of those that never were connected, nothing.
    PRESENCE presence: u128 => &'static [u8];
    /// Certificates by serial.
    CERTIFICATES certificates: u128 => &'static [u8];
    /// Certificates of a device, the oldest first.
    CERTIFICATES_INDEX certificates_by_device: (u128, u128) => ();
    /// Revoked certificates by authority, shard of its lists, and serial: end of validity and instant of revocation in
    /// milliseconds, and the value of CRLReason. A list is made from one range.
    REVOKED revoked: (&'static [u8; 20], u8, u128) => (u64, u64, u8);
    /// Published revocation lists by authority and shard: number, instant of making, instant of the next, in milliseconds.
    LISTS lists: (&'static [u8; 20], u8) => (u64, u64, u64);
    /// The same, DER.
    LIST_BYTES list_bytes: (&'static [u8; 20], u8) => &'static [u8];
    /// Lists that lack something that was revoked: how often something was, since none was due.
    LISTS_DUE lists_due: (&'static [u8; 20], u8) => u64;
    /// Keys that are never certified again, with the certificate whose revocation said so.
    BLOCKED_KEYS blocked_keys: &'static [u8; 32] => u128;
    /// Imports by id.
    BATCHES batches: u128 => &'static [u8];
    /// Batches that are not at their end, or whose results are not acknowledged: 1 while it is being taken back, else 0.
    OPEN_BATCHES open_batches: u128 => u8;
    /// What an author's request id was used for.
    BATCH_REQUESTS batch_requests: (&'static str, &'static str) => &'static [u8];
    /// What became of the rows of a part, by batch and number.
    PARTS parts: (u128, u32) => &'static [u8];
    /// What the codes of a part follow from, by batch and number; gone once its results are acknowledged.
    SEEDS seeds: (u128, u32) => &'static [u8; 16];
    /// Keys that the server made, encrypted, by batch, part and row; gone once their results are acknowledged.
    PART_KEYS part_keys: (u128, u32, u32) => &'static [u8];
    /// What rows made of a device, as [`ValuesDigest`](muster_domain::batch::ValuesDigest), and the device as it was, by
    /// batch, part and row.
    FORMER former: (u128, u32, u32) => (u128, &'static [u8]);
    /// Models by name.
    MODELS models: &'static str => &'static [u8];
    /// Sites by code.
    SITES sites: &'static str => &'static [u8];
    /// Groups by name.
    GROUPS groups: &'static str => &'static [u8];
    /// Revisions of profiles.
    PROFILES profiles: (&'static str, u32) => &'static [u8];
    /// Revisions of firmware policies.
    POLICIES policies: (&'static str, u32) => &'static [u8];
    /// Naming rules by name.
    NAMING_RULES naming_rules: &'static str => &'static [u8];
    /// Revisions of mappings.
    MAPPINGS mappings: (&'static str, u32) => &'static [u8];
    /// Revisions of secrets, their values sealed.
    SECRETS secrets: (&'static str, u32) => &'static [u8];
    /// Operators by name.
    OPERATORS operators: &'static str => &'static [u8];
    /// The operator who holds a key.
    OPERATOR_KEYS operator_keys: &'static [u8; 32] => &'static str;
    /// Changes of many devices by id, with the counts of their targets.
    CHANGES changes: u128 => &'static [u8];
    /// What an author's request id made.
    CHANGE_REQUESTS change_requests: (&'static str, &'static str) => &'static [u8];
    /// Changes that a worker has to look at, and that reports move.
    OPEN_CHANGES open_changes: u128 => ();
    /// Targets by change, stage, standing and device: those whose turn comes next, or that are under way, are one range.
    TARGETS targets: (u128, u16, u8, u128) => &'static [u8];
    /// Of changes that are begun zone by zone, targets whose turn has not come, by change, stage, zone and device: those of a zone
    /// that is open are one range.
    ZONED zoned: (u128, u16, u16, u128) => ();
    /// The change that was last about a facet of a device, with stage and standing of its target there: at most one (I8).
    HOLDERS holders: (u128, u8) => (u128, u16, u8);
    /// Targets that time takes further, by milliseconds, change and device: their stage and standing.
    DUES dues: (u64, u128, u128) => (u16, u8);
    /// Devices that match a change and are no targets of it, by change and device: why.
    EXCLUDED excluded: (u128, u128) => &'static [u8];
    /// What the rows of the list of a change name, by change and row.
    LISTED listed: (u128, u32) => &'static [u8];
    /// What the codes of a change follow from; gone once they are acknowledged.
    CODE_SEEDS code_seeds: u128 => &'static [u8; 16];
    /// Devices that a change gave codes, by change and number, contiguous from 0: which, and when in milliseconds.
    CODES codes: (u128, u32) => (u128, u64);
    /// The audit log by index, contiguous from 0.
    AUDIT audit: u64 => &'static [u8];
    /// Counted devices by kind of count and value.
    COUNTS counts: (u8, &'static str) => u64;
}
