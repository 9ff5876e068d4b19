//! Stories: what the machine does, event by event.

use super::*;
use crate::testing::DEVICE;
use muster_proto::payload::{Digest, FacetState, Sealed};

pub(super) fn mark(generation: u64, content: u8) -> Mark {
    Mark {
        generation,
        digest: Digest([content; 32]),
        content: Digest([content; 32]),
    }
}

pub(super) fn offer(mark: Mark) -> Event {
    Event::Offered(Box::new(Proven::for_tests(mark)))
}

pub(super) fn status(mark: Mark) -> Status {
    let applied = || FacetState::Applied;
    Status {
        mark,
        config: applied(),
        location: applied(),
        firmware: applied(),
        running: None,
    }
}

fn failing(mark: Mark) -> Status {
    Status {
        config: FacetState::Failed { reason: "no".into() },
        ..status(mark)
    }
}

pub(super) fn pace() -> Pace {
    Pace {
        reconnect: (Duration::from_secs(1), Duration::from_secs(300)),
        inspect_every: Duration::from_secs(600),
        seed: 1,
    }
}

fn device() -> DeviceId {
    DeviceId::parse(DEVICE).unwrap()
}

fn sealed(mark: Mark) -> Event {
    Event::Sealed(Box::new(ProvenSealed::for_tests(Sealed {
        device_id: DEVICE.into(),
        generation: mark.generation,
        digest: mark.digest,
        recipient: Digest([0; 32]),
        secrets: Vec::new(),
    })))
}

/// Actions in short.
fn told(actions: &[Action]) -> String {
    let told = actions.iter().map(|action| match action {
        Action::Open(role) => format!("open {role:?}"),
        Action::SendClaim => "claim".into(),
        Action::SendHello(have) => format!("hello {}", have.map_or(0, |mark| mark.generation)),
        Action::SendReport(status) => {
            let state = match status.config {
                FacetState::Applied => "good",
                FacetState::Drifted { .. } => "drifted",
                FacetState::Failed { .. } | FacetState::Waiting { .. } => "bad",
            };
            format!("report {} {state}", status.mark.generation)
        }
        Action::SendRenewal => "renew".into(),
        Action::SendTrusted => "trusted".into(),
        Action::Close => "close".into(),
        Action::Work(Work::Keep(offer)) => format!("keep {}", offer.mark().generation),
        Action::Work(Work::KeepSealed(sealed)) => format!("keep sealed {}", sealed.generation()),
        Action::Work(Work::Apply) => "apply".into(),
        Action::Work(Work::Inspect) => "inspect".into(),
        Action::Tell(event) => match event {
            AgentEvent::Claimed { .. } => "*claimed".into(),
            AgentEvent::DesiredReceived { generation } => format!("*desired {generation}"),
            AgentEvent::Applied { generation } => format!("*applied {generation}"),
            AgentEvent::Reported { generation, ok } => format!("*reported {generation} {ok}"),
            AgentEvent::Disconnected { .. } => "*disconnected".into(),
            AgentEvent::Failed { reason } => format!("*failed: {reason}"),
            other => format!(
                "*{}",
                format!("{other:?}").to_lowercase().split(' ').next().unwrap()
            ),
        },
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Plays events, each so many seconds after the start, and compares what is done.
fn play(memory: Memory, story: Vec<(u64, Event, &str)>) -> Machine {
    let mut machine = Machine::new(memory, pace());
    for (number, (at, event, expected)) in story.into_iter().enumerate() {
        let actions = machine.handle(Duration::from_secs(at), event);
        assert_eq!(told(&actions), expected, "step {number}");
    }
    machine
}

fn claimed(held: Option<Mark>, applied: Option<Mark>) -> Memory {
    Memory {
        claimed: true,
        held,
        applied,
    }
}

fn applied(mark: Mark) -> Event {
    Event::Done(Outcome::Applied {
        status: status(mark),
        again_in: None,
    })
}

fn inspected(mark: Mark) -> Event {
    Event::Done(Outcome::Inspected {
        status: status(mark),
        again_in: None,
    })
}

#[test]
fn a_first_life() {
    play(
        Memory::default(),
        vec![
            (0, Event::Started, "open Claimant"),
            (1, Event::Opened, "claim, *claiming"),
            (1, Event::Acknowledged(Sent::Claim), ""),
            (2, Event::Granted(device()), "close, *claimed, open Device"),
            (3, Event::Opened, "trusted, hello 0, *connected"),
            (3, Event::Acknowledged(Sent::Hello), ""),
            (4, offer(mark(1, 1)), "*desired 1, keep 1"),
            (5, Event::Done(Outcome::Kept(mark(1, 1))), "apply"),
            (6, applied(mark(1, 1)), "*applied 1, report 1 good"),
            (7, Event::Acknowledged(Sent::Report), "*reported 1 true"),
            (8, Event::Woke, ""),
            // Ten minutes after the last look at what runs.
            (605, Event::Woke, ""),
            (606, Event::Woke, "inspect"),
            (606, inspected(mark(1, 1)), ""),
        ],
    );
}

#[test]
fn a_restart_looks_before_it_speaks() {
    let held = Some(mark(7, 1));
    play(
        claimed(held, held),
        vec![
            (0, Event::Started, "open Device, inspect"),
            (0, inspected(mark(7, 1)), ""),
            (1, Event::Opened, "trusted, hello 7, *connected, inspect"),
            (1, inspected(mark(7, 1)), "report 7 good"),
        ],
    );
}

#[test]
fn c5_what_a_power_loss_interrupted_is_applied_first() {
    play(
        claimed(Some(mark(7, 1)), Some(mark(6, 1))),
        vec![
            (0, Event::Started, "open Device, apply"),
            (1, Event::Opened, "trusted, hello 6, *connected"),
            (2, applied(mark(7, 1)), "*applied 7, report 7 good"),
        ],
    );
}

#[test]
fn c2_old_and_contradicting_offers_are_refused() {
    let held = Some(mark(7, 1));
    play(
        claimed(held, held),
        vec![
            (0, Event::Started, "open Device, inspect"),
            (0, inspected(mark(7, 1)), ""),
            (1, Event::Opened, "trusted, hello 7, *connected, inspect"),
            (1, inspected(mark(7, 1)), "report 7 good"),
            (
                2,
                offer(mark(6, 1)),
                "*failed: generation 6 is older than 7, which this device holds",
            ),
            (
                2,
                offer(mark(7, 2)),
                "*failed: generation 7 came with other content before",
            ),
            (3, offer(mark(8, 1)), "*desired 8, keep 8"),
            // The ledger has the last word.
            (
                3,
                Event::Done(Outcome::NotKept("the disk is full".into())),
                "*failed: the disk is full",
            ),
            (4, offer(mark(8, 1)), "*desired 8, keep 8"),
        ],
    );
}

#[test]
fn a_repeat_gets_a_fresh_report() {
    let held = Some(mark(7, 1));
    play(
        claimed(held, held),
        vec![
            (0, Event::Started, "open Device, inspect"),
            (1, Event::Opened, "trusted, hello 7, *connected"),
            (1, inspected(mark(7, 1)), "report 7 good"),
            (2, Event::Acknowledged(Sent::Report), "*reported 7 true"),
            (3, offer(mark(7, 1)), "*desired 7, keep 7"),
            (3, Event::Done(Outcome::Kept(mark(7, 1))), "inspect"),
            (3, inspected(mark(7, 1)), "report 7 good"),
        ],
    );
}

#[test]
fn of_many_offers_the_newest_is_kept_next() {
    play(
        claimed(None, None),
        vec![
            (0, Event::Started, "open Device"),
            (1, Event::Opened, "trusted, hello 0, *connected"),
            (1, offer(mark(1, 1)), "*desired 1, keep 1"),
            (1, offer(mark(3, 1)), "*desired 3"),
            (1, offer(mark(2, 1)), "*desired 2"),
            (2, Event::Done(Outcome::Kept(mark(1, 1))), "keep 3"),
            (2, Event::Done(Outcome::Kept(mark(3, 1))), "apply"),
        ],
    );
}

#[test]
fn secrets_that_come_late_are_asked_for_and_end_the_wait() {
    let lacking = || {
        Event::Done(Outcome::NotApplied {
            lacks_secrets: true,
            status: Some(failing(mark(1, 1))),
            reason: "no secret".into(),
            again_in: None,
        })
    };
    play(
        claimed(None, None),
        vec![
            (0, Event::Started, "open Device"),
            (1, Event::Opened, "trusted, hello 0, *connected"),
            // In the order in which they are sent.
            (1, sealed(mark(1, 1)), "keep sealed 1"),
            (1, offer(mark(1, 1)), "*desired 1"),
            (2, Event::Done(Outcome::SealedKnown), "keep 1"),
            (2, Event::Done(Outcome::Kept(mark(1, 1))), "apply"),
            (3, lacking(), "*failed: no secret, report 1 bad"),
            (4, Event::Acknowledged(Sent::Report), "*reported 1 false"),
            // The registry is asked as seldom as what failed is tried again.
            (603, Event::Woke, "hello 0, apply"),
            (604, lacking(), "*failed: no secret"),
            (605, sealed(mark(1, 1)), "keep sealed 1"),
            // The same once more is no reason to try.
            (606, Event::Done(Outcome::SealedKnown), ""),
            (607, sealed(mark(2, 1)), "keep sealed 2"),
            (608, Event::Done(Outcome::SealedKept(2)), ""),
            (609, sealed(mark(1, 1)), "keep sealed 1"),
            (610, Event::Done(Outcome::SealedKept(1)), "apply"),
        ],
    );
}

#[test]
fn what_fails_to_apply_is_reported_and_tried_again() {
    let failed = || {
        Event::Done(Outcome::NotApplied {
            lacks_secrets: false,
            status: Some(failing(mark(2, 1))),
            reason: "no".into(),
            again_in: None,
        })
    };
    play(
        claimed(Some(mark(1, 1)), Some(mark(1, 1))),
        vec![
            (0, Event::Started, "open Device, inspect"),
            (0, inspected(mark(1, 1)), ""),
            (1, Event::Opened, "trusted, hello 1, *connected, inspect"),
            (1, inspected(mark(1, 1)), "report 1 good"),
            (1, Event::Acknowledged(Sent::Report), "*reported 1 true"),
            (2, offer(mark(2, 1)), "*desired 2, keep 2"),
            (2, Event::Done(Outcome::Kept(mark(2, 1))), "apply"),
            (2, failed(), "*failed: no, report 2 bad"),
            (2, Event::Acknowledged(Sent::Report), "*reported 2 false"),
            (601, Event::Woke, ""),
            (602, Event::Woke, "apply"),
            (602, failed(), "*failed: no"),
            // The registry sends it again on the next connection.
            (603, Event::Lost("gone".into()), "*disconnected"),
            (605, Event::Woke, "open Device"),
            (605, Event::Opened, "trusted, hello 1, *connected, report 2 bad"),
            (606, offer(mark(2, 1)), "*desired 2, keep 2"),
            (606, Event::Done(Outcome::Kept(mark(2, 1))), "apply"),
            (606, applied(mark(2, 1)), "*applied 2"),
            (
                607,
                Event::Acknowledged(Sent::Report),
                "*reported 2 false, report 2 good",
            ),
        ],
    );
}

#[test]
fn drift_is_told_then_mended() {
    let held = Some(mark(1, 1));
    let drifted = Outcome::Drifted {
        status: Status {
            config: FacetState::Drifted {
                reason: "changed".into(),
            },
            ..status(mark(1, 1))
        },
        reason: "changed".into(),
    };
    play(
        claimed(held, held),
        vec![
            (0, Event::Started, "open Device, inspect"),
            (0, inspected(mark(1, 1)), ""),
            (1, Event::Opened, "trusted, hello 1, *connected, inspect"),
            (1, Event::Done(drifted), "*drifted, apply, report 1 drifted"),
            (2, applied(mark(1, 1)), "*applied 1"),
            (
                3,
                Event::Acknowledged(Sent::Report),
                "*reported 1 false, report 1 good",
            ),
            (3, Event::Acknowledged(Sent::Report), "*reported 1 true"),
        ],
    );
}

#[test]
fn firmware_is_asked_again_when_its_window_opens() {
    let held = Some(mark(1, 1));
    let again = |seconds| {
        Event::Done(Outcome::Inspected {
            status: status(mark(1, 1)),
            again_in: Some(Duration::from_secs(seconds)),
        })
    };
    let machine = play(
        claimed(held, held),
        vec![
            (0, Event::Started, "open Device, inspect"),
            (0, again(100), ""),
            (99, Event::Woke, ""),
            (100, Event::Woke, "inspect"),
            // Not in a tight loop, whatever the policy; and not later than the next look at the files.
            (100, again(0), ""),
            (109, Event::Woke, ""),
            (110, Event::Woke, "inspect"),
            (110, again(1_000_000), ""),
        ],
    );
    assert_eq!(machine.deadline(), Some(Duration::from_secs(710)));
}

#[test]
fn refusals_are_waited_out() {
    for (retry_after, least, most) in [
        (Some(0), 0.5, 1.0),
        (Some(30), 30.0, 30.0),
        (Some(u64::MAX), 86_400.0, 86_400.0),
        (None, 30.0, 60.0),
    ] {
        let mut machine = Machine::new(Memory::default(), pace());
        machine.handle(Duration::ZERO, Event::Started);
        machine.handle(Duration::ZERO, Event::Opened);
        let retry_after = retry_after.map(Duration::from_secs);
        let actions = machine.handle(
            Duration::ZERO,
            Event::Refused {
                reason: "no".into(),
                retry_after,
            },
        );
        assert_eq!(told(&actions), "close, *failed: no, *disconnected");
        let wait = machine.deadline().unwrap().as_secs_f64();
        assert!((least..=most).contains(&wait), "{retry_after:?}: {wait}");
    }
}

#[test]
fn refusals_without_a_time_are_repeated_ever_more_slowly() {
    let mut machine = Machine::new(Memory::default(), pace());
    let mut now = Duration::ZERO;
    machine.handle(now, Event::Started);
    let mut waits = Vec::new();
    for _ in 0..12 {
        machine.handle(now, Event::Opened);
        machine.handle(
            now,
            Event::Refused {
                reason: "no".into(),
                retry_after: None,
            },
        );
        let until = machine.deadline().unwrap();
        waits.push((until - now).as_secs());
        now = until;
        assert_eq!(told(&machine.handle(now, Event::Woke)), "open Claimant");
    }
    assert!(waits.iter().all(|wait| (30..=3600).contains(wait)), "{waits:?}");
    assert!(waits[8..].iter().all(|wait| *wait >= 1800), "{waits:?}");
}

#[test]
fn a_claim_without_answer_is_given_up_and_an_answer_not_believed_is_no_answer() {
    let disbelieved = || Event::Disbelieved("forged".into());
    play(
        Memory::default(),
        vec![
            (0, Event::Started, "open Claimant"),
            (1, Event::Opened, "claim, *claiming"),
            (60, Event::Woke, ""),
            (61, Event::Woke, "close, *disconnected"),
            (63, Event::Woke, "open Claimant"),
            (63, Event::Opened, "claim, *claiming"),
            (64, disbelieved(), "*failed: forged, close, *disconnected"),
        ],
    );
    // On the device's own connection it is not: what comes next may be good.
    play(
        claimed(None, None),
        vec![
            (0, Event::Started, "open Device"),
            (1, Event::Opened, "trusted, hello 0, *connected"),
            (2, disbelieved(), "*failed: forged"),
            (3, offer(mark(1, 1)), "*desired 1, keep 1"),
        ],
    );
}

#[test]
fn only_a_connection_that_lasted_resets_the_delay() {
    let mut machine = Machine::new(claimed(None, None), pace());
    let mut now = Duration::ZERO;
    machine.handle(now, Event::Started);
    let mut delay = |machine: &mut Machine, lasted: u64| {
        machine.handle(now, Event::Opened);
        machine.handle(now, Event::Acknowledged(Sent::Hello));
        now += Duration::from_secs(lasted);
        machine.handle(now, Event::Lost("gone".into()));
        let until = machine.deadline().unwrap();
        let delay = until - now;
        now = until;
        machine.handle(now, Event::Woke);
        delay
    };
    let delays: Vec<_> = (0..12).map(|_| delay(&mut machine, 59)).collect();
    assert!(delays[11] >= Duration::from_secs(150), "{delays:?}");
    assert!(delay(&mut machine, 60) <= Duration::from_secs(1));
}

#[test]
fn a_flood_ends_the_connection_and_a_trickle_does_not() {
    for (seconds_apart, expected) in [(0, Some(60)), (1, None)] {
        let mut machine = Machine::new(claimed(None, None), pace());
        machine.handle(Duration::ZERO, Event::Started);
        machine.handle(Duration::ZERO, Event::Opened);
        let ended = (0..200_u32).position(|number| {
            let now = Duration::from_secs(seconds_apart) * number;
            told(&machine.handle(now, Event::Disbelieved("forged".into()))) == "close, *disconnected"
        });
        assert_eq!(ended, expected);
    }
}

const fn term(renew_in: u64, ended: bool) -> Event {
    Event::Term(Term {
        renew_in: Duration::from_secs(renew_in),
        ended,
    })
}

fn no(retry_after: Option<u64>) -> Event {
    Event::NotReissued {
        reason: "no".into(),
        retry_after: retry_after.map(Duration::from_secs),
    }
}

/// Up to a connection whose hello is acknowledged, with a certificate that is to be renewed so long after.
fn connected(renew_in: u64) -> Vec<(u64, Event, &'static str)> {
    vec![
        (0, Event::Started, "open Device"),
        (1, term(renew_in, false), ""),
        (1, Event::Opened, "trusted, hello 0, *connected"),
        (2, Event::Acknowledged(Sent::Hello), ""),
    ]
}

#[test]
fn a_certificate_is_renewed_in_time_and_the_device_comes_with_the_next() {
    let mut story = connected(1000);
    story.extend([
        (1000, Event::Woke, ""),
        (1001, Event::Woke, "renew"),
        (1002, Event::Acknowledged(Sent::Renewal), ""),
        (1003, Event::Reissued, "*renewed, close, open Device"),
        (1004, term(9000, false), ""),
        (1004, Event::Opened, "trusted, hello 0, *connected"),
        (5000, Event::Woke, ""),
    ]);
    let machine = play(claimed(None, None), story);
    assert_eq!(machine.deadline(), Some(Duration::from_secs(1004 + 9000)));
}

#[test]
fn a_renewal_that_comes_to_nothing_is_tried_again_ever_later() {
    let mut story = connected(10);
    story.extend([
        (11, Event::Woke, "renew"),
        (12, no(None), "*failed: no"),
        (41, Event::Woke, ""),
        (72, Event::Woke, "renew"),
        // No answer at all.
        (131, Event::Woke, ""),
        (
            132,
            Event::Woke,
            "*failed: the registry did not answer the renewal",
        ),
        (191, Event::Woke, ""),
        (252, Event::Woke, "renew"),
        // The registry says when.
        (253, no(Some(5000)), "*failed: no"),
        (5252, Event::Woke, ""),
        (5253, Event::Woke, "renew"),
    ]);
    play(claimed(None, None), story);
}

#[test]
fn whoever_runs_the_registry_may_want_a_renewal_at_any_time() {
    let mut story = connected(100_000);
    story.extend([
        (50, Event::RenewalWanted, "renew"),
        (51, Event::RenewalWanted, ""),
        (52, Event::Reissued, "*renewed, close, open Device"),
    ]);
    play(claimed(None, None), story);
}

#[test]
fn an_ended_certificate_is_renewed_before_anything_is_said() {
    let ended = || {
        vec![
            (0, Event::Started, "open Device"),
            (1, term(0, true), ""),
            (1, Event::Opened, "*connected, renew"),
        ]
    };
    let mut story = ended();
    story.extend([
        (2, Event::Reissued, "*renewed, close, open Device"),
        (3, term(100, false), ""),
        (3, Event::Opened, "trusted, hello 0, *connected"),
    ]);
    play(claimed(None, None), story);
    // Should the registry think otherwise, it hears the hello all the same.
    let mut story = ended();
    story.push((2, no(None), "*failed: no, trusted, hello 0"));
    play(claimed(None, None), story);
}

#[test]
fn who_trusts_other_roots_says_so_and_asks_again() {
    let story = vec![
        (0, Event::Started, "open Device"),
        (1, Event::Opened, "trusted, hello 0, *connected"),
        (2, Event::Disbelieved("other root".into()), "*failed: other root"),
        (3, Event::Trusting(1), "*trusting, trusted, hello 0"),
        (4, Event::Acknowledged(Sent::Trusted), ""),
        (5, Event::Lost("closed".into()), "*disconnected"),
        // What was under way when the connection broke is told on the next.
        (6, Event::Trusting(2), "*trusting, open Device"),
    ];
    play(claimed(None, None), story);
}

#[test]
fn a_device_that_does_not_know_that_its_certificate_ended_finds_out() {
    let mut story = vec![(0, Event::Started, "open Device")];
    for try_at in [10, 20, 30] {
        story.extend([
            (try_at, term(100_000, false), ""),
            (try_at, Event::Opened, "trusted, hello 0, *connected"),
            (try_at + 1, Event::Lost("closed".into()), "*disconnected"),
            (try_at + 9, Event::Woke, "open Device"),
        ]);
    }
    story.extend([
        (50, term(100_000, false), ""),
        (50, Event::Opened, "*connected, renew"),
        (51, Event::Reissued, "*renewed, close, open Device"),
        (52, term(100_000, false), ""),
        (52, Event::Opened, "trusted, hello 0, *connected"),
    ]);
    play(claimed(None, None), story);
}

#[test]
fn a_next_certificate_that_is_not_let_in_is_not_asked_for_in_a_loop() {
    let mut machine = Machine::new(claimed(None, None), pace());
    machine.handle(Duration::ZERO, Event::Started);
    let (mut now, mut asked) = (Duration::ZERO, 0);
    while now < Duration::from_secs(24 * 3600) {
        machine.handle(now, term(0, false));
        let mut actions = machine.handle(now, Event::Opened);
        actions.extend(machine.handle(now, Event::Acknowledged(Sent::Hello)));
        while !actions.iter().any(|action| matches!(action, Action::SendRenewal)) {
            now = machine.deadline().unwrap();
            actions = machine.handle(now, Event::Woke);
        }
        asked += 1;
        // It comes, and the next connection is with the old one all the same.
        machine.handle(now, Event::Reissued);
    }
    assert!((5..20).contains(&asked), "{asked} a day");
}
