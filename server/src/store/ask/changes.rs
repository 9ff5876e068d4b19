//! What operations on changes take and give.

use muster_domain::{
    Code, Refusal, Timestamp,
    batch::PlanHash,
    change::{
        ApprovalRules, DeviceList, Exclusion, ExclusionKind, Listed, Planned, Standing, Tally, Target, Zone,
    },
    ids::{ChangeId, DeviceId},
    names::{OperatorName, Serial},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A part of the plan of a change.
#[derive(Debug, Clone, Default)]
pub struct PlanPart {
    /// In the order of stages and ids.
    pub targets: Vec<Target>,
    /// In the order of ids.
    pub excluded: Vec<(DeviceId, Exclusion)>,
}

/// What the parts of a plan come to.
#[derive(Debug, Clone)]
pub struct PlanTotals {
    /// Names all of it.
    pub plan: PlanHash,
    /// Of the targets, by stage.
    pub tallies: Vec<Tally>,
    /// Of the devices that are left out.
    pub excluded: BTreeMap<ExclusionKind, u32>,
    /// Zones of the targets, where they are begun zone by zone.
    pub zones: Vec<Zone>,
    /// Of the list, where there is one.
    pub list: Option<DeviceList>,
}

/// The approval rules of a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRules {
    /// Counts their changes; 0 before the first.
    pub revision: u64,
    /// The rules.
    pub rules: ApprovalRules,
}

impl KeptRules {
    /// Are they the ones that their caller has seen?
    ///
    /// # Errors
    /// [`Code::EtagMismatch`].
    pub fn expect(&self, revision: Option<u64>) -> Result<(), Refusal> {
        match revision {
            Some(expected) if expected != self.revision => {
                let why = format!("the rules have revision {}, not {expected}", self.revision);
                Err(Refusal::new(Code::EtagMismatch, why).at("etag"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What operators say to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeOrder {
    /// This operator stands for the plan of this name.
    Approve(OperatorName, PlanHash),
    /// Begin with the plan of this name, which has so many targets.
    Start(PlanHash, u32),
    /// Begin nothing more.
    Pause,
    /// Go on; what failed and what is silent so far is accepted.
    Resume,
    /// End; what was sent stays.
    Abort,
    /// Give every device back what it had.
    RollBack,
    /// Try failed and silent targets again.
    Retry,
}

/// What a change comes to by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// It took a step, or a part of one; there may be more to do at once.
    Stepped,
    /// Its thresholds stopped it; there may be more to do at once.
    Halted,
    /// Targets are to be begun, so many at most, of the first stage of which some can be.
    Begin(u32),
    /// Devices are to be given back what they had.
    Revert,
    /// Nothing is to do until a device speaks, time passes, or an operator says so.
    Wait,
}

/// A device that matches a change only since it was planned, with what was made of it outside of any transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    /// Which.
    pub device: DeviceId,
    /// Of the device as it was then: where it moved on since, it is looked at again.
    pub revision: u64,
    /// What it would become.
    pub planned: Planned,
}

/// What became of turns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Began {
    /// Devices that are something else now.
    pub devices: Vec<DeviceId>,
    /// Targets that moved, those that were left out included.
    pub moved: u32,
}

/// Where a listing of targets goes on: behind this stage, standing and device.
pub type TargetCursor = (u16, u8, u128);

/// Which targets to list.
#[derive(Debug, Clone)]
pub struct TargetQuery {
    /// Of which change.
    pub change: ChangeId,
    /// Only of this stage.
    pub stage: Option<u16>,
    /// Only in these standings.
    pub standings: Vec<Standing>,
    /// Behind them, the devices that are left out.
    pub excluded: bool,
    /// Only those behind this place.
    pub after: Option<TargetCursor>,
    /// Most of a page.
    pub limit: usize,
}

/// A code that a change gave out, without the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCode {
    /// In the order in which they were given out, from 0.
    pub number: u32,
    /// Who got it.
    pub device: DeviceId,
    /// Of the device, if it is still there.
    pub serial: Option<Serial>,
    /// When.
    pub at: Timestamp,
}

/// A device that matches a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedTarget {
    /// A target.
    Target(Target),
    /// One that is left out.
    Excluded(DeviceId, Exclusion),
}

/// A row of the list of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRow {
    /// As its author counts it.
    pub row: u32,
    /// What it names.
    pub listed: Listed,
    /// What the plan made of its device; none without a plan, or when the device was gone then.
    pub found: Option<ListedTarget>,
    /// Of its device, if it is still there.
    pub serial: Option<Serial>,
}

/// Targets by stage, standing and device, then those that are left out; each with its serial, if it is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPage {
    /// What was found.
    pub targets: Vec<(ListedTarget, Option<Serial>)>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<TargetCursor>,
}
