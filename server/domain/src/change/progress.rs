//! What a change does next: decided from its state and its counts alone, so that it costs the same for ten targets and ten million.

use super::{Change, ChangeState, Skipped, Standing, Strategy, Tally};
use crate::Timestamp;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Why a change was halted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Halt {
    /// More targets of a stage failed than may.
    Failures {
        /// The stage, from 0.
        stage: u16,
        /// How many.
        count: u32,
        /// How many may.
        allowed: u32,
    },
    /// More targets of a stage stayed silent than may.
    Silence {
        /// The stage, from 0.
        stage: u16,
        /// How many.
        count: u32,
        /// How many may.
        allowed: u32,
    },
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, stage, count, allowed) = match self {
            Self::Failures {
                stage,
                count,
                allowed,
            } => ("failed", stage, count, allowed),
            Self::Silence {
                stage,
                count,
                allowed,
            } => ("said nothing in time", stage, count, allowed),
        };
        let stage = u32::from(*stage) + 1;
        write!(f, "{count} targets of stage {stage} {what}; {allowed} may")
    }
}

/// Failed and silent targets of a stage that somebody looked at and accepted: they halt the change no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Failed ones.
    pub failed: u32,
    /// Silent ones.
    pub silent: u32,
}

impl Accepted {
    /// All that there are now.
    pub fn of(tally: &Tally) -> Self {
        Self {
            failed: tally.count(Standing::Failed),
            silent: tally.count(Standing::TimedOut),
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Begin targets of the stages that were opened, so many at most.
    Send(u32),
    /// The stage has passed: open the one behind it.
    Open,
    /// Stop.
    Halt(Halt),
    /// The last stage has passed.
    Finish,
    /// Leave out those whose turn has not come, for this reason.
    Skip(Skipped),
    /// Give touched devices back what they had.
    Revert,
    /// All of them have it.
    RolledBack,
    /// Nothing, until a device speaks, time passes, or an operator says so.
    Wait,
    /// Nothing any more.
    Rest,
}

fn sum(tallies: &[Tally]) -> Tally {
    tallies
        .iter()
        .fold(Tally::default(), |sum, tally| sum.plus(tally))
}

/// Those that a rollback has to reach.
fn touched(tally: &Tally) -> u32 {
    [
        Standing::Sent,
        Standing::Proved,
        Standing::Done,
        Standing::Failed,
        Standing::TimedOut,
    ]
    .into_iter()
    .fold(0, |sum, standing| sum.saturating_add(tally.count(standing)))
}

impl Change {
    /// What it does next. `tallies` has one for each stage; `begun` is how many targets were begun within the last minute.
    pub fn next(&self, tallies: &[Tally], begun: u32, now: Timestamp) -> Next {
        let all = sum(tallies);
        let waiting = all.count(Standing::Waiting) > 0;
        match &self.state {
            ChangeState::Draft | ChangeState::Planned { .. } => Next::Rest,
            ChangeState::Running { stage, paused, .. } => match (self.halt(*stage, tallies), paused) {
                (Some(halt), _) => Next::Halt(halt),
                (None, Some(_)) => Next::Wait,
                (None, None) if self.strategy.start_at.is_some_and(|start| start > now) => Next::Wait,
                (None, None) => self.strategy.go_on(*stage, tallies, begun),
            },
            ChangeState::Halted { .. } => Next::Wait,
            ChangeState::RollingBack { .. } if waiting => Next::Skip(Skipped::RolledBack),
            ChangeState::RollingBack { .. } if touched(&all) > 0 => Next::Revert,
            ChangeState::RollingBack { .. } => Next::RolledBack,
            ChangeState::Done { at, .. } if at.plus(self.strategy.watch) > now => {
                let last = u16::try_from(tallies.len().saturating_sub(1)).unwrap_or(u16::MAX);
                let repair = || self.strategy.send(&all, &all, begun);
                self.halt(last, tallies).map_or_else(repair, Next::Halt)
            }
            // What fell back while it was watched is still repaired.
            ChangeState::Done { .. } if !all.is_settled() => self.strategy.send(&all, &all, begun),
            ChangeState::Aborted { .. } if waiting => Next::Skip(Skipped::Aborted),
            // What was sent still ends: proved, failed or timed out.
            ChangeState::Aborted { .. } if !all.is_settled() => Next::Wait,
            ChangeState::Done { .. } | ChangeState::RolledBack { .. } | ChangeState::Aborted { .. } => {
                Next::Rest
            }
        }
    }

    /// The first stage, of those that were opened, whose targets fail or stay silent beyond what may.
    fn halt(&self, open: u16, tallies: &[Tally]) -> Option<Halt> {
        let opened = self
            .strategy
            .stages
            .iter()
            .zip(tallies)
            .take(usize::from(open) + 1);
        (0..).zip(opened).find_map(|(stage, (rules, tally))| {
            let accepted = self.accepted.get(usize::from(stage)).copied().unwrap_or_default();
            let whole = tally.judged();
            let failed = tally.count(Standing::Failed);
            let may_fail = rules.failures.at_most(whole).max(accepted.failed);
            let silent = tally.count(Standing::TimedOut);
            let may_be_silent = rules.silent.at_most(whole).max(accepted.silent);
            if failed > may_fail {
                Some(Halt::Failures {
                    stage,
                    count: failed,
                    allowed: may_fail,
                })
            } else if silent > may_be_silent {
                Some(Halt::Silence {
                    stage,
                    count: silent,
                    allowed: may_be_silent,
                })
            } else {
                None
            }
        })
    }
}

impl Strategy {
    /// What a change does that nothing stops.
    fn go_on(&self, open: u16, tallies: &[Tally], begun: u32) -> Next {
        // Targets of a stage that has passed may have fallen back since.
        let opened = sum(tallies.get(..=usize::from(open)).unwrap_or(tallies));
        if opened.is_settled() {
            let is_last = usize::from(open) + 1 >= tallies.len();
            return if is_last { Next::Finish } else { Next::Open };
        }
        self.send(&opened, &sum(tallies), begun)
    }

    /// Begins those of the stages that were opened for whom there is room.
    fn send(&self, opened: &Tally, all: &Tally, begun: u32) -> Next {
        let room = self.in_flight.saturating_sub(all.count(Standing::Sent));
        let pace = self
            .per_minute
            .map_or(u32::MAX, |most| most.saturating_sub(begun));
        match opened.count(Standing::Waiting).min(room).min(pace) {
            0 => Next::Wait,
            count => Next::Send(count),
        }
    }
}
