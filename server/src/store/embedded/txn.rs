//! One write transaction, shared by the commands of a group.

use super::{counts::Deltas, index::insert_sorted, live::Live, record::Record as _, tables::Tables};
use crate::store::{KeptRules, StoreError};
use muster_domain::{
    audit::{Draft, Entry, Event},
    catalog::Catalog,
};
use redb::{Database, ReadableTableMetadata as _, WriteTransaction};
use std::sync::Arc;

/// What a command works on. A command that refuses, or fails, must not have written: it decides first.
pub(super) struct Txn<'t> {
    tables: Tables<'t>,
    /// Something was written: there is something to commit.
    changed: bool,
    /// Devices that are other, new or gone.
    devices: Vec<u128>,
    /// Changes of the counts, written once at the end.
    pub(super) counts: Deltas,
    /// The catalog as of this transaction.
    pub(super) catalog: Arc<Catalog>,
    catalog_changed: bool,
    /// The approval rules as of this transaction.
    pub(super) rules: Arc<KeptRules>,
    rules_changed: bool,
    changes_moved: bool,
    /// Entries of the audit log; the next one has this index.
    audit_size: u64,
}

/// What the rest of the process sees once the transaction is durable.
pub(super) struct Publication {
    devices: Vec<u128>,
    counts: Deltas,
    catalog: Option<Arc<Catalog>>,
    rules: Option<Arc<KeptRules>>,
    audit_size: u64,
    changes_moved: bool,
}

/// A durable transaction. Quick-repair: after a crash the store opens in milliseconds instead of walking the
/// file, and its two-phase commit does not trust checksums alone.
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    Ok(txn)
}

impl<'t> Txn<'t> {
    pub(super) fn open(txn: &'t WriteTransaction, live: &Live) -> Result<Self, StoreError> {
        let tables = Tables::open(txn)?;
        let audit_size = tables.audit.len()?;
        Ok(Self {
            tables,
            changed: false,
            devices: Vec::new(),
            counts: Deltas::default(),
            catalog: live.catalog(),
            catalog_changed: false,
            rules: live.approval_rules(),
            rules_changed: false,
            changes_moved: false,
            audit_size,
        })
    }

    /// To look at.
    pub(super) fn tables(&self) -> &Tables<'t> {
        &self.tables
    }

    /// To write.
    pub(super) fn write(&mut self) -> &mut Tables<'t> {
        self.changed = true;
        &mut self.tables
    }

    /// This device is other, new or gone: watchers are told once that is durable.
    pub(super) fn mark(&mut self, device: u128) {
        self.devices.push(device);
    }

    /// Appends to the audit log.
    pub(super) fn audit(&mut self, event: &Event) -> Result<Entry, StoreError> {
        let entry = event.entry(self.audit_size);
        self.write()
            .audit
            .insert(entry.index, entry.encode()?.as_slice())?;
        self.audit_size += 1;
        Ok(entry)
    }

    /// Appends many entries, in their order.
    pub(super) fn audit_all(&mut self, drafts: &[&Draft]) -> Result<(), StoreError> {
        let mut entries = Vec::with_capacity(drafts.len());
        for (index, draft) in (self.audit_size..).zip(drafts) {
            entries.push((index, draft.entry(index).encode()?));
        }
        self.audit_size += u64::try_from(entries.len()).unwrap_or_default();
        let entries: Vec<_> = entries
            .iter()
            .map(|(index, record)| (*index, record.as_slice()))
            .collect();
        insert_sorted("audit", &mut self.write().audit, &entries)
    }

    pub(super) fn replace_catalog(&mut self, catalog: Catalog) {
        self.catalog = Arc::new(catalog);
        self.catalog_changed = true;
    }

    pub(super) fn replace_rules(&mut self, rules: KeptRules) {
        self.rules = Arc::new(rules);
        self.rules_changed = true;
    }

    /// Whoever waits for something about changes is to look again.
    pub(super) const fn move_changes(&mut self) {
        self.changes_moved = true;
    }

    /// Writes what was collected, and closes the tables so that the transaction can commit. `None` when nothing
    /// was written: reads and refusals cost no commit.
    pub(super) fn finish(mut self) -> Result<Option<Publication>, StoreError> {
        if !self.changed {
            return Ok(None);
        }
        self.counts.write(&mut self.tables.counts)?;
        let catalog = self.catalog_changed.then_some(self.catalog);
        let rules = self.rules_changed.then_some(self.rules);
        Ok(Some(Publication {
            devices: self.devices,
            counts: self.counts,
            catalog,
            rules,
            audit_size: self.audit_size,
            changes_moved: self.changes_moved,
        }))
    }
}

impl Publication {
    pub(super) fn publish(self, live: &Live) {
        // Whoever hears of the commit finds the rules that it wrote.
        if let Some(rules) = self.rules {
            live.publish_rules(rules);
        }
        live.publish(&self.counts, self.catalog, self.audit_size);
        live.watches.mark(&self.devices);
        if self.changes_moved {
            live.move_changes();
        }
    }
}
