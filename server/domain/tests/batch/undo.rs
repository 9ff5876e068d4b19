//! What blocks an undo, and what a device becomes again.

use crate::support::{at, device};
use muster_domain::{
    Code,
    batch::{Reach, ValuesDigest, reverted, undo_created, undo_updated},
    certificate::{CertificateSerial, SpkiDigest},
    device::{
        ClaimIntent, ClaimWindow, Device, Identity, KeyChoice, Lifecycle, Reported, Transition, Verification,
    },
};

fn stepped(transitions: impl IntoIterator<Item = Transition>) -> Device {
    transitions.into_iter().fold(device(), |device, transition| {
        let lifecycle = device.lifecycle.clone().step(transition, at(2)).unwrap();
        Device { lifecycle, ..device }.touched(at(2))
    })
}

fn intent() -> ClaimIntent {
    ClaimIntent {
        spki: SpkiDigest([1; 32]),
        certificate: CertificateSerial::from_u128(4),
        not_before: at(1),
        not_after: at(9000),
        profile: muster_domain::certificate::CertificateProfile::Device,
        issuer: None,
        source: None,
    }
}

fn certified() -> Device {
    let identity = Identity {
        certificate: CertificateSerial::from_u128(4),
        spki: SpkiDigest([1; 32]),
        not_after: at(9000),
        spent: None,
        successor: None,
        source: None,
    };
    Device {
        lifecycle: Lifecycle::Claimed { identity },
        ..device()
    }
}

fn reported() -> Reported {
    Reported {
        at: at(3),
        generation: 1,
        agent_version: String::new(),
        firmware: None,
        boot_id: 1,
        facets: Vec::new(),
    }
}

#[test]
fn only_untouched_devices_go() {
    let check = |device: &Device, expected: Result<(), &str>| {
        let found = undo_created(device, None);
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(refusal), Err(words)) => {
                assert_eq!(refusal.code, Code::UndoBlocked);
                assert!(refusal.message.contains(words), "{}", refusal.message);
            }
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    };
    let claim = || [Transition::Intend(intent()), Transition::Certify];
    check(&device(), Ok(()));
    check(&certified(), Ok(()));
    check(&device().touched(at(2)), Err("changed"));
    check(&stepped([Transition::Intend(intent())]), Err("begun to claim"));
    check(&stepped(claim()), Err("claimed"));
    check(
        &stepped(claim().into_iter().chain([Transition::Activate])),
        Err("active"),
    );
    check(&stepped([Transition::Suspend(String::new())]), Err("suspended"));
    check(&stepped([Transition::Retire(String::new())]), Err("retired"));
    let connected = Device {
        reported: Some(reported()),
        ..certified()
    };
    check(&connected, Err("claimed"));
    // A later row of the same batch may have changed it, and nobody else.
    let moved = Device {
        site: None,
        ..device()
    }
    .touched(at(2));
    assert!(undo_created(&moved, Some(ValuesDigest::of(&moved))).is_ok());
    assert!(undo_created(&moved, Some(ValuesDigest::of(&device()))).is_err());
}

#[test]
fn a_changed_device_returns_unless_somebody_changed_it_since() {
    let before = stepped([Transition::Intend(intent()), Transition::Certify]);
    let after = Device {
        site: None,
        ..before.clone()
    }
    .touched(at(3));
    let made = ValuesDigest::of(&after);
    assert!(undo_updated(&after, &before, made).is_ok());
    // A report of the device is not a change by somebody.
    let active = Device {
        lifecycle: after.lifecycle.clone().step(Transition::Activate, at(4)).unwrap(),
        reported: Some(reported()),
        ..after.clone()
    }
    .touched(at(4));
    assert!(undo_updated(&active, &before, made).is_ok());
    let blocks = |device: &Device| {
        assert_eq!(
            undo_updated(device, &before, made).unwrap_err().code,
            Code::UndoBlocked
        )
    };
    blocks(&Device {
        position: Some("Hall 2".to_owned()),
        ..after.clone()
    });
    for transition in [
        Transition::Suspend(String::new()),
        Transition::Retire(String::new()),
    ] {
        blocks(&Device {
            lifecycle: after.lifecycle.clone().step(transition, at(4)).unwrap(),
            ..after.clone()
        });
    }
    // It had not claimed when it was changed.
    let claimed = stepped([Transition::Intend(intent()), Transition::Certify]);
    assert!(undo_updated(&claimed, &device(), ValuesDigest::of(&claimed)).is_err());
}

#[test]
fn what_returns_has_its_values_at_a_higher_generation() {
    let before = device();
    let mut after = Device {
        site: None,
        mac: None,
        verification: Verification::Verified { at: at(3) },
        reported: Some(reported()),
        ..before.clone()
    };
    after.target.generation = 4;
    after.target.digest = [9; 32];
    let after = after.touched(at(3));
    let again = reverted(after.clone(), before.clone(), Reach::Values, at(5));
    assert_eq!((&again.site, again.mac), (&before.site, before.mac));
    assert_eq!(
        (again.target.generation, again.target.digest),
        (5, before.target.digest)
    );
    assert_eq!((again.revision, again.updated), (after.revision + 1, at(5)));
    assert_eq!(
        (&again.verification, &again.reported),
        (&Verification::Pending, &after.reported)
    );
    assert_eq!(ValuesDigest::of(&again), ValuesDigest::of(&before));
    // What it must be did not move: neither does its generation, nor the proof of it.
    let mut same = after;
    same.target.digest = before.target.digest;
    let again = reverted(same.clone(), before, Reach::Values, at(5));
    assert_eq!(
        (again.target.generation, again.verification),
        (4, same.verification)
    );
}

/// The terms of a claim go back with a change that set them, and with no other.
#[test]
fn terms_return_where_the_batch_set_them() {
    let arm = |key: u8| Transition::Arm {
        window: Some(ClaimWindow::until(Some(at(u64::from(key))))),
        key: KeyChoice::Only(SpkiDigest([key; 32])),
    };
    let (before, after, since) = (stepped([arm(1)]), stepped([arm(2)]), stepped([arm(3)]));
    let terms = |device: &Device| device.lifecycle.claim_terms();
    // A program that knew no terms, or a change that set none.
    let values = ValuesDigest::of(&after);
    for device in [&after, &since] {
        assert_eq!(undo_updated(device, &before, values), Ok(Reach::Values));
        let kept = reverted(device.clone(), before.clone(), Reach::Values, at(5));
        assert_eq!(terms(&kept), terms(device));
    }
    let set = ValuesDigest::reaching(&after, Reach::of(&["site".into(), "claim_not_after".into()]));
    assert_eq!(undo_updated(&after, &before, set), Ok(Reach::Terms));
    assert_eq!(
        undo_updated(&since, &before, set).unwrap_err().code,
        Code::UndoBlocked
    );
    let back = reverted(after.clone(), before.clone(), Reach::Terms, at(5));
    assert_eq!(
        (terms(&back), back.revision),
        (terms(&before), after.revision + 1)
    );
    // A device that the batch made goes while it is as the batch left it.
    assert!(undo_created(&after, Some(set)).is_ok());
    assert!(undo_created(&since, Some(set)).is_err());
    assert_eq!(Reach::of(&["labels.spki_sha256".into()]), Reach::Values);
}
