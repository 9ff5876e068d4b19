//! Changes, their targets, and why devices are left out.

use super::{check, opens};
use crate::store::{
    KeptRules,
    embedded::Asked,
    tests::{
        build::{at, fresh},
        drive::{PLAN, change, change_id},
    },
};
use muster_domain::change::{
    Accepted, Action, ActionKind, Approval, ApprovalRuleSource, ApprovalRules, Change, ChangeRecord,
    ChangeState, DeviceList, Exclusion, ExclusionKind, Former, Halt, Listed, Priority, Relabel, Reserved,
    Share, Skipped, Standing, Tally, Target, TargetState, Windows, Zone,
};

#[test]
fn changes() {
    let tally = |standings: &[Standing]| Tally::of(standings.iter().copied());
    let running = Change {
        action: Action::Profile("gateway".parse().unwrap(), 3),
        priority: Priority::Emergency,
        approvals_needed: 1,
        approvals: vec![Approval {
            operator: "bob".parse().unwrap(),
            at: at(3),
            plan: PLAN,
        }],
        accepted: vec![Accepted { failed: 2, silent: 1 }],
        state: ChangeState::Running {
            plan: PLAN,
            stage: 1,
            paused: Some(at(9)),
        },
        revision: 7,
        ..change(1)
    };
    let mut record = ChangeRecord {
        tallies: vec![tally(&Standing::ALL), tally(&[Standing::Waiting; 5])],
        excluded: [(ExclusionKind::Taken, 3), (ExclusionKind::Away, 300)].into(),
        attempt: 2,
        reserved: Reserved::UpTo(Some((1, fresh(1, 1).id))),
        begun: vec![(at(5), 100)],
        ..ChangeRecord::new(running)
    };
    check("change_running", &record);
    opens("change_running", 1, &record);
    let why = Halt::Failures {
        stage: 0,
        count: 3,
        allowed: 2,
    };
    record.reserved = Reserved::All;
    record.closed = true;
    record.change.state = ChangeState::Halted {
        plan: PLAN,
        stage: 0,
        at: at(9),
        why,
    };
    check("change_halted", &record);
    opens("change_halted", 1, &record);
    record.change.state = ChangeState::RolledBack {
        at: at(9),
        why: Some(Halt::Silence {
            stage: 1,
            count: 9,
            allowed: 8,
        }),
    };
    record.change.action = Action::Suspend("theft".into());
    check("change_rolled_back", &record);
    opens("change_rolled_back", 1, &record);
    let mut draft = ChangeRecord::new(change(2));
    check("change_draft", &draft);
    opens("change_draft", 1, &draft);
    // What changes had not in version 1.
    let mut asked = ChangeRecord::new(change(3));
    asked.change.demands = approval_rules().rules.demands(&asked.change, asked.reach(0));
    assert_eq!(asked.change.needs(), 2);
    check("change_asked", &asked);
    draft.change.list = Some(DeviceList {
        announced: 9,
        rows: 8,
        unknown: 2,
        repeated: 1,
    });
    let zone = |time_zone: &str, windows: &[&str]| Zone {
        time_zone: time_zone.into(),
        windows: Windows::parse(windows).unwrap(),
    };
    draft.is_zoned = true;
    draft.zones = vec![
        zone("", &[]),
        zone("Europe/Berlin", &["Sat 00:00-24:00", "01:00-02:00"]),
    ];
    draft.change.strategy.start_at = Some(at(9));
    draft.change.strategy.windows = Windows::parse(&["Mon-Fri 01:00-05:00"]).unwrap();
    draft.change.strategy.canary = Some("labels.ring = \"canary\"".into());
    draft.change.strategy.repairs = 3;
    draft.repairs = 200;
    draft.change.strategy.dynamic = Some(Share::PerMille(100));
    draft.late = 300;
    check("change_listed", &draft);
    draft.change.action = Action::Relabel(Relabel {
        set: [("ring".to_owned(), "a".to_owned())].into(),
        remove: ["rack".to_owned()].into(),
    });
    check("change_relabelling", &draft);
    draft.change.action = Action::Place(Some("Hall 1".into()));
    check("change_placing", &draft);
    draft.change.action = Action::ReissueCodes {
        claimed: true,
        ttl: Some(std::time::Duration::from_secs(300)),
    };
    check("change_reissuing", &draft);
    let request = Asked {
        made: change_id(1),
        digest: [4; 32],
    };
    check("change_request", &request);
}

#[test]
fn targets() {
    let target = |former, state| Target {
        device: fresh(1, 1).id,
        stage: 2,
        site: Some("BER-1".parse().unwrap()),
        zone: 0,
        becomes: None,
        repairs: 0,
        late: false,
        former,
        state,
    };
    let (generation, at) = (4, at(9));
    for (name, former, state) in [
        (
            "waiting",
            Former::Profile(Some(("gateway".parse().unwrap(), 2))),
            TargetState::Waiting { reached: Some(3) },
        ),
        ("sent", Former::Site(None), TargetState::Sent { generation, at }),
        (
            "proved",
            Former::FirmwarePolicy(Some(("stable".parse().unwrap(), 1))),
            TargetState::Proved { generation, at },
        ),
        ("done", Former::Admitted, TargetState::Done { generation, at }),
        (
            "failed",
            Former::Suspended("theft".into()),
            TargetState::Failed {
                generation,
                at,
                reason: "no disk".into(),
            },
        ),
        (
            "timed_out",
            Former::Gone,
            TargetState::TimedOut { generation, at },
        ),
        (
            "skipped",
            Former::Site(None),
            TargetState::Skipped {
                at,
                why: Skipped::Taken(change_id(3)),
            },
        ),
        (
            "reverting",
            Former::Site(None),
            TargetState::Reverting { generation, at },
        ),
        (
            "reverted",
            Former::Site(None),
            TargetState::Reverted { generation, at },
        ),
    ] {
        let target = target(former, state);
        check(&format!("target_{name}"), &target);
        opens(&format!("target_{name}"), 1, &target);
    }
    // What targets had not in version 1.
    let labels = [
        ("rack".to_owned(), None),
        ("ring".to_owned(), Some("a".to_owned())),
    ];
    let mut zoned = target(
        Former::Labels(labels.into()),
        TargetState::Waiting { reached: None },
    );
    zoned.zone = 3;
    zoned.becomes = Some([6; 16]);
    check("target_relabelled", &zoned);
    zoned.state = TargetState::Skipped {
        at,
        why: Skipped::NotAsPlanned,
    };
    zoned.former = Former::Position(Some("Hall 1".into()));
    check("target_placed", &zoned);
    zoned.repairs = 2;
    zoned.late = true;
    zoned.state = TargetState::Fallen {
        generation,
        at,
        reason: "edited".into(),
    };
    check("target_fallen", &zoned);
    zoned.state = TargetState::Skipped {
        at,
        why: Skipped::Claimed,
    };
    check("target_claimed", &zoned);
    check("excluded_taken", &Exclusion::Taken(change_id(3)));
    check("excluded_away", &Exclusion::Away(at));
    check("excluded_unfit", &Exclusion::Unfit("it is retired".into()));
    check("excluded_unmatched", &Exclusion::Unmatched);
    check("excluded_claimed", &Exclusion::Claimed);
    check("excluded_never_open", &Exclusion::NeverOpen);
}

#[test]
fn rows_of_a_list() {
    let device = fresh(1, 1).id;
    check("listed_device", &Listed::Device(device));
    check("listed_repeated", &Listed::Repeated(device, 300));
    check("listed_unknown", &Listed::Unknown("GW-1".into()));
}

fn approval_rules() -> KeptRules {
    let rules = [
        ApprovalRuleSource {
            name: "any".into(),
            approvals: 2,
            ..ApprovalRuleSource::default()
        },
        ApprovalRuleSource {
            name: "retire-big".into(),
            actions: vec![ActionKind::Retire, ActionKind::Place],
            above: Some(Share::PerMille(20)),
            priority: Some(Priority::Emergency),
            approvals: 8,
            reason: "for ever".into(),
        },
    ];
    KeptRules {
        revision: 3,
        rules: ApprovalRules::check(rules.into()).unwrap(),
    }
}

#[test]
fn rules_of_approval() {
    check("approval_rules", &approval_rules());
    check("approval_rules_none", &KeptRules::default());
}
