//! Changes of devices that somebody listed.

use super::changes::fleet;
use crate::store::{
    Store,
    tests::{
        build::{at, serial, sound},
        drive::{change, change_id, plan},
    },
};
use muster_domain::{
    Code,
    change::{Change, DeviceList, Listed, Standing},
};

fn rows(named: &[(u32, &str)]) -> Vec<(u32, String)> {
    named
        .iter()
        .map(|(row, text)| (*row, (*text).to_owned()))
        .collect()
}

pub(super) async fn a_list_is_taken_in_parts(store: &Store) {
    let devices = fleet(store, 2).await;
    let id = change_id(9);
    let listed = Change {
        list: Some(DeviceList::of(4)),
        ..change(9)
    };
    store.create_change(listed, String::new()).await.unwrap().unwrap();
    let first = rows(&[(2, &serial(0)), (3, "nobody"), (5, &devices[1].to_string())]);
    let (record, unknown) = store.add_listed(id, first.clone()).await.unwrap().unwrap();
    assert_eq!((record.change.list.unwrap().rows, unknown), (3, vec![3]));
    // The same again, since its answer was lost.
    let again = store.add_listed(id, first).await.unwrap().unwrap();
    assert_eq!((again.0.change.list.unwrap().rows, again.1), (3, vec![3]));
    sound(store).await;
    let refused = async |named: &[(u32, &str)]| {
        let added = store.add_listed(id, rows(named)).await.unwrap();
        added.unwrap_err().code
    };
    assert_eq!(refused(&[(4, "late")]).await, Code::ChangeInvalid);
    assert_eq!(refused(&[(6, "one"), (7, "two")]).await, Code::ChangeInvalid);
    let early = store.begin_plan(id, None, at(100)).await.unwrap();
    assert_eq!(early.unwrap_err().code, Code::ChangeState);
    let name = format!("devices/{}", devices[0]);
    store.add_listed(id, rows(&[(9, &name)])).await.unwrap().unwrap();
    let found = store.listed(id, Some(2), 9).await.unwrap();
    let expected = [
        (3, Listed::Unknown("nobody".into())),
        (5, Listed::Device(devices[1])),
        (9, Listed::Device(devices[0])),
    ];
    assert_eq!(found, expected);
    let record = plan(store, id, &devices).await;
    assert_eq!(refused(&[(10, "more")]).await, Code::ChangeState);
    let moved = vec![(9, Listed::Repeated(devices[0], 2))];
    let late = store.settle_listed(id, record.attempt, moved).await.unwrap();
    assert_eq!(late.unwrap_err().code, Code::ChangeState);
    let told = store.list_rows(id, Some(3), 1).await.unwrap();
    assert_eq!((told.len(), told[0].row), (1, 5));
    assert!(told[0].serial.is_some());
    let crate::store::ListedTarget::Target(target) = told[0].found.clone().unwrap() else {
        panic!("it is a target")
    };
    assert_eq!(target.state.standing(), Standing::Waiting);
}
