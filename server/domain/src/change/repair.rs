//! Targets that fall back: each is sent its state once more, so often as may be, before it counts as failed.

use super::{Change, ChangeState, Target, TargetState};
use crate::{Timestamp, device::Report};
use core::time::Duration;

/// Most repairs of one target: what falls back more often than that is not repaired by being told again.
pub const REPAIR_LIMIT: u8 = 10;

impl Change {
    /// How often a target that falls back is sent its state once more: as the strategy says while the change goes on or is watched,
    /// and not any more when it is taken back or over.
    pub fn repairs(&self, now: Timestamp) -> u8 {
        match &self.state {
            ChangeState::Running { .. } | ChangeState::Halted { .. } => self.strategy.repairs,
            ChangeState::Done { at, .. } if at.plus(self.strategy.watch) > now => self.strategy.repairs,
            ChangeState::Draft
            | ChangeState::Planned { .. }
            | ChangeState::RollingBack { .. }
            | ChangeState::Done { .. }
            | ChangeState::RolledBack { .. }
            | ChangeState::Aborted { .. } => 0,
        }
    }

    /// The last stage whose targets are begun when nothing stops it; of a change that is done, those that fell back.
    pub fn begins(&self) -> Option<u16> {
        match &self.state {
            ChangeState::Running { stage, .. } => Some(*stage),
            ChangeState::Done { .. } => {
                let last = self.strategy.stages.len().saturating_sub(1);
                Some(u16::try_from(last).unwrap_or(u16::MAX))
            }
            ChangeState::Draft
            | ChangeState::Planned { .. }
            | ChangeState::Halted { .. }
            | ChangeState::RollingBack { .. }
            | ChangeState::RolledBack { .. }
            | ChangeState::Aborted { .. } => None,
        }
    }
}

impl Target {
    /// The device reports, as [`TargetState::heard`] says; but one that falls back from what it proved is to be repaired, as long as
    /// it was not too often.
    #[must_use]
    pub fn heard(&self, report: &Report, change: &Change, now: Timestamp) -> Self {
        let stage = change.strategy.stages.get(usize::from(self.stage));
        let soak = stage.map_or(Duration::ZERO, |stage| stage.soak);
        let heard = self
            .state
            .clone()
            .heard(report, change.action.facets(), soak, now);
        let mut after = Self {
            state: heard,
            ..self.clone()
        };
        let stood = matches!(self.state, TargetState::Proved { .. } | TargetState::Done { .. });
        if stood && self.repairs < change.repairs(now) && after.state.fall() {
            after.repairs = after.repairs.saturating_add(1);
        }
        after
    }
}

impl TargetState {
    /// Makes of one that failed one that waits to be repaired; false where it did not fail.
    fn fall(&mut self) -> bool {
        let Self::Failed {
            generation,
            at,
            reason,
        } = self
        else {
            return false;
        };
        *self = Self::Fallen {
            generation: *generation,
            at: *at,
            reason: core::mem::take(reason),
        };
        true
    }

    /// One that waits to be repaired is not: it failed when it fell back.
    #[must_use]
    pub fn given_up(self) -> Self {
        match self {
            Self::Fallen {
                generation,
                at,
                reason,
            } => Self::Failed {
                generation,
                at,
                reason,
            },
            Self::Waiting { .. }
            | Self::Sent { .. }
            | Self::Proved { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::Skipped { .. }
            | Self::Reverting { .. }
            | Self::Reverted { .. } => self,
        }
    }
}
