//! One device of a change, and every step it can take.

use super::{Former, Stage, Standing, Strategy, facet_state, plan::CLAIMED};
use crate::{
    Timestamp,
    change::Facet,
    desired::PartDigest,
    device::{FacetState, Report},
    ids::{ChangeId, DeviceId},
    names::SiteCode,
};
use core::fmt;
use serde::{Deserialize, Serialize};

/// One device of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Which.
    pub device: DeviceId,
    /// Its stage, from 0.
    pub stage: u16,
    /// Where it was when it was planned.
    pub site: Option<SiteCode>,
    /// Of its time zone, the place among the zones of its change.
    pub zone: u16,
    /// What the facets of the change become of it, as it was planned; none where nothing of its content does.
    pub becomes: Option<PartDigest>,
    /// What a rollback brings back.
    pub former: Former,
    /// How often it fell back and was to be sent its state once more.
    pub repairs: u8,
    /// It matched only after the change was planned, and joined it then.
    pub late: bool,
    /// How far it is.
    pub state: TargetState,
}

/// How far a target is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetState {
    /// Its turn has not come.
    Waiting {
        /// The generation under which the change reached it before, where it is tried once more.
        reached: Option<u64>,
    },
    /// It must be something else since then, and has not said what became of it.
    Sent {
        /// From this generation on.
        generation: u64,
        /// Since when.
        at: Timestamp,
    },
    /// It said that it is so, and soaks.
    Proved {
        /// See `Sent`.
        generation: u64,
        /// Since when.
        at: Timestamp,
    },
    /// It stood by that for as long as it had to.
    Done {
        /// See `Sent`.
        generation: u64,
        /// Since when.
        at: Timestamp,
    },
    /// It said that it could not, or that it is not so any more.
    Failed {
        /// See `Sent`.
        generation: u64,
        /// Since when.
        at: Timestamp,
        /// In the device's words.
        reason: String,
    },
    /// It said nothing in time. What it says later still counts.
    TimedOut {
        /// See `Sent`.
        generation: u64,
        /// Since when.
        at: Timestamp,
    },
    /// It was left out when its turn came.
    Skipped {
        /// When.
        at: Timestamp,
        /// Why.
        why: Skipped,
    },
    /// It is to be again what it was, and has not said that it is.
    Reverting {
        /// From this generation on.
        generation: u64,
        /// Since when.
        at: Timestamp,
    },
    /// It is again what it was.
    Reverted {
        /// See `Reverting`.
        generation: u64,
        /// Since when.
        at: Timestamp,
    },
    /// It said that it is not so any more, and waits to be sent its state once more.
    Fallen {
        /// See `Sent`.
        generation: u64,
        /// Since when.
        at: Timestamp,
        /// In the device's words.
        reason: String,
    },
}

/// Why a target was left out after it was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Skipped {
    /// Another change is about the same facet of it.
    Taken(ChangeId),
    /// It was retired, suspended or is gone since; or its state does not allow the step.
    Unfit(String),
    /// It is so already.
    AlreadyThere,
    /// The change was taken back before its turn came.
    RolledBack,
    /// The change ended before its turn came.
    Aborted,
    /// It would become something else than was planned, since the catalog or the device was edited.
    NotAsPlanned,
    /// It claimed meanwhile, or began to, and would lose what it claimed.
    Claimed,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(change) => write!(f, "change {change} is about it"),
            Self::Unfit(why) => f.write_str(why),
            Self::AlreadyThere => f.write_str("it is so already"),
            Self::RolledBack => f.write_str("the change was rolled back before its turn came"),
            Self::Aborted => f.write_str("the change was aborted before its turn came"),
            Self::Claimed => f.write_str(CLAIMED),
            Self::NotAsPlanned => {
                f.write_str("it would become something else than was planned: its site, its labels or its variables were edited")
            }
        }
    }
}

/// What a report says of the facets of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word<'a> {
    /// Nothing, or not yet.
    Nothing,
    /// It is as it must be.
    Applied,
    /// It is not, for this reason.
    Wrong(&'a str),
}

/// Of all facets that a change is about, the worst: one that is wrong is enough, and one that waits keeps the others waiting.
fn word<'r>(report: &'r Report, facets: &[Facet], generation: u64) -> Word<'r> {
    if report.generation < generation {
        return Word::Nothing;
    }
    let states = facets.iter().filter_map(|facet| facet_state(report, *facet));
    let mut word = Word::Nothing;
    for state in states.clone() {
        match state {
            FacetState::Failed(reason) | FacetState::Drifted(reason) => return Word::Wrong(reason),
            FacetState::Applied => word = Word::Applied,
            FacetState::Waiting(_) => {}
        }
    }
    let waits = |state: &FacetState| matches!(state, FacetState::Waiting(_));
    if states.into_iter().any(waits) {
        Word::Nothing
    } else {
        word
    }
}

impl TargetState {
    /// What is counted of it.
    pub const fn standing(&self) -> Standing {
        match self {
            Self::Waiting { .. } | Self::Fallen { .. } => Standing::Waiting,
            Self::Sent { .. } => Standing::Sent,
            Self::Proved { .. } => Standing::Proved,
            Self::Done { .. } => Standing::Done,
            Self::Failed { .. } => Standing::Failed,
            Self::TimedOut { .. } => Standing::TimedOut,
            Self::Skipped { .. } => Standing::Skipped,
            Self::Reverting { .. } => Standing::Reverting,
            Self::Reverted { .. } => Standing::Reverted,
        }
    }

    /// The generation under which the change, or its rollback, reached the device; `None` when it did not.
    pub const fn generation(&self) -> Option<u64> {
        match self {
            Self::Waiting { .. } | Self::Skipped { .. } => None,
            Self::Sent { generation, .. }
            | Self::Proved { generation, .. }
            | Self::Done { generation, .. }
            | Self::Failed { generation, .. }
            | Self::TimedOut { generation, .. }
            | Self::Reverting { generation, .. }
            | Self::Reverted { generation, .. }
            | Self::Fallen { generation, .. } => Some(*generation),
        }
    }

    /// The change is on record for the device, under this generation. What needs no proof is done by that.
    #[must_use]
    pub fn sent(self, generation: u64, wants_proof: bool, now: Timestamp) -> Self {
        match self {
            Self::Waiting { .. } | Self::Fallen { .. } if wants_proof => Self::Sent { generation, at: now },
            Self::Waiting { .. } | Self::Fallen { .. } => Self::Done { generation, at: now },
            Self::Sent { .. }
            | Self::Proved { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::Skipped { .. }
            | Self::Reverting { .. }
            | Self::Reverted { .. } => self,
        }
    }

    /// It is left out. Where the change ends before a second try, what the first one did is still there: nothing was heard of it, or
    /// that it fell back.
    #[must_use]
    pub fn skipped(self, why: Skipped, now: Timestamp) -> Self {
        match self {
            Self::Waiting {
                reached: Some(generation),
            } if matches!(why, Skipped::RolledBack | Skipped::Aborted) => {
                Self::TimedOut { generation, at: now }
            }
            fallen @ Self::Fallen { .. } if matches!(why, Skipped::RolledBack | Skipped::Aborted) => {
                fallen.given_up()
            }
            Self::Waiting { .. } | Self::Fallen { .. } => Self::Skipped { at: now, why },
            Self::Sent { .. }
            | Self::Proved { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::Skipped { .. }
            | Self::Reverting { .. }
            | Self::Reverted { .. } => self,
        }
    }

    /// The device reports. What is older than the change says nothing of it, and what is said twice changes nothing.
    #[must_use]
    pub fn heard(
        self,
        report: &Report,
        facets: &[Facet],
        soak: core::time::Duration,
        now: Timestamp,
    ) -> Self {
        let Some(generation) = self.generation() else {
            return self;
        };
        match (self, word(report, facets, generation)) {
            (before, Word::Nothing) => before,
            (
                before @ (Self::Sent { .. }
                | Self::Failed { .. }
                | Self::TimedOut { .. }
                | Self::Fallen { .. }),
                Word::Applied,
            ) => before.proved(soak, now),
            (
                Self::Sent { .. } | Self::Proved { .. } | Self::Done { .. } | Self::TimedOut { .. },
                Word::Wrong(reason),
            ) => Self::Failed {
                generation,
                at: now,
                reason: reason.to_owned(),
            },
            (Self::Reverting { .. }, Word::Applied) => Self::Reverted { generation, at: now },
            (
                before @ (Self::Waiting { .. }
                | Self::Skipped { .. }
                | Self::Proved { .. }
                | Self::Done { .. }
                | Self::Failed { .. }
                | Self::Reverting { .. }
                | Self::Reverted { .. }
                | Self::Fallen { .. }),
                Word::Applied | Word::Wrong(_),
            ) => before,
        }
    }

    /// When time alone takes it further.
    pub fn due(&self, stage: &Stage, strategy: &Strategy) -> Option<Timestamp> {
        match self {
            Self::Sent { at, .. } => Some(at.plus(strategy.deadline)),
            Self::Proved { at, .. } => Some(at.plus(stage.soak)),
            Self::Waiting { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::Skipped { .. }
            | Self::Reverting { .. }
            | Self::Reverted { .. }
            | Self::Fallen { .. } => None,
        }
    }

    /// Time passes.
    #[must_use]
    pub fn passed(self, stage: &Stage, strategy: &Strategy, now: Timestamp) -> Self {
        if self.due(stage, strategy).is_none_or(|due| due > now) {
            return self;
        }
        match self {
            Self::Sent { generation, .. } => Self::TimedOut { generation, at: now },
            Self::Proved { generation, .. } => Self::Done { generation, at: now },
            Self::Waiting { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::Skipped { .. }
            | Self::Reverting { .. }
            | Self::Reverted { .. }
            | Self::Fallen { .. } => self,
        }
    }

    /// Whether a rollback has to give the device back what it had.
    pub const fn is_touched(&self) -> bool {
        match self {
            Self::Sent { .. }
            | Self::Proved { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. } => true,
            Self::Waiting { .. }
            | Self::Skipped { .. }
            | Self::Reverting { .. }
            | Self::Reverted { .. }
            | Self::Fallen { .. } => false,
        }
    }

    /// It is left out after all, whatever was done: it is not the change's to go on with, nor to take back.
    #[must_use]
    pub fn left(self, why: Skipped, now: Timestamp) -> Self {
        match self {
            Self::Waiting { .. }
            | Self::Sent { .. }
            | Self::Proved { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::Reverting { .. }
            | Self::Fallen { .. } => Self::Skipped { at: now, why },
            Self::Skipped { .. } | Self::Reverted { .. } => self,
        }
    }

    /// It was seen to be so, by something else than a report.
    #[must_use]
    pub fn proved(self, soak: core::time::Duration, now: Timestamp) -> Self {
        match self {
            Self::Sent { generation, .. }
            | Self::Failed { generation, .. }
            | Self::TimedOut { generation, .. }
            | Self::Fallen { generation, .. } => Self::held(generation, soak, now),
            Self::Waiting { .. }
            | Self::Proved { .. }
            | Self::Done { .. }
            | Self::Skipped { .. }
            | Self::Reverting { .. }
            | Self::Reverted { .. } => self,
        }
    }

    /// Proved, or done where nothing has to be waited for.
    const fn held(generation: u64, soak: core::time::Duration, at: Timestamp) -> Self {
        if soak.is_zero() {
            Self::Done { generation, at }
        } else {
            Self::Proved { generation, at }
        }
    }

    /// What the device had is on record for it again, under this generation.
    #[must_use]
    pub fn reverting(self, generation: u64, wants_proof: bool, now: Timestamp) -> Self {
        match (self.is_touched(), wants_proof) {
            (true, true) => Self::Reverting { generation, at: now },
            (true, false) => Self::Reverted { generation, at: now },
            (false, _) => self,
        }
    }

    /// It is tried once more: failed and silent ones wait for their turn again.
    #[must_use]
    pub fn retried(self) -> Self {
        match self {
            Self::Failed { generation, .. } | Self::TimedOut { generation, .. } => Self::Waiting {
                reached: Some(generation),
            },
            Self::Waiting { .. }
            | Self::Sent { .. }
            | Self::Proved { .. }
            | Self::Done { .. }
            | Self::Skipped { .. }
            | Self::Reverting { .. }
            | Self::Reverted { .. }
            | Self::Fallen { .. } => self,
        }
    }
}
