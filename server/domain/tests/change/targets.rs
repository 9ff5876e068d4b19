//! One target: what devices say, and what time does.

use crate::support::{PLAN, after, at, draft, plan, report, stage, start, strategy};
use core::time::Duration;
use muster_domain::{
    change::{Change, ChangeStep, Facet, Former, Halt, Skipped, Standing, Strategy, Target, TargetState},
    device::FacetState,
    ids::DeviceId,
};

const SOAK: Duration = Duration::from_secs(10);

fn in_standing(standing: Standing) -> TargetState {
    let (generation, at) = (5, at(50));
    match standing {
        Standing::Waiting => TargetState::Waiting { reached: None },
        Standing::Sent => TargetState::Sent { generation, at },
        Standing::Proved => TargetState::Proved { generation, at },
        Standing::Done => TargetState::Done { generation, at },
        Standing::Failed => TargetState::Failed {
            generation,
            at,
            reason: "no".into(),
        },
        Standing::TimedOut => TargetState::TimedOut { generation, at },
        Standing::Skipped => TargetState::Skipped {
            at,
            why: Skipped::AlreadyThere,
        },
        Standing::Reverting => TargetState::Reverting { generation, at },
        Standing::Reverted => TargetState::Reverted { generation, at },
    }
}

#[test]
fn what_a_report_makes_of_each() {
    use Standing::{Done, Failed, Proved, Reverted, Reverting, Sent, Skipped, TimedOut, Waiting};
    // In the order of `Standing::ALL`: applied, failed, waiting, of this generation; applied, of the one before.
    let same = Standing::ALL;
    let applied = [
        Waiting, Proved, Proved, Done, Proved, Proved, Skipped, Reverted, Reverted,
    ];
    let failed = [
        Waiting, Failed, Failed, Failed, Failed, Failed, Skipped, Reverting, Reverted,
    ];
    for (generation, state, expected) in [
        (5, FacetState::Applied, applied),
        (6, FacetState::Applied, applied),
        (5, FacetState::Failed("disk full".into()), failed),
        (5, FacetState::Drifted("somebody edited it".into()), failed),
        (5, FacetState::Waiting("a window".into()), same),
        (4, FacetState::Applied, same),
        (4, FacetState::Failed("older".into()), same),
    ] {
        let report = report(generation, state);
        for (standing, expected) in Standing::ALL.into_iter().zip(expected) {
            let heard = in_standing(standing).heard(&report, &[Facet::Config], SOAK, at(60));
            assert_eq!(heard.standing(), expected, "{standing} hears {report:?}");
            // The same word again changes nothing, not even the time.
            let again = heard.clone().heard(&report, &[Facet::Config], SOAK, at(99));
            assert_eq!(again, heard);
        }
    }
    // What a device says of its own life proves nothing.
    let report = report(5, FacetState::Applied);
    let heard = in_standing(Sent).heard(&report, &[Facet::Lifecycle], SOAK, at(60));
    assert_eq!(heard, in_standing(Sent));
    assert_eq!(
        in_standing(TimedOut)
            .heard(&report, &[Facet::Config], Duration::ZERO, at(60))
            .standing(),
        Done
    );
}

#[test]
fn what_falls_back_is_repaired_as_often_as_may_be() {
    let no = || report(5, FacetState::Drifted("edited".into()));
    let target = |standing, repairs| Target {
        device: DeviceId::from_u128(1),
        stage: 0,
        site: None,
        zone: 0,
        becomes: None,
        former: Former::Gone,
        repairs,
        late: false,
        state: in_standing(standing),
    };
    let repairing = Change {
        strategy: Strategy {
            repairs: 2,
            ..strategy()
        },
        ..draft()
    };
    let running = after(repairing, [plan(PLAN), start(PLAN)]);
    let why = Halt::Failures {
        stage: 0,
        count: 1,
        allowed: 0,
    };
    let halted = after(running.clone(), [ChangeStep::Halted(why)]);
    let done = after(running.clone(), [ChangeStep::Finished]);
    let ended = after(running.clone(), [ChangeStep::Abort]);
    let check = |change: &Change, standing, repairs, seconds, is_repaired: bool| {
        let before = target(standing, repairs);
        let heard = before.heard(&no(), change, at(seconds));
        let expected = if is_repaired {
            (Standing::Waiting, repairs + 1)
        } else {
            (Standing::Failed, repairs)
        };
        assert_eq!(
            (heard.state.standing(), heard.repairs),
            expected,
            "{standing} {repairs} {}",
            change.state.as_str()
        );
        // The same word again is no second fall.
        assert_eq!(heard.heard(&no(), change, at(seconds)), heard);
    };
    for change in [&running, &halted, &done] {
        check(change, Standing::Proved, 0, 60, true);
        check(change, Standing::Done, 1, 60, true);
        check(change, Standing::Done, 2, 60, false);
        // What never was as it must be did not fall back.
        check(change, Standing::Sent, 0, 60, false);
        check(change, Standing::TimedOut, 0, 60, false);
    }
    check(&done, Standing::Done, 0, 1005, false);
    check(&ended, Standing::Done, 0, 60, false);

    let fallen = target(Standing::Done, 0).heard(&no(), &running, at(60)).state;
    assert_eq!(fallen.clone().sent(6, true, at(61)).generation(), Some(6));
    assert_eq!(
        fallen.clone().skipped(Skipped::Aborted, at(61)).standing(),
        Standing::Failed
    );
    assert_eq!(
        fallen.clone().left(Skipped::AlreadyThere, at(61)).standing(),
        Standing::Skipped
    );
    let mended = fallen.heard(&report(5, FacetState::Applied), &[Facet::Config], SOAK, at(61));
    assert_eq!(mended.standing(), Standing::Proved);
}

#[test]
fn time_ends_what_would_last_for_ever() {
    let (stage, strategy) = (stage(None, 10), strategy());
    for standing in Standing::ALL {
        let state = in_standing(standing);
        let expected = match standing {
            Standing::Sent => Some((150, Standing::TimedOut)),
            Standing::Proved => Some((60, Standing::Done)),
            _ => None,
        };
        let Some((due, then)) = expected else {
            assert_eq!(state.clone().passed(&stage, &strategy, at(1_000_000)), state);
            continue;
        };
        assert_eq!(state.due(&stage, &strategy), Some(at(due)));
        assert_eq!(state.clone().passed(&stage, &strategy, at(due - 1)), state);
        assert_eq!(state.passed(&stage, &strategy, at(due)).standing(), then);
    }
}

#[test]
fn commands_move_only_what_they_mean() {
    let check = |command: fn(TargetState) -> TargetState, expected: &[(Standing, Standing)]| {
        for standing in Standing::ALL {
            let after = command(in_standing(standing)).standing();
            let wanted = expected.iter().find(|(from, _)| *from == standing);
            assert_eq!(after, wanted.map_or(standing, |(_, to)| *to), "{standing}");
        }
    };
    check(
        |state| state.sent(9, true, at(60)),
        &[(Standing::Waiting, Standing::Sent)],
    );
    check(
        |state| state.sent(9, false, at(60)),
        &[(Standing::Waiting, Standing::Done)],
    );
    check(
        |state| state.skipped(Skipped::Aborted, at(60)),
        &[(Standing::Waiting, Standing::Skipped)],
    );
    check(
        TargetState::retried,
        &[
            (Standing::Failed, Standing::Waiting),
            (Standing::TimedOut, Standing::Waiting),
        ],
    );
    let touched = [
        Standing::Sent,
        Standing::Proved,
        Standing::Done,
        Standing::Failed,
        Standing::TimedOut,
    ];
    check(
        |state| state.reverting(9, true, at(60)),
        &touched.map(|standing| (standing, Standing::Reverting)),
    );
    check(
        |state| state.reverting(9, false, at(60)),
        &touched.map(|standing| (standing, Standing::Reverted)),
    );
}

#[test]
fn of_two_facets_the_worse_one_counts() {
    use FacetState::{Applied, Failed, Waiting};
    let check = |config: FacetState, location: FacetState, expected: Standing| {
        let status = |facet, state| muster_domain::device::FacetStatus { facet, state };
        let report = muster_domain::device::Report {
            facets: vec![
                status(muster_domain::device::Facet::Config, config),
                status(muster_domain::device::Facet::Location, location),
            ],
            ..report(5, Applied)
        };
        let facets = [Facet::Config, Facet::Location];
        let heard = in_standing(Standing::Sent).heard(&report, &facets, SOAK, at(60));
        assert_eq!(heard.standing(), expected, "{report:?}");
    };
    let no = || Failed("no".into());
    let later = || Waiting("later".into());
    check(Applied, Applied, Standing::Proved);
    check(Applied, later(), Standing::Sent);
    check(later(), no(), Standing::Failed);
    check(no(), Applied, Standing::Failed);
}
