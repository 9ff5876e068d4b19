//! What is kept in memory beside the file, for questions that are asked all the time.

use super::counts::Deltas;
use crate::store::{Counts, watch::Watches};
use muster_domain::catalog::Catalog;
use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

/// The catalog and the counts as of the last commit.
#[derive(Debug, Default)]
pub(super) struct Live {
    catalog: RwLock<Arc<Catalog>>,
    counts: RwLock<Arc<Counts>>,
    /// Who watches devices.
    pub(super) watches: Arc<Watches>,
    /// A commit failed: nothing is written any more.
    broken: AtomicBool,
}

impl Live {
    pub(super) fn new(catalog: Catalog, counts: Counts) -> Self {
        Self {
            catalog: RwLock::new(Arc::new(catalog)),
            counts: RwLock::new(Arc::new(counts)),
            watches: Arc::default(),
            broken: AtomicBool::new(false),
        }
    }

    /// After a commit, before its commands are answered: who was answered sees what they did.
    pub(super) fn publish(&self, deltas: &Deltas, catalog: Option<Arc<Catalog>>) {
        if !deltas.is_empty() {
            let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
            deltas.apply(Arc::make_mut(&mut counts));
        }
        if let Some(catalog) = catalog {
            *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = catalog;
        }
    }

    pub(super) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_broken(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}
