use crate::store::{
    ClaimBegun, DeviceChange, Store,
    tests::build::{
        SOURCE, alice, at, begin, claim, enroll, import, key, renew, renewal, renewed, serial, sound,
    },
};
use muster_domain::{
    Code, Refusal,
    certificate::{CertificateRecord, CertificateState, RevocationReason},
    device::{Device, Transition},
    ids::DeviceId,
};

/// Who may connect with a certificate, and whether it is one that was not seen yet.
fn holder(store: &Store, record: &CertificateRecord) -> Option<(DeviceId, bool)> {
    let holder = store.holder(record.spki, &record.der).unwrap();
    holder.map(|holder| (holder.device, holder.is_successor))
}

async fn known(store: &Store, number: u32) -> Device {
    store.device_by_serial(&serial(number)).await.unwrap().unwrap()
}

async fn state(store: &Store, record: &CertificateRecord) -> CertificateState {
    store.certificate(record.serial).await.unwrap().unwrap().state
}

async fn refused(store: &Store, device: &Device, spki: u32, certificate: u32) -> Refusal {
    match store
        .begin_renewal(renewal(device, spki, certificate))
        .await
        .unwrap()
    {
        ClaimBegun::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn superseded(seconds: u64) -> CertificateState {
    CertificateState::Revoked {
        at: at(seconds),
        reason: RevocationReason::Superseded,
    }
}

pub(super) async fn the_certificate_in_hand_is_good_until_the_next_is_seen(store: &Store) {
    import(store, 1, 0..1).await;
    let first = enroll(store, 0, 1).await;
    let second = renew(store, &first.device, 2).await;
    sound(store).await;
    let id = first.device.id;
    assert_eq!(holder(store, &first.certificate), Some((id, false)));
    assert_eq!(holder(store, &second.certificate), Some((id, true)));
    // Another certificate of the device is nothing to a promotion.
    store
        .promote(id, first.certificate.serial, at(5002), SOURCE)
        .await
        .unwrap();
    assert_eq!(holder(store, &first.certificate), Some((id, false)));
    for _ in 0..2 {
        store
            .promote(id, second.certificate.serial, at(5002), SOURCE)
            .await
            .unwrap();
    }
    assert_eq!(holder(store, &first.certificate), None);
    assert_eq!(holder(store, &second.certificate), Some((id, false)));
    assert_eq!(state(store, &first.certificate).await, superseded(5002));
    sound(store).await;
    // The first key is free, and the code that was spent does not bring it back.
    let ClaimBegun::Refused(refusal) = store.begin_claim(claim(0, 1, 9)).await.unwrap() else {
        panic!("a second way in")
    };
    assert_eq!(refusal.code, Code::ClaimRefused);
    let third = renew(store, &known(store, 0).await, 1).await;
    assert_eq!(holder(store, &third.certificate), Some((id, true)));
}

pub(super) async fn a_lost_answer_to_a_renewal_is_given_again(store: &Store) {
    import(store, 1, 0..1).await;
    let device = enroll(store, 0, 1).await.device;
    let begun = async |certificate| match store.begin_renewal(renewal(&device, 2, certificate)).await {
        Ok(ClaimBegun::Issue { permit, .. }) => permit,
        other => panic!("{other:?}"),
    };
    // Cut before it was signed: the first intent counts.
    let (one, two) = (begun(2).await, begun(3).await);
    assert_eq!(one, two);
    // Of two that raced, the first recorded counts.
    let finish = async |record, now| store.finish_renewal(record, now, SOURCE).await.unwrap().unwrap();
    let first = finish(renewed(&one), at(5001)).await;
    let mut other = renewed(&two);
    other.der = vec![0x32; 600];
    assert_eq!(finish(other, at(5002)).await, first);
    // Cut after: the certificate on record.
    let ClaimBegun::Repeat { certificate, .. } = store.begin_renewal(renewal(&device, 2, 4)).await.unwrap()
    else {
        panic!("issued twice")
    };
    assert_eq!(certificate, first.certificate);
    store
        .promote(device.id, certificate.serial, at(5003), SOURCE)
        .await
        .unwrap();
    let late = finish(renewed(&two), at(5004)).await;
    assert_eq!(late.certificate, certificate, "an answer that came last");
}

pub(super) async fn another_key_takes_the_place_of_an_unfinished_renewal(store: &Store) {
    import(store, 1, 0..2).await;
    let device = enroll(store, 0, 1).await.device;
    let lost = renew(store, &device, 2).await;
    let next = renew(store, &device, 3).await;
    assert_eq!(state(store, &lost.certificate).await, superseded(5000));
    assert_eq!(holder(store, &lost.certificate), None);
    assert_eq!(holder(store, &next.certificate), Some((device.id, true)));
    sound(store).await;
    // The lost key is free.
    let mut other = claim(1, 2, 20);
    other.now = at(5002);
    begin(store, other).await;
    let late = store
        .finish_renewal(lost.certificate, at(5003), SOURCE)
        .await
        .unwrap();
    assert_eq!(late.unwrap_err().code, Code::DeviceBarred);
}

pub(super) async fn a_renewal_keeps_to_what_claims_keep_to(store: &Store) {
    import(store, 1, 0..2).await;
    let [one, other] = [enroll(store, 0, 1).await, enroll(store, 1, 2).await];
    assert_eq!(refused(store, &one.device, 2, 5).await.code, Code::KeyInUse);
    let mut early = renewal(&one.device, 3, 6);
    early.now = at(100);
    let ClaimBegun::Refused(refusal) = store.begin_renewal(early).await.unwrap() else {
        panic!("issued in the past")
    };
    assert_eq!(refusal.code, Code::ClockBehind);
    // Its own key, kept in hardware, is its own.
    let same = renew(store, &one.device, 1).await;
    store
        .promote(one.device.id, same.certificate.serial, at(5002), SOURCE)
        .await
        .unwrap();
    assert_eq!(holder(store, &same.certificate), Some((one.device.id, false)));
    assert_eq!(holder(store, &one.certificate), None);
    assert_eq!(holder(store, &other.certificate), Some((other.device.id, false)));
    // A key of a renewal under way is taken.
    renew(store, &other.device, 7).await;
    assert_eq!(refused(store, &one.device, 7, 8).await.code, Code::KeyInUse);
}

pub(super) async fn whoever_is_shut_out_does_not_renew(store: &Store) {
    import(store, 1, 0..3).await;
    let change = |transition| DeviceChange {
        transition,
        expected_revision: None,
        actor: alice(),
        now: at(5001),
    };
    let waiting = known(store, 2).await;
    assert_eq!(refused(store, &waiting, 5, 5).await.code, Code::DeviceBarred);
    let devices = [enroll(store, 0, 0).await.device, enroll(store, 1, 1).await.device];
    let transitions = [
        Transition::Suspend("lost".to_owned()),
        Transition::Retire("scrapped".to_owned()),
    ];
    for ((number, device), transition) in (0..).zip(devices).zip(transitions) {
        let next = renew(store, &device, 10 + number).await;
        store
            .transition(device.id, change(transition))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            refused(store, &device, 20 + number, 20 + number).await.code,
            Code::DeviceBarred
        );
        assert_eq!(holder(store, &next.certificate), None);
        store
            .promote(device.id, next.certificate.serial, at(5002), SOURCE)
            .await
            .unwrap();
        assert_eq!(
            holder(store, &next.certificate),
            None,
            "a promotion lets nobody in"
        );
        sound(store).await;
    }
    // What was retired has revoked both, and freed both keys.
    let retired = store
        .certificate(renewal(&waiting, 11, 11).fresh.certificate)
        .await
        .unwrap();
    let reason = RevocationReason::CessationOfOperation;
    assert_eq!(
        retired.unwrap().state,
        CertificateState::Revoked { at: at(5001), reason }
    );
    let mut freed = claim(2, 11, 30);
    freed.now = at(5003);
    assert_eq!(begin(store, freed).await.intent().spki, key(11));
}

pub(super) async fn renewals_are_ordered_and_done(store: &Store) {
    import(store, 1, 0..2).await;
    let device = enroll(store, 0, 1).await.device;
    let waiting = known(store, 1).await;
    let orders = vec![
        (device.id, at(6000)),
        (waiting.id, at(6000)),
        (DeviceId::from_u128(5), at(6000)),
    ];
    let order = async || {
        store
            .order_renewals(orders.clone(), alice(), at(5000))
            .await
            .unwrap()
    };
    assert_eq!((order().await, order().await), (1, 0));
    let ordered = known(store, 0).await;
    assert_eq!(ordered.renew_from, Some(at(6000)));
    let next = renew(store, &ordered, 2).await;
    assert_eq!(known(store, 0).await.renew_from, Some(at(6000)));
    store
        .promote(device.id, next.certificate.serial, at(6001), SOURCE)
        .await
        .unwrap();
    assert_eq!(known(store, 0).await.renew_from, None, "done");
}
