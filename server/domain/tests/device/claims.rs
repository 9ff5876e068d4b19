//! Device + code + key: who gets a certificate, and which.

use crate::support::{EXPIRY, after, at, claimed, code, intent, registered};
use muster_domain::{
    Code, Timestamp,
    certificate::{CertificateSerial, SpkiDigest},
    claim::{self, Decision, Presented},
    device::{ClaimWindow, Credential, Device, KeyChoice, Lifecycle, PinnedKey, Transition},
};

/// A decision in a form that can be written down: the certificate, or whether a clone is suspected.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Issue { key: u8, certificate: u128 },
    Repeat(u128),
    No,
    Clone,
}

/// Claims with a code and a key; a first claim would get certificate 99.
fn claim(device: &Device, code_seed: u8, key: u8, now: Timestamp) -> Told {
    let presented = Presented {
        code: code(code_seed),
        spki: SpkiDigest([key; 32]),
    };
    match claim::decide(device, &presented, intent(0, 99), now) {
        Decision::Issue(permit) => {
            assert_eq!(permit.device(), device.id);
            let intent = permit.intent();
            Told::Issue {
                key: intent.spki.0[0],
                certificate: intent.certificate.as_u128(),
            }
        }
        Decision::Repeat(serial) => Told::Repeat(serial.as_u128()),
        Decision::Refuse {
            clone_suspected: true,
        } => Told::Clone,
        Decision::Refuse {
            clone_suspected: false,
        } => Told::No,
    }
}

const BEFORE: Timestamp = at(10);

#[test]
fn each_state_answers_each_claim() {
    let intended = || after([Transition::Intend(intent(1, 11))]);
    let reissued = || {
        after([
            Transition::Intend(intent(1, 11)),
            Transition::Reissue {
                hash: code(3),
                window: ClaimWindow::ALWAYS,
                key: KeyChoice::Kept,
            },
        ])
    };
    let with = |transition| Device {
        lifecycle: claimed().lifecycle.step(transition, BEFORE).unwrap(),
        ..claimed()
    };
    let check = |state: &str, device: &Device, code, key, expected: Told| {
        assert_eq!(
            claim(device, code, key, BEFORE),
            expected,
            "{state}, code {code}, key {key}"
        );
    };
    let fresh = |key| Told::Issue { key, certificate: 99 };
    let first = || Told::Issue {
        key: 1,
        certificate: 11,
    };

    check("registered", &registered(), 1, 1, fresh(1));
    check("registered", &registered(), 2, 1, Told::No);
    // A claim began: the same key finishes it as it was decided then, another one is a clone.
    check("intended", &intended(), 1, 1, first());
    check("intended", &intended(), 1, 2, Told::Clone);
    check("intended", &intended(), 2, 1, Told::No);
    check("intended", &intended(), 2, 2, Told::No);
    // A new code ends what the old one began.
    check("reissued", &reissued(), 1, 1, Told::No);
    check("reissued", &reissued(), 3, 2, fresh(2));
    for (state, device) in [("claimed", claimed()), ("active", with(Transition::Activate))] {
        check(state, &device, 1, 1, Told::Repeat(11));
        check(state, &device, 1, 2, Told::Clone);
        check(state, &device, 2, 1, Told::No);
        check(state, &device, 2, 2, Told::No);
    }
    for (state, device) in [
        ("suspended", with(Transition::Suspend(String::new()))),
        ("retired", with(Transition::Retire(String::new()))),
        (
            "suspended before its claim",
            after([Transition::Suspend(String::new())]),
        ),
    ] {
        for (code, key) in [(1, 1), (1, 2), (2, 1)] {
            check(state, &device, code, key, Told::No);
        }
    }
}

#[test]
fn a_code_ends_at_its_expiry() {
    let open = Timestamp::from_millis(EXPIRY.millis() - 1);
    assert_eq!(
        claim(&registered(), 1, 1, open),
        Told::Issue {
            key: 1,
            certificate: 99
        }
    );
    assert_eq!(claim(&registered(), 1, 1, EXPIRY), Told::No);
    // A claim that began in time is finished, also later: its code is bound to its key.
    let intended = after([Transition::Intend(intent(1, 11))]);
    assert_eq!(
        claim(&intended, 1, 1, EXPIRY),
        Told::Issue {
            key: 1,
            certificate: 11
        }
    );
    assert_eq!(claim(&intended, 1, 2, EXPIRY), Told::Clone);
    // A lost answer is given again also later: the certificate is there.
    assert_eq!(claim(&claimed(), 1, 1, EXPIRY), Told::Repeat(11));
    let endless = after([Transition::Reissue {
        hash: code(1),
        window: ClaimWindow::ALWAYS,
        key: KeyChoice::Kept,
    }]);
    assert_eq!(
        claim(&endless, 1, 1, at(u64::MAX / 1000)),
        Told::Issue {
            key: 1,
            certificate: 99
        }
    );
}

#[test]
fn a_claim_that_is_carried_out_is_repeated_with_its_certificate() {
    let device = registered();
    let presented = Presented {
        code: code(1),
        spki: SpkiDigest([4; 32]),
    };
    let Decision::Issue(permit) = claim::decide(&device, &presented, intent(0, 99), BEFORE) else {
        panic!()
    };
    let lifecycle = device
        .lifecycle
        .clone()
        .step(Transition::Intend(*permit.intent()), BEFORE)
        .unwrap();
    let device = Device {
        lifecycle: lifecycle.step(Transition::Certify, BEFORE).unwrap(),
        ..device
    };
    let identity = device.lifecycle.identity().unwrap();
    assert_eq!(
        (identity.certificate, identity.spki),
        (CertificateSerial::from_u128(99), presented.spki)
    );
    assert_eq!(claim(&device, 1, 4, BEFORE), Told::Repeat(99));
}

#[test]
fn the_answer_to_a_stranger_names_neither_part() {
    let refusal = claim::refusal();
    assert_eq!((refusal.code, refusal.field.as_str()), (Code::ClaimRefused, ""));
    assert!(!refusal.message.contains("GW2"));
}

#[test]
fn a_pinned_key_claims_without_a_code_and_no_other_key_does() {
    let credential = |intent| Credential::Pinned {
        key: PinnedKey {
            spki: SpkiDigest([4; 32]),
            certificate: None,
        },
        window: ClaimWindow::ALWAYS,
        intent,
    };
    let pinned = |intent| Device {
        lifecycle: Lifecycle::Registered {
            credential: credential(intent),
        },
        ..registered()
    };
    let issue = |certificate| Told::Issue { key: 4, certificate };
    for code in [1, 2] {
        assert_eq!(claim(&pinned(None), code, 4, BEFORE), issue(99));
        assert_eq!(claim(&pinned(None), code, 5, BEFORE), Told::No);
        // A repeated claim goes on with its first intent.
        assert_eq!(claim(&pinned(Some(intent(4, 11))), code, 4, BEFORE), issue(11));
        assert_eq!(claim(&pinned(Some(intent(4, 11))), code, 5, BEFORE), Told::No);
    }
    let lifecycle = pinned(Some(intent(4, 11)))
        .lifecycle
        .step(Transition::Certify, BEFORE)
        .unwrap();
    assert_eq!(lifecycle.key(), Some(SpkiDigest([4; 32])));
    let claimed = Device {
        lifecycle,
        ..registered()
    };
    assert_eq!(claim(&claimed, 2, 4, BEFORE), Told::Repeat(11));
    assert_eq!(claim(&claimed, 1, 5, BEFORE), Told::No);
    // An operator may give it a code instead: its key is lost.
    let reissue = Transition::Reissue {
        hash: code(1),
        window: ClaimWindow::ALWAYS,
        key: KeyChoice::Kept,
    };
    let lifecycle = pinned(None).lifecycle.step(reissue, BEFORE).unwrap();
    assert_eq!(lifecycle.key(), None);
}

#[test]
fn a_window_lets_claims_begin_and_never_keeps_one_from_its_end() {
    let window = ClaimWindow {
        opens: Some(at(600)),
        closes: Some(at(700)),
    };
    let with = |intent| Device {
        lifecycle: Lifecycle::Registered {
            credential: Credential::Code {
                hash: code(1),
                window,
                bound: None,
                intent,
            },
        },
        ..registered()
    };
    let issue = |certificate| Told::Issue { key: 4, certificate };
    for (now, expected) in [
        (599, Told::No),
        (600, issue(99)),
        (699, issue(99)),
        (700, Told::No),
        (9000, Told::No),
    ] {
        assert_eq!(claim(&with(None), 1, 4, at(now)), expected, "{now}");
        assert_eq!(
            claim(&with(Some(intent(4, 11))), 1, 4, at(now)),
            issue(11),
            "{now}"
        );
    }
}

#[test]
fn a2_a_code_that_is_bound_to_a_key_is_of_no_use_with_another() {
    let bound = Device {
        lifecycle: Lifecycle::Registered {
            credential: Credential::Code {
                hash: code(1),
                window: ClaimWindow::ALWAYS,
                bound: Some(SpkiDigest([4; 32])),
                intent: None,
            },
        },
        ..registered()
    };
    assert_eq!(bound.lifecycle.key(), Some(SpkiDigest([4; 32])));
    let issued = Told::Issue {
        key: 4,
        certificate: 99,
    };
    assert_eq!(claim(&bound, 1, 4, BEFORE), issued);
    assert_eq!(
        claim(&bound, 2, 4, BEFORE),
        Told::No,
        "the code is needed all the same"
    );
    assert_eq!(claim(&bound, 1, 5, BEFORE), Told::Clone);
}
