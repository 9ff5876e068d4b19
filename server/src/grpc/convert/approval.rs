//! Approval rules, and what they ask of a change.

use super::change::{priority, share, wire_priority, wire_share};
use crate::store::KeptRules;
use muster_domain::{
    Code, Refusal,
    change::{ActionKind, ApprovalRule, ApprovalRuleSource, Demand},
};
use muster_proto::v1::{self, approval_rule::Kind};

fn wrong(why: &str, field: String) -> Refusal {
    Refusal::new(Code::ApprovalRulesInvalid, why).at(field)
}

const fn kind(wire: Kind) -> Option<ActionKind> {
    match wire {
        Kind::Unspecified => None,
        Kind::Profile => Some(ActionKind::Profile),
        Kind::FirmwarePolicy => Some(ActionKind::FirmwarePolicy),
        Kind::Move => Some(ActionKind::Move),
        Kind::Suspend => Some(ActionKind::Suspend),
        Kind::Resume => Some(ActionKind::Resume),
        Kind::Retire => Some(ActionKind::Retire),
        Kind::RotateCertificate => Some(ActionKind::RotateCertificate),
        Kind::Relabel => Some(ActionKind::Relabel),
        Kind::Place => Some(ActionKind::Place),
        Kind::ReissueCodes => Some(ActionKind::ReissueCodes),
    }
}

const fn wire_kind(kind: ActionKind) -> Kind {
    match kind {
        ActionKind::Profile => Kind::Profile,
        ActionKind::FirmwarePolicy => Kind::FirmwarePolicy,
        ActionKind::Move => Kind::Move,
        ActionKind::Suspend => Kind::Suspend,
        ActionKind::Resume => Kind::Resume,
        ActionKind::Retire => Kind::Retire,
        ActionKind::RotateCertificate => Kind::RotateCertificate,
        ActionKind::Relabel => Kind::Relabel,
        ActionKind::Place => Kind::Place,
        ActionKind::ReissueCodes => Kind::ReissueCodes,
    }
}

/// The rule at `place`, as it was written.
fn rule(wire: &v1::ApprovalRule, place: usize) -> Result<ApprovalRuleSource, Refusal> {
    let field = |name: &str| format!("rules[{place}].{name}");
    let actions = wire.actions.iter().enumerate().map(|(nth, wire)| {
        let known = Kind::try_from(*wire).ok().and_then(kind);
        known.ok_or_else(|| wrong("is no kind of change", field(&format!("actions[{nth}]"))))
    });
    let urgency = wire.priority.map(|wire| {
        let known = v1::change::Priority::try_from(wire).map(priority);
        known.map_err(|_| wrong("is no priority", field("priority")))
    });
    let above = share(wire.above.as_ref(), &field("above"));
    Ok(ApprovalRuleSource {
        name: wire.name.clone(),
        actions: actions.collect::<Result<_, _>>()?,
        above: above.map_err(|refusal| wrong(&refusal.message, refusal.field))?,
        priority: urgency.transpose()?,
        approvals: wire.approvals,
        reason: wire.reason.clone(),
    })
}

/// Rules as they were written.
pub(crate) fn rules(wire: &[v1::ApprovalRule]) -> Result<Vec<ApprovalRuleSource>, Refusal> {
    let rules = wire.iter().enumerate();
    rules.map(|(place, wire)| rule(wire, place)).collect()
}

fn wire_rule(rule: &ApprovalRule) -> v1::ApprovalRule {
    let actions = rule.actions.iter().map(|action| wire_kind(*action).into());
    v1::ApprovalRule {
        name: rule.name.to_string(),
        actions: actions.collect(),
        above: rule.above.map(wire_share),
        priority: rule.priority.map(|priority| wire_priority(priority).into()),
        approvals: rule.approvals.into(),
        reason: rule.reason.clone(),
    }
}

/// The rules on record.
pub(crate) fn wire_rules(kept: &KeptRules) -> v1::ApprovalRules {
    v1::ApprovalRules {
        rules: kept.rules.iter().map(wire_rule).collect(),
        etag: format!("r{}", kept.revision),
    }
}

/// What a rule asks of a change.
pub(crate) fn demand(demand: &Demand) -> v1::change::Demand {
    v1::change::Demand {
        rule: demand.rule.to_string(),
        scope: demand.scope.clone(),
        approvals: demand.approvals.into(),
    }
}
