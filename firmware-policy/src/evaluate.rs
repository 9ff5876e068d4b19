//! The evaluation: which devices, which versions, which way, and when, in that order.

use alloc::vec;
use alloc::vec::Vec;

use crate::decision::{Decision, Evaluation, Install, Reason, Standing, Wait};
use crate::facts::Facts;
use crate::gate::{Gate, gate};
use crate::policy::{FirmwarePolicy, Update};
use crate::route::{Heading, Route, heading};
use crate::rule::VersionRules;
use crate::time::Timestamp;
use crate::version::Running;

/// Says what `policy` asks of the device of which `facts` are known, at the moment `now`.
///
/// Total and deterministic: every input has an answer, and the same input has the same answer everywhere, so
/// the server can foretell what a device will decide by itself. It remembers nothing. A device that follows
/// the decision, and asks again once it runs the new version, reaches the target after finitely many steps.
pub fn evaluate(policy: &FirmwarePolicy, facts: &Facts, now: Timestamp) -> Evaluation {
    let mismatches = policy.applies_to.mismatches(facts);
    if !mismatches.is_empty() {
        return Evaluation {
            standing: Standing::NotCovered,
            decision: Decision::NotApplicable,
            reasons: mismatches,
        };
    }
    let (standing, mut reasons) = judge(&policy.permit, &facts.running);
    let (decision, more) = match &policy.update {
        Some(update) => decide(update, facts, standing, now),
        None => (without_update(standing), vec![Reason::NoTarget]),
    };
    reasons.extend(more);
    Evaluation {
        standing,
        decision,
        reasons,
    }
}

/// Whether a device may run what it runs, and which rules it breaks.
fn judge(permit: &VersionRules, running: &Running) -> (Standing, Vec<Reason>) {
    match running {
        Running::Unreported => (Standing::Unknown, vec![Reason::VersionNotReported]),
        Running::Unreadable(text) => (
            Standing::Unknown,
            vec![Reason::VersionUnreadable { text: text.clone() }],
        ),
        Running::Version(version) => {
            let offences = permit.offences(version);
            (
                if offences.is_empty() {
                    Standing::Permitted
                } else {
                    Standing::Forbidden
                },
                offences,
            )
        }
    }
}

/// A policy that only says what may run cannot help a device that must leave, or that it cannot judge.
fn without_update(standing: Standing) -> Decision {
    match standing {
        Standing::Permitted => Decision::Compliant,
        Standing::Forbidden | Standing::Unknown => Decision::Stuck,
        Standing::NotCovered => Decision::NotApplicable,
    }
}

fn decide(update: &Update, facts: &Facts, standing: Standing, now: Timestamp) -> (Decision, Vec<Reason>) {
    match heading(update, &facts.running, standing) {
        Heading::Stay(reason) => (Decision::Compliant, vec![reason]),
        Heading::Stuck(reason) => (Decision::Stuck, reason.into_iter().collect()),
        Heading::Go(route) => depart(route, gate(update, facts, standing, now)),
    }
}

fn depart(route: Route<'_>, gate: Gate) -> (Decision, Vec<Reason>) {
    let Route {
        next,
        then,
        mut reasons,
    } = route;
    match gate {
        Gate::Open {
            urgency,
            window_closes,
            overrides,
        } => {
            reasons.extend(overrides);
            let then = then.into_iter().map(|step| step.version.clone()).collect();
            (
                Decision::Install(Install {
                    artifact: next.clone(),
                    then,
                    urgency,
                    window_closes,
                }),
                reasons,
            )
        }
        Gate::Closed { holds, until } => {
            reasons.extend(holds);
            (
                Decision::Wait(Wait {
                    version: next.version.clone(),
                    until,
                }),
                reasons,
            )
        }
    }
}
