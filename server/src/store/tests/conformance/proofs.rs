//! What devices say of changes, and what becomes of changes by it.

use super::changes::{audited, device, fleet, site};
use crate::store::{
    ChangeOrder, ClaimBegun, Store,
    tests::{
        build::{SOURCE, alice, at, renew, renewal, renewed, sound},
        drive::{change, change_id, order, planned, say, standings, started, state, work},
    },
};
use muster_domain::{
    Code,
    certificate::CertificateSerial,
    change::{Action, Change, OnHalt, Share, Standing},
    device::{FacetState, LifecycleState},
};

pub(super) async fn failures_halt_a_change_and_devices_get_back_what_they_had(store: &Store) {
    let devices = fleet(store, 5).await;
    let mut halting = change(9);
    halting.strategy.on_halt = OnHalt::RollBack;
    let id = halting.id;
    started(store, halting, &devices).await;
    work(store, at(200)).await;
    for device in &devices[..2] {
        say(store, *device, FacetState::Failed("no disk".into()), at(210)).await;
    }
    work(store, at(211)).await;
    assert_eq!(state(store, id).await, "ROLLED_BACK");
    let expected = [(Standing::Skipped, 3), (Standing::Reverting, 2)];
    assert_eq!(standings(store, id).await, expected);
    for device in &devices[..2] {
        assert_eq!(site(store, *device).await, ("BER-1".to_owned(), 3));
        say(store, *device, FacetState::Applied, at(220)).await;
    }
    work(store, at(221)).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Skipped, 3), (Standing::Reverted, 2)]
    );
    assert!(store.open_changes().await.unwrap().is_empty());
    let halted = audited(store, "change_halted").await;
    assert_eq!(halted[0]["detail"]["why"], "2 targets of stage 1 failed; 1 may");
    assert_eq!(audited(store, "change_rolled_back").await.len(), 1);
}

pub(super) async fn the_silent_are_timed_out_and_tried_again(store: &Store) {
    let devices = fleet(store, 3).await;
    let id = change_id(9);
    started(store, change(9), &devices).await;
    work(store, at(200)).await;
    assert_eq!(store.pass_time(at(799)).await.unwrap(), 0);
    work(store, at(800)).await;
    assert_eq!(state(store, id).await, "HALTED");
    assert_eq!(
        standings(store, id).await,
        [(Standing::Waiting, 1), (Standing::TimedOut, 2)]
    );
    sound(store).await;
    let (record, retried) = store
        .order_change(id, ChangeOrder::Retry, None, alice(), at(801))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((retried, record.change.state.as_str()), (2, "RUNNING"));
    work(store, at(802)).await;
    assert_eq!(site(store, devices[0]).await, ("HAM-1".to_owned(), 3));
    // What it says of the first try says nothing of the second.
    for device in &devices[..2] {
        say(store, *device, FacetState::Applied, at(803)).await;
    }
    work(store, at(900)).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Sent, 1), (Standing::Done, 2)]
    );
    // A target that waits for its second try was touched by the first, and is given back.
    work(store, at(2000)).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Done, 2), (Standing::TimedOut, 1)]
    );
    order(store, id, ChangeOrder::Retry).await.unwrap();
    order(store, id, ChangeOrder::RollBack).await.unwrap();
    work(store, at(2001)).await;
    for device in &devices {
        assert_eq!(site(store, *device).await.0, "BER-1");
    }
    assert_eq!(
        order(store, id, ChangeOrder::Retry).await.unwrap_err().code,
        Code::ChangeState
    );
}

pub(super) async fn a_halt_that_is_accepted_goes_on(store: &Store) {
    let devices = fleet(store, 4).await;
    let id = change_id(9);
    let mut strict = change(9);
    strict.strategy.stages[0].failures = Share::Count(0);
    started(store, strict, &devices).await;
    work(store, at(200)).await;
    say(store, devices[0], FacetState::Failed("no disk".into()), at(201)).await;
    say(store, devices[1], FacetState::Applied, at(201)).await;
    work(store, at(300)).await;
    assert_eq!(state(store, id).await, "HALTED");
    order(store, id, ChangeOrder::Resume).await.unwrap();
    work(store, at(301)).await;
    let expected = [(Standing::Sent, 2), (Standing::Done, 1), (Standing::Failed, 1)];
    assert_eq!(standings(store, id).await, expected);
    order(store, id, ChangeOrder::Pause).await.unwrap();
    order(store, id, ChangeOrder::Abort).await.unwrap();
    work(store, at(302)).await;
    assert_eq!(state(store, id).await, "ABORTED");
    // What was sent stays, and still ends.
    work(store, at(2000)).await;
    assert_eq!(standings(store, id).await[2], (Standing::TimedOut, 2));
    assert!(store.open_changes().await.unwrap().is_empty());
    assert_eq!(site(store, devices[3]).await.0, "HAM-1");
}

pub(super) async fn lives_are_changed_in_bulk_and_back(store: &Store) {
    let devices = fleet(store, 4).await;
    let suspend = Change {
        action: Action::Suspend("theft".to_owned()),
        ..change(1)
    };
    let id = suspend.id;
    started(store, suspend, &devices).await;
    work(store, at(200)).await;
    assert_eq!(state(store, id).await, "DONE");
    for id in &devices {
        assert_eq!(
            device(store, *id).await.lifecycle.state(),
            LifecycleState::Suspended
        );
    }
    let suspended = audited(store, "device_suspended").await;
    assert_eq!(
        (suspended.len(), &suspended[0]["detail"]["reason"]),
        (4, &"theft".into())
    );
    sound(store).await;
    order(store, id, ChangeOrder::RollBack).await.unwrap();
    work(store, at(201)).await;
    assert_eq!(state(store, id).await, "ROLLED_BACK");
    assert_eq!(
        device(store, devices[0]).await.lifecycle.state(),
        LifecycleState::Claimed
    );
    let retire = Change {
        action: Action::Retire("scrapped".to_owned()),
        ..change(2)
    };
    let retired = started(store, retire, &devices[..3]).await;
    work(store, at(300)).await;
    assert_eq!(state(store, retired.change.id).await, "DONE");
    assert_eq!(
        device(store, devices[2]).await.lifecycle.state(),
        LifecycleState::Retired
    );
    let back = order(store, retired.change.id, ChangeOrder::RollBack).await;
    assert_eq!(back.unwrap_err().code, Code::ChangeState);
    let again = planned(store, change(3), &devices).await;
    assert_eq!(again.total().total(), 1);
}

pub(super) async fn a_new_certificate_is_proved_by_its_use(store: &Store) {
    let devices = fleet(store, 2).await;
    let rotate = Change {
        action: Action::RotateCertificate,
        ..change(9)
    };
    let id = rotate.id;
    let first = device(store, devices[0]).await;
    started(store, rotate, &devices).await;
    work(store, at(200)).await;
    assert_eq!(device(store, devices[0]).await.renew_from, Some(at(200)));
    say(store, devices[0], FacetState::Applied, at(201)).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Sent, 2)],
        "a report proves nothing"
    );
    let finished = renew(store, &first, 77).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Sent, 2)],
        "it was not seen yet"
    );
    store
        .promote(devices[0], finished.certificate.serial, at(5002), SOURCE)
        .await
        .unwrap();
    assert_eq!(
        standings(store, id).await,
        [(Standing::Sent, 1), (Standing::Proved, 1)]
    );
}

pub(super) async fn a_certificate_asked_for_before_the_order_proves_nothing(store: &Store) {
    let devices = fleet(store, 2).await;
    let first = device(store, devices[0]).await;
    // Asked for at 5000 and not used yet, when the order comes.
    let early = renew(store, &first, 77).await;
    let rotate = Change {
        action: Action::RotateCertificate,
        ..change(9)
    };
    let id = rotate.id;
    started(store, rotate, &devices).await;
    work(store, at(6000)).await;
    let promote = async |serial, now| store.promote(devices[0], serial, now, SOURCE).await.unwrap();
    promote(early.certificate.serial, at(6001)).await;
    assert_eq!(standings(store, id).await, [(Standing::Sent, 2)]);
    let known = device(store, devices[0]).await;
    assert_eq!(known.renew_from, Some(at(6000)), "the order stands");
    // Nor once its time is over, which is not when it was ordered.
    let late = renew(store, &known, 78).await;
    work(store, at(6600)).await;
    assert_eq!(state(store, id).await, "HALTED");
    promote(late.certificate.serial, at(6601)).await;
    assert_eq!(standings(store, id).await, [(Standing::TimedOut, 2)]);
    let known = device(store, devices[0]).await;
    let mut asked = renewal(&known, 79, 79);
    asked.fresh.certificate = CertificateSerial::new(at(6000), 79);
    let ClaimBegun::Issue { permit, .. } = store.begin_renewal(asked).await.unwrap() else {
        panic!("not issued")
    };
    let finished = store.finish_renewal(renewed(&permit), at(6602), SOURCE).await;
    let answer = finished.unwrap().unwrap().certificate;
    promote(answer.serial, at(6603)).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Proved, 1), (Standing::TimedOut, 1)]
    );
    assert_eq!(device(store, devices[0]).await.renew_from, None, "done");
}
