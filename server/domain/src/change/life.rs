//! The life of a change: draft, planned, approved, running stage by stage, and one of its ends.

use super::{Accepted, Action, Demands, DeviceList, Halt, OnHalt, Strategy};
use crate::{Code, Refusal, Timestamp, batch::PlanHash, ids::ChangeId, names::OperatorName};
use core::{fmt, mem};
use serde::{Deserialize, Serialize};

/// Most approvals that can be asked for.
pub const APPROVAL_LIMIT: u8 = 8;

/// One change of many devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Assigned by the registry.
    pub id: ChangeId,
    /// What it is for, in its author's words.
    pub title: String,
    /// Who made it.
    pub author: OperatorName,
    /// When.
    pub created: Timestamp,
    /// What every target becomes.
    pub action: Action,
    /// Which devices, as a filter; those that match when it is planned.
    pub filter: String,
    /// Of those, only the devices that are listed; `None` where no list is asked for.
    pub list: Option<DeviceList>,
    /// How it goes through them.
    pub strategy: Strategy,
    /// Its priority.
    pub priority: Priority,
    /// How many others must approve the plan, as its author wants it; [`Change::needs`] is what must be.
    pub approvals_needed: u8,
    /// What approval rules ask, as of its plan, and of its start where they were stricter then.
    pub demands: Demands,
    /// Who approved the plan on record.
    pub approvals: Vec<Approval>,
    /// What was accepted of each stage when somebody let it go on; shorter where nothing was.
    pub accepted: Vec<Accepted>,
    /// Where it is.
    pub state: ChangeState,
    /// Counts the steps, from 1.
    pub revision: u64,
}

/// What gives way to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Leaves devices alone that another change is about.
    Normal,
    /// Takes devices from changes that are not urgent.
    Emergency,
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "normal",
            Self::Emergency => "emergency",
        })
    }
}

/// An operator's word for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Whose.
    pub operator: OperatorName,
    /// When.
    pub at: Timestamp,
    /// For which plan.
    pub plan: PlanHash,
}

/// Where a change is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeState {
    /// Described. Nothing is known of its targets yet.
    Draft,
    /// Every target is listed.
    Planned {
        /// Names the list.
        plan: PlanHash,
    },
    /// Targets of this stage are begun.
    Running {
        /// The plan that was started.
        plan: PlanHash,
        /// The stage that is open, from 0.
        stage: u16,
        /// Since when nothing is begun, on an operator's word.
        paused: Option<Timestamp>,
    },
    /// Its thresholds stopped it. What was sent stays, and what devices say still counts.
    Halted {
        /// The plan that was started.
        plan: PlanHash,
        /// The stage that was open.
        stage: u16,
        /// When.
        at: Timestamp,
        /// Why.
        why: Halt,
    },
    /// Every device that was touched is given back what it had.
    RollingBack {
        /// Since when.
        since: Timestamp,
        /// Why, if it is by itself.
        why: Option<Halt>,
    },
    /// Every stage has passed; a target that falls back still halts it.
    Done {
        /// The plan that was started.
        plan: PlanHash,
        /// When.
        at: Timestamp,
    },
    /// Every device that was touched is to be what it was.
    RolledBack {
        /// When.
        at: Timestamp,
        /// Why, if it was by itself.
        why: Option<Halt>,
    },
    /// An operator ended it. What was sent stays.
    Aborted {
        /// When.
        at: Timestamp,
    },
}

/// What can happen to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeStep {
    /// Its targets are looked for, anew if they were; until they are listed it has no plan.
    PlanBegun,
    /// Its targets are listed, and this is what approval rules ask of it; approvals of another plan are void.
    Plan(PlanHash, Demands),
    /// An operator stands for the plan that has this name.
    Approve(OperatorName, PlanHash),
    /// It begins, with the plan that has this name; this is what approval rules ask now.
    Start(PlanHash, Demands),
    /// Nothing more is begun.
    Pause,
    /// It goes on: from a pause, or from a halt that somebody looked at, with what they accept of each stage.
    Resume(Vec<Accepted>),
    /// It ends; what was sent stays.
    Abort,
    /// Every device that was touched is to be what it was.
    RollBack,
    /// Failed and silent targets are tried again, from this stage on.
    Retry(u16),
    /// The next stage is open. Only the worker makes this step, as the following ones.
    Opened,
    /// Its thresholds stop it.
    Halted(Halt),
    /// The last stage has passed.
    Finished,
    /// Every touched device is to be what it was.
    RolledBack,
}

impl ChangeState {
    /// As an operator calls it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Planned { .. } => "PLANNED",
            Self::Running { paused: None, .. } => "RUNNING",
            Self::Running { paused: Some(_), .. } => "PAUSED",
            Self::Halted { .. } => "HALTED",
            Self::RollingBack { .. } => "ROLLING_BACK",
            Self::Done { .. } => "DONE",
            Self::RolledBack { .. } => "ROLLED_BACK",
            Self::Aborted { .. } => "ABORTED",
        }
    }

    /// Whether its targets are held: no other change may be about the same facet of them.
    pub const fn holds_targets(&self) -> bool {
        match self {
            Self::Running { .. } | Self::Halted { .. } | Self::RollingBack { .. } => true,
            Self::Draft
            | Self::Planned { .. }
            | Self::Done { .. }
            | Self::RolledBack { .. }
            | Self::Aborted { .. } => false,
        }
    }

    /// The name of its plan, where one is in force.
    pub const fn plan(&self) -> Option<PlanHash> {
        match self {
            Self::Planned { plan }
            | Self::Running { plan, .. }
            | Self::Halted { plan, .. }
            | Self::Done { plan, .. } => Some(*plan),
            Self::Draft | Self::RollingBack { .. } | Self::RolledBack { .. } | Self::Aborted { .. } => None,
        }
    }

    /// The last stage whose targets may have been begun.
    pub const fn opened(&self) -> Option<u16> {
        match self {
            Self::Running { stage, .. } | Self::Halted { stage, .. } => Some(*stage),
            Self::Draft
            | Self::Planned { .. }
            | Self::RollingBack { .. }
            | Self::Done { .. }
            | Self::RolledBack { .. }
            | Self::Aborted { .. } => None,
        }
    }
}

impl ChangeStep {
    const fn verb(&self) -> &'static str {
        match self {
            Self::PlanBegun | Self::Plan(..) => "be planned",
            Self::Approve(..) => "be approved",
            Self::Start(..) => "be started",
            Self::Pause => "be paused",
            Self::Resume(_) => "be resumed",
            Self::Abort => "be aborted",
            Self::RollBack | Self::RolledBack => "be rolled back",
            Self::Retry(_) => "be tried again",
            Self::Opened => "go on",
            Self::Halted(_) => "be halted",
            Self::Finished => "be finished",
        }
    }
}

impl Change {
    /// The resource name.
    pub fn name(&self) -> String {
        format!("changes/{}", self.id)
    }

    /// The change after a step.
    ///
    /// # Errors
    /// [`Code::ChangeState`] where its state does not allow the step, [`Code::ChangePlanMoved`] for another plan than the one on
    /// record, [`Code::ApprovalMissing`] and [`Code::ApprovalOwn`].
    pub fn step(mut self, step: ChangeStep, now: Timestamp) -> Result<Self, Refusal> {
        let before = mem::replace(&mut self.state, ChangeState::Draft);
        self.state = match (before, step) {
            (ChangeState::Draft | ChangeState::Planned { .. }, ChangeStep::PlanBegun) => {
                self.demands = Demands::default();
                ChangeState::Draft
            }
            (ChangeState::Draft | ChangeState::Planned { .. }, ChangeStep::Plan(plan, demands)) => {
                self.approvals.retain(|approval| approval.plan == plan);
                self.demands = demands;
                ChangeState::Planned { plan }
            }
            (ChangeState::Planned { plan }, ChangeStep::Approve(operator, named)) => {
                same_plan(plan, named)?;
                self.approve(operator, plan, now)?;
                ChangeState::Planned { plan }
            }
            (ChangeState::Planned { plan }, ChangeStep::Start(named, since)) => {
                same_plan(plan, named)?;
                self.demands = self.demands.joined(since);
                self.check_approvals()?;
                ChangeState::Running {
                    plan,
                    stage: 0,
                    paused: None,
                }
            }
            (
                ChangeState::Running {
                    plan,
                    stage,
                    paused: None,
                },
                ChangeStep::Pause,
            ) => ChangeState::Running {
                plan,
                stage,
                paused: Some(now),
            },
            (
                ChangeState::Running {
                    plan,
                    stage,
                    paused: Some(_),
                },
                ChangeStep::Resume(_),
            ) => ChangeState::Running {
                plan,
                stage,
                paused: None,
            },
            (ChangeState::Halted { plan, stage, .. }, ChangeStep::Resume(accepted)) => {
                self.accepted = accepted;
                ChangeState::Running {
                    plan,
                    stage,
                    paused: None,
                }
            }
            (
                ChangeState::Running { plan, stage, .. } | ChangeState::Halted { plan, stage, .. },
                ChangeStep::Retry(first),
            ) => ChangeState::Running {
                plan,
                // Of a part that was told before, some may still wait in an earlier stage.
                stage: stage.min(first),
                paused: None,
            },
            (ChangeState::Done { plan, .. }, ChangeStep::Retry(stage)) => ChangeState::Running {
                plan,
                stage,
                paused: None,
            },
            (ChangeState::Running { plan, stage, paused }, ChangeStep::Opened) => {
                let stage = stage.saturating_add(1);
                ChangeState::Running { plan, stage, paused }
            }
            (ChangeState::Running { plan, stage, .. }, ChangeStep::Halted(why)) => {
                self.halted(plan, stage, why, now)
            }
            (ChangeState::Done { plan, .. }, ChangeStep::Halted(why)) => {
                let stage = u16::try_from(self.strategy.stages.len().saturating_sub(1)).unwrap_or(u16::MAX);
                self.halted(plan, stage, why, now)
            }
            (ChangeState::Running { plan, .. }, ChangeStep::Finished) => ChangeState::Done { plan, at: now },
            (
                ChangeState::Running { .. } | ChangeState::Halted { .. } | ChangeState::Done { .. },
                ChangeStep::RollBack,
            ) if self.action.is_reversible() => ChangeState::RollingBack {
                since: now,
                why: None,
            },
            (ChangeState::RollingBack { why, .. }, ChangeStep::RolledBack) => {
                ChangeState::RolledBack { at: now, why }
            }
            (
                ChangeState::Draft
                | ChangeState::Planned { .. }
                | ChangeState::Running { .. }
                | ChangeState::Halted { .. },
                ChangeStep::Abort,
            ) => ChangeState::Aborted { at: now },
            (before, step) => return Err(self.out_of_place(&before, &step)),
        };
        self.revision += 1;
        Ok(self)
    }

    fn halted(&self, plan: PlanHash, stage: u16, why: Halt, now: Timestamp) -> ChangeState {
        match self.strategy.on_halt {
            OnHalt::RollBack if self.action.is_reversible() => ChangeState::RollingBack {
                since: now,
                why: Some(why),
            },
            OnHalt::RollBack | OnHalt::Wait => ChangeState::Halted {
                plan,
                stage,
                at: now,
                why,
            },
        }
    }

    fn approve(&mut self, operator: OperatorName, plan: PlanHash, now: Timestamp) -> Result<(), Refusal> {
        if operator == self.author {
            let why = format!("{operator} made the change; somebody else has to stand for it");
            return Err(Refusal::new(Code::ApprovalOwn, why));
        }
        if !self
            .approvals
            .iter()
            .any(|approval| approval.operator == operator)
        {
            self.approvals.push(Approval {
                operator,
                at: now,
                plan,
            });
        }
        Ok(())
    }

    /// Without the word of an operator for its plan, who is shut out since; `None` where it has none that still counts.
    #[must_use]
    pub fn without_approval_of(mut self, operator: &OperatorName) -> Option<Self> {
        let before = self.approvals.len();
        self.approvals.retain(|approval| approval.operator != *operator);
        let counts = matches!(self.state, ChangeState::Planned { .. }) && self.approvals.len() < before;
        self.revision += 1;
        counts.then_some(self)
    }

    fn out_of_place(&self, state: &ChangeState, step: &ChangeStep) -> Refusal {
        let why = match step {
            ChangeStep::RollBack if !self.action.is_reversible() && state.holds_targets() => {
                format!("{} cannot be taken back", self.action)
            }
            ChangeStep::PlanBegun
            | ChangeStep::Plan(..)
            | ChangeStep::Approve(..)
            | ChangeStep::Start(..)
            | ChangeStep::Pause
            | ChangeStep::Resume(_)
            | ChangeStep::Abort
            | ChangeStep::RollBack
            | ChangeStep::Retry(_)
            | ChangeStep::Opened
            | ChangeStep::Halted(_)
            | ChangeStep::Finished
            | ChangeStep::RolledBack => {
                format!("{} is {} and cannot {}", self.name(), state.as_str(), step.verb())
            }
        };
        Refusal::new(Code::ChangeState, why)
    }
}

fn same_plan(known: PlanHash, named: PlanHash) -> Result<(), Refusal> {
    if known == named {
        return Ok(());
    }
    Err(Refusal::new(
        Code::ChangePlanMoved,
        format!("the plan on record is {known}, not {named}"),
    ))
}
