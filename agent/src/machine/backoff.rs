//! How long to wait before the next attempt: longer each time, bounded, and never in step with other devices.

use std::time::Duration;

/// Doubles from a first delay to a greatest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    attempts: u32,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            attempts: 0,
        }
    }

    /// The next delay: between half of it and the whole, by `random`. A fleet that lost its registry at one moment comes
    /// back spread out.
    pub(crate) fn next(&mut self, random: u32) -> Duration {
        let doubled = 1_u32.checked_shl(self.attempts.min(31)).unwrap_or(u32::MAX);
        let delay = self.first.saturating_mul(doubled).min(self.most).max(self.first);
        self.attempts = self.attempts.saturating_add(1);
        delay / 2 + delay.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
    }

    /// All is well again.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Numbers for jitter (splitmix64, Steele and others 2014): spread is all that is asked of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_most_and_start_again() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(1), seconds(60));
        let whole: Vec<_> = (0..8).map(|_| backoff.next(u32::MAX).as_secs()).collect();
        assert_eq!(whole, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.next(0), seconds(30));
        backoff.reset();
        assert_eq!(backoff.next(0), Duration::from_millis(500));
        for _ in 0..100 {
            assert!(backoff.next(7) <= seconds(60), "never overflows");
        }
    }

    #[test]
    fn jitter_spreads_evenly() {
        let mut jitter = Jitter::new(1);
        let mut counts = [0_u32; 8];
        for _ in 0..8000 {
            counts[(jitter.next() >> 29) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
