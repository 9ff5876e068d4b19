//! Approvals: which changes rules are about, what they ask of them, and when.

use crate::support::{PLAN, after, at, draft, publish};
use muster_domain::{
    Code, Refusal,
    change::{
        Action, ActionKind, ApprovalRuleSource, ApprovalRules, Change, ChangeRecord, ChangeStep, Demand,
        Priority, RULE_LIMIT, Share, Standing, Strategy, Tally,
    },
};

fn rule(name: &str, approvals: u32) -> ApprovalRuleSource {
    ApprovalRuleSource {
        name: name.into(),
        approvals,
        ..ApprovalRuleSource::default()
    }
}

fn retire_big() -> ApprovalRuleSource {
    ApprovalRuleSource {
        actions: vec![ActionKind::Retire],
        above: Some(Share::Count(100)),
        ..rule("retire-big", 2)
    }
}

fn rules<const N: usize>(sources: [ApprovalRuleSource; N]) -> ApprovalRules {
    ApprovalRules::check(sources.into()).unwrap()
}

/// With so many targets listed.
pub(crate) fn listed(change: Change, targets: u32) -> ChangeRecord {
    ChangeRecord {
        tallies: vec![Tally::of((0..targets).map(|_| Standing::Waiting))],
        ..ChangeRecord::new(change)
    }
}

/// What rules ask of a change of so many targets, in a fleet of so many devices.
fn asked(rules: &ApprovalRules, change: Change, targets: u32, fleet: u64) -> Vec<String> {
    let record = listed(change, targets);
    let demands = rules.demands(&record.change, record.reach(fleet));
    demands.iter().map(Demand::to_string).collect()
}

#[test]
fn a_rule_is_about_kinds_sizes_and_priorities() {
    let retire = || Action::Retire("old".into());
    let check = |rule: ApprovalRuleSource, cases: &[(Action, u32, Priority, bool)]| {
        let rules = rules([rule]);
        for (action, targets, priority, expected) in cases {
            let change = Change {
                action: action.clone(),
                priority: *priority,
                ..draft()
            };
            let asks = !asked(&rules, change, *targets, 1000).is_empty();
            assert_eq!(asks, *expected, "{rules}: {action} of {targets}, {priority}");
        }
    };
    use Priority::{Emergency, Normal};
    check(
        rule("all", 1),
        &[(retire(), 0, Normal, true), (publish(2), 1, Emergency, true)],
    );
    check(
        retire_big(),
        &[
            (retire(), 100, Normal, false),
            (retire(), 101, Normal, true),
            (retire(), 101, Emergency, true),
            (publish(2), 101, Normal, false),
        ],
    );
    check(
        ApprovalRuleSource {
            actions: vec![ActionKind::Profile, ActionKind::Retire],
            above: Some(Share::PerMille(25)),
            priority: Some(Normal),
            ..rule("many", 1)
        },
        &[
            (retire(), 25, Normal, false),
            (retire(), 26, Normal, true),
            (publish(2), 26, Normal, true),
            (publish(2), 26, Emergency, false),
            (Action::Resume, 1000, Normal, false),
        ],
    );
    check(
        ApprovalRuleSource {
            priority: Some(Emergency),
            above: Some(Share::Count(0)),
            ..rule("urgent", 1)
        },
        &[
            (Action::Resume, 1, Normal, false),
            (Action::Resume, 1, Emergency, true),
            (Action::Resume, 0, Emergency, false),
        ],
    );
}

#[test]
fn every_kind_of_action_has_its_own_rule() {
    for (place, action) in [
        publish(2),
        Action::FirmwarePolicy("stable".parse().unwrap(), 1),
        Action::Move("MUC-01".parse().unwrap()),
        Action::Suspend("theft".into()),
        Action::Resume,
        Action::Retire("old".into()),
        Action::RotateCertificate,
        Action::Relabel(muster_domain::change::Relabel::default()),
        Action::Place(None),
    ]
    .into_iter()
    .enumerate()
    {
        for kind in ActionKind::ALL {
            let rules = rules([ApprovalRuleSource {
                actions: vec![kind],
                ..rule("one", 1)
            }]);
            let change = Change {
                action: action.clone(),
                ..draft()
            };
            let asks = !asked(&rules, change, 1, 1).is_empty();
            assert_eq!(asks, ActionKind::ALL[place] == kind, "{action}: {kind}");
        }
    }
}

#[test]
fn late_joiners_count_as_many_as_may_come() {
    let rules = rules([ApprovalRuleSource {
        above: Some(Share::Count(100)),
        ..rule("big", 1)
    }]);
    let dynamic = |dynamic| Change {
        strategy: Strategy {
            dynamic,
            ..Strategy::default()
        },
        ..draft()
    };
    let check = |share, targets, expected: bool| {
        let asks = !asked(&rules, dynamic(share), targets, 1000).is_empty();
        assert_eq!(asks, expected, "{share:?} of {targets}");
    };
    check(None, 100, false);
    check(Some(Share::Count(1)), 100, true);
    check(Some(Share::PerMille(100)), 91, false);
    check(Some(Share::PerMille(100)), 92, true);
    // Those who came are among them.
    let record = ChangeRecord {
        late: 9,
        ..listed(dynamic(Some(Share::Count(10))), 99)
    };
    assert_eq!(record.reach(1000).targets, 100);
}

#[test]
fn a_rule_says_what_it_is_about() {
    let check = |source: ApprovalRuleSource, expected: &str| {
        let rules = rules([source]);
        assert_eq!(rules.to_string(), expected);
    };
    check(retire_big(), "retire-big: 2 (retire, over 100 devices)");
    check(rule("all", 1), "all: 1 (every change)");
    check(
        ApprovalRuleSource {
            actions: vec![ActionKind::Retire, ActionKind::Suspend],
            above: Some(Share::PerMille(25)),
            priority: Some(Priority::Emergency),
            reason: "it \"hurts\"".into(),
            ..rule("urgent", 8)
        },
        "urgent: 8 (suspend or retire, over 2.5% of the fleet, emergency) \"it \\\"hurts\\\"\"",
    );
}

#[test]
fn every_mistake_in_rules_is_named_at_once() {
    let fields = |sources: Vec<ApprovalRuleSource>| -> Vec<String> {
        let problems = ApprovalRules::check(sources).unwrap_err();
        assert!(problems.iter().all(|one| one.code == Code::ApprovalRulesInvalid));
        problems.into_iter().map(|one| one.field).collect()
    };
    let wrong = ApprovalRuleSource {
        above: Some(Share::PerMille(1000)),
        reason: "x".repeat(201),
        ..rule("a b", 0)
    };
    assert_eq!(
        fields(vec![rule("a", 1), rule("a", 9), wrong, rule("a", 8)]),
        [
            "rules[1].name",
            "rules[1].approvals",
            "rules[2].name",
            "rules[2].above",
            "rules[2].approvals",
            "rules[2].reason",
            "rules[3].name",
        ]
    );
    let many = |count: usize| (0..count).map(|n| rule(&format!("r{n}"), 1)).collect::<Vec<_>>();
    assert_eq!(fields(many(RULE_LIMIT + 1)), ["rules"]);
    assert!(ApprovalRules::check(many(RULE_LIMIT)).is_ok());
}

/// Planned under rules, with 101 targets.
fn planned(rules: &ApprovalRules, approvals_needed: u8) -> ChangeRecord {
    let change = Change {
        action: Action::Retire("old".into()),
        approvals_needed,
        ..draft()
    };
    let mut record = listed(change, 101);
    let demands = rules.demands(&record.change, record.reach(1000));
    record.change = after(record.change, [ChangeStep::Plan(PLAN, demands)]);
    record
}

fn started(record: &ChangeRecord, now: &ApprovalRules) -> Result<Change, Refusal> {
    let demands = now.demands(&record.change, record.reach(1000));
    record
        .change
        .clone()
        .step(ChangeStep::Start(PLAN, demands), at(9))
}

#[test]
fn the_stricter_of_plan_and_start_holds() {
    let (none, two) = (rules([]), rules([retire_big()]));
    let three = rules([ApprovalRuleSource {
        approvals: 3,
        ..retire_big()
    }]);
    let check = |record: ChangeRecord, now: &ApprovalRules, approvals: usize, missing: Option<&str>| {
        let names = ["bob", "cem", "dan"].into_iter().take(approvals);
        let steps = names.map(|name| ChangeStep::Approve(name.parse().unwrap(), PLAN));
        let change = after(record.change.clone(), steps);
        let record = ChangeRecord { change, ..record };
        let why = started(&record, now).err();
        assert!(why.iter().all(|why| why.code == Code::ApprovalMissing));
        assert_eq!(why.map(|why| why.message).as_deref(), missing);
    };
    check(planned(&none, 0), &none, 0, None);
    let why = "0 of 2 approvals are there: rule retire-big asks for 2 (retire, over 100 devices)";
    check(planned(&two, 0), &two, 0, Some(why));
    // Made laxer, or taken away, since it was planned.
    check(planned(&two, 0), &none, 0, Some(why));
    check(planned(&two, 0), &none, 2, None);
    // Made stricter since.
    check(planned(&none, 0), &two, 0, Some(why));
    let why = "2 of 3 approvals are there: rule retire-big asks for 3 (retire, over 100 devices)";
    check(planned(&two, 0), &three, 2, Some(why));
    check(planned(&three, 0), &two, 2, Some(why));
    check(planned(&two, 0), &three, 3, None);
    // Its author may ask for more.
    check(
        planned(&two, 3),
        &two,
        2,
        Some("2 of 3 approvals are there: its author asks for 3"),
    );
}

#[test]
fn what_is_asked_is_shown_until_it_starts_and_kept_from_then_on() {
    let (none, two) = (rules([]), rules([retire_big()]));
    let record = planned(&none, 1);
    assert_eq!(
        (record.change.needs(), record.under(&two, 1000).change.needs()),
        (1, 2)
    );
    // In a fleet that grew, the same change is a smaller part of it; what was asked at its plan stays.
    let share = rules([ApprovalRuleSource {
        above: Some(Share::PerMille(100)),
        ..rule("tenth", 2)
    }]);
    let record = planned(&share, 0);
    assert_eq!(record.under(&share, 100_000).change.needs(), 2);
    let running = after(
        record.change.clone(),
        [
            ChangeStep::Approve("bob".parse().unwrap(), PLAN),
            ChangeStep::Approve("cem".parse().unwrap(), PLAN),
            ChangeStep::Start(PLAN, two.demands(&record.change, record.reach(1000))),
        ],
    );
    let running = ChangeRecord {
        change: running,
        ..record
    };
    let rules: Vec<_> = running
        .change
        .demands
        .iter()
        .map(|one| one.rule.as_str())
        .collect();
    assert_eq!(rules, ["tenth", "retire-big"]);
    let many = self::rules([rule("all", 8)]);
    assert_eq!(
        running.under(&many, 1).change.needs(),
        2,
        "what runs is stopped by no rule"
    );
    // Another plan is asked anew.
    let replanned = after(planned(&two, 0).change, [ChangeStep::PlanBegun]);
    assert_eq!(replanned.needs(), 0);
}
