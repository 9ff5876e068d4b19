//! Devices that join changes late, and targets that are repaired.

use super::changes::{audited, device, fleet};
use crate::store::{
    Joining, Store,
    tests::{
        build::{at, sound},
        drive::{change, change_id, say, standings, started, state, step, to, work},
    },
};
use muster_domain::{
    change::{Change, Former, Planned, Priority, Share, Standing, Strategy, TargetState, Windows},
    device::FacetState,
    ids::DeviceId,
};

async fn joining(store: &Store, id: DeviceId) -> Joining {
    let device = device(store, id).await;
    Joining {
        device: id,
        revision: device.revision,
        planned: Planned {
            former: Former::Site(device.site),
            before: device.target.digest,
            after: device.target.digest,
            becomes: None,
            can_prove: true,
        },
    }
}

async fn all_joining(store: &Store, devices: &[DeviceId]) -> Vec<Joining> {
    let mut all = Vec::new();
    for id in devices {
        all.push(joining(store, *id).await);
    }
    all
}

pub(super) async fn devices_join_late_once_and_as_many_as_may(store: &Store) {
    let devices = fleet(store, 8).await;
    let (id, other) = (change_id(9), change_id(7));
    let dynamic = Change {
        strategy: Strategy {
            dynamic: Some(Share::Count(2)),
            windows: Windows::parse(&["daily 00:00-24:00"]).unwrap(),
            ..change(9).strategy
        },
        ..change(9)
    };
    started(store, change(7), &devices[6..]).await;
    work(store, at(200)).await;
    started(store, dynamic, &devices[..3]).await;
    let early = all_joining(store, &devices[3..4]).await;
    let join = async |devices: Vec<Joining>| store.join_change(id, devices, at(201)).await.unwrap();
    assert_eq!(join(early).await, 0, "those that were planned are taken first");
    assert!(step(store, id, at(200)).await, "its devices are taken");
    // One is a target, one moved on since it was looked at, one is held; two join, and the last one finds no room.
    let mut late = all_joining(store, &devices).await.split_off(2);
    late[1].revision += 1;
    late.rotate_right(2);
    assert_eq!(join(late.clone()).await, 2);
    sound(store).await;
    assert_eq!(join(late).await, 0);
    assert_eq!(
        join(all_joining(store, &devices[3..4]).await).await,
        0,
        "there is no room"
    );
    let record = store.change(id).await.unwrap().unwrap();
    assert_eq!((record.late, record.total().total()), (2, 5));
    let found = store.changes_of(devices[4]).await.unwrap();
    let (_, target) = &found[0];
    assert_eq!((target.late, target.stage), (true, 1));
    assert_eq!(store.changes_of(devices[6]).await.unwrap()[0].0.change.id, other);
    let told = audited(store, "change_joined").await;
    assert_eq!((told.len(), told[0]["detail"]["stage"].as_str()), (2, Some("2")));
    // They are begun as the last stage is.
    work(store, at(202)).await;
    for target in &devices[..2] {
        say(store, *target, FacetState::Applied, at(203)).await;
    }
    work(store, at(300)).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Sent, 3), (Standing::Done, 2)]
    );
}

pub(super) async fn an_urgent_change_lets_those_join_that_another_one_holds(store: &Store) {
    let devices = fleet(store, 3).await;
    let (id, other) = (change_id(9), change_id(7));
    let urgent = Change {
        priority: Priority::Emergency,
        strategy: Strategy {
            dynamic: Some(Share::PerMille(1000)),
            ..change(9).strategy
        },
        ..change(9)
    };
    started(store, change(7), &devices[1..]).await;
    work(store, at(200)).await;
    started(store, urgent, &devices[..1]).await;
    assert!(step(store, id, at(200)).await, "its devices are taken");
    let late = all_joining(store, &devices[1..]).await;
    assert_eq!(store.join_change(id, late, at(201)).await.unwrap(), 1);
    assert_eq!(
        standings(store, other).await,
        [(Standing::Sent, 1), (Standing::Skipped, 1)]
    );
}

pub(super) async fn what_falls_back_is_sent_once_more_after_the_end(store: &Store) {
    let devices = fleet(store, 2).await;
    let id = change_id(9);
    let mut repairing = change(9);
    repairing.strategy.repairs = 1;
    started(store, repairing, &devices).await;
    work(store, at(200)).await;
    for target in &devices {
        say(store, *target, FacetState::Applied, at(201)).await;
    }
    work(store, at(300)).await;
    assert_eq!(state(store, id).await, "DONE");
    // Another change moves one of them back.
    let back = Change {
        action: to("BER-1"),
        ..change(7)
    };
    started(store, back, &devices[..1]).await;
    work(store, at(301)).await;
    let drifted = || FacetState::Drifted("moved by hand".into());
    say(store, devices[1], drifted(), at(302)).await;
    sound(store).await;
    let found = store.changes_of(devices[1]).await.unwrap();
    assert!(
        matches!(found[0].1.state, TargetState::Fallen { .. }),
        "{found:?}"
    );
    work(store, at(303)).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Sent, 1), (Standing::Done, 1)],
        "it is another change's matter what becomes of the first"
    );
    assert_eq!(device(store, devices[1]).await.target.generation, 3);
    assert_eq!(store.change(id).await.unwrap().unwrap().repairs, 1);
}

pub(super) async fn whoever_takes_a_device_ends_its_repair(store: &Store) {
    let devices = fleet(store, 1).await;
    let (id, other) = (change_id(9), change_id(7));
    let mut repairing = change(9);
    repairing.strategy.repairs = 1;
    started(store, repairing, &devices).await;
    work(store, at(200)).await;
    say(store, devices[0], FacetState::Applied, at(201)).await;
    work(store, at(300)).await;
    let drifted = FacetState::Drifted("moved by hand".into());
    say(store, devices[0], drifted, at(302)).await;
    assert_eq!(standings(store, id).await, [(Standing::Waiting, 1)]);
    let back = Change {
        action: to("BER-1"),
        ..change(7)
    };
    started(store, back, &devices).await;
    assert!(step(store, other, at(303)).await, "its devices are taken");
    assert_eq!(standings(store, id).await, [(Standing::Skipped, 1)]);
    sound(store).await;
    work(store, at(304)).await;
    assert_eq!(device(store, devices[0]).await.target.generation, 3);
}
