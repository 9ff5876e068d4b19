//! A device speaks: what is noted, and what the verdict is.

use crate::support::{at, claimed, registered};
use muster_domain::{
    Code,
    device::{
        Device, Facet, FacetState, FacetStatus, Hello, HelloAnswer, LifecycleState, Report, Verification,
        VerificationState,
    },
};
use proptest::{collection::vec, prelude::*};

fn hello(generation: u64, digest: u8) -> Hello {
    Hello {
        generation,
        digest: [digest; 32],
        agent_version: "0.1.0".into(),
        firmware: Some("2.4.0".parse().unwrap()),
        boot_id: 42,
    }
}

fn report(generation: u64, digest: u8, states: &[(Facet, FacetState)]) -> Report {
    let facets = states.iter().map(|(facet, state)| FacetStatus {
        facet: *facet,
        state: state.clone(),
    });
    Report {
        generation,
        digest: [digest; 32],
        facets: facets.collect(),
        firmware: None,
    }
}

/// A report on the current generation with these states of config, location and firmware.
fn current(states: [FacetState; 3]) -> Report {
    let [config, location, firmware] = states;
    report(
        3,
        3,
        &[
            (Facet::Config, config),
            (Facet::Location, location),
            (Facet::Firmware, firmware),
        ],
    )
}

fn applied() -> Report {
    current([const { FacetState::Applied }; 3])
}

fn failed() -> FacetState {
    FacetState::Failed("disk full".into())
}

fn drifted() -> FacetState {
    FacetState::Drifted("edited".into())
}

fn waiting() -> FacetState {
    FacetState::Waiting("outside its window".into())
}

#[test]
fn a_hello_is_answered_by_what_the_device_lacks() {
    let verified = Verification::Verified { at: at(5) };
    let failed = Verification::Failed {
        facet: Facet::Config,
        reason: String::new(),
    };
    let drifted = Verification::Drifted {
        facet: Facet::Config,
        reason: String::new(),
    };
    let stale = Verification::Stale { since: at(5) };
    let check = |verification: &Verification, generation, digest, expected| {
        let device = Device {
            verification: verification.clone(),
            ..claimed()
        };
        let (greeted, answer) = device.clone().greet(&hello(generation, digest), at(70));
        assert_eq!(
            answer, expected,
            "{verification:?}, generation {generation}, digest {digest}"
        );
        let reported = greeted.reported.clone().unwrap();
        assert_eq!(
            (reported.at, reported.generation, reported.boot_id),
            (at(70), generation, 42)
        );
        assert_eq!(reported.firmware, Some("2.4.0".parse().unwrap()));
        // A hello is news of the device and no change of it.
        assert_eq!(
            Device {
                reported: None,
                ..greeted
            },
            device
        );
    };
    use HelloAnswer::{Send, UpToDate};
    check(&verified, 3, 3, UpToDate);
    // It does not prove that it runs what it has.
    check(&failed, 3, 3, Send);
    check(&drifted, 3, 3, Send);
    check(&Verification::Pending, 3, 3, Send);
    check(&stale, 3, 3, Send);
    for verification in [&Verification::Pending, &verified, &failed, &drifted, &stale] {
        check(verification, 0, 0, Send);
        check(verification, 2, 2, Send);
        check(verification, 3, 9, Send);
        check(verification, 4, 3, Send);
    }
}

#[test]
fn a_hello_keeps_the_facets_of_the_last_report() {
    let (device, _) = claimed()
        .hear(&applied(), at(60))
        .unwrap()
        .greet(&hello(3, 3), at(70));
    let reported = device.reported.unwrap();
    assert_eq!(
        (reported.facets.len(), reported.agent_version.as_str()),
        (3, "0.1.0")
    );
}

#[test]
fn a_report_is_judged_facet_by_facet() {
    use FacetState::Applied;
    let check = |report: &Report, expected: VerificationState, facet: Option<Facet>| {
        let heard = claimed().hear(report, at(60)).unwrap();
        assert_eq!(heard.verification.state(), expected, "{report:?}");
        let blamed = match heard.verification {
            Verification::Failed { facet, .. } | Verification::Drifted { facet, .. } => Some(facet),
            Verification::Pending | Verification::Verified { .. } | Verification::Stale { .. } => None,
        };
        assert_eq!(blamed, facet, "{report:?}");
    };
    use VerificationState::{Drifted, Failed, Pending, Verified};
    check(&applied(), Verified, None);
    // Only firmware may wait: its policy says when.
    check(&current([Applied, Applied, waiting()]), Verified, None);
    check(&current([waiting(), Applied, Applied]), Pending, None);
    check(&current([Applied, waiting(), Applied]), Pending, None);
    check(
        &current([failed(), Applied, Applied]),
        Failed,
        Some(Facet::Config),
    );
    check(
        &current([Applied, Applied, failed()]),
        Failed,
        Some(Facet::Firmware),
    );
    check(
        &current([Applied, drifted(), Applied]),
        Drifted,
        Some(Facet::Location),
    );
    // A failure outweighs a drift, and the first of two is named.
    check(
        &current([drifted(), Applied, failed()]),
        Failed,
        Some(Facet::Firmware),
    );
    check(
        &current([failed(), failed(), drifted()]),
        Failed,
        Some(Facet::Config),
    );
    // A facet that is not spoken of is not proven.
    check(&report(3, 3, &[]), Pending, None);
    check(
        &report(3, 3, &[(Facet::Config, Applied), (Facet::Location, Applied)]),
        Pending,
        None,
    );
    // Of two words on one facet the later counts.
    let mut twice = applied();
    twice.facets.insert(
        0,
        FacetStatus {
            facet: Facet::Config,
            state: failed(),
        },
    );
    check(&twice, Verified, None);
}

#[test]
fn only_generations_that_were_issued_are_heard() {
    let check = |generation, digest, expected: Option<Code>| {
        let facets = applied().facets;
        let report = Report {
            generation,
            digest: [digest; 32],
            facets,
            firmware: None,
        };
        let heard = claimed().hear(&report, at(60));
        assert_eq!(
            heard.as_ref().err().map(|refusal| refusal.code),
            expected,
            "generation {generation}, digest {digest}"
        );
        if let Ok(heard) = heard {
            let verified = heard.verification.state() == VerificationState::Verified;
            assert_eq!(
                verified,
                generation == 3,
                "an older generation proves nothing about this one"
            );
            assert_eq!((heard.revision, heard.updated), (2, at(60)));
        }
    };
    check(3, 3, None);
    check(2, 2, None);
    check(1, 9, None);
    check(3, 9, Some(Code::GenerationUnknown));
    check(0, 3, Some(Code::GenerationUnknown));
    check(4, 3, Some(Code::GenerationUnknown));
    check(u64::MAX, 3, Some(Code::GenerationUnknown));
}

#[test]
fn a_claimed_device_is_active_once_it_is_verified() {
    let state = |device: &Device| (device.lifecycle.state(), device.verification.state());
    use LifecycleState::{Active, Claimed, Registered};
    let pending = claimed().hear(&report(3, 3, &[]), at(60)).unwrap();
    assert_eq!(state(&pending), (Claimed, VerificationState::Pending));
    let old = pending
        .hear(
            &Report {
                generation: 2,
                ..applied()
            },
            at(61),
        )
        .unwrap();
    assert_eq!(state(&old), (Claimed, VerificationState::Pending));
    let verified = old.hear(&applied(), at(62)).unwrap();
    assert_eq!(state(&verified), (Active, VerificationState::Verified));
    // The time is that of the first proof, and a relapse does not take the standing away.
    let again = verified.hear(&applied(), at(63)).unwrap();
    assert_eq!(again.verification, Verification::Verified { at: at(62) });
    let relapsed = again
        .hear(
            &current([drifted(), FacetState::Applied, FacetState::Applied]),
            at(64),
        )
        .unwrap();
    assert_eq!(state(&relapsed), (Active, VerificationState::Drifted));
    let mended = relapsed.hear(&applied(), at(65)).unwrap();
    assert_eq!(mended.verification, Verification::Verified { at: at(65) });
    // Nothing that is said makes an identity of a device that has none.
    assert_eq!(
        registered().hear(&applied(), at(60)).unwrap().lifecycle.state(),
        Registered
    );
}

fn facet_state() -> impl Strategy<Value = FacetState> {
    prop_oneof![
        Just(FacetState::Applied),
        Just(failed()),
        Just(drifted()),
        Just(waiting())
    ]
}

proptest! {
    /// Whatever a device says in whatever order: what it must become stays (I7), verified means that every facet of
    /// the current generation was said to be as desired, and its identity is untouched.
    #[test]
    fn no_words_change_what_a_device_must_become(
        words in vec((0u64..6, 0u8..6, vec((0usize..3, facet_state()), 0..5), any::<bool>()), 0..20)
    ) {
        let mut device = claimed();
        for (generation, digest, states, is_hello) in words {
            let before = device.clone();
            if is_hello {
                device = device.greet(&hello(generation, digest), at(60)).0;
                prop_assert_eq!(&device.verification, &before.verification);
            } else {
                let facets = [Facet::Config, Facet::Location, Facet::Firmware];
                let states: Vec<_> = states.into_iter().map(|(place, state)| (facets[place], state)).collect();
                let report = report(generation, digest, &states);
                let Ok(heard) = device.clone().hear(&report, at(60)) else { continue };
                if let (3, Verification::Verified { .. }) = (generation, &heard.verification) {
                    let last = |facet| states.iter().rev().find(|(of, _)| *of == facet).map(|(_, state)| state);
                    let is_proven = facets.iter().all(|&facet| match last(facet) {
                        Some(FacetState::Applied) => true,
                        Some(FacetState::Waiting(_)) => facet == Facet::Firmware,
                        Some(FacetState::Failed(_) | FacetState::Drifted(_)) | None => false,
                    });
                    prop_assert!(is_proven);
                }
                device = heard;
            }
            prop_assert_eq!(&device.target, &before.target);
            prop_assert_eq!(device.lifecycle.certificate(), before.lifecycle.certificate());
            prop_assert!(device.revision >= before.revision);
        }
    }
}
