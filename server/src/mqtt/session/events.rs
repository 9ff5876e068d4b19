//! The audit log as an integrator follows it. Nothing of it waits in memory: what is next is read from the log when the client is
//! ready for it, so that nothing is lost, and whoever is slow is only late.

use muster_domain::audit::Entry;
use std::collections::VecDeque;
use tokio::sync::watch;

/// Entries read at once.
pub(super) const PAGE: usize = 64;
/// Entries that a session may be behind. A registry writes a few a second, and bursts of some thousands; whoever is further
/// behind gets what they missed faster in pages of a thousand from `Audit/ListEntries`.
const BEHIND: u64 = 10_000;

/// A place in the log.
#[derive(Debug)]
pub(super) struct Follower {
    /// The index of the next entry to be read.
    next: u64,
    size: watch::Receiver<u64>,
    /// Entries that were read.
    page: VecDeque<Entry>,
}

impl Follower {
    /// From now on: what is in the log already is not told.
    pub(super) fn new(mut size: watch::Receiver<u64>) -> Self {
        let next = *size.borrow_and_update();
        Self {
            next,
            size,
            page: VecDeque::new(),
        }
    }

    /// Waits for an entry that was not told. Cancel safe. When the log is closed, for ever.
    pub(super) async fn news(&mut self) {
        let next = self.next;
        if self.page.is_empty() && self.size.wait_for(|size| *size > next).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Where to read on; `None` while there are entries that were read.
    pub(super) fn due(&self) -> Option<u64> {
        self.page.is_empty().then_some(self.next)
    }

    /// What was read from there.
    pub(super) fn read(&mut self, entries: Vec<Entry>) {
        if let Some(last) = entries.last() {
            self.next = last.index + 1;
        }
        self.page = entries.into();
    }

    /// The next entry.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.page.pop_front()
    }

    /// How far behind the session is, if that is too far.
    pub(super) fn lag(&self) -> Option<u64> {
        let told = self.next - self.page.len() as u64;
        let lag = self.size.borrow().saturating_sub(told);
        (lag > BEHIND).then_some(lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use muster_domain::{
        Timestamp,
        audit::{Action, Actor, Event},
    };

    fn entry(index: u64) -> Entry {
        let at = Timestamp::from_seconds(1);
        Event::new(at, Actor::System, Action::BatchPlanned, "batches/x").entry(index)
    }

    #[test]
    fn a_follower_begins_now_and_misses_nothing() {
        let size = watch::Sender::new(5);
        let mut follower = Follower::new(size.subscribe());
        assert_eq!(follower.news().now_or_never(), None);
        size.send_replace(8);
        assert_eq!(follower.news().now_or_never(), Some(()));
        assert_eq!(follower.due(), Some(5));
        follower.read((5..8).map(entry).collect());
        assert_eq!((follower.due(), follower.pop().unwrap().index), (None, 5));
        // While some are left, there is no need to wait.
        assert_eq!(follower.news().now_or_never(), Some(()));
        assert_eq!([6, 7].map(|_| follower.pop().unwrap().index), [6, 7]);
        assert_eq!((follower.due(), follower.news().now_or_never()), (Some(8), None));
        drop(size);
        assert_eq!(follower.news().now_or_never(), None, "a log that is closed");
    }

    #[test]
    fn a_follower_may_be_late_and_not_too_late() {
        let size = watch::Sender::new(0);
        let mut follower = Follower::new(size.subscribe());
        size.send_replace(BEHIND);
        assert_eq!(follower.lag(), None);
        follower.read((0..3).map(entry).collect());
        size.send_replace(BEHIND + 2);
        assert_eq!(follower.lag(), Some(BEHIND + 2));
        follower.pop();
        follower.pop();
        assert_eq!(follower.lag(), None);
    }
}
