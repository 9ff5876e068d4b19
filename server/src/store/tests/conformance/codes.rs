//! Changes that give out codes.

use super::changes::{audited, device};
use crate::store::{
    ChangeOrder, ClaimBegun, ClaimStart, IssuedCode, Store,
    tests::{
        build::{SOURCE, alice, at, begin, claim, enroll, import, seed, signed, sound},
        drive::{change, change_id, given, kept, order, planned, standings, started, state, work},
    },
};
use muster_domain::{
    Code, Refusal,
    activation::Seed,
    certificate::CertificateState,
    change::{Action, Change, Priority, Standing},
    claim::Presented,
    device::{Device, LifecycleState},
    ids::ChangeId,
};

const WEEK: u64 = 7 * 86_400;

fn reissue(number: u32, claimed: bool) -> Change {
    Change {
        action: Action::ReissueCodes { claimed, ttl: None },
        ..change(number)
    }
}

async fn told(store: &Store, id: ChangeId, from: u32) -> Result<(Seed, Vec<IssuedCode>), Refusal> {
    store.issued_codes(id, from, 3).await.unwrap()
}

async fn keep(store: &Store, id: ChangeId, kept: u32) -> Result<(), Refusal> {
    store
        .acknowledge_codes(id, Some(kept), alice(), at(500))
        .await
        .unwrap()
}

/// A claim of a device with the code that a change gave it.
fn presenting(number: u32, device: &Device, seed: &Seed) -> ClaimStart {
    let start = claim(number, number, 100 + number);
    ClaimStart {
        presented: Presented {
            code: kept(seed, device.id),
            ..start.presented
        },
        ..start
    }
}

fn is_refused(begun: &ClaimBegun) -> bool {
    !matches!(begun, ClaimBegun::Issue { .. })
}

pub(super) async fn codes_are_given_once_and_told_until_they_are_kept(store: &Store) {
    let devices = import(store, 1, 0..5).await;
    let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
    let id = change_id(9);
    assert_eq!(told(store, id, 0).await.unwrap_err().code, Code::NotFound);
    started(store, reissue(9, false), &ids).await;
    assert_eq!(told(store, id, 0).await.unwrap_err().code, Code::ChangeState);
    assert_eq!(keep(store, id, 0).await.unwrap_err().code, Code::ChangeState);
    // Both stages pass at once: nothing has to be proved.
    work(store, at(200)).await;
    assert_eq!(
        (state(store, id).await, standings(store, id).await),
        ("DONE", vec![(Standing::Done, 5)])
    );
    let (seed, first) = told(store, id, 0).await.unwrap();
    let (again, rest) = told(store, id, 3).await.unwrap();
    assert_eq!((&seed, first.len(), rest.len()), (&again, 3, 2));
    let all: Vec<_> = first.iter().chain(&rest).collect();
    for (number, (issued, device)) in (0..).zip(all.iter().zip(&devices)) {
        let expected = (number, device.id, Some(&device.serial), at(200));
        assert_eq!(
            (issued.number, issued.device, issued.serial.as_ref(), issued.at),
            expected
        );
    }
    assert_eq!(told(store, id, 5).await.unwrap().1, []);
    // The former code is dead, the new one opens the claim.
    assert!(is_refused(&store.begin_claim(claim(0, 0, 0)).await.unwrap()));
    let permit = begin(store, presenting(0, &devices[0], &seed)).await;
    store
        .finish_claim(signed(&permit), at(1001), SOURCE)
        .await
        .unwrap()
        .unwrap();
    sound(store).await;
    // Not before all of them are kept; then for good.
    assert_eq!(keep(store, id, 3).await.unwrap_err().code, Code::ChangeState);
    assert_eq!(keep(store, id, 6).await.unwrap_err().code, Code::PageTokenInvalid);
    assert_eq!(keep(store, id, 5).await, Ok(()));
    assert_eq!(keep(store, id, 5).await, Ok(()));
    assert_eq!(told(store, id, 0).await.unwrap_err().code, Code::CodesErased);
    assert_eq!(
        store.code_seed(id, seed.clone()).await.unwrap(),
        None,
        "none is made anew"
    );
    let given: Vec<_> = audited(store, "code_reissued").await;
    assert_eq!(given.len(), 5);
    assert_eq!(given[0]["detail"]["change"], id.to_string());
    let kept = audited(store, "codes_acknowledged").await;
    assert_eq!((kept.len(), &kept[0]["detail"]["codes"]), (1, &"5".into()));
}

pub(super) async fn whoever_claimed_since_the_plan_keeps_its_certificate(store: &Store) {
    let devices = import(store, 1, 0..4).await;
    let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
    enroll(store, 3, 3).await;
    let id = change_id(9);
    let record = planned(store, reissue(9, false), &ids).await;
    assert_eq!((record.total().total(), record.left_out()), (3, 1));
    // One claims, and one begins to.
    enroll(store, 0, 0).await;
    let begun = begin(store, claim(1, 1, 1)).await;
    let start = ChangeOrder::Start(crate::store::tests::drive::PLAN, 3);
    order(store, id, start).await.unwrap();
    work(store, at(200)).await;
    let expected = [(Standing::Done, 1), (Standing::Skipped, 2)];
    assert_eq!(standings(store, id).await, expected);
    store
        .finish_claim(signed(&begun), at(1001), SOURCE)
        .await
        .unwrap()
        .unwrap();
    for number in [0, 1, 3] {
        let known = device(store, ids[number]).await;
        assert_eq!(known.lifecycle.state(), LifecycleState::Claimed);
    }
    let (_, codes) = told(store, id, 0).await.unwrap();
    assert_eq!((codes.len(), codes[0].device), (1, ids[2]));
}

pub(super) async fn a_claimed_device_claims_anew_where_that_is_wanted(store: &Store) {
    let devices = import(store, 1, 0..2).await;
    let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
    let first = enroll(store, 0, 0).await;
    let id = change_id(9);
    started(store, reissue(9, true), &ids).await;
    work(store, at(2000)).await;
    assert_eq!(standings(store, id).await, [(Standing::Done, 2)]);
    let known = device(store, ids[0]).await;
    assert_eq!(known.lifecycle.state(), LifecycleState::Registered);
    let ended = store
        .certificate(first.certificate.serial)
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(ended.state, CertificateState::Revoked { .. }),
        "{ended:?}"
    );
    let (seed, _) = told(store, id, 0).await.unwrap();
    let permit = begin(store, presenting(0, &known, &seed)).await;
    store
        .finish_claim(signed(&permit), at(2001), SOURCE)
        .await
        .unwrap()
        .unwrap();
}

pub(super) async fn codes_stay_when_a_change_is_ended_or_its_devices_taken(store: &Store) {
    let devices = import(store, 1, 0..5).await;
    let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
    let id = change_id(1);
    let mut slow = reissue(1, false);
    slow.strategy.per_minute = Some(2);
    started(store, slow, &ids).await;
    work(store, at(200)).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Waiting, 3), (Standing::Done, 2)]
    );
    // An urgent change takes all of them, the two with codes too.
    let urgent = Change {
        action: Action::Suspend("theft".into()),
        priority: Priority::Emergency,
        ..change(2)
    };
    started(store, urgent, &ids).await;
    work(store, at(201)).await;
    sound(store).await;
    let (seed, codes) = told(store, id, 0).await.unwrap();
    let given: Vec<_> = codes.iter().map(|code| code.device).collect();
    assert_eq!(given, ids[..2]);
    let third = reissue(3, false);
    let third_id = third.id;
    planned(store, third, &ids).await;
    order(store, third_id, ChangeOrder::Abort).await.unwrap();
    // It never gave any out, and has nothing to forget.
    assert_eq!(
        told(store, third_id, 0).await.unwrap_err().code,
        Code::ChangeState
    );
    assert_eq!(keep(store, third_id, 0).await, Ok(()));
    assert_ne!(given_code(&seed, &devices[0]), given_code(&seed, &devices[1]));
    work(store, at(400)).await;
    assert!(["DONE", "RUNNING"].contains(&state(store, id).await));
    assert_eq!(told(store, id, 0).await.unwrap().1, codes);
}

fn given_code(seed: &Seed, device: &Device) -> String {
    given(seed, device.id).reveal()
}

pub(super) async fn codes_that_nobody_keeps_expire(store: &Store) {
    let devices = import(store, 1, 0..3).await;
    let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
    let (done, open) = (change_id(1), change_id(2));
    started(store, reissue(1, false), &ids[..1]).await;
    let mut slow = reissue(2, false);
    slow.strategy.per_minute = Some(1);
    started(store, slow, &ids[1..]).await;
    work(store, at(200)).await;
    order(store, open, ChangeOrder::Pause).await.unwrap();
    assert_eq!(store.expired_codes(at(200 + WEEK - 1)).await.unwrap(), []);
    // One that has not ended may give out more, however long that takes.
    assert_eq!(store.expired_codes(at(200 + WEEK)).await.unwrap(), [done]);
    let erased = store.acknowledge_codes(done, None, alice(), at(200 + WEEK)).await;
    assert_eq!(erased.unwrap(), Ok(()));
    assert_eq!(told(store, done, 0).await.unwrap_err().code, Code::CodesErased);
    assert_eq!(store.expired_codes(at(9 * WEEK)).await.unwrap(), []);
    let known = told(store, open, 0).await.unwrap().0;
    assert_eq!(
        store.code_seed(open, seed(4711)).await.unwrap(),
        Some(known),
        "the first one stays"
    );
}
