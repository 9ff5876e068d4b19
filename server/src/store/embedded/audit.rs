//! The audit log.

use super::{Store, record::Record as _, tables::AUDIT};
use crate::store::StoreError;
use muster_domain::audit::{Entry, Event};
use redb::ReadableTableMetadata as _;
use tokio::sync::watch;

impl Store {
    /// Appends an event that changes nothing else. What changes something writes its entry in the same
    /// transaction by itself.
    pub async fn append_audit(&self, event: Event) -> Result<Entry, StoreError> {
        self.write(move |txn| txn.audit(&event)).await
    }

    /// How many entries there are, as of the last commit; for those who wait for the next.
    pub fn audit_size(&self) -> watch::Receiver<u64> {
        self.live().audit()
    }

    /// Entries from index `first` on, and how many there are in all.
    pub async fn list_audit(&self, first: u64, limit: usize) -> Result<(Vec<Entry>, u64), StoreError> {
        self.blocking(move |txn| {
            let table = txn.open_table(AUDIT)?;
            let page = table.range(first..)?.take(limit);
            let entries = page
                .map(|entry| Entry::from_guard(entry?.1))
                .collect::<Result<_, StoreError>>()?;
            Ok((entries, table.len()?))
        })
        .await
    }
}
