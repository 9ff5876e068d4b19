//! Listings.

use crate::store::{
    DeviceQuery, Store,
    tests::build::{alice, at, batch_id, enroll, import, mac, report, serial},
};
use muster_domain::{
    device::{Device, FacetState, Transition, schema},
    filter::{Filter, evaluate},
};

pub(super) fn query(filter: &str) -> DeviceQuery {
    let filter = Filter::parse(filter).unwrap().check(schema()).unwrap();
    DeviceQuery {
        filter: Some(filter),
        after: None,
        limit: 100,
        scan_limit: 1000,
    }
}

/// Every page, one behind the other.
pub(super) async fn all(store: &Store, mut query: DeviceQuery) -> Vec<Device> {
    let mut devices = Vec::new();
    loop {
        let page = store.list_devices(query.clone()).await.unwrap();
        assert!(page.devices.len() <= query.limit);
        devices.extend(page.devices);
        match page.next {
            Some(next) => {
                assert!(query.after < Some(next), "pages go forward");
                query.after = Some(next);
            }
            None => return devices,
        }
    }
}

pub(super) async fn pages_cover_every_device_once(store: &Store) {
    let devices = import(store, 1, 0..25).await;
    for limit in [1, 7, 24, 25, 26] {
        let everything = DeviceQuery {
            filter: None,
            after: None,
            limit,
            scan_limit: 1000,
        };
        assert_eq!(all(store, everything).await, devices, "{limit} a page");
        for (filter, expected) in [
            (
                "model = GW-200",
                devices.iter().step_by(2).cloned().collect::<Vec<_>>(),
            ),
            ("serial = \"GW2-000001*\"", devices[10..20].to_vec()),
            ("labels.line = 7", devices.clone()),
        ] {
            let query = DeviceQuery {
                limit,
                ..query(filter)
            };
            assert_eq!(all(store, query).await, expected, "{filter}, {limit} a page");
        }
    }
}

pub(super) async fn filters_find_what_evaluation_finds(store: &Store) {
    import(store, 1, 0..20).await;
    import(store, 2, 20..30).await;
    for number in 0..8 {
        let device = enroll(store, number, number).await.device;
        let state = if number % 3 == 0 {
            FacetState::Applied
        } else {
            FacetState::Failed("full".to_owned())
        };
        store
            .record_report(device.id, report(&device, state), at(3000))
            .await
            .unwrap()
            .unwrap();
    }
    let first = store.device_by_serial(&serial(9)).await.unwrap().unwrap();
    let change = crate::store::DeviceChange {
        transition: Transition::Suspend("lost".to_owned()),
        expected_revision: None,
        actor: alice(),
        now: at(4000),
    };
    store.transition(first.id, change).await.unwrap().unwrap();
    let everything = all(
        store,
        DeviceQuery {
            filter: None,
            after: None,
            limit: 100,
            scan_limit: 1000,
        },
    )
    .await;
    assert_eq!(everything.len(), 30);
    let (id, batch, mac) = (first.id, batch_id(2), mac(4));
    for (filter, expected) in [
        (format!("serial = {}", serial(3)), 1),
        ("serial = GW2-9".to_owned(), 0),
        ("serial = \"GW2-000002*\"".to_owned(), 10),
        ("serial = \"GW2-000000*\" AND state = ACTIVE".to_owned(), 3),
        ("serial = \"X*\"".to_owned(), 0),
        (format!("mac = \"{mac}\""), 1),
        ("mac = \"00:00:00:00:00:01\"".to_owned(), 0),
        (format!("id = {id}"), 1),
        ("id = nonsense".to_owned(), 0),
        ("model = GW-200".to_owned(), 15),
        ("model = NONE".to_owned(), 0),
        ("site = HAM-1".to_owned(), 15),
        ("state = ACTIVE".to_owned(), 3),
        ("state = SUSPENDED AND model = CAM-IR".to_owned(), 1),
        ("state = SUSPENDED AND model = GW-200".to_owned(), 0),
        ("verification = FAILED AND site = BER-1".to_owned(), 2),
        ("verification = PENDING".to_owned(), 22),
        (format!("batch = {batch}"), 10),
        (
            format!("batch = {batch} AND state = REGISTERED AND model = GW-200"),
            5,
        ),
        ("batch = nonsense".to_owned(), 0),
        (format!("serial = {} AND serial = {}", serial(1), serial(2)), 0),
        ("NOT state = REGISTERED".to_owned(), 9),
        ("state = ACTIVE OR model = GW-200".to_owned(), 16),
        ("labels.line = 7".to_owned(), 30),
        ("row < 7".to_owned(), 5),
    ] {
        let query = query(&filter);
        let checked = query.filter.clone().unwrap();
        let found = all(store, query).await;
        let evaluated: Vec<_> = everything
            .iter()
            .filter(|device| evaluate(&checked, *device))
            .cloned()
            .collect();
        assert_eq!(found, evaluated, "{filter}");
        assert_eq!(found.len(), expected, "{filter}");
    }
}

pub(super) async fn a_scan_ends_at_its_limit(store: &Store) {
    let devices = import(store, 1, 0..30).await;
    let query = DeviceQuery {
        scan_limit: 10,
        ..query("labels.line = 8")
    };
    let page = store.list_devices(query.clone()).await.unwrap();
    assert_eq!((page.devices.len(), page.next), (0, Some(devices[9].id)));
    assert_eq!(all(store, query).await, []);
    // A page that was full exactly at the end says that there is no more.
    let query = DeviceQuery {
        filter: None,
        after: None,
        limit: 30,
        scan_limit: 30,
    };
    assert_eq!(store.list_devices(query).await.unwrap().next, None);
}
