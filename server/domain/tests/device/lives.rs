//! Transitions: a table of all, and sequences of any.

use crate::support::{after, at, claimed, code, intent, registered};
use muster_domain::{
    Code,
    device::{Credential, Device, Lifecycle, LifecycleState, Transition},
};
use proptest::{collection::vec, prelude::*};

fn transition(kind: u8, seed: u8) -> Transition {
    match kind {
        0 => Transition::Intend(intent(seed, u128::from(seed) + 10)),
        1 => Transition::Certify,
        2 => Transition::Activate,
        3 => Transition::Suspend("lost".into()),
        4 => Transition::Resume,
        5 => Transition::Retire("scrapped".into()),
        _ => Transition::Reissue {
            hash: code(seed),
            expires: None,
        },
    }
}

#[test]
fn each_state_allows_its_transitions_and_no_other() {
    use LifecycleState::{Active, Claimed, Registered, Retired, Suspended};
    let suspend = || Transition::Suspend(String::new());
    let claim = || [Transition::Intend(intent(1, 11)), Transition::Certify];
    let states = [
        // What each leads to, in the order of `transition`: intend, certify, activate, suspend, resume, retire, reissue.
        (
            registered(),
            [
                Some(Registered),
                None,
                None,
                Some(Suspended),
                None,
                Some(Retired),
                Some(Registered),
            ],
        ),
        (
            after([Transition::Intend(intent(1, 11))]),
            [
                Some(Registered),
                Some(Claimed),
                None,
                Some(Suspended),
                None,
                Some(Retired),
                Some(Registered),
            ],
        ),
        (
            claimed(),
            [
                None,
                None,
                Some(Active),
                Some(Suspended),
                None,
                Some(Retired),
                None,
            ],
        ),
        (
            after(claim().into_iter().chain([Transition::Activate])),
            [
                None,
                None,
                Some(Active),
                Some(Suspended),
                None,
                Some(Retired),
                None,
            ],
        ),
        (
            after([suspend()]),
            [None, None, None, None, Some(Registered), Some(Retired), None],
        ),
        (
            after(claim().into_iter().chain([suspend()])),
            [None, None, None, None, Some(Claimed), Some(Retired), None],
        ),
        (
            after(claim().into_iter().chain([Transition::Activate, suspend()])),
            [None, None, None, None, Some(Active), Some(Retired), None],
        ),
        (after([Transition::Retire(String::new())]), [None; 7]),
    ];
    for (device, expected) in states {
        for (kind, expected) in (0..).zip(expected) {
            let step = transition(kind, 1);
            let found = device.lifecycle.clone().step(step.clone(), at(60));
            assert_eq!(
                found.as_ref().ok().map(Lifecycle::state),
                expected,
                "{:?} and {step:?}",
                device.lifecycle
            );
            if let Err(refusal) = found {
                assert_eq!(refusal.code, Code::TransitionForbidden);
                assert!(
                    refusal.message.contains(device.lifecycle.state().as_str()),
                    "{refusal}"
                );
            }
        }
    }
}

#[test]
fn the_first_claim_binds_the_code_and_a_suspension_keeps_that() {
    let second = after([
        Transition::Intend(intent(1, 11)),
        Transition::Intend(intent(2, 22)),
    ]);
    let Lifecycle::Registered {
        credential: Credential::Code { intent: bound, .. } | Credential::Pinned { intent: bound, .. },
    } = &second.lifecycle
    else {
        panic!()
    };
    assert_eq!(*bound, Some(intent(1, 11)));
    let back = after([
        Transition::Intend(intent(1, 11)),
        Transition::Suspend(String::new()),
        Transition::Resume,
    ]);
    assert_eq!(
        back.lifecycle,
        after([Transition::Intend(intent(1, 11))]).lifecycle
    );
}

#[test]
fn who_is_shut_out_has_no_identity_and_keeps_its_certificate_on_record() {
    let check = |device: &Device, may_connect: bool, on_record: bool| {
        assert_eq!(
            device.lifecycle.identity().is_some(),
            may_connect,
            "{:?}",
            device.lifecycle
        );
        assert_eq!(
            device.lifecycle.certificate().is_some(),
            on_record,
            "{:?}",
            device.lifecycle
        );
    };
    let with = |transition| Device {
        lifecycle: claimed().lifecycle.step(transition, at(60)).unwrap(),
        ..claimed()
    };
    check(&registered(), false, false);
    check(&claimed(), true, true);
    check(&with(Transition::Activate), true, true);
    check(&with(Transition::Suspend(String::new())), false, true);
    check(&with(Transition::Retire(String::new())), false, true);
    check(&after([Transition::Retire(String::new())]), false, false);
}

proptest! {
    /// Whatever is tried, in any order: retired is final, a certificate never changes or vanishes once it is there,
    /// it is the one of the first intent under the code that was claimed, and suspension is left as it was entered.
    #[test]
    fn no_sequence_breaks_a_life(steps in vec((0u8..7, 0u8..4), 0..40)) {
        let mut lifecycle = registered().lifecycle;
        let mut intended = None;
        let mut entered = None;
        for (kind, seed) in steps {
            let step = transition(kind, seed);
            let before = lifecycle.clone();
            let Ok(after) = lifecycle.clone().step(step.clone(), at(60)) else { continue };
            prop_assert!(before.state() != LifecycleState::Retired, "{:?} left retirement by {:?}", before, step);
            match &step {
                Transition::Intend(fresh) => {
                    intended.get_or_insert(*fresh);
                }
                Transition::Reissue { .. } => intended = None,
                Transition::Certify => prop_assert_eq!(after.certificate(), intended.map(|intent| intent.certificate)),
                Transition::Suspend(_) => entered = Some(before.clone()),
                Transition::Resume => prop_assert_eq!(Some(&after), entered.as_ref()),
                Transition::Activate | Transition::Retire(_) => {}
            }
            if let Some(certificate) = before.certificate() {
                prop_assert_eq!(after.certificate(), Some(certificate));
            }
            if let Some(identity) = after.identity() {
                prop_assert_eq!(Some(identity.certificate), after.certificate());
                prop_assert_eq!(Some(identity.spki), intended.map(|intent| intent.spki));
            }
            lifecycle = after;
        }
    }
}
