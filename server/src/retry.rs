//! When to come back, told to those who were sent away: spread, so that they do not come back all at once.

use crate::random;
use std::time::Duration;

/// Waits are told in whole seconds to some, so a smaller spread would be none.
const SPREAD: Duration = Duration::from_secs(4);

/// At least `wait`; at random up to as much again, and up to four seconds more.
pub(crate) fn spread(wait: Duration) -> Duration {
    // Without random bytes everybody waits for the longest time: too long is no harm.
    let chance = random::bytes().map_or(u32::MAX, u32::from_be_bytes);
    wait + wait.max(SPREAD).mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

/// In whole seconds, at least one, never less than `wait`.
pub(crate) fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000))
        .unwrap_or(u32::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nobody_is_told_too_little_and_not_all_the_same() {
        for (wait, longest) in [(0, 4), (1, 5), (4, 8), (60, 120)] {
            let told: BTreeSet<_> = (0..200)
                .map(|_| seconds(spread(Duration::from_secs(wait))))
                .map(u64::from)
                .collect();
            assert!(told.len() >= 4, "{wait}: {told:?}");
            assert!(
                told.iter().all(|told| (wait.max(1)..=longest).contains(told)),
                "{wait}: {told:?}"
            );
        }
    }
}
