//! What time it is, on a device whose clock may show anything.
//!
//! There is a moment that cannot lie in the future: the latest of the build of this agent, the last signed
//! issue time and the start of the device's own certificate. A clock that shows less than this floor is wrong; so is
//! one that shows decades more, for then no certificate would ever hold again.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// When this agent was built, seconds since 1970.
const BUILT_AT: &str = env!("MUSTER_BUILT_AT");
/// A device may lie in a store for long, but not for so long. Who can set the clock gains nothing: a clock that
/// is not believed counts as the floor, the same as one set to 1970.
const PLAUSIBLE: u64 = 20 * 365 * 24 * 3600;

/// A source of the time, seconds since 1970: the system's, or a simulated one.
pub type TimeSource = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What the time is held to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Believed {
    /// The clock shows it, and nothing speaks against it.
    Shown(u64),
    /// The clock is wrong; it is this moment or later.
    AtLeast(u64),
}

impl Believed {
    /// The moment to judge with.
    pub(crate) const fn seconds(self) -> u64 {
        match self {
            Self::Shown(at) | Self::AtLeast(at) => at,
        }
    }

    /// The moment to judge certificates with that begin at `not_before`. A device that only knows "this or later"
    /// cannot hold it against a certificate that it began since; only that it ended before.
    pub(crate) fn for_certificates(self, not_before: impl IntoIterator<Item = u64>) -> u64 {
        match self {
            Self::Shown(at) => at,
            Self::AtLeast(at) => not_before.into_iter().fold(at, u64::max),
        }
    }
}

/// The clock and its floor. Clones share the floor.
#[derive(Clone)]
pub(crate) struct Clock {
    source: TimeSource,
    floor: Arc<AtomicU64>,
}

impl Clock {
    /// The floor is the build time, until [`Clock::raise`].
    pub(crate) fn new(source: TimeSource) -> Self {
        Self {
            source,
            floor: Arc::new(AtomicU64::new(BUILT_AT.parse().unwrap_or(0))),
        }
    }

    /// It is this late, at least.
    pub(crate) fn raise(&self, floor: u64) {
        self.floor.fetch_max(floor, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Believed {
        judge((self.source)(), self.floor.load(Ordering::Relaxed))
    }
}

fn judge(shown: u64, floor: u64) -> Believed {
    if (floor..=floor.saturating_add(PLAUSIBLE)).contains(&shown) {
        Believed::Shown(shown)
    } else {
        Believed::AtLeast(floor)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("floor", &self.floor)
            .finish_non_exhaustive()
    }
}

/// The operating system's clock; 1970 when it shows less.
pub(crate) fn system_time() -> TimeSource {
    Arc::new(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_believed_from_the_floor_for_decades() {
        let floor = 1_800_000_000;
        for (shown, expected) in [
            (0, Believed::AtLeast(floor)),
            (floor - 1, Believed::AtLeast(floor)),
            (floor, Believed::Shown(floor)),
            (floor + PLAUSIBLE, Believed::Shown(floor + PLAUSIBLE)),
            (floor + PLAUSIBLE + 1, Believed::AtLeast(floor)),
            (u64::MAX, Believed::AtLeast(floor)),
        ] {
            assert_eq!(judge(shown, floor), expected, "{shown}");
        }
    }

    #[test]
    fn a_floor_never_sinks() {
        let clock = Clock::new(Arc::new(|| 0));
        let built = clock.now().seconds();
        assert!(built > 1_700_000_000, "the build time is set");
        clock.raise(built + 5);
        clock.clone().raise(built + 1);
        assert_eq!(clock.now(), Believed::AtLeast(built + 5));
    }

    #[test]
    fn only_a_wrong_clock_is_lifted_to_a_certificate() {
        assert_eq!(Believed::AtLeast(10).for_certificates([5, 20, 7]), 20);
        assert_eq!(Believed::AtLeast(10).for_certificates([5]), 10);
        assert_eq!(Believed::Shown(10).for_certificates([20]), 10);
    }
}
