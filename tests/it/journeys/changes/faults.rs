//! A change whose records are damaged: the others go on, and nobody is told that all is well.

use super::{
    Desk, asked, counts,
    late::{dynamic, register},
    publish, revise, strategy,
};
use muster_domain::ids::DeviceId;
use muster_proto::v1::{self, change_action};
use muster_server::fault::Failure;
use muster_tests::World;
use redb::{Database, ReadableTable as _, TableDefinition};
use std::path::Path;

/// By change, stage, standing and device, as the store declares it.
const TARGETS: TableDefinition<'_, (u128, u16, u8, u128), &[u8]> = TableDefinition::new("targets");

/// By device and facet, the change that holds it, with stage and standing.
const HOLDERS: TableDefinition<'_, (u128, u8), (u128, u16, u8)> = TableDefinition::new("holders");
/// The configuration, among facets.
const CONFIG: u8 = 0;

/// Says that the configuration of a device is held by a change that there is not.
fn damage_the_holder(store: &Path, device: DeviceId) {
    let store = Database::open(store).unwrap();
    let write = store.begin_write().unwrap();
    {
        let mut holders = write.open_table(HOLDERS).unwrap();
        holders.insert((device.as_u128(), CONFIG), (1, 0, 0)).unwrap();
    }
    write.commit().unwrap();
}

/// Overwrites every target of the change that holds the lowest id with what is no record.
fn damage_the_first_change(store: &Path) {
    let store = Database::open(store).unwrap();
    let write = store.begin_write().unwrap();
    {
        let mut targets = write.open_table(TARGETS).unwrap();
        let keys: Vec<_> = targets
            .iter()
            .unwrap()
            .map(|entry| entry.unwrap().0.value())
            .collect();
        let first = keys[0].0;
        for key in keys.into_iter().filter(|key| key.0 == first) {
            targets.insert(key, [0xff].as_slice()).unwrap();
        }
    }
    write.commit().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_one_change_holds_up_no_other() {
    let mut world = World::start().await;
    let gateways = world.gateways(4).await;
    revise(&world, "two = true").await;
    let mut desk = Desk::of(&world);
    let of = |serial: &str| v1::CreateChangeRequest {
        filter: format!("serial = {serial:?}"),
        ..asked(publish(2), strategy(0))
    };
    // Ids ascend, so the first one is worked first.
    let broken = desk.planned(of(&gateways[0].0)).await;
    let sound = desk.planned(of(&gateways[1].0)).await;
    world.stopped().await.unwrap();
    damage_the_first_change(&world.registry().join("registry.db"));
    world.serve_again().await;
    let mut desk = Desk::of(&world);
    desk.start(&broken).await;
    desk.start(&sound).await;
    // The worker may have been there before; what it met it meets again.
    let failure = world.service().work_changes().await.unwrap_err();
    assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
    // Nobody has claimed, so what is on record is done.
    let done = desk.get(&sound.name).await;
    assert_eq!((counts(&done).done, counts(&done).total), (1, 1));
    let stuck = desk.get(&broken.name).await;
    assert_eq!((counts(&stuck).waiting, counts(&stuck).total), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_one_change_keeps_nobody_from_joining_another() {
    let mut world = World::start().await;
    world.gateways(2).await;
    revise(&world, "two = true").await;
    revise(&world, "three = true").await;
    let mut desk = Desk::of(&world);
    let broken = desk.planned(asked(publish(2), dynamic(1))).await;
    let shelve = change_action::Action::Place(change_action::Place {
        position: "Shelf".into(),
    });
    let sound = desk.planned(asked(shelve, dynamic(1))).await;
    register(&world, 1).await;
    let late = world.device("GW2-6100001").await.name;
    world.stopped().await.unwrap();
    let late = late.trim_start_matches("devices/").parse().unwrap();
    damage_the_holder(&world.registry().join("registry.db"), late);
    world.serve_again().await;
    let mut desk = Desk::of(&world);
    desk.start(&broken).await;
    desk.start(&sound).await;
    let failure = world.service().work_changes().await.unwrap_err();
    assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
    let done = desk.get(&sound.name).await;
    assert_eq!((counts(&done).done, done.late), (3, 1));
    let stuck = desk.get(&broken.name).await;
    assert_eq!((counts(&stuck).total, stuck.late), (2, 0));
}
