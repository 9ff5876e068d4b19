//! Transitions: a table of all, and sequences of any.

use crate::support::{after, at, claimed, code, intent, registered};
use muster_domain::{
    Code,
    certificate::{CertificateSerial, RevocationReason, SpkiDigest},
    device::{
        ClaimIntent, ClaimWindow, Credential, Device, KeyChoice, Lifecycle, LifecycleState, PinnedKey,
        Transition,
    },
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
        6 => Transition::Reissue {
            hash: code(seed),
            window: ClaimWindow::ALWAYS,
            key: KeyChoice::Kept,
        },
        7 => Transition::Renew(intent(seed, u128::from(seed) + 20)),
        8 => Transition::CertifyRenewal,
        9 => Transition::Promote,
        11 => Transition::Revoke {
            certificate: CertificateSerial::from_u128(u128::from(seed) + 10),
            reason: RevocationReason::PrivilegeWithdrawn,
        },
        12 => Transition::Revoke {
            certificate: CertificateSerial::from_u128(u128::from(seed) + 21),
            reason: RevocationReason::KeyCompromise,
        },
        _ => Transition::Arm {
            window: Some(ClaimWindow::until(Some(at(1000 + u64::from(seed))))),
            key: KeyChoice::Kept,
        },
    }
}

#[test]
fn each_state_allows_its_transitions_and_no_other() {
    use LifecycleState::{Active, Claimed, Registered, Retired, Suspended};
    let suspend = || Transition::Suspend(String::new());
    let renew = || Transition::Renew(intent(2, 22));
    let claim = || [Transition::Intend(intent(1, 11)), Transition::Certify];
    let states = [
        // What each leads to, in the order of `transition`: intend, certify, activate, suspend, resume, retire, reissue,
        // renew, certify the renewal, promote, arm, revoke its own certificate, revoke the renewed one.
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
                None,
                None,
                None,
                Some(Registered),
                None,
                None,
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
                None,
                None,
                None,
                None,
                Some(Registered),
                None,
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
                Some(Registered),
                Some(Claimed),
                None,
                None,
                None,
                Some(Registered),
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
                Some(Registered),
                Some(Active),
                None,
                None,
                None,
                Some(Registered),
                None,
            ],
        ),
        (
            after([suspend()]),
            [
                None,
                None,
                None,
                None,
                Some(Registered),
                Some(Retired),
                None,
                None,
                None,
                None,
                None,
                None,
                None,
            ],
        ),
        (
            after(claim().into_iter().chain([suspend()])),
            [
                None,
                None,
                None,
                None,
                Some(Claimed),
                Some(Retired),
                None,
                None,
                None,
                None,
                None,
                Some(Suspended),
                None,
            ],
        ),
        (
            after(claim().into_iter().chain([Transition::Activate, suspend()])),
            [
                None,
                None,
                None,
                None,
                Some(Active),
                Some(Retired),
                None,
                None,
                None,
                None,
                None,
                Some(Suspended),
                None,
            ],
        ),
        (
            after(claim().into_iter().chain([renew()])),
            [
                None,
                None,
                Some(Active),
                Some(Suspended),
                None,
                Some(Retired),
                Some(Registered),
                Some(Claimed),
                Some(Claimed),
                None,
                None,
                Some(Registered),
                Some(Claimed),
            ],
        ),
        (
            after(
                claim()
                    .into_iter()
                    .chain([Transition::Activate, renew(), Transition::CertifyRenewal]),
            ),
            [
                None,
                None,
                Some(Active),
                Some(Suspended),
                None,
                Some(Retired),
                Some(Registered),
                Some(Active),
                Some(Active),
                Some(Active),
                None,
                Some(Registered),
                Some(Active),
            ],
        ),
        (
            after(claim().into_iter().chain([transition(11, 1)])),
            [
                None,
                None,
                None,
                Some(Suspended),
                None,
                Some(Retired),
                Some(Registered),
                None,
                None,
                None,
                None,
                None,
                None,
            ],
        ),
        (after([Transition::Retire(String::new())]), [None; 13]),
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

#[test]
fn a_device_without_its_certificate_has_no_way_in_but_a_new_code() {
    let (own, next) = (transition(11, 1), intent(1, 22));
    let withdrawn = |device: &Device| {
        matches!(
            device.lifecycle,
            Lifecycle::Registered {
                credential: Credential::Withdrawn {
                    reason: RevocationReason::PrivilegeWithdrawn | RevocationReason::KeyCompromise,
                    ..
                }
            }
        )
    };
    let claim = [Transition::Intend(intent(1, 11)), Transition::Certify];
    let renewing = claim.clone().into_iter().chain([Transition::Renew(next)]);
    let begun = [Transition::Intend(intent(1, 11)), own.clone()];
    assert!(withdrawn(&after(begun)), "a claim that began");
    let ended = after(claim.clone().into_iter().chain([own.clone()]));
    assert!(withdrawn(&ended), "a claim that ended");
    let suspended = claim.into_iter().chain([
        Transition::Suspend(String::new()),
        own.clone(),
        Transition::Resume,
    ]);
    assert!(
        withdrawn(&after(suspended)),
        "a suspension ends where it would without"
    );
    let both = after(renewing.clone().chain([own]));
    assert!(
        withdrawn(&both),
        "with its own goes the one that was asked for with it"
    );
    let shared = Transition::Revoke {
        certificate: next.certificate,
        reason: RevocationReason::KeyCompromise,
    };
    assert!(
        withdrawn(&after(renewing.clone().chain([shared]))),
        "one key, both"
    );
    let alone = Transition::Revoke {
        certificate: next.certificate,
        reason: RevocationReason::Superseded,
    };
    assert_eq!(after(renewing.chain([alone])).lifecycle, claimed().lifecycle);
    let again = ended.lifecycle.step(transition(6, 2), at(60)).unwrap();
    assert_eq!(again.state(), LifecycleState::Registered);
    assert!(again.step(Transition::Intend(intent(3, 33)), at(60)).is_ok());
}

/// Which key may claim, after these steps.
#[test]
fn a_key_is_chosen_until_a_claim_begins() {
    let key = |seed: u8| SpkiDigest([seed; 32]);
    let arm = |key| Transition::Arm { window: None, key };
    let reissue = |key| Transition::Reissue {
        hash: code(2),
        window: ClaimWindow::ALWAYS,
        key,
    };
    let only = |seed| KeyChoice::Only(key(seed));
    let check = |steps: &[Transition], expected: Option<SpkiDigest>| {
        let device = after(steps.iter().cloned());
        let terms = device.lifecycle.claim_terms().unwrap();
        assert_eq!(terms.key, expected, "{steps:?}");
        assert_eq!(device.lifecycle.key(), expected, "{steps:?}");
    };
    check(&[], None);
    check(&[arm(only(1))], Some(key(1)));
    check(&[arm(only(1)), arm(KeyChoice::Kept)], Some(key(1)));
    check(&[arm(only(1)), arm(KeyChoice::Any)], None);
    check(&[arm(only(1)), arm(only(2))], Some(key(2)));
    // Whoever lost a label has the key yet; whoever had an identity has it no more.
    check(&[arm(only(1)), reissue(KeyChoice::Kept)], Some(key(1)));
    check(&[arm(only(1)), reissue(KeyChoice::Any)], None);
    check(&[arm(only(1)), reissue(only(2))], Some(key(2)));
    let claim = [
        arm(only(1)),
        Transition::Intend(intent(1, 11)),
        Transition::Certify,
    ];
    let again = |choice| [&claim[..], &[reissue(choice)]].concat();
    check(&again(KeyChoice::Kept), None);
    check(&again(only(2)), Some(key(2)));
    // The window is not touched by what is said of the key.
    let window = registered().lifecycle.claim_terms().unwrap().window;
    assert_eq!(
        after([arm(only(1))]).lifecycle.claim_terms().unwrap().window,
        window
    );
    // A pinned key is no code's.
    let pinned = Lifecycle::Registered {
        credential: Credential::Pinned {
            key: PinnedKey {
                spki: key(4),
                certificate: None,
            },
            window,
            intent: None,
        },
    };
    for choice in [KeyChoice::Any, only(4), only(5)] {
        let refused = pinned.clone().step(arm(choice), at(60)).unwrap_err();
        assert_eq!(refused.code, Code::TransitionForbidden);
        assert!(refused.message.contains("pinned"), "{refused}");
    }
    assert_eq!(
        pinned.clone().step(arm(KeyChoice::Kept), at(60)).as_ref(),
        Ok(&pinned)
    );
    let code = pinned.step(reissue(KeyChoice::Kept), at(60)).unwrap();
    assert_eq!(code.claim_terms().unwrap().key, None);
}

proptest! {
    /// Whatever is tried, in any order: retired is final; a device has the certificate of the first intent under the code that
    /// was claimed, until it comes with the one of its last renewal, which must have been signed; suspension is left as it
    /// was entered. Without its own certificate it has none, and no key.
    #[test]
    fn no_sequence_breaks_a_life(steps in vec((0u8..13, 0u8..4), 0..60)) {
        let mut lifecycle = registered().lifecycle;
        let mut intended = None;
        let mut held: Option<ClaimIntent> = None;
        let mut next: Option<(ClaimIntent, bool)> = None;
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
                // Whoever claims anew loses what it had.
                Transition::Reissue { .. } => (intended, held, next) = (None, None, None),
                Transition::Certify => held = intended,
                Transition::Renew(fresh) => next = Some((*fresh, false)),
                Transition::CertifyRenewal => next = next.map(|(intent, _)| (intent, true)),
                Transition::Promote => {
                    let (renewed, issued) = next.take().expect("there is none to promote");
                    prop_assert!(issued, "{:?} was never signed", renewed);
                    held = Some(renewed);
                }
                Transition::Suspend(_) => entered = Some(before.clone()),
                Transition::Resume => prop_assert_eq!(Some(&after), entered.as_ref()),
                Transition::Revoke { certificate, reason } => {
                    let shared = held.zip(next).is_some_and(|(held, (next, _))| held.spki == next.spki);
                    let stays = held.is_some_and(|held| held.certificate != *certificate)
                        && !(shared && *reason == RevocationReason::KeyCompromise);
                    next = None;
                    if !stays {
                        (intended, held) = (None, None);
                        prop_assert_eq!(after.keys().count(), 0);
                        prop_assert_eq!(after.held().count(), 0);
                    }
                    // A suspension is left as the one that it stands for would be.
                    entered = entered.and_then(|state: Lifecycle| state.step(step.clone(), at(60)).ok());
                }
                Transition::Activate | Transition::Retire(_) | Transition::Arm { .. } => {}
            }
            prop_assert_eq!(after.certificate(), held.map(|intent| intent.certificate));
            if let Some(identity) = after.identity() {
                prop_assert_eq!(Some(identity.spki), held.map(|intent| intent.spki));
                prop_assert_eq!(Some(identity.not_after), held.map(|intent| intent.not_after));
                let keys: Vec<_> = after.keys().collect();
                let mut expected = vec![identity.spki];
                expected.extend(next.map(|(intent, _)| intent.spki).filter(|key| *key != identity.spki));
                prop_assert_eq!(keys, expected);
                let signed = after.held().filter(|held| held.is_signed).count();
                prop_assert_eq!(signed, 1 + usize::from(next.is_some_and(|(_, issued)| issued)));
            }
            lifecycle = after;
        }
    }
}
