//! Claims.

use crate::store::{
    ClaimBegun, ClaimStart, Store, StoreError,
    tests::build::{SOURCE, alice, at, begin, claim, code, enroll, import, key, signed},
};
use muster_domain::{
    Code,
    catalog::{ModelSource, Resource},
    certificate::{AuthorityId, CertificateProfile, CertificateSerial, CertificateState},
    claim as rules,
    device::{ClaimWindow, KeyChoice, LifecycleState, Transition},
};

async fn refused(store: &Store, start: ClaimStart) -> Code {
    match store.begin_claim(start).await.unwrap() {
        ClaimBegun::Refused(refusal) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

async fn logged(store: &Store, action: &str) -> usize {
    let (log, _) = store.list_audit(0, 1000).await.unwrap();
    log.iter()
        .filter(|entry| entry.leaf.contains(&format!("\"action\":\"{action}\"")))
        .count()
}

pub(super) async fn a_claim_ends_in_a_certificate(store: &Store) {
    let devices = import(store, 1, 0..1).await;
    let ClaimBegun::Issue { permit, device } = store.begin_claim(claim(0, 1, 1)).await.unwrap() else {
        panic!("not issued");
    };
    assert_eq!((permit.device(), device.id), (devices[0].id, devices[0].id));
    // The intent is on record before anything is signed, and opens nothing.
    let serial = permit.intent().certificate;
    let intended = store.certificate(serial).await.unwrap().unwrap();
    assert_eq!(
        (intended.state, intended.der.len()),
        (CertificateState::Intended, 0)
    );
    let certificate = signed(&permit);
    assert_eq!(store.holder(certificate.spki, &certificate.der).unwrap(), None);
    assert_eq!(
        store.holder(certificate.spki, b"").unwrap(),
        None,
        "an intent is no certificate"
    );
    let finished = store
        .finish_claim(signed(&permit), at(1001), SOURCE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(finished.certificate, signed(&permit));
    assert_eq!(finished.device.lifecycle.state(), LifecycleState::Claimed);
    let holder = store.holder(certificate.spki, &certificate.der).unwrap();
    assert_eq!(holder.map(|holder| holder.device), Some(devices[0].id));
    assert_eq!(
        store.holder(certificate.spki, b"another of its key").unwrap(),
        None
    );
    assert_eq!(store.certificate(serial).await.unwrap(), Some(signed(&permit)));
    // It is one of our own; its record is of an older program, so that it must say itself who signed it.
    assert!(store.is_certificate(serial, &certificate.der).unwrap());
    assert!(!store.is_certificate(serial, b"another").unwrap());
    const AUTHORITY: AuthorityId = AuthorityId([7; 20]);
    let valid = async |issuer, now| store.valid_certificates(AUTHORITY, issuer, now).await.unwrap();
    assert_eq!(valid(|_| Some(AUTHORITY), at(1001)).await, 1);
    assert_eq!(valid(|_| None, at(1001)).await, 0);
    assert_eq!(
        valid(|_| Some(AUTHORITY), certificate.not_after).await,
        0,
        "it ended"
    );
    assert_eq!(store.counts().states[&LifecycleState::Claimed], 1);
    assert_eq!(
        (
            logged(store, "claim_started").await,
            logged(store, "claim_finished").await
        ),
        (1, 1)
    );
}

pub(super) async fn a_lost_answer_is_given_again(store: &Store) {
    import(store, 1, 0..1).await;
    let first = enroll(store, 0, 1).await;
    let (_, size) = store.list_audit(0, 1).await.unwrap();
    for number in 2..4 {
        match store.begin_claim(claim(0, 1, number)).await.unwrap() {
            ClaimBegun::Repeat { certificate, .. } => assert_eq!(certificate, first.certificate),
            other => panic!("not repeated: {other:?}"),
        }
    }
    assert_eq!(
        store.list_audit(0, 1).await.unwrap().1,
        size,
        "a repetition changes nothing"
    );
}

pub(super) async fn a_claim_cut_before_signing_goes_on_with_its_first_intent(store: &Store) {
    import(store, 1, 0..1).await;
    let first = begin(store, claim(0, 1, 1)).await;
    let again = begin(store, claim(0, 1, 2)).await;
    assert_eq!(first, again);
    assert_eq!(logged(store, "claim_started").await, 1);
    assert_eq!(
        store.certificate(claim(0, 1, 2).fresh.certificate).await.unwrap(),
        None
    );
    // Another key cannot take the code from the first one, nor undo it.
    assert_eq!(refused(store, claim(0, 2, 3)).await, Code::ClaimRefused);
    assert_eq!(begin(store, claim(0, 1, 4)).await, first);
}

pub(super) async fn wrong_serial_wrong_code_and_used_code_get_one_answer(store: &Store) {
    import(store, 1, 0..2).await;
    enroll(store, 1, 1).await;
    let (_, size) = store.list_audit(0, 1).await.unwrap();
    let mut answers = Vec::new();
    for (serial, number) in [
        ("GW2-0000000", 9),
        ("GW2-0000001", 9),
        ("AAA", 0),
        ("ZZZ", 0),
        ("", 0),
        ("\u{0}", 0),
    ] {
        let mut start = claim(0, 7, 7);
        start.serial = serial.to_owned();
        start.presented.code = code(number);
        let ClaimBegun::Refused(refusal) = store.begin_claim(start).await.unwrap() else {
            panic!("{serial:?}")
        };
        answers.push(refusal);
    }
    assert!(answers.iter().all(|answer| *answer == rules::refusal()));
    assert_eq!(
        store.list_audit(0, 1).await.unwrap().1,
        size,
        "guesses write nothing"
    );
    // The true device still claims.
    enroll(store, 0, 2).await;
}

pub(super) async fn a_second_key_is_refused_and_reported(store: &Store) {
    import(store, 1, 0..1).await;
    let first = enroll(store, 0, 1).await;
    let ClaimBegun::Refused(refusal) = store.begin_claim(claim(0, 2, 2)).await.unwrap() else {
        panic!()
    };
    assert_eq!(refusal, rules::refusal(), "the clone learns nothing");
    assert_eq!(logged(store, "clone_suspected").await, 1);
    let device = store.device(first.device.id).await.unwrap().unwrap();
    let alarm = device.alarm.expect("operators see it on the device");
    assert_eq!((alarm.count, alarm.key, alarm.source), (1, key(2), SOURCE));
    assert_eq!(
        device.lifecycle, first.device.lifecycle,
        "the true device keeps its claim"
    );
}

pub(super) async fn a_key_belongs_to_one_live_device(store: &Store) {
    import(store, 1, 0..3).await;
    begin(store, claim(0, 1, 1)).await;
    assert_eq!(
        refused(store, claim(1, 1, 2)).await,
        Code::KeyInUse,
        "intended by another"
    );
    let owner = enroll(store, 0, 1).await;
    assert_eq!(
        refused(store, claim(1, 1, 3)).await,
        Code::KeyInUse,
        "held by another"
    );
    assert_eq!(
        store.certificate(claim(1, 1, 3).fresh.certificate).await.unwrap(),
        None
    );
    let retire = crate::store::DeviceChange {
        transition: Transition::Retire("scrapped".to_owned()),
        expected_revision: None,
        actor: alice(),
        now: at(2000),
    };
    store.transition(owner.device.id, retire).await.unwrap().unwrap();
    begin(store, claim(1, 1, 4)).await;
}

pub(super) async fn nothing_is_issued_when_the_clock_went_back(store: &Store) {
    import(store, 1, 0..4).await;
    let at_time = |device, seconds| ClaimStart {
        now: at(seconds),
        ..claim(device, device, device)
    };
    begin(store, at_time(0, 10_000)).await;
    begin(store, at_time(1, 9_700)).await;
    let late = ClaimStart {
        now: at(9_700).minus(std::time::Duration::from_millis(1)),
        ..claim(2, 2, 2)
    };
    assert_eq!(refused(store, late).await, Code::ClockBehind);
    // What was intended before may be finished: it keeps its times.
    begin(store, at_time(0, 0)).await;
    begin(store, at_time(2, 10_000)).await;
}

pub(super) async fn of_two_that_raced_the_first_recorded_counts(store: &Store) {
    import(store, 1, 0..1).await;
    let (one, two) = (
        begin(store, claim(0, 1, 1)).await,
        begin(store, claim(0, 1, 1)).await,
    );
    let mut other = signed(&two);
    other.der = vec![0x31; 600];
    let first = store
        .finish_claim(signed(&one), at(1001), SOURCE)
        .await
        .unwrap()
        .unwrap();
    let second = store
        .finish_claim(other, at(1002), SOURCE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first, second);
    assert_eq!(logged(store, "claim_finished").await, 1);
}

pub(super) async fn a_claim_that_was_undone_is_not_finished(store: &Store) {
    let devices = import(store, 1, 0..3).await;
    let undo = [
        Transition::Suspend("lost".to_owned()),
        Transition::Retire("scrapped".to_owned()),
        Transition::Reissue {
            hash: code(77),
            window: ClaimWindow::ALWAYS,
            key: KeyChoice::Kept,
        },
    ];
    for ((number, device), transition) in (0..).zip(devices).zip(undo) {
        let permit = begin(store, claim(number, number, number)).await;
        let change = crate::store::DeviceChange {
            transition,
            expected_revision: None,
            actor: alice(),
            now: at(1001),
        };
        let changed = store.transition(device.id, change).await.unwrap().unwrap();
        let late = store
            .finish_claim(signed(&permit), at(1002), SOURCE)
            .await
            .unwrap();
        assert_eq!(late.unwrap_err(), rules::refusal());
        assert_eq!(store.device(device.id).await.unwrap(), Some(changed));
        assert_eq!(
            store.holder(permit.intent().spki, &signed(&permit).der).unwrap(),
            None
        );
    }
}

pub(super) async fn a_serial_is_not_used_twice(store: &Store) {
    import(store, 1, 0..2).await;
    begin(store, claim(0, 1, 1)).await;
    let again = store.begin_claim(claim(1, 2, 1)).await;
    assert!(matches!(again, Err(StoreError::Duplicate { .. })), "{again:?}");
    let mut unknown = signed(&begin(store, claim(1, 2, 2)).await);
    unknown.serial = CertificateSerial::new(at(3), 3);
    let unknown = store.finish_claim(unknown, at(1001), SOURCE).await;
    assert!(matches!(unknown, Err(StoreError::Missing { .. })), "{unknown:?}");
    assert_eq!(store.operator_by_key(key(1)).await.unwrap(), None);
}

pub(super) async fn a_gateways_certificate_is_a_gateways(store: &Store) {
    import(store, 1, 0..1).await;
    let gateways = ModelSource {
        name: "GW-200".to_owned(),
        gateway: true,
        ..ModelSource::default()
    };
    let applied = store
        .apply_catalog(
            vec![Resource::Model(gateways.check().unwrap())],
            "alice".parse().unwrap(),
            vec![String::new()],
            at(900),
            false,
        )
        .await;
    applied.unwrap().unwrap();
    let start = claim(0, 1, 1);
    let finished = enroll(store, 0, 1).await;
    let record = finished.certificate;
    assert_eq!(record.profile, CertificateProfile::Gateway);
    assert_eq!((record.not_before, record.not_after), start.gateway);
    let identity = finished
        .device
        .lifecycle
        .identity()
        .map(|identity| identity.not_after);
    assert_eq!(identity, Some(start.gateway.1));
}
