//! Memory that all connections of a gate share, beyond the little that each has of its own.
//!
//! A packet of a few kilobytes fits into what its connection has. Larger ones are paid for from here while they come in or go
//! out; when it is spent, they wait for one another, each under its own deadline, and small ones do not notice.

use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is given out at once, and what a connection has of its own.
pub(super) const UNIT: usize = 4 << 10;

/// A bounded number of bytes.
#[derive(Debug)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
    used: Gauge,
}

/// Bytes taken from a budget; given back by drop.
#[derive(Debug)]
pub(super) struct Lease {
    units: OwnedSemaphorePermit,
    used: Gauge,
}

/// Units for that many bytes; the first one is the connection's own.
fn beyond_own(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_sub(1) / UNIT).unwrap_or(u32::MAX)
}

fn weight(units: usize) -> i64 {
    i64::try_from(units.saturating_mul(UNIT)).unwrap_or(i64::MAX)
}

impl Budget {
    /// Of that many bytes; `used` shows what is taken.
    pub(super) fn new(bytes: usize, used: Gauge) -> Arc<Self> {
        Arc::new(Self {
            units: Arc::new(Semaphore::new(bytes / UNIT)),
            used,
        })
    }

    /// Room for `bytes` in all, of which `held` are there already; waits for it. `None` for what the connection has of its own.
    /// Cancel safe: what was held is given back.
    pub(super) async fn extend(&self, held: Option<Lease>, bytes: usize) -> Option<Lease> {
        let (wanted, has) = (beyond_own(bytes), held.as_ref().map_or(0, Lease::units));
        let more = wanted.saturating_sub(has);
        if more == 0 {
            return held;
        }
        // Never closed, so there is no other way but to get it.
        let units = Arc::clone(&self.units).acquire_many_owned(more).await.ok()?;
        self.used.inc_by(weight(units.num_permits()));
        match held {
            Some(mut held) => {
                held.units.merge(units);
                Some(held)
            }
            None => Some(Lease {
                units,
                used: self.used.clone(),
            }),
        }
    }
}

impl Lease {
    fn units(&self) -> u32 {
        u32::try_from(self.units.num_permits()).unwrap_or(u32::MAX)
    }

    /// Gives back what is not needed for `bytes`.
    pub(super) fn shrink(mut self, bytes: usize) -> Option<Self> {
        let (needed, has) = (beyond_own(bytes), self.units());
        let spare = usize::try_from(has.saturating_sub(needed)).unwrap_or(0);
        if let Some(spare) = self.units.split(spare) {
            self.used.dec_by(weight(spare.num_permits()));
        }
        (needed > 0).then_some(self)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.used.dec_by(weight(self.units.num_permits()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn small_packets_cost_nothing_and_large_ones_wait_for_each_other() {
        let used = Gauge::default();
        let budget = Budget::new(10 * UNIT, used.clone());
        assert!(budget.extend(None, UNIT).now_or_never().unwrap().is_none());
        let first = budget.extend(None, 8 * UNIT).now_or_never().unwrap();
        assert_eq!(used.get(), weight(7));
        assert!(budget.extend(None, 5 * UNIT).now_or_never().is_none());
        let second = budget.extend(None, 4 * UNIT).now_or_never().unwrap();
        assert_eq!(used.get(), weight(10));
        assert!(budget.extend(None, UNIT).now_or_never().unwrap().is_none());
        drop(first);
        assert_eq!(used.get(), weight(3));
        let second = budget.extend(second, 6 * UNIT).now_or_never().unwrap();
        assert_eq!(used.get(), weight(5));
        let second = second.unwrap().shrink(2 * UNIT);
        assert_eq!(used.get(), weight(1));
        assert!(second.unwrap().shrink(10).is_none());
        assert_eq!(used.get(), 0);
        assert!(budget.extend(None, 11 * UNIT).now_or_never().unwrap().is_some());
    }

    #[test]
    fn a_wait_that_is_given_up_takes_nothing() {
        let used = Gauge::default();
        let budget = Budget::new(4 * UNIT, used.clone());
        let held = budget.extend(None, 3 * UNIT).now_or_never().unwrap();
        // In vain, and what was held is gone with it.
        assert!(budget.extend(held, 9 * UNIT).now_or_never().is_none());
        assert_eq!(used.get(), 0);
        assert!(budget.extend(None, 5 * UNIT).now_or_never().unwrap().is_some());
    }
}
