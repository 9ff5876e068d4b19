//! What is kept in memory beside the file, for questions that are asked all the time, and for those who wait.

use super::counts::Deltas;
use crate::store::{Counts, KeptRules, Work, watch::Watches};
use muster_domain::catalog::Catalog;
use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// The catalog, the counts and the approval rules as of the last commit, and how far the audit log goes.
#[derive(Debug)]
pub(super) struct Live {
    catalog: RwLock<Arc<Catalog>>,
    counts: RwLock<Arc<Counts>>,
    rules: RwLock<Arc<KeptRules>>,
    /// Entries of the audit log.
    audit: watch::Sender<u64>,
    /// Who watches devices.
    pub(super) watches: Arc<Watches>,
    /// A commit failed: nothing is written any more.
    broken: AtomicBool,
    work: RwLock<Work>,
    /// How often something about changes was written.
    changes: watch::Sender<u64>,
}

impl Live {
    pub(super) fn new(catalog: Catalog, counts: Counts, rules: KeptRules, audit: u64) -> Self {
        Self {
            catalog: RwLock::new(Arc::new(catalog)),
            counts: RwLock::new(Arc::new(counts)),
            rules: RwLock::new(Arc::new(rules)),
            audit: watch::Sender::new(audit),
            watches: Arc::default(),
            broken: AtomicBool::new(false),
            work: RwLock::default(),
            changes: watch::Sender::default(),
        }
    }

    /// After a commit, before its commands are answered: who was answered sees what they did.
    pub(super) fn publish(&self, deltas: &Deltas, catalog: Option<Arc<Catalog>>, audit: u64) {
        if !deltas.is_empty() {
            let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
            deltas.apply(Arc::make_mut(&mut counts));
        }
        if let Some(catalog) = catalog {
            *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = catalog;
        }
        // Nobody is woken for a commit without an entry.
        self.audit
            .send_if_modified(|known| std::mem::replace(known, audit) != audit);
    }

    /// The same, of rules that were replaced.
    pub(super) fn publish_rules(&self, rules: Arc<KeptRules>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    pub(super) fn approval_rules(&self) -> Arc<KeptRules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn audit(&self) -> watch::Receiver<u64> {
        self.audit.subscribe()
    }

    pub(super) fn move_changes(&self) {
        self.changes.send_modify(|moved| *moved = moved.wrapping_add(1));
    }

    pub(super) fn changes_moved(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A group of commands was made durable.
    pub(super) fn worked(&self, commands: usize, took: Duration) {
        let mut work = self.work.write().unwrap_or_else(PoisonError::into_inner);
        work.commits += 1;
        work.commands += commands as u64;
        work.busy += took;
    }

    pub(super) fn work(&self) -> Work {
        *self.work.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_broken(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}
