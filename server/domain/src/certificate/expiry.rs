//! How much of their lives certificates have left.

use super::{CertificateRecord, CertificateState};
use crate::Timestamp;
use core::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Current certificates by the time that is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Their end has come.
    pub expired: u64,
    /// Less than a week is left.
    pub week: u64,
    /// Less than 30 days, and more than the above.
    pub month: u64,
    /// Less than 90 days, and more than the above.
    pub quarter: u64,
    /// Less than 365 days, and more than the above.
    pub year: u64,
    /// More than that.
    pub longer: u64,
    /// Of all of these: two thirds of their lives are over, so they should have been renewed.
    pub overdue: u64,
}

impl Expiry {
    /// Counts a certificate, if it is current.
    pub fn add(&mut self, record: &CertificateRecord, now: Timestamp) {
        match record.state {
            CertificateState::Current => {}
            CertificateState::Intended | CertificateState::Revoked { .. } => return,
        }
        let (start, end) = (record.not_before.millis(), record.not_after.millis());
        let due = start.saturating_add(end.saturating_sub(start) / 3 * 2);
        self.overdue += u64::from(now.millis() >= due);
        let left = |days: u32| record.not_after < now.plus(DAY * days);
        let bucket = match () {
            () if record.not_after <= now => &mut self.expired,
            () if left(7) => &mut self.week,
            () if left(30) => &mut self.month,
            () if left(90) => &mut self.quarter,
            () if left(365) => &mut self.year,
            () => &mut self.longer,
        };
        *bucket += 1;
    }

    /// All that were counted.
    pub const fn current(&self) -> u64 {
        self.expired + self.week + self.month + self.quarter + self.year + self.longer
    }
}
