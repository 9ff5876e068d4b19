//! Approval rules, and what they ask of a change.

use super::{change::share, state};
use crate::output::{Column, Look, Record};
use muster_proto::v1;
use serde::Serialize;

/// All approval rules; a file of them reads like this, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalRules {
    /// Changes with every change of them.
    pub etag: String,
    /// In their order.
    pub rules: Vec<ApprovalRule>,
}

/// A rule that asks for approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalRule {
    /// What people call it.
    pub name: String,
    /// What the changes do that it is about; none: whatever they do.
    pub actions: Vec<String>,
    /// They are of more devices than this: a count, or a percentage of the fleet; empty: of any number.
    pub above: String,
    /// `normal` or `emergency`; empty: any.
    pub priority: String,
    /// How many others must approve.
    pub approvals: u32,
    /// Why.
    pub reason: String,
}

/// What a rule asks of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// Its name.
    pub rule: String,
    /// Which changes it is about, in words.
    pub scope: String,
    /// How many others must approve.
    pub approvals: u32,
}

fn written(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl From<v1::ApprovalRule> for ApprovalRule {
    fn from(wire: v1::ApprovalRule) -> Self {
        let kind = |kind: &i32| written(&state(*kind, v1::approval_rule::Kind::as_str_name, ""));
        let urgency = wire
            .priority
            .map(|priority| state(priority, v1::change::Priority::as_str_name, ""));
        Self {
            name: wire.name,
            actions: wire.actions.iter().map(kind).collect(),
            above: share(wire.above.as_ref()).unwrap_or_default(),
            priority: urgency.as_deref().map(written).unwrap_or_default(),
            approvals: wire.approvals,
            reason: wire.reason,
        }
    }
}

impl From<v1::ApprovalRules> for ApprovalRules {
    fn from(wire: v1::ApprovalRules) -> Self {
        Self {
            etag: wire.etag,
            rules: wire.rules.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<v1::change::Demand> for Demand {
    fn from(wire: v1::change::Demand) -> Self {
        Self {
            rule: wire.rule,
            scope: wire.scope,
            approvals: wire.approvals,
        }
    }
}

impl Record for ApprovalRule {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "RULE", Look::Plain),
        Column::shown("actions", "ACTIONS", Look::Plain),
        Column::shown("above", "ABOVE", Look::Plain),
        Column::shown("priority", "PRIORITY", Look::Plain),
        Column::shown("approvals", "APPROVALS", Look::Number),
        Column::shown("reason", "REASON", Look::Plain),
    ];
}

impl Record for ApprovalRules {
    const COLUMNS: &'static [Column] = &[
        Column::shown("rules", "RULES", Look::Plain),
        Column::extra("etag", Look::Plain),
    ];
}
