//! A device's share of the gate: messages are never dropped for coming too fast, they are read later.

use std::time::Duration;
use tokio::time::Instant;

/// Units a second that a device gets for ever. A fleet's devices speak once in minutes.
const RATE: u32 = 20;
/// Units a device may be ahead: a start with hello, subscribe, reports and pings in one go.
const BURST: u32 = 200;
/// Bytes of a packet that cost one more unit. With [`RATE`]: 80 kB a second for ever, one full packet at once.
const BYTES_PER_UNIT: usize = 4 << 10;

/// Token bucket in the form of one instant (GCRA): the time at which all that was used is paid for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    paid: Instant,
}

impl Bucket {
    pub(super) const fn new(now: Instant) -> Self {
        Self { paid: now }
    }

    /// Charges a packet of that many bytes.
    pub(super) fn charge(&mut self, now: Instant, bytes: usize) {
        let units = u32::try_from(1 + bytes / BYTES_PER_UNIT).unwrap_or(u32::MAX);
        self.paid = self.paid.max(now) + Duration::from_secs(1) * units / RATE;
    }

    /// When the next packet may be read; in the past when at once.
    pub(super) fn ready(&self) -> Instant {
        // An instant shortly after boot may have no room for the burst below it.
        self.paid
            .checked_sub(Duration::from_secs(1) * (BURST - 1) / RATE)
            .unwrap_or(self.paid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn burst_then_rate() {
        let start = Instant::now() + Duration::from_secs(1000);
        let mut bucket = Bucket::new(start);
        for _ in 0..BURST {
            assert!(bucket.ready() <= start);
            bucket.charge(start, 2);
        }
        assert_eq!(bucket.ready(), start + Duration::from_secs(1) / RATE);
        // A packet of 256 KiB costs 65 units.
        bucket.charge(start, 256 << 10);
        assert_eq!(bucket.ready(), start + Duration::from_secs(1) * 66 / RATE);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_is_not_saved_beyond_the_burst() {
        let start = Instant::now() + Duration::from_secs(1000);
        let mut bucket = Bucket::new(start);
        let later = start + Duration::from_secs(3600);
        (0..BURST).for_each(|_| bucket.charge(later, 0));
        assert!(bucket.ready() > later);
    }
}
