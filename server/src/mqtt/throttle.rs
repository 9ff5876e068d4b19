//! How often claims are tried: by source, and by source and serial.
//!
//! Never by serial alone: a stranger who names a serial must not be able to lock out the device that bears it. What
//! makes guessing hopeless is the code's 120 bits; this only keeps guesses from costing us more than they should.

use super::places::Source;
use muster_domain::{Code, Refusal};
use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher as _, Hash},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The answer to a claim that came too early; beside it the caller is told how long to wait.
pub fn refusal() -> Refusal {
    Refusal::new(
        Code::ClaimThrottled,
        "too many claims from this address or for this serial",
    )
}

/// So many a second for ever, so many at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// A second; at least 1.
    pub per_second: u32,
    /// At once; at least 1.
    pub burst: u32,
}

/// Rates of claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimRates {
    /// From one source: an IPv4 address or an IPv6 /64. A factory's whole line may sit behind one address.
    pub source: Rate,
    /// From one source for one serial.
    pub serial: Rate,
}

impl Default for ClaimRates {
    fn default() -> Self {
        Self {
            source: Rate {
                per_second: 50,
                burst: 200,
            },
            serial: Rate {
                per_second: 1,
                burst: 10,
            },
        }
    }
}

/// Slots that share a place in the table: the one nearest to idle gives way to a newcomer.
const WAYS: usize = 8;
/// Places in the table: 64 Ki keys, 1 MiB, allocated once.
const SETS: usize = 8 << 10;

/// The generic cell rate algorithm for many keys in fixed memory. A slot holds the time at which its key has paid for
/// all its claims; in the past it is as good as empty, so nothing has to be swept.
#[derive(Debug)]
struct Table {
    rate: Rate,
    slots: Vec<[(u64, Duration); WAYS]>,
}

impl Table {
    fn new(rate: Rate) -> Self {
        let rate = Rate {
            per_second: rate.per_second.max(1),
            burst: rate.burst.max(1),
        };
        Self {
            rate,
            slots: vec![[(0, Duration::ZERO); WAYS]; SETS],
        }
    }

    fn slot(&mut self, key: u64) -> Option<&mut (u64, Duration)> {
        let sets = u64::try_from(self.slots.len()).unwrap_or(1);
        let set = self.slots.get_mut(usize::try_from(key % sets).unwrap_or(0))?;
        let place = set.iter().position(|(known, _)| *known == key);
        match place {
            Some(place) => set.get_mut(place),
            None => {
                let slot = set.iter_mut().min_by_key(|(_, paid)| *paid)?;
                *slot = (key, Duration::ZERO);
                Some(slot)
            }
        }
    }

    /// When the key's next claim is free; now or earlier means at once.
    fn free_at(&mut self, key: u64) -> Duration {
        let room = Duration::from_secs(1) * (self.rate.burst - 1) / self.rate.per_second;
        self.slot(key)
            .map_or(Duration::ZERO, |(_, paid)| paid.saturating_sub(room))
    }

    fn charge(&mut self, key: u64, now: Duration) {
        let cost = Duration::from_secs(1) / self.rate.per_second;
        if let Some((_, paid)) = self.slot(key) {
            *paid = (*paid).max(now) + cost;
        }
    }
}

/// The throttle of all claims, whichever door they come through.
pub struct Throttle {
    start: Instant,
    /// Seeded afresh, so that nobody can aim at a slot.
    hasher: RandomState,
    tables: Mutex<(Table, Table)>,
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").finish_non_exhaustive()
    }
}

impl Throttle {
    /// With these rates.
    pub fn new(rates: ClaimRates) -> Self {
        let tables = (Table::new(rates.source), Table::new(rates.serial));
        Self {
            start: Instant::now(),
            hasher: RandomState::new(),
            tables: Mutex::new(tables),
        }
    }

    fn key(&self, of: impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    /// Whether a claim may be tried now; if not, how long to wait. A claim that is not admitted costs nothing.
    pub fn admit(&self, source: IpAddr, serial: &str) -> Result<(), Duration> {
        let source = Source::from(source);
        let (by_source, by_serial) = (self.key(source), self.key((source, serial)));
        let now = self.start.elapsed();
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let (sources, serials) = &mut *tables;
        let wait = sources.free_at(by_source).saturating_sub(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        let wait = serials.free_at(by_serial).saturating_sub(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        sources.charge(by_source, now);
        serials.charge(by_serial, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn throttle() -> Throttle {
        Throttle::new(ClaimRates::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a1_rates_hold_at_full_speed() {
        // (serials tried, seconds, expected admissions): burst + rate * time.
        for (serials, seconds, expected) in [(1, 0, 10), (1, 100, 110), (100, 0, 200), (1000, 100, 5200)] {
            let throttle = throttle();
            let steps = seconds * 10;
            let mut admitted = 0;
            for step in 0..=steps {
                for attempt in 0..2 * serials.max(20) {
                    let serial = format!("GW-{}", attempt % serials);
                    admitted += u32::from(throttle.admit(SOURCE, &serial).is_ok());
                }
                if step < steps {
                    tokio::time::advance(Duration::from_millis(100)).await;
                }
            }
            assert!(
                admitted.abs_diff(expected) * 20 <= expected,
                "{serials} serials: {admitted}, not {expected}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_told_is_long_enough() {
        let throttle = throttle();
        while throttle.admit(SOURCE, "GW-1").is_ok() {}
        let wait = throttle.admit(SOURCE, "GW-1").unwrap_err();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        tokio::time::advance(wait).await;
        assert_eq!(throttle.admit(SOURCE, "GW-1"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a1_a_stranger_cannot_lock_out_the_device() {
        let throttle = throttle();
        for _ in 0..100_000 {
            throttle.admit(ELSEWHERE, "GW-1").unwrap_or_default();
        }
        assert_eq!(throttle.admit(SOURCE, "GW-1"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_sources_stays_in_its_memory_and_locks_out_nobody() {
        let throttle = throttle();
        for number in 0..300_000_u32 {
            assert_eq!(throttle.admit(IpAddr::from(number.to_be_bytes()), "GW-1"), Ok(()));
        }
        assert_eq!(throttle.admit(SOURCE, "GW-1"), Ok(()));
        let tables = throttle.tables.lock().unwrap();
        assert_eq!(tables.0.slots.len() * WAYS, 65_536);
    }
}
