//! One target: what devices say, and what time does.

use crate::support::{at, report, stage, strategy};
use core::time::Duration;
use muster_domain::{
    change::{Facet, Skipped, Standing, TargetState},
    device::FacetState,
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
