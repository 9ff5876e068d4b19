//! Changes and targets as they were.

use muster_domain::{
    Timestamp,
    change::{
        Accepted, Action, Approval, Change, ChangeRecord, ChangeState, Demands, ExclusionKind, Former,
        OnHalt, Priority, Reserved, Stage, Strategy, Tally, Target, TargetState, Windows,
    },
    ids::{ChangeId, DeviceId},
    names::{OperatorName, SiteCode},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Devices came by a filter alone.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store::embedded) struct ChangeV1 {
    change: DescribedV1,
    tallies: Vec<Tally>,
    excluded: BTreeMap<ExclusionKind, u32>,
    attempt: u32,
    reserved: Reserved,
    begun: Vec<(Timestamp, u32)>,
    closed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct DescribedV1 {
    id: ChangeId,
    title: String,
    author: OperatorName,
    created: Timestamp,
    action: Action,
    filter: String,
    strategy: StrategyV1,
    priority: Priority,
    approvals_needed: u8,
    approvals: Vec<Approval>,
    accepted: Vec<Accepted>,
    state: ChangeState,
    revision: u64,
}

/// Any time was good.
#[derive(Debug, Serialize, Deserialize)]
struct StrategyV1 {
    stages: Vec<Stage>,
    in_flight: u32,
    in_flight_per_site: Option<u32>,
    per_minute: Option<u32>,
    deadline: Duration,
    watch: Duration,
    on_halt: OnHalt,
    away_limit: Option<Duration>,
}

/// Its time zone did not matter.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store::embedded) struct TargetV1 {
    device: DeviceId,
    stage: u16,
    site: Option<SiteCode>,
    former: Former,
    state: TargetState,
}

impl From<TargetV1> for Target {
    fn from(former: TargetV1) -> Self {
        Self {
            device: former.device,
            stage: former.stage,
            site: former.site,
            zone: 0,
            becomes: None,
            former: former.former,
            repairs: 0,
            late: false,
            state: former.state,
        }
    }
}

impl From<StrategyV1> for Strategy {
    fn from(former: StrategyV1) -> Self {
        Self {
            stages: former.stages,
            in_flight: former.in_flight,
            in_flight_per_site: former.in_flight_per_site,
            per_minute: former.per_minute,
            deadline: former.deadline,
            watch: former.watch,
            on_halt: former.on_halt,
            away_limit: former.away_limit,
            start_at: None,
            windows: Windows::default(),
            canary: None,
            repairs: 0,
            dynamic: None,
        }
    }
}

impl From<DescribedV1> for Change {
    fn from(former: DescribedV1) -> Self {
        Self {
            id: former.id,
            title: former.title,
            author: former.author,
            created: former.created,
            action: former.action,
            filter: former.filter,
            list: None,
            strategy: former.strategy.into(),
            priority: former.priority,
            approvals_needed: former.approvals_needed,
            demands: Demands::default(),
            approvals: former.approvals,
            accepted: former.accepted,
            state: former.state,
            revision: former.revision,
        }
    }
}

impl From<ChangeV1> for ChangeRecord {
    fn from(former: ChangeV1) -> Self {
        Self {
            change: former.change.into(),
            tallies: former.tallies,
            excluded: former.excluded,
            attempt: former.attempt,
            reserved: former.reserved,
            begun: former.begun,
            is_zoned: false,
            zones: Vec::new(),
            closed: former.closed,
            repairs: 0,
            late: 0,
        }
    }
}
