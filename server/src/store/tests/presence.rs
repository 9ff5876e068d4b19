//! Connections cost no commits, and a crash between two flushes makes nobody connected.

use super::{
    build::{SOURCE, at, found, import, sound},
    disk::{Disk, Seeded},
};
use crate::store::Store;
use muster_domain::device::{Departure, Device, Presence};

async fn of(store: &Store, device: &Device) -> Option<Presence> {
    store.device(device.id).await.unwrap().unwrap().presence
}

#[tokio::test]
async fn connections_write_nothing_and_a_flush_is_one_commit() {
    let disk = Disk::default();
    let store = Store::with_backend(disk.clone()).unwrap();
    found(&store).await;
    let devices = import(&store, 1, 0..1000).await;
    // What the flush of one device costs.
    let before = disk.syncs();
    store.arrived(devices[0].id, SOURCE, at(10));
    store.flush_presence().await.unwrap();
    let commit = disk.syncs() - before;
    assert!(commit > 0);
    let (quiet, syncs) = (disk.now(), disk.syncs());
    for device in &devices {
        let session = store.arrived(device.id, SOURCE, at(20));
        store.departed(device.id, session, Departure::Lost, at(21));
        store.arrived(device.id, SOURCE, at(22));
    }
    assert_eq!((disk.now(), store.online()), (quiet, 1000));
    assert_eq!(store.flush_presence().await.unwrap(), 1000);
    assert_eq!(disk.syncs() - syncs, commit);
    let quiet = disk.now();
    assert_eq!(store.flush_presence().await.unwrap(), 0);
    assert_eq!(disk.now(), quiet);
}

#[tokio::test]
async fn a_flush_that_fails_is_told_and_forgets_nothing() {
    let disk = Disk::default();
    let store = Store::with_backend(disk.clone()).unwrap();
    found(&store).await;
    let device = import(&store, 1, 0..1).await.remove(0);
    let session = store.arrived(device.id, SOURCE, at(10));
    disk.fail();
    store.flush_presence().await.unwrap_err();
    store.departed(device.id, session, Departure::Left, at(11));
    store.flush_presence().await.unwrap_err();
    let gone = Presence::online(at(10), SOURCE).departed(at(11), Departure::Left);
    assert_eq!(of(&store, &device).await, Some(gone));
}

/// Power losses between and during flushes; places are drawn as in `crash.rs`.
const IMAGES: u64 = 60;

#[tokio::test]
async fn after_a_power_loss_nobody_is_connected_and_what_was_flushed_is_there() {
    let disk = Disk::default();
    let store = Store::with_backend(disk.clone()).unwrap();
    found(&store).await;
    let devices = import(&store, 1, 0..20).await;
    // After each flush: its place in the history of the disk, and what everybody's presence is.
    let mut flushed = vec![(disk.now(), vec![None; devices.len()])];
    let mut random = Seeded(11);
    let mut sessions = vec![None; devices.len()];
    for round in 0..12 {
        for _ in 0..10 {
            let number = random.below(devices.len());
            let (id, now) = (devices[number].id, at(100 + round));
            sessions[number] = match sessions[number] {
                None => Some(store.arrived(id, SOURCE, now)),
                Some(session) => {
                    store.departed(id, session, Departure::ALL[random.below(6)], now);
                    None
                }
            };
        }
        store.flush_presence().await.unwrap();
        let mut known = Vec::new();
        for device in &devices {
            known.push(of(&store, device).await);
        }
        flushed.push((disk.now(), known));
    }
    drop(store);
    let (first, last) = (flushed[0].0, flushed[flushed.len() - 1].0);
    let started = at(9000);
    for seed in 1..=IMAGES {
        let mut random = Seeded(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let place = first + random.below(last + 1 - first);
        eprintln!("seed {seed}: power lost at {place} of {last}");
        let opened = Store::with_backend(Disk::holding(disk.image(place, &mut random))).unwrap();
        sound(&opened).await;
        opened.note_start(started);
        assert_eq!(opened.online(), 0);
        // The last flush before the loss is there, or the one that was under way.
        let behind = flushed.iter().rposition(|(end, _)| *end <= place).unwrap();
        let candidates = &flushed[behind..flushed.len().min(behind + 2)];
        let mut found = Vec::new();
        for device in &devices {
            found.push(of(&opened, device).await);
        }
        let after = |known: &[Option<Presence>]| -> Vec<_> {
            let restarted = known
                .iter()
                .map(|known| known.map(|known| known.after_restart(started)));
            restarted.collect()
        };
        assert!(
            candidates.iter().any(|(_, known)| after(known) == found),
            "{found:?}"
        );
        assert!(found.iter().flatten().all(|presence| !presence.is_online()));
    }
}

#[tokio::test]
async fn an_orderly_stop_keeps_when_and_why() {
    let disk = Disk::default();
    let store = Store::with_backend(disk.clone()).unwrap();
    found(&store).await;
    let devices = import(&store, 1, 0..2).await;
    let session = store.arrived(devices[0].id, SOURCE, at(10));
    store.departed(devices[0].id, session, Departure::Stopped, at(20));
    store.flush_presence().await.unwrap();
    store.close().await.unwrap();
    let store = Store::with_backend(disk).unwrap();
    store.note_start(at(50));
    let gone = Presence::online(at(10), SOURCE).departed(at(20), Departure::Stopped);
    assert_eq!(of(&store, &devices[0]).await, Some(gone));
    assert_eq!(of(&store, &devices[1]).await, None);
    // Sessions go on counting.
    assert!(store.arrived(devices[0].id, SOURCE, at(51)) > session);
}
