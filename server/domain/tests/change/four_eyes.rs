//! Approvals under whatever happens: no change starts with fewer than rules and its author ask for (D2). `PROPTEST_CASES=100000` tries
//! as many sequences.

use crate::{
    approvals::listed,
    support::{at, draft},
};
use muster_domain::{
    Code,
    batch::PlanHash,
    change::{
        ActionKind, ApprovalRuleSource, ApprovalRules, Change, ChangeState, ChangeStep, Priority, Share,
        Strategy,
    },
    names::OperatorName,
};
use proptest::{
    prelude::{Just, Strategy as Tried, prop, prop_assert, prop_assert_eq, prop_oneof, proptest},
    test_runner::Config,
};
use std::collections::BTreeSet;

/// A sequence of what persons do: each of them has two certificates, and does whatever they like with either.
#[derive(Debug, Clone)]
enum Event {
    /// The plan of this name, of so many targets.
    Plan(u8, u32),
    /// Whoever holds this certificate stands for that plan.
    Approve { certificate: usize, plan: u8 },
    /// Whoever says so: it is all the same.
    Start(u8),
    /// An admin replaces the rules.
    Rules(Vec<ApprovalRuleSource>),
    /// Devices come and go.
    Fleet(u64),
}

/// The holders of certificates, and the first of them is the author.
const HOLDERS: [&str; 10] = [
    "ann", "ann", "bob", "bob", "cem", "cem", "dan", "dan", "eve", "eve",
];

fn shares() -> impl Tried<Value = Option<Share>> {
    prop_oneof![
        Just(None),
        (0u32..30).prop_map(|count| Some(Share::Count(count))),
        (0u16..1000).prop_map(|part| Some(Share::PerMille(part))),
    ]
}

fn sources() -> impl Tried<Value = Vec<ApprovalRuleSource>> {
    let kinds = prop_oneof![
        Just(vec![]),
        Just(vec![ActionKind::Profile]),
        Just(vec![ActionKind::Move, ActionKind::Profile]),
        Just(vec![ActionKind::Retire]),
    ];
    let priority = prop_oneof![
        Just(None),
        Just(Some(Priority::Normal)),
        Just(Some(Priority::Emergency))
    ];
    let one = (0usize..3, kinds, shares(), priority, 1u32..5);
    prop::collection::vec(one, 0..3).prop_map(|all| {
        let mut seen = BTreeSet::new();
        let all = all
            .into_iter()
            .filter(|(name, ..)| seen.insert(*name))
            .collect::<Vec<_>>();
        let source = |(name, actions, above, priority, approvals): (usize, _, _, _, _)| ApprovalRuleSource {
            name: ["a", "b", "c"][name].into(),
            actions,
            above,
            priority,
            approvals,
            reason: String::new(),
        };
        all.into_iter().map(source).collect()
    })
}

fn events() -> impl Tried<Value = Event> {
    prop_oneof![
        2 => (0u8..3, 0u32..40).prop_map(|(plan, targets)| Event::Plan(plan, targets)),
        8 => (0..HOLDERS.len(), 0u8..3).prop_map(|(certificate, plan)| Event::Approve { certificate, plan }),
        3 => (0u8..3).prop_map(Event::Start),
        1 => sources().prop_map(Event::Rules),
        1 => (0u64..200).prop_map(Event::Fleet),
    ]
}

/// What these rules ask for, worked out once more and otherwise than by the code under test.
fn wanted(rules: &[ApprovalRuleSource], change: &Change, targets: u32, fleet: u64) -> usize {
    let reach = match change.strategy.dynamic {
        Some(Share::Count(late)) => targets + late,
        _ => targets,
    };
    let is_about = |rule: &&ApprovalRuleSource| {
        (rule.actions.is_empty() || rule.actions.contains(&ActionKind::Profile))
            && rule.priority.is_none_or(|priority| priority == change.priority)
            && match rule.above {
                None => true,
                Some(Share::Count(count)) => reach > count,
                Some(Share::PerMille(part)) => u64::from(reach) * 1000 > u64::from(part) * fleet,
            }
    };
    let asking = rules.iter().filter(is_about).map(|rule| rule.approvals);
    asking.max().unwrap_or(0) as usize
}

/// The plan on record, as the test remembers it.
#[derive(Debug, Default)]
struct Seen {
    plan: Option<u8>,
    targets: u32,
    /// What the rules of its time asked for.
    then: usize,
    /// Persons who were taken for it since another one was on record.
    persons: BTreeSet<&'static str>,
}

fn hash(plan: u8) -> PlanHash {
    PlanHash([plan; 32])
}

proptest! {
    #![proptest_config(Config { max_shrink_iters: 4096, ..Config::default() })]

    #[test]
    fn d2_no_sequence_starts_a_change_with_too_few_approvals_of_others(
        first in sources(),
        urgent: bool,
        late in prop_oneof![Just(None), (1u32..5).prop_map(|late| Some(Share::Count(late)))],
        own in 0u8..3,
        events in prop::collection::vec(events(), 1..40),
    ) {
        let mut record = listed(Change {
            approvals_needed: own,
            priority: if urgent { Priority::Emergency } else { Priority::Normal },
            strategy: Strategy { dynamic: late, ..Strategy::default() },
            ..draft()
        }, 0);
        let (mut sources, mut fleet, mut seen) = (first, 100, Seen::default());
        for event in events {
            let rules = ApprovalRules::check(sources.clone()).unwrap();
            let now = wanted(&sources, &record.change, seen.targets, fleet);
            match event {
                Event::Rules(others) => sources = others,
                Event::Fleet(devices) => fleet = devices,
                Event::Plan(plan, targets) => {
                    let Ok(begun) = record.change.clone().step(ChangeStep::PlanBegun, at(5)) else { continue };
                    record = listed(begun, targets);
                    let demands = rules.demands(&record.change, record.reach(fleet));
                    record.change = record.change.step(ChangeStep::Plan(hash(plan), demands), at(5)).unwrap();
                    if seen.plan != Some(plan) {
                        seen.persons.clear();
                    }
                    seen = Seen {
                        plan: Some(plan),
                        targets,
                        then: wanted(&sources, &record.change, targets, fleet),
                        ..seen
                    };
                }
                Event::Approve { certificate, plan } => {
                    let holder = HOLDERS[certificate];
                    let name: OperatorName = holder.parse().unwrap();
                    let is_planned = matches!(record.change.state, ChangeState::Planned { .. });
                    match record.change.clone().step(ChangeStep::Approve(name, hash(plan)), at(5)) {
                        Ok(approved) => {
                            prop_assert!(is_planned && holder != "ann" && seen.plan == Some(plan));
                            seen.persons.insert(holder);
                            record.change = approved;
                        }
                        Err(refusal) => {
                            let expected = match (is_planned, seen.plan == Some(plan)) {
                                (false, _) => Code::ChangeState,
                                (true, false) => Code::ChangePlanMoved,
                                (true, true) => Code::ApprovalOwn,
                            };
                            prop_assert_eq!(refusal.code, expected);
                        }
                    }
                }
                Event::Start(plan) => {
                    let is_planned = matches!(record.change.state, ChangeState::Planned { .. });
                    let demands = rules.demands(&record.change, record.reach(fleet));
                    let needed = usize::from(own).max(seen.then).max(now);
                    match record.change.clone().step(ChangeStep::Start(hash(plan), demands), at(5)) {
                        Ok(running) => {
                            prop_assert!(is_planned && seen.plan == Some(plan));
                            prop_assert!(!seen.persons.contains("ann"));
                            prop_assert!(seen.persons.len() >= needed, "{:?} of {}", seen, needed);
                            record.change = running;
                        }
                        // Nor is one stopped that has all that it needs.
                        Err(refusal) if is_planned && seen.plan == Some(plan) => {
                            prop_assert_eq!(refusal.code, Code::ApprovalMissing);
                            prop_assert!(seen.persons.len() < needed, "{:?} of {}", seen, needed);
                        }
                        Err(refusal) => prop_assert!(refusal.code != Code::ApprovalMissing),
                    }
                }
            }
            // Counted by persons: nobody twice, and never the author.
            let persons: Vec<_> = record.change.approvals.iter().map(|one| one.operator.as_str()).collect();
            let once: BTreeSet<_> = persons.iter().copied().collect();
            prop_assert_eq!(once.len(), persons.len());
            prop_assert_eq!(once, seen.persons.clone());
        }
    }
}
