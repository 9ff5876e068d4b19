//! The guard against a clock that goes back (H4): certificates issued in the past, and serials that do not sort by age.

use super::CaError;
use muster_domain::Timestamp;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How far a clock may step back: what time servers correct, and the back-dating of certificates covers.
pub(super) const STEP_BACK: Duration = Duration::from_secs(5 * 60);

/// The newest instant that something was issued at, in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct ClockGuard {
    newest: AtomicU64,
}

impl ClockGuard {
    /// A guard for an authority that issued last at `at`.
    pub(super) const fn new(at: Timestamp) -> Self {
        Self {
            newest: AtomicU64::new(at.millis()),
        }
    }

    /// Issuance at `now` is about to happen: may it?
    pub(super) fn pass(&self, now: Timestamp) -> Result<(), CaError> {
        let newest = Timestamp::from_millis(self.newest.fetch_max(now.millis(), Ordering::Relaxed));
        if now.plus(STEP_BACK) < newest {
            return Err(CaError::ClockBehind {
                now,
                behind: newest.seconds() - now.seconds(),
            });
        }
        Ok(())
    }

    /// Something is known to have been issued at `at`.
    pub(super) fn advance(&self, at: Timestamp) {
        self.newest.fetch_max(at.millis(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_step_back_a_little_and_not_creep_back() {
        let minute = |minute: u64| Timestamp::from_seconds(1_800_000_000 + 60 * minute);
        let guard = ClockGuard::new(minute(0));
        assert!(guard.pass(minute(100)).is_ok());
        assert!(guard.pass(minute(95)).is_ok());
        for _ in 0..2 {
            assert!(matches!(
                guard.pass(minute(94)),
                Err(CaError::ClockBehind { behind: 360, .. })
            ));
        }
        guard.advance(minute(200));
        assert!(guard.pass(minute(100)).is_err());
        assert!(guard.pass(minute(195)).is_ok());
    }
}
