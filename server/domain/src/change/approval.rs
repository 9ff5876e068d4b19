//! Approval rules: which changes need how many others to stand for them, by what they do, how large they are and how urgent.
//!
//! A plan is made under the rules of its time, and what they ask is written into it. When it is started the rules are asked once
//! more, and the stricter answer holds: a rule that came since counts, and one that was taken away or made laxer since does not, until
//! the change is planned anew. What runs is stopped by no rule.

use super::{
    APPROVAL_LIMIT, ActionKind, Change, ChangeRecord, ChangeState, Demand, Demands, Priority, Share, WHOLE,
};
use crate::{Code, Refusal, catalog::check::Problems, names::ApprovalRuleName};
use core::fmt;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeSet};

/// Most rules.
pub const RULE_LIMIT: usize = 32;
/// Longest reason, in bytes.
const REASON_LIMIT: usize = 200;

/// A rule as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovalRuleSource {
    /// What people call it, such as `retire-big`.
    pub name: String,
    /// Changes that do one of these; none: whatever they do.
    pub actions: Vec<ActionKind>,
    /// Changes of more devices than this, of all in the fleet; absent: of any number.
    pub above: Option<Share>,
    /// Changes of this priority; absent: of any.
    pub priority: Option<Priority>,
    /// How many others must approve.
    pub approvals: u32,
    /// Why, for people.
    pub reason: String,
}

/// A checked rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRule {
    /// Unique among the rules.
    pub name: ApprovalRuleName,
    /// None: whatever a change does.
    pub actions: BTreeSet<ActionKind>,
    /// More devices than this, of all in the fleet.
    pub above: Option<Share>,
    /// Changes of this priority alone.
    pub priority: Option<Priority>,
    /// From 1 to [`APPROVAL_LIMIT`].
    pub approvals: u8,
    /// Why, for people.
    pub reason: String,
}

/// How large a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Its targets, with as many late joiners as there may be.
    pub targets: u32,
    /// Devices of the fleet that are not retired.
    pub fleet: u32,
}

/// The rules of a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRules(Vec<ApprovalRule>);

impl ApprovalRuleSource {
    /// At `place` among the rules, behind those of these names; what is wrong goes to `problems`.
    fn check(
        self,
        place: usize,
        names: &mut BTreeSet<ApprovalRuleName>,
        problems: &mut Problems,
    ) -> Option<ApprovalRule> {
        let field = |name: &str| format!("rules[{place}].{name}");
        let name = problems.take(&field("name"), self.name.parse::<ApprovalRuleName>());
        if let Some(name) = &name
            && !names.insert(name.clone())
        {
            problems.add(&field("name"), format!("{name} is the name of a rule before it"));
        }
        match self.above {
            Some(Share::PerMille(part)) if part >= WHOLE => {
                problems.add(&field("above"), "is all of the fleet, and no change is more");
            }
            Some(Share::Count(_) | Share::PerMille(_)) | None => {}
        }
        let approvals = u8::try_from(self.approvals).ok();
        let approvals = approvals.filter(|count| (1..=APPROVAL_LIMIT).contains(count));
        if approvals.is_none() {
            problems.add(
                &field("approvals"),
                format!("is not between 1 and {APPROVAL_LIMIT}"),
            );
        }
        if self.reason.len() > REASON_LIMIT || self.reason.chars().any(char::is_control) {
            let why = format!("is longer than {REASON_LIMIT} bytes, or has control characters");
            problems.add(&field("reason"), why);
        }
        Some(ApprovalRule {
            name: name?,
            actions: self.actions.into_iter().collect(),
            above: self.above,
            priority: self.priority,
            approvals: approvals?,
            reason: self.reason,
        })
    }
}

impl ApprovalRule {
    fn asks(&self, change: &Change, reach: Reach) -> bool {
        let is_kind = self.actions.is_empty() || self.actions.contains(&change.action.kind());
        let is_urgent = self.priority.is_none_or(|priority| priority == change.priority);
        let is_large = self
            .above
            .is_none_or(|above| reach.targets > above.at_most(reach.fleet));
        is_kind && is_urgent && is_large
    }

    /// Which changes it is about, in words.
    pub fn scope(&self) -> String {
        let mut parts = Vec::new();
        if !self.actions.is_empty() {
            let actions: Vec<_> = self.actions.iter().map(|action| action.as_str()).collect();
            parts.push(actions.join(" or "));
        }
        match self.above {
            Some(above @ Share::Count(_)) => parts.push(format!("over {above} devices")),
            Some(above @ Share::PerMille(_)) => parts.push(format!("over {above} of the fleet")),
            None => {}
        }
        if let Some(priority) = self.priority {
            parts.push(priority.to_string());
        }
        if parts.is_empty() {
            "every change".into()
        } else {
            parts.join(", ")
        }
    }

    fn demand(&self) -> Demand {
        Demand {
            rule: self.name.clone(),
            scope: self.scope(),
            approvals: self.approvals,
        }
    }
}

impl ApprovalRules {
    /// Of what people wrote.
    ///
    /// # Errors
    /// [`Code::ApprovalRulesInvalid`] for every mistake, at paths such as `rules[2].approvals`.
    pub fn check(sources: Vec<ApprovalRuleSource>) -> Result<Self, Vec<Refusal>> {
        let mut problems = Problems::new(Code::ApprovalRulesInvalid);
        if sources.len() > RULE_LIMIT {
            problems.add("rules", format!("are over {RULE_LIMIT}"));
        }
        let mut names = BTreeSet::new();
        let sources = sources.into_iter().enumerate();
        let rules = sources.filter_map(|(place, source)| source.check(place, &mut names, &mut problems));
        let rules = rules.collect();
        problems.none_or(Self(rules))
    }

    /// In the order in which people wrote them.
    pub fn iter(&self) -> impl Iterator<Item = &ApprovalRule> {
        self.0.iter()
    }

    /// What they ask of a change of this size.
    pub fn demands(&self, change: &Change, reach: Reach) -> Demands {
        let asking = self.0.iter().filter(|rule| rule.asks(change, reach));
        asking.map(ApprovalRule::demand).collect()
    }
}

impl ChangeRecord {
    /// How large it is, in a fleet of so many devices that are not retired. Whoever approves a change that takes late joiners approves
    /// as many of them as there may be.
    pub fn reach(&self, fleet: u64) -> Reach {
        let planned = self.total().total().saturating_sub(self.late);
        Reach {
            targets: planned.saturating_add(self.change.late_limit(planned)),
            fleet: u32::try_from(fleet).unwrap_or(u32::MAX),
        }
    }

    /// As it would be started under these rules: what they ask counts too, where it is planned.
    pub fn under(&self, rules: &ApprovalRules, fleet: u64) -> Cow<'_, Self> {
        if !matches!(self.change.state, ChangeState::Planned { .. }) {
            return Cow::Borrowed(self);
        }
        let mut record = self.clone();
        record.change.demands = record
            .change
            .demands
            .joined(rules.demands(&self.change, self.reach(fleet)));
        Cow::Owned(record)
    }
}

impl fmt::Display for ApprovalRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.name, self.approvals, self.scope())?;
        if self.reason.is_empty() {
            return Ok(());
        }
        write!(f, " {:?}", self.reason)
    }
}

impl fmt::Display for ApprovalRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&rules.join("; "))
    }
}
