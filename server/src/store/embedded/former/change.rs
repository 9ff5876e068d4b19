//! Changes and targets as they were.

use muster_domain::{
    Timestamp,
    change::{
        Accepted, Action, Approval, Change, ChangeRecord, ChangeState, ExclusionKind, Priority, Reserved,
        Strategy, Tally,
    },
    ids::ChangeId,
    names::OperatorName,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    strategy: Strategy,
    priority: Priority,
    approvals_needed: u8,
    approvals: Vec<Approval>,
    accepted: Vec<Accepted>,
    state: ChangeState,
    revision: u64,
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
            strategy: former.strategy,
            priority: former.priority,
            approvals_needed: former.approvals_needed,
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
            closed: former.closed,
        }
    }
}
