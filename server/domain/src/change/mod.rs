//! Changes: one life for every operation on many devices, in stages, proved by the devices.
//!
//! **Where to start.** [`Action`] is what each device becomes, [`Strategy`] how the change goes through the fleet, [`Change`] its life.
//! [`spread`](spread()) deals the targets out to stages; [`TargetState`] is how far one of them is, [`Tally`] how many are how far,
//! and [`Change::next`] decides from that alone what happens next. A worker does what it says, in one transaction each time.
//! [`ApprovalRules`] say how many others must stand for a plan, and [`Zone`] for which windows its targets wait.
//!
//! What holds, whatever happens in which order: a generation never falls (I7); a device is in at most one active change for each
//! [`Facet`] (I8); a target has one stage, for ever; no more targets are under way than may; counts follow from states.

mod action;
mod approval;
mod codes;
mod demand;
mod explain;
mod kind;
mod late;
mod life;
mod list;
mod plan;
mod progress;
mod record;
mod relabel;
mod repair;
mod spread;
mod standing;
mod strategy;
mod tally;
mod target;
mod zone;

pub use action::{Action, Facet, Former};
pub use approval::{ApprovalRule, ApprovalRuleSource, ApprovalRules, RULE_LIMIT, Reach};
pub use codes::Codes;
pub use demand::{Demand, Demands};
pub use explain::{ChangeExplanation, explain, explain_target};
pub use kind::ActionKind;
pub use life::{APPROVAL_LIMIT, Approval, Change, ChangeState, ChangeStep, Priority};
pub use list::{DeviceList, FirstRow, LIST_LIMIT, LIST_PART, LISTED_LIMIT, Listed, settled};
pub use plan::{ChangePlanHasher, Exclusion, ExclusionKind, Planned, Planner, TargetDigest, can_prove};
pub use progress::{Accepted, Halt, Next};
pub use record::{ChangeRecord, Reserved};
pub(crate) use relabel::is_label_key;
pub use relabel::{Relabel, plain};
pub use repair::REPAIR_LIMIT;
pub use spread::{Candidate, sizes, spread};
pub use standing::Standing;
pub use strategy::{IN_FLIGHT_LIMIT, LONGEST, OnHalt, STAGE_LIMIT, Share, Stage, Strategy, WHOLE};
pub use tally::Tally;
pub use target::{Skipped, Target, TargetState};
pub use zone::{Zone, Zones};

use crate::device::{FacetState, Report};
pub use crate::windows::{WINDOW_LIMIT, Windows};

/// The last word of a report on a facet; none on what devices do not report.
fn facet_state(report: &Report, facet: Facet) -> Option<&FacetState> {
    let reported = facet.reported()?;
    let mut statuses = report.facets.iter().rev();
    statuses
        .find(|status| status.facet == reported)
        .map(|status| &status.state)
}
