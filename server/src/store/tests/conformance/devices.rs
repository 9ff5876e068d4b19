//! What happens to a device.

use crate::store::{
    DeviceChange, Store,
    tests::build::{alice, at, begin, claim, code, enroll, hello, import, report, serial},
};
use muster_domain::{
    Code,
    certificate::{CertificateState, RevocationReason},
    device::{
        ClaimWindow, Device, Facet, FacetState, HelloAnswer, KeyChoice, Lifecycle, LifecycleState,
        Transition, Verification, VerificationState,
    },
    ids::DeviceId,
};

fn change(transition: Transition) -> DeviceChange {
    DeviceChange {
        transition,
        expected_revision: None,
        actor: alice(),
        now: at(2000),
    }
}

async fn done(store: &Store, id: DeviceId, transition: Transition) -> Device {
    store.transition(id, change(transition)).await.unwrap().unwrap()
}

async fn refused(store: &Store, id: DeviceId, transition: Transition) -> Code {
    store
        .transition(id, change(transition))
        .await
        .unwrap()
        .unwrap_err()
        .code
}

fn suspend() -> Transition {
    Transition::Suspend("stolen".to_owned())
}

fn retire() -> Transition {
    Transition::Retire("scrapped".to_owned())
}

/// As revoked by what [`done`] does.
fn revoked(reason: RevocationReason) -> CertificateState {
    CertificateState::Revoked { at: at(2000), reason }
}

pub(super) async fn a_device_is_found_by_id_and_serial(store: &Store) {
    let device = import(store, 1, 0..1).await.remove(0);
    assert_eq!(store.device(device.id).await.unwrap().as_ref(), Some(&device));
    assert_eq!(store.device_by_serial(&serial(0)).await.unwrap(), Some(device));
    assert_eq!(store.device(DeviceId::from_u128(1)).await.unwrap(), None);
    assert_eq!(store.device_by_serial("GW2-000000").await.unwrap(), None);
}

pub(super) async fn another_content_raises_the_generation_once(store: &Store) {
    let device = import(store, 1, 0..1).await.remove(0);
    let id = device.id;
    let retarget = async |generation, digest: u8| {
        let moved = store.retarget(id, generation, [digest; 32], at(3000)).await;
        moved.unwrap().unwrap().target
    };
    let moved = retarget(1, 7).await;
    assert_eq!((moved.generation, moved.digest), (2, [7; 32]));
    assert_eq!(
        (&moved.profile, &moved.firmware_policy),
        (&device.target.profile, &device.target.firmware_policy)
    );
    // Whoever decided on an older generation, or on what it is already, changes nothing.
    assert_eq!(retarget(1, 8).await, moved);
    assert_eq!(retarget(2, 7).await, moved);
    let nobody = store.retarget(DeviceId::from_u128(1), 1, [7; 32], at(3000)).await;
    assert_eq!(nobody.unwrap(), None);
}

pub(super) async fn an_etag_of_the_past_changes_nothing(store: &Store) {
    let device = import(store, 1, 0..1).await.remove(0);
    let with = |revision| DeviceChange {
        expected_revision: Some(revision),
        ..change(suspend())
    };
    let stale = store
        .transition(device.id, with(device.revision + 1))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!((stale.code, stale.field.as_str()), (Code::EtagMismatch, "etag"));
    assert_eq!(store.device(device.id).await.unwrap().as_ref(), Some(&device));
    let changed = store
        .transition(device.id, with(device.revision))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (changed.revision, changed.updated),
        (device.revision + 1, at(2000))
    );
    let again = store
        .transition(device.id, with(device.revision))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(again.code, Code::EtagMismatch);
}

pub(super) async fn a_suspended_device_does_not_connect_and_returns(store: &Store) {
    import(store, 1, 0..1).await;
    let claimed = enroll(store, 0, 1).await;
    let id = claimed.device.id;
    done(store, id, suspend()).await;
    assert_eq!(
        store
            .holder(claimed.certificate.spki, &claimed.certificate.der)
            .unwrap(),
        None
    );
    assert_eq!(store.counts().states[&LifecycleState::Suspended], 1);
    assert_eq!(refused(store, id, suspend()).await, Code::TransitionForbidden);
    let back = done(store, id, Transition::Resume).await;
    assert_eq!(back.lifecycle, claimed.device.lifecycle);
    let holder = store
        .holder(claimed.certificate.spki, &claimed.certificate.der)
        .unwrap();
    assert_eq!(holder.map(|holder| holder.device), Some(id));
}

pub(super) async fn a_retired_device_never_returns(store: &Store) {
    import(store, 1, 0..2).await;
    let claimed = enroll(store, 0, 1).await;
    let (id, serial) = (claimed.device.id, claimed.certificate.serial);
    done(store, id, suspend()).await;
    done(store, id, retire()).await;
    assert_eq!(
        store
            .holder(claimed.certificate.spki, &claimed.certificate.der)
            .unwrap(),
        None
    );
    let record = store.certificate(serial).await.unwrap().unwrap();
    assert_eq!(record.state, revoked(RevocationReason::CessationOfOperation));
    for transition in [
        Transition::Resume,
        suspend(),
        retire(),
        Transition::Reissue {
            hash: code(5),
            window: ClaimWindow::ALWAYS,
            key: KeyChoice::Kept,
        },
    ] {
        assert_eq!(refused(store, id, transition).await, Code::TransitionForbidden);
    }
    // One that never claimed has nothing to revoke.
    let other = store.device_by_serial("GW2-0000001").await.unwrap().unwrap();
    let other = done(store, other.id, retire()).await;
    assert!(matches!(other.lifecycle, Lifecycle::Retired { last: None, .. }));
}

pub(super) async fn operators_do_not_make_the_steps_of_claims(store: &Store) {
    let device = import(store, 1, 0..1).await.remove(0);
    for transition in [
        Transition::Certify,
        Transition::Activate,
        Transition::Intend(claim(0, 1, 1).fresh),
    ] {
        assert_eq!(
            refused(store, device.id, transition).await,
            Code::TransitionForbidden
        );
    }
    assert_eq!(
        refused(store, DeviceId::from_u128(1), suspend()).await,
        Code::NotFound
    );
}

pub(super) async fn a_new_code_replaces_the_old_one(store: &Store) {
    let device = import(store, 1, 0..1).await.remove(0);
    let old = begin(store, claim(0, 1, 1)).await;
    done(
        store,
        device.id,
        Transition::Reissue {
            hash: code(50),
            window: ClaimWindow::ALWAYS,
            key: KeyChoice::Kept,
        },
    )
    .await;
    let record = store
        .certificate(old.intent().certificate)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        record.state,
        revoked(RevocationReason::Superseded),
        "it was never handed out"
    );
    let answer = store.begin_claim(claim(0, 1, 2)).await.unwrap();
    assert!(
        matches!(answer, crate::store::ClaimBegun::Refused(_)),
        "the old code is dead: {answer:?}"
    );
    let mut fresh = claim(0, 1, 3);
    fresh.presented.code = code(50);
    begin(store, fresh).await;
}

pub(super) async fn a_report_activates_and_is_judged(store: &Store) {
    import(store, 1, 0..1).await;
    let claimed = enroll(store, 0, 1).await.device;
    let hear = async |state| {
        store
            .record_report(claimed.id, report(&claimed, state), at(3000))
            .await
            .unwrap()
            .unwrap()
    };
    let failed = hear(FacetState::Failed("full".to_owned())).await;
    assert_eq!(failed.lifecycle.state(), LifecycleState::Claimed);
    assert!(matches!(
        failed.verification,
        Verification::Failed {
            facet: Facet::Config,
            ..
        }
    ));
    let active = hear(FacetState::Applied).await;
    assert_eq!(active.lifecycle.state(), LifecycleState::Active);
    hear(FacetState::Applied).await;
    assert_eq!(store.counts().states[&LifecycleState::Active], 1);
    assert_eq!(store.counts().verifications[&VerificationState::Verified], 1);
    let (log, _) = store.list_audit(0, 1000).await.unwrap();
    assert_eq!(
        log.iter()
            .filter(|entry| entry.leaf.contains("device_activated"))
            .count(),
        1
    );
    let mut unknown = report(&claimed, FacetState::Applied);
    unknown.generation += 1;
    let before = store.device(claimed.id).await.unwrap();
    let refusal = store
        .record_report(claimed.id, unknown, at(3001))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(refusal.code, Code::GenerationUnknown);
    assert_eq!(store.device(claimed.id).await.unwrap(), before);
}

pub(super) async fn a_hello_tells_whether_to_send(store: &Store) {
    import(store, 1, 0..1).await;
    let device = enroll(store, 0, 1).await.device;
    let greet = async |hello, seconds| {
        let (device, answer) = store
            .record_hello(device.id, hello, at(seconds))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(device.reported.as_ref().unwrap().at, at(seconds));
        assert_eq!(store.device(device.id).await.unwrap(), Some(device));
        answer
    };
    assert_eq!(
        greet(hello(&device), 3000).await,
        HelloAnswer::Send,
        "nothing is verified yet"
    );
    store
        .record_report(device.id, report(&device, FacetState::Applied), at(3001))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(greet(hello(&device), 4000).await, HelloAnswer::UpToDate);
    let mut old = hello(&device);
    old.generation = 0;
    assert_eq!(greet(old, 4001).await, HelloAnswer::Send);
}

pub(super) async fn a_hello_that_says_nothing_new_is_not_written(store: &Store) {
    import(store, 1, 0..1).await;
    let device = enroll(store, 0, 1).await.device;
    let heard = async |boot_id, seconds| {
        let hello = muster_domain::device::Hello {
            boot_id,
            ..hello(&device)
        };
        let (device, _) = store
            .record_hello(device.id, hello, at(seconds))
            .await
            .unwrap()
            .unwrap();
        device.reported.unwrap().at
    };
    assert_eq!(heard(1, 3000).await, at(3000));
    assert_eq!(heard(1, 3059).await, at(3000), "known to within a minute");
    assert_eq!(heard(1, 3060).await, at(3060));
    assert_eq!(heard(2, 3061).await, at(3061), "it rebooted");
    assert_eq!(heard(2, 3000).await, at(3000), "the clock went back");
}

pub(super) async fn the_barred_are_not_heard(store: &Store) {
    let unclaimed = import(store, 1, 0..2).await.remove(1);
    let suspended = enroll(store, 0, 1).await.device;
    done(store, suspended.id, suspend()).await;
    for id in [unclaimed.id, suspended.id, DeviceId::from_u128(1)] {
        let before = store.device(id).await.unwrap();
        let greeted = store.record_hello(id, hello(&suspended), at(3000)).await.unwrap();
        assert_eq!(greeted.unwrap_err().code, Code::DeviceBarred);
        let heard = store
            .record_report(id, report(&suspended, FacetState::Applied), at(3000))
            .await
            .unwrap();
        assert_eq!(heard.unwrap_err().code, Code::DeviceBarred);
        assert_eq!(store.device(id).await.unwrap(), before);
    }
}
