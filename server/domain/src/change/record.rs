//! A change with what is counted of it: all that is kept of it beside its targets.

use super::{Change, ChangeState, ExclusionKind, Next, Standing, Tally, Zone};
use crate::{Timestamp, ids::DeviceId};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The span that a pace is of.
const MINUTE: Duration = Duration::from_secs(60);

/// How far the devices of a change are taken for it (I8). That is done in parts, since there can be a million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reserved {
    /// Those up to this target, in the order of stages and ids; none at first.
    UpTo(Option<(u16, DeviceId)>),
    /// All of them.
    All,
}

/// A change and its counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// The change.
    pub change: Change,
    /// Of its targets, one for each stage; none until it is planned.
    pub tallies: Vec<Tally>,
    /// Devices that match and are no targets.
    pub excluded: BTreeMap<ExclusionKind, u32>,
    /// How often planning began: what another attempt writes is not of this plan.
    pub attempt: u32,
    /// See [`Reserved`].
    pub reserved: Reserved,
    /// When how many targets were begun within the last minute, where the strategy has a pace.
    pub begun: Vec<(Timestamp, u32)>,
    /// Whether its targets are begun zone by zone: its strategy has windows, or sites had some when it was planned.
    pub is_zoned: bool,
    /// Zones of its targets, where it is so.
    pub zones: Vec<Zone>,
    /// It has ended, and nothing that a device says moves it any more.
    pub closed: bool,
    /// How often targets fell back and were to be sent their state once more: of all targets together.
    pub repairs: u32,
    /// Of its targets, those that joined after it was planned.
    pub late: u32,
}

impl ChangeRecord {
    /// Of a change that was just made.
    pub const fn new(change: Change) -> Self {
        Self {
            change,
            tallies: Vec::new(),
            excluded: BTreeMap::new(),
            attempt: 0,
            reserved: Reserved::UpTo(None),
            begun: Vec::new(),
            is_zoned: false,
            zones: Vec::new(),
            closed: false,
            repairs: 0,
            late: 0,
        }
    }

    /// All targets together.
    pub fn total(&self) -> Tally {
        self.tallies
            .iter()
            .fold(Tally::default(), |sum, tally| sum.plus(tally))
    }

    /// Devices that match and are no targets.
    pub fn left_out(&self) -> u32 {
        self.excluded
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether a worker has to look at it, and what devices say moves it.
    pub const fn is_open(&self) -> bool {
        match self.change.state {
            ChangeState::Draft | ChangeState::Planned { .. } => false,
            ChangeState::Running { .. } | ChangeState::Halted { .. } | ChangeState::RollingBack { .. } => {
                true
            }
            ChangeState::Done { .. } | ChangeState::RolledBack { .. } | ChangeState::Aborted { .. } => {
                !self.closed
            }
        }
    }

    /// Whether its devices must be taken for it before anything else.
    pub fn is_reserving(&self) -> bool {
        matches!(self.change.state, ChangeState::Running { .. }) && self.reserved != Reserved::All
    }

    /// What it does next, once its devices are taken.
    pub fn next(&self, now: Timestamp) -> Next {
        self.change.next(&self.tallies, self.begun_lately(now), now)
    }

    /// The stages of which targets wait and may be begun, in their order.
    pub fn begins(&self) -> Vec<u16> {
        let Some(last) = self.change.begins() else {
            return Vec::new();
        };
        let stages = (0..=last).zip(&self.tallies);
        let waiting = stages.filter(|(_, tally)| tally.count(Standing::Waiting) > 0);
        waiting.map(|(stage, _)| stage).collect()
    }

    /// Whether nothing can come of it any more. Devices that have not said yet that they are again what they were still may.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.next(now) == Next::Rest && self.total().count(Standing::Reverting) == 0
    }

    /// Notes that targets were begun.
    pub fn note_begun(&mut self, count: u32, now: Timestamp) {
        if self.change.strategy.per_minute.is_none() || count == 0 {
            return;
        }
        self.begun.retain(|(at, _)| at.plus(MINUTE) > now);
        // One entry a second is fine enough, and few.
        match self.begun.last_mut() {
            Some((at, begun)) if at.seconds() == now.seconds() => *begun = begun.saturating_add(count),
            Some(_) | None => self.begun.push((now, count)),
        }
    }

    /// Targets begun within the last minute.
    fn begun_lately(&self, now: Timestamp) -> u32 {
        let lately = self.begun.iter().filter(|(at, _)| at.plus(MINUTE) > now);
        lately.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}
