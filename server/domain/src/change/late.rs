//! Late joiners: devices that match a change only since it was planned, and come to its last stage while it runs.

use super::{Change, ChangeRecord, ChangeState, Reserved};

impl Change {
    /// How many devices may join a plan of so many targets: approvals were given for its size.
    pub fn late_limit(&self, planned: u32) -> u32 {
        let share = self.strategy.dynamic;
        share.map_or(0, |share| share.at_most(planned))
    }

    /// How many more devices may join, where it has so many targets and so many of them joined before; none unless it runs.
    pub fn room_for_late(&self, targets: u32, late: u32) -> u32 {
        match &self.state {
            ChangeState::Running { .. } => {
                let limit = self.late_limit(targets.saturating_sub(late));
                limit.saturating_sub(late)
            }
            ChangeState::Draft
            | ChangeState::Planned { .. }
            | ChangeState::Halted { .. }
            | ChangeState::RollingBack { .. }
            | ChangeState::Done { .. }
            | ChangeState::RolledBack { .. }
            | ChangeState::Aborted { .. } => 0,
        }
    }
}

impl ChangeRecord {
    /// How many devices may join it, all together.
    pub fn late_limit(&self) -> u32 {
        let planned = self.total().total().saturating_sub(self.late);
        self.change.late_limit(planned)
    }

    /// How many more devices may join now; none before those are taken that were planned.
    pub fn room_for_late(&self) -> u32 {
        match self.reserved {
            Reserved::All => self.change.room_for_late(self.total().total(), self.late),
            Reserved::UpTo(_) => 0,
        }
    }
}
