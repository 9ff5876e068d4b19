//! Who is connected.

use super::listing::{all, query};
use crate::store::{
    DeviceChange, DeviceQuery, Store,
    tests::build::{SOURCE, alice, at, batch_id, import, serial},
};
use muster_domain::{
    device::{Departure, Device, Presence, Transition},
    ids::DeviceId,
};

async fn presence(store: &Store, device: &Device) -> Option<Presence> {
    let found = store.device(device.id).await.unwrap().unwrap();
    let by_serial = store.device_by_serial(device.serial.as_str()).await.unwrap();
    assert_eq!(by_serial.unwrap().presence, found.presence);
    let listed = all(store, query(&format!("serial = {}", device.serial))).await;
    assert_eq!(listed[0].presence, found.presence);
    found.presence
}

pub(super) async fn a_device_comes_and_goes(store: &Store) {
    let devices = import(store, 1, 0..2).await;
    let device = &devices[0];
    assert_eq!(presence(store, device).await, None);
    let came = Presence::online(at(10), SOURCE);
    // Before and after it is written down.
    let session = store.arrived(device.id, SOURCE, at(10));
    assert_eq!((presence(store, device).await, store.online()), (Some(came), 1));
    assert_eq!(store.flush_presence().await.unwrap(), 1);
    assert_eq!((presence(store, device).await, store.online()), (Some(came), 1));
    for (number, why) in Departure::ALL.into_iter().enumerate() {
        let session = if number == 0 {
            session
        } else {
            store.arrived(device.id, SOURCE, at(10))
        };
        store.departed(device.id, session, why, at(20));
        let gone = came.departed(at(20), why);
        for flushed in [1, 0, 0] {
            assert_eq!((presence(store, device).await, store.online()), (Some(gone), 0));
            assert_eq!(store.flush_presence().await.unwrap(), flushed);
        }
        assert_eq!(presence(store, device).await, Some(gone));
    }
    assert_eq!(presence(store, &devices[1]).await, None);
    // The answer to a change says it too, and nothing of it is in the record.
    let change = DeviceChange {
        transition: Transition::Suspend("lost".to_owned()),
        expected_revision: None,
        actor: alice(),
        now: at(30),
    };
    let changed = store.transition(device.id, change).await.unwrap().unwrap();
    assert_eq!(changed.presence, presence(store, device).await);
    assert_eq!(changed.revision, device.revision + 1);
}

pub(super) async fn only_the_newest_session_says_that_a_device_left(store: &Store) {
    let device = import(store, 1, 0..1).await.remove(0);
    let first = store.arrived(device.id, SOURCE, at(10));
    let second = store.arrived(device.id, SOURCE, at(11));
    assert!(first < second);
    assert_eq!(store.departed(device.id, first, Departure::Lost, at(12)), None);
    let online = Some(Presence::online(at(11), SOURCE));
    assert_eq!((presence(store, &device).await, store.online()), (online, 1));
    let told = store.departed(device.id, second, Departure::Left, at(13));
    store.departed(device.id, first, Departure::Lost, at(14));
    let gone = presence(store, &device).await.unwrap();
    assert_eq!((gone.since, gone.departure), (at(13), Some(Departure::Left)));
    assert_eq!(told, Some(gone));
}

pub(super) async fn what_happens_during_a_flush_is_not_lost(store: &Store) {
    let device = import(store, 1, 0..1).await.remove(0);
    let session = store.arrived(device.id, SOURCE, at(10));
    let mut flush = Box::pin(store.flush_presence());
    // It has taken what it writes.
    assert!(futures_util::poll!(&mut flush).is_pending());
    store.departed(device.id, session, Departure::Silent, at(11));
    assert_eq!(flush.await.unwrap(), 1);
    let gone = Presence::online(at(10), SOURCE).departed(at(11), Departure::Silent);
    assert_eq!(presence(store, &device).await, Some(gone));
    assert_eq!(store.flush_presence().await.unwrap(), 1);
    // The flush behind it forgets what is on record; the record says the same.
    assert_eq!(store.flush_presence().await.unwrap(), 0);
    assert_eq!(presence(store, &device).await, Some(gone));
}

pub(super) async fn the_connected_are_found_without_a_scan(store: &Store) {
    let devices = import(store, 1, 0..40).await;
    for number in [3, 20, 21, 38] {
        store.arrived(devices[number].id, SOURCE, at(u64::try_from(number).unwrap()));
    }
    // Of a device that is not there, such as one that was taken back while it was connected.
    store.arrived(DeviceId::from_u128(7), SOURCE, at(1));
    let gone = store.arrived(devices[5].id, SOURCE, at(5));
    store.departed(devices[5].id, gone, Departure::Left, at(6));
    let check = async |filter: &str, scan_limit: usize, expected: &[usize]| {
        for limit in [1, 2, 100] {
            let query = DeviceQuery {
                limit,
                scan_limit,
                ..query(filter)
            };
            let found = all(store, query).await;
            let serials: Vec<_> = found.iter().map(|device| device.serial.to_string()).collect();
            let expected = expected
                .iter()
                .map(|number| serial(u32::try_from(*number).unwrap()));
            assert_eq!(serials, expected.collect::<Vec<_>>(), "{filter}");
        }
    };
    let rest: Vec<_> = (0..40)
        .filter(|number| ![3, 20, 21, 38].contains(number))
        .collect();
    for scan_limit in [1, 5, 1000] {
        check("online = true", scan_limit, &[3, 20, 21, 38]).await;
        check("online = true AND model = CAM-IR", scan_limit, &[3, 21]).await;
        check(
            "online = true presence_time > 2027-01-15T08:00:20Z",
            scan_limit,
            &[21, 38],
        )
        .await;
        check("online = false", scan_limit, &rest).await;
        check("NOT online = true", scan_limit, &rest).await;
        check("online = false AND presence_time:*", scan_limit, &[5]).await;
    }
    // One look at each that is connected, and one at what is left of the one that is not there.
    let query = DeviceQuery {
        scan_limit: 5,
        ..query("online = true")
    };
    let page = store.list_devices(query).await.unwrap();
    assert_eq!((page.devices.len(), page.next), (4, None));
}

pub(super) async fn a_device_that_is_taken_back_leaves_no_presence(store: &Store) {
    let devices = import(store, 1, 0..3).await;
    for device in &devices {
        store.arrived(device.id, SOURCE, at(10));
    }
    assert_eq!(store.flush_presence().await.unwrap(), 3);
    let session = store.arrived(devices[0].id, SOURCE, at(11));
    let undone = store.undo_batch(batch_id(1), false, alice(), at(20)).await;
    assert_eq!(undone.unwrap().unwrap().blocked, 0);
    store.departed(devices[0].id, session, Departure::ShutOut, at(21));
    // That the table is empty is seen by the check behind every one of these tests.
    store.flush_presence().await.unwrap();
    assert_eq!(store.device(devices[0].id).await.unwrap(), None);
    assert_eq!(all(store, query("online = true")).await, []);
}
