//! Who watches devices, and which devices changed since each last looked.
//!
//! What is committed, and what is known of connections, is marked here under its device's id. A watcher is woken, takes what is
//! marked, and looks at the store: ten changes of a device while it looks elsewhere are one. A slow watcher holds nothing up and
//! grows no memory beyond its bound.

use muster_domain::ids::DeviceId;
use std::{
    collections::BTreeSet,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;

/// Devices that a watcher may be behind by: two of the largest parts of an import; about 1.5 MB.
const BEHIND_LIMIT: usize = 1 << 16;
/// Watchers at once: dashboards and integrations, not devices.
pub const WATCHER_LIMIT: usize = 32;

/// What changed since a watcher last looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These devices, ascending; perhaps none.
    Devices(Vec<DeviceId>),
    /// More than are remembered.
    TooMany,
}

/// Devices that changed; bounded.
#[derive(Debug, Default)]
struct Dirty {
    ids: BTreeSet<u128>,
    is_over: bool,
}

impl Dirty {
    fn mark(&mut self, ids: &[u128], limit: usize) {
        for id in ids {
            if self.is_over {
                return;
            }
            self.ids.insert(*id);
            if self.ids.len() > limit {
                self.ids = BTreeSet::new();
                self.is_over = true;
            }
        }
    }

    fn told(self) -> Changed {
        if self.is_over {
            Changed::TooMany
        } else {
            Changed::Devices(self.ids.into_iter().map(DeviceId::from_u128).collect())
        }
    }
}

#[derive(Debug, Default)]
struct Bell {
    dirty: Mutex<Dirty>,
    notify: Notify,
}

/// All watchers.
#[derive(Debug, Default)]
pub(super) struct Watches {
    bells: Mutex<Vec<Arc<Bell>>>,
    /// How many there are: nobody waits for the lock when there are none.
    count: AtomicUsize,
}

/// A watcher; it is forgotten when it is dropped.
#[derive(Debug)]
pub struct Watcher {
    bell: Arc<Bell>,
    watches: Arc<Watches>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere cannot leave it half changed: each change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watches {
    /// A further watcher, from now on; `None` when there are as many as may be.
    pub(super) fn watch(self: &Arc<Self>) -> Option<Watcher> {
        let mut bells = lock(&self.bells);
        if bells.len() >= WATCHER_LIMIT {
            return None;
        }
        Some(self.added(&mut bells))
    }

    /// One more for the server itself, whoever watches.
    pub(super) fn look_out(self: &Arc<Self>) -> Watcher {
        self.added(&mut lock(&self.bells))
    }

    fn added(self: &Arc<Self>, bells: &mut Vec<Arc<Bell>>) -> Watcher {
        let bell = Arc::<Bell>::default();
        bells.push(Arc::clone(&bell));
        self.count.store(bells.len(), Ordering::SeqCst);
        Watcher {
            bell,
            watches: Arc::clone(self),
        }
    }

    /// These devices changed. Called after what changed can be read, so that no watcher looks too early; must not wait.
    pub(super) fn mark(&self, ids: &[u128]) {
        if ids.is_empty() || self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        for bell in lock(&self.bells).iter() {
            lock(&bell.dirty).mark(ids, BEHIND_LIMIT);
            bell.notify.notify_one();
        }
    }

    /// Something else changed that watchers should look at.
    pub(super) fn wake(&self) {
        for bell in lock(&self.bells).iter() {
            bell.notify.notify_one();
        }
    }
}

impl Watcher {
    /// Waits until there is something to take. May be dropped at any time.
    pub async fn woken(&self) {
        self.bell.notify.notified().await;
    }

    /// What changed since the last time, or since the beginning.
    pub fn take(&self) -> Changed {
        let dirty = mem::take(&mut *lock(&self.bell.dirty));
        dirty.told()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut bells = lock(&self.watches.bells);
        bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
        self.watches.count.store(bells.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    #[test]
    fn a_watcher_hears_of_what_changed_since_it_looked() {
        let watches = Arc::<Watches>::default();
        watches.mark(&[1]);
        let watcher = watches.watch().unwrap();
        assert_eq!(watcher.woken().now_or_never(), None);
        watches.mark(&[3, 2]);
        watches.mark(&[3]);
        assert_eq!(watcher.woken().now_or_never(), Some(()));
        let devices = [2, 3].map(DeviceId::from_u128).to_vec();
        assert_eq!(watcher.take(), Changed::Devices(devices));
        assert_eq!(watcher.take(), Changed::Devices(Vec::new()));
        watches.wake();
        assert_eq!(watcher.woken().now_or_never(), Some(()));
    }

    #[test]
    fn watchers_are_bounded_and_forgotten() {
        let watches = Arc::<Watches>::default();
        let mut all: Vec<_> = (0..WATCHER_LIMIT).map(|_| watches.watch().unwrap()).collect();
        assert!(watches.watch().is_none());
        all.pop();
        assert!(watches.watch().is_some());
        all.clear();
        assert_eq!(watches.count.load(Ordering::SeqCst), 0);
    }

    proptest! {
        /// However marks and looks are mixed: every device that was marked is told, or that too many were; in bounded room.
        #[test]
        fn nothing_is_lost_in_silence(
            rounds in prop::collection::vec(prop::collection::vec(0..40_u128, 0..30), 0..12),
            limit in 0..30_usize,
        ) {
            let mut dirty = Dirty::default();
            for marks in rounds {
                for ids in marks.chunks(3) {
                    dirty.mark(ids, limit);
                    prop_assert!(dirty.ids.len() <= limit);
                }
                let distinct: BTreeSet<_> = marks.iter().copied().collect();
                let expected = if distinct.len() > limit {
                    Changed::TooMany
                } else {
                    Changed::Devices(distinct.into_iter().map(DeviceId::from_u128).collect())
                };
                prop_assert_eq!(mem::take(&mut dirty).told(), expected);
            }
        }
    }
}
