//! Every step in every state.

use crate::support::{OTHER_PLAN, PLAN, after, at, draft, plan, start};
use muster_domain::{
    Code,
    change::{Accepted, Action, Change, ChangeState, ChangeStep, Halt, OnHalt, Strategy},
};

const WHY: Halt = Halt::Failures {
    stage: 0,
    count: 1,
    allowed: 0,
};

fn steps() -> [ChangeStep; 12] {
    [
        plan(PLAN),
        ChangeStep::Approve("bob".parse().unwrap(), PLAN),
        start(PLAN),
        ChangeStep::Pause,
        ChangeStep::Resume(Vec::new()),
        ChangeStep::Abort,
        ChangeStep::RollBack,
        ChangeStep::Retry(0),
        ChangeStep::Opened,
        ChangeStep::Halted(WHY),
        ChangeStep::Finished,
        ChangeStep::RolledBack,
    ]
}

fn in_state(state: &str) -> Change {
    let running = || after(draft(), [plan(PLAN), start(PLAN)]);
    match state {
        "DRAFT" => draft(),
        "PLANNED" => after(draft(), [plan(PLAN)]),
        "RUNNING" => running(),
        "PAUSED" => after(running(), [ChangeStep::Pause]),
        "HALTED" => after(running(), [ChangeStep::Halted(WHY)]),
        "ROLLING_BACK" => after(running(), [ChangeStep::RollBack]),
        "DONE" => after(running(), [ChangeStep::Finished]),
        "ROLLED_BACK" => after(running(), [ChangeStep::RollBack, ChangeStep::RolledBack]),
        "ABORTED" => after(running(), [ChangeStep::Abort]),
        other => panic!("no state {other}"),
    }
}

/// For each state, where each of [`steps`] leads; empty where it is refused.
#[test]
fn the_table_of_steps() {
    const NO: &str = "";
    for (state, expected) in [
        (
            "DRAFT",
            ["PLANNED", NO, NO, NO, NO, "ABORTED", NO, NO, NO, NO, NO, NO],
        ),
        (
            "PLANNED",
            [
                "PLANNED", "PLANNED", "RUNNING", NO, NO, "ABORTED", NO, NO, NO, NO, NO, NO,
            ],
        ),
        (
            "RUNNING",
            [
                NO,
                NO,
                NO,
                "PAUSED",
                NO,
                "ABORTED",
                "ROLLING_BACK",
                "RUNNING",
                "RUNNING",
                "HALTED",
                "DONE",
                NO,
            ],
        ),
        (
            "PAUSED",
            [
                NO,
                NO,
                NO,
                NO,
                "RUNNING",
                "ABORTED",
                "ROLLING_BACK",
                "RUNNING",
                "PAUSED",
                "HALTED",
                "DONE",
                NO,
            ],
        ),
        (
            "HALTED",
            [
                NO,
                NO,
                NO,
                NO,
                "RUNNING",
                "ABORTED",
                "ROLLING_BACK",
                "RUNNING",
                NO,
                NO,
                NO,
                NO,
            ],
        ),
        (
            "ROLLING_BACK",
            [NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, "ROLLED_BACK"],
        ),
        (
            "DONE",
            [
                NO,
                NO,
                NO,
                NO,
                NO,
                NO,
                "ROLLING_BACK",
                "RUNNING",
                NO,
                "HALTED",
                NO,
                NO,
            ],
        ),
        ("ROLLED_BACK", [NO; 12]),
        ("ABORTED", [NO; 12]),
    ] {
        assert_eq!(in_state(state).state.as_str(), state);
        for (step, expected) in steps().into_iter().zip(expected) {
            let before = in_state(state);
            let revision = before.revision;
            match before.step(step.clone(), at(9)) {
                Ok(after) => {
                    assert_eq!(after.state.as_str(), expected, "{state}: {step:?}");
                    assert_eq!(after.revision, revision + 1);
                }
                Err(refusal) => {
                    assert_eq!(expected, NO, "{state}: {step:?}: {refusal}");
                    assert_eq!(refusal.code, Code::ChangeState, "{state}: {step:?}");
                    assert!(refusal.message.contains(state), "{refusal}");
                }
            }
        }
    }
}

#[test]
fn d2_nobody_approves_a_change_of_their_own_and_another_plan_voids_approvals() {
    let check = |change: Change, step, code| {
        assert_eq!(change.step(step, at(9)).unwrap_err().code, code);
    };
    let planned = || {
        after(
            Change {
                approvals_needed: 2,
                ..draft()
            },
            [plan(PLAN)],
        )
    };
    let approve = |who: &str| ChangeStep::Approve(who.parse().unwrap(), PLAN);
    check(planned(), approve("ann"), Code::ApprovalOwn);
    check(
        planned(),
        ChangeStep::Approve("bob".parse().unwrap(), OTHER_PLAN),
        Code::ChangePlanMoved,
    );
    check(planned(), start(PLAN), Code::ApprovalMissing);
    let once = after(planned(), [approve("bob"), approve("bob")]);
    check(once.clone(), start(PLAN), Code::ApprovalMissing);
    let twice = after(once, [approve("cem")]);
    check(twice.clone(), start(OTHER_PLAN), Code::ChangePlanMoved);
    let moved = after(twice.clone(), [plan(OTHER_PLAN)]);
    check(moved, start(OTHER_PLAN), Code::ApprovalMissing);
    // The same plan again is the same plan.
    let again = after(twice, [plan(PLAN), start(PLAN)]);
    assert_eq!(again.state.as_str(), "RUNNING");
}

#[test]
fn a_halt_rolls_back_where_that_was_asked_for_and_is_possible() {
    let halted = |action: Action| {
        let strategy = Strategy {
            on_halt: OnHalt::RollBack,
            ..Strategy::default()
        };
        let change = Change {
            action,
            strategy,
            ..draft()
        };
        let steps = [plan(PLAN), start(PLAN), ChangeStep::Halted(WHY)];
        after(change, steps).state
    };
    assert_eq!(
        halted(draft().action),
        ChangeState::RollingBack {
            since: at(5),
            why: Some(WHY)
        }
    );
    assert_eq!(halted(Action::RotateCertificate).as_str(), "HALTED");
    let change = Change {
        action: Action::Retire("old".into()),
        ..draft()
    };
    let change = after(change, [plan(PLAN), start(PLAN)]);
    let refusal = change.step(ChangeStep::RollBack, at(9)).unwrap_err();
    assert_eq!(
        (refusal.code, refusal.message.as_str()),
        (Code::ChangeState, "retire cannot be taken back")
    );
}

#[test]
fn what_is_accepted_halts_no_more() {
    use muster_domain::change::{Next, Standing, Tally};
    let running = in_state("RUNNING");
    let tallies = [
        Tally::of([Standing::Failed, Standing::Done]),
        Tally::of([Standing::Waiting; 3]),
    ];
    let Next::Halt(why) = running.next(&tallies, 0, at(9)) else {
        panic!("one of two failed")
    };
    let halted = after(running, [ChangeStep::Halted(why)]);
    assert_eq!(halted.next(&tallies, 0, at(9)), Next::Wait);
    let accepted = tallies.iter().map(Accepted::of).collect();
    let resumed = after(halted, [ChangeStep::Resume(accepted)]);
    assert_eq!(resumed.next(&tallies, 0, at(9)), Next::Open);
    let worse = [Tally::of([Standing::Failed; 2]), tallies[1]];
    assert!(matches!(resumed.next(&worse, 0, at(9)), Next::Halt(_)));
}

#[test]
fn a_second_part_of_a_retry_leaves_none_of_the_first_behind() {
    let stage = |change: Change| change.state.opened();
    let running = after(
        draft(),
        [plan(PLAN), start(PLAN), ChangeStep::Opened, ChangeStep::Retry(0)],
    );
    assert_eq!(stage(running.clone()), Some(0));
    assert_eq!(stage(after(running, [ChangeStep::Retry(1)])), Some(0));
}
