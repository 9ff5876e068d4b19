//! How many targets of a stage stand where.

use super::Standing;
use serde::{Deserialize, Serialize};

/// Counts of one stage, or of a whole change. They follow from the states of the targets and from nothing else: a target that
/// moves is taken from one and added to the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally([u32; Standing::ALL.len()]);

const fn place(standing: Standing) -> usize {
    standing as usize
}

impl Tally {
    /// Of targets.
    pub fn of(standings: impl IntoIterator<Item = Standing>) -> Self {
        let mut tally = Self::default();
        standings.into_iter().for_each(|standing| tally.add(standing));
        tally
    }

    /// One more.
    pub fn add(&mut self, standing: Standing) {
        if let Some(count) = self.0.get_mut(place(standing)) {
            *count = count.saturating_add(1);
        }
    }

    /// A target moved.
    pub fn moved(&mut self, from: Standing, to: Standing) {
        if let Some(count) = self.0.get_mut(place(from)) {
            *count = count.saturating_sub(1);
        }
        self.add(to);
    }

    /// How many stand there.
    pub fn count(&self, standing: Standing) -> u32 {
        self.0.get(place(standing)).copied().unwrap_or(0)
    }

    /// All of them.
    pub fn total(&self) -> u32 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Those that were not left out: what shares are shares of.
    pub fn judged(&self) -> u32 {
        self.total().saturating_sub(self.count(Standing::Skipped))
    }

    /// Those of which nothing more is awaited.
    pub fn is_settled(&self) -> bool {
        [Standing::Waiting, Standing::Sent, Standing::Proved]
            .into_iter()
            .all(|standing| self.count(standing) == 0)
    }

    /// Those of both.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
        self
    }
}
