//! Commands that share a transaction do not harm each other.

use super::build::{
    alice, at, batch, begin, claim, commit, enroll, event, founded, hello, import, key, mac, model, newcomer,
    part, report, row, site, sound, start,
};
use super::disk::Disk;
use crate::store::{ClaimBegun, DeviceChange, Store, StoreError};
use muster_domain::{
    access::Role,
    audit::Action,
    device::{ClaimWindow, FacetState, KeyChoice, Transition},
    ids::DeviceId,
};
use std::{pin::Pin, sync::mpsc};

type Commands<'a> = Vec<Pin<Box<dyn Future<Output = ()> + 'a>>>;

/// Most commands of a test's group: tokio makes a task yield after 128 steps, a command takes two (send and wait),
/// and the group must be queued before that.
const TOGETHER: usize = 50;

/// Runs all in one transaction: the writer is held until the last is queued.
async fn together<'a>(store: &'a Store, commands: Commands<'a>) {
    assert!(commands.len() <= TOGETHER);
    let (release, held) = mpsc::channel();
    let mut all: Commands<'a> = vec![Box::pin(async { store.hold(held).await.unwrap() })];
    all.extend(commands);
    all.push(Box::pin(async move { release.send(()).unwrap() }));
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn waiting_commands_share_a_commit() {
    let disk = Disk::default();
    let store = Store::with_backend(disk.clone()).unwrap();
    let create = async |number| {
        store
            .create_batch(batch(number), event(Action::BatchStarted))
            .await
            .unwrap()
            .unwrap();
    };
    let before = disk.syncs();
    create(0).await;
    let alone = disk.syncs() - before;
    assert!(alone > 0);
    let before = disk.syncs();
    let mut commands: Commands<'_> = Vec::new();
    for number in 1..=50 {
        commands.push(Box::pin(create(number)));
    }
    together(&store, commands).await;
    let shared = disk.syncs() - before;
    // redb syncs once more where the file grows.
    assert!(shared < 2 * alone, "{shared} syncs, {alone} for one");
    assert_eq!(store.list_batches(None, 1000).await.unwrap().len(), 51);
}

#[tokio::test]
async fn what_is_refused_leaves_no_trace() {
    let store = founded().await;
    let devices = import(&store, 1, 0..5).await;
    let taken = enroll(&store, 0, 1).await;
    begin(&store, claim(1, 2, 2)).await;
    let before = store.dump().unwrap();
    let change = |transition, expected_revision| DeviceChange {
        transition,
        expected_revision,
        actor: alice(),
        now: at(4000),
    };
    let arm = |key| Transition::Arm {
        window: Some(ClaimWindow::ALWAYS),
        key,
    };
    let id = devices[4].id;
    let mut unknown = report(&taken.device, FacetState::Applied);
    unknown.digest = [0; 32];
    let mut commands: Commands<'_> = Vec::new();
    macro_rules! refused {
        ($($command:expr;)*) => {
            $(commands.push(Box::pin(async { assert!($command.await.unwrap().is_err(), "{}", stringify!($command)); }));)*
        };
    }
    refused! {
        store.create_registry(super::build::info(), newcomer("eve", Role::Admin, 9), event(Action::RegistryCreated));
        store.create_operator(newcomer("alice", Role::Admin, 8), event(Action::OperatorCreated));
        store.create_operator(newcomer("eve", Role::Admin, 1), event(Action::OperatorCreated));
        store.disable_operator("alice".parse().unwrap(), event(Action::OperatorDisabled));
        store.transition(id, change(Transition::Suspend(String::new()), Some(99)));
        store.transition(id, change(Transition::Resume, None));
        store.transition(id, change(arm(KeyChoice::Kept), Some(99)));
        store.transition(taken.device.id, change(arm(KeyChoice::Kept), None));
        store.transition(id, change(arm(KeyChoice::Only(key(1))), None));
        store.transition(DeviceId::from_u128(5), change(Transition::Resume, None));
        store.record_hello(id, hello(&taken.device), at(4000));
        store.record_report(taken.device.id, unknown.clone(), at(4000));
        store.apply_catalog(vec![model("NEW"), site("S", "NONE")], "alice".parse().unwrap(), vec![], at(4000), false);
    }
    // A key that another holds, and a clock that went back.
    for start in [
        claim(4, 1, 40),
        crate::store::ClaimStart {
            now: at(1),
            ..claim(4, 41, 41)
        },
    ] {
        let store = &store;
        commands.push(Box::pin(async move {
            assert!(matches!(
                store.begin_claim(start).await.unwrap(),
                ClaimBegun::Refused(_)
            ));
        }));
    }
    together(&store, commands).await;
    assert_eq!(store.dump().unwrap(), before);
}

#[tokio::test]
async fn a_command_that_fails_harms_only_its_caller() {
    let store = founded().await;
    let out_of_turn = || store.commit_import_part(part(&store, 77, 3, vec![row(500)]));
    start(&store, 77).await;
    let good = async |number: u32| {
        start(&store, number).await;
        commit(&store, part(&store, number, 0, vec![row(number)])).await;
    };
    let mut commands: Commands<'_> = Vec::new();
    for number in 0..20 {
        commands.push(Box::pin(good(number)));
        commands.push(Box::pin(async {
            assert!(matches!(
                out_of_turn().await,
                Err(StoreError::PartOutOfTurn { .. })
            ));
        }));
    }
    together(&store, commands).await;
    assert_eq!(store.counts().devices, 20);
    assert!(
        store
            .device_by_serial(&super::build::serial(500))
            .await
            .unwrap()
            .is_none()
    );
    sound(&store).await;
}

#[tokio::test]
async fn a_command_that_fails_half_way_leaves_no_trace() {
    let store = founded().await;
    import(&store, 1, 0..3).await;
    start(&store, 2).await;
    let before = store.dump().unwrap();
    // The last row gets an id that is taken: a fault of ours, found while the part is written.
    let mut broken = part(&store, 2, 0, (10..20).map(row).collect());
    broken.rows[9].fresh.id = store
        .device_by_serial(&super::build::serial(0))
        .await
        .unwrap()
        .unwrap()
        .id;
    let failed = store.commit_import_part(broken).await;
    assert!(matches!(failed, Err(StoreError::Duplicate { .. })), "{failed:?}");
    assert_eq!(store.dump().unwrap(), before);
    assert_eq!(store.counts().devices, 3);
    commit(&store, part(&store, 2, 0, (10..20).map(row).collect())).await;
    sound(&store).await;
}

#[tokio::test]
async fn a_command_that_panics_harms_only_its_caller() {
    let store = founded().await;
    let panicked = store.panic();
    let good = store.create_batch(batch(1), event(Action::BatchStarted));
    let (panicked, good) = tokio::join!(panicked, good);
    assert!(matches!(panicked, Err(StoreError::Panicked)));
    good.unwrap().unwrap();
    sound(&store).await;
}

#[tokio::test]
async fn queued_commands_are_finished_before_the_store_closes() {
    let store = founded().await;
    let creations = (0..50).map(|number| store.create_batch(batch(number), event(Action::BatchStarted)));
    let creations = futures_util::future::join_all(creations);
    let (created, closed) = tokio::join!(creations, store.close());
    closed.unwrap();
    assert!(created.iter().all(Result::is_ok), "queued before the close");
}

#[tokio::test]
async fn damage_is_named_and_found() {
    let store = founded().await;
    let device = import(&store, 1, 0..3).await.remove(1);
    sound(&store).await;
    store.damage(device.id).await;
    let problems = store.check().await;
    assert!(
        matches!(problems, Err(StoreError::Damaged { table: "devices", .. })),
        "{problems:?}"
    );
    assert!(matches!(
        store.device(device.id).await,
        Err(StoreError::Damaged { table: "devices", .. })
    ));
    assert!(
        store
            .device_by_serial(&super::build::serial(0))
            .await
            .unwrap()
            .is_some(),
        "its neighbours are well"
    );
    assert_eq!((key(1) == key(2), mac(1) == mac(2)), (false, false));
}

#[tokio::test]
async fn every_broken_index_is_found() {
    for table in [
        "serials",
        "macs",
        "by_model",
        "by_site",
        "by_state",
        "by_verification",
        "by_batch",
        "keys",
        "counts",
        "parts",
        "seeds",
        "open_batches",
        "part_keys",
        "former",
        "presence",
        "audit",
    ] {
        let store: Store = founded().await;
        let devices = import(&store, 1, 0..4).await;
        enroll(&store, 2, 2).await;
        store.unhinge(table, &devices[2]).await;
        assert!(!store.check().await.unwrap().is_empty(), "{table}");
    }
}
