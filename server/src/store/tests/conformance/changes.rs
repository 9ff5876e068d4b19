//! Changes of many devices.

use crate::store::{
    ChangeOrder, DeviceChange, ListedTarget, PlanPart, Store, TargetQuery,
    tests::{
        build::{alice, at, batch_id, enroll, import, sound},
        drive::{
            PLAN, change, change_id, order, plan, planned, say, standings, started, state, step, to, turns,
            work,
        },
    },
};
use muster_domain::{
    Code,
    change::{Change, ChangeState, Exclusion, Former, Priority, Skipped, Standing, TargetState},
    device::{Device, FacetState, Transition, VerificationState},
    ids::DeviceId,
};
use std::time::Duration;

/// Devices with identities, in their order; all at the site that a move leaves.
pub(super) async fn fleet(store: &Store, count: u32) -> Vec<DeviceId> {
    let devices = import(store, 1, 0..2 * count).await;
    // Even numbers are at the first site.
    let there = devices.iter().step_by(2).map(|device| device.id).collect();
    for number in 0..count {
        enroll(store, 2 * number, 2 * number).await;
    }
    there
}

pub(super) async fn device(store: &Store, id: DeviceId) -> Device {
    store.device(id).await.unwrap().unwrap()
}

pub(super) async fn site(store: &Store, id: DeviceId) -> (String, u64) {
    let device = device(store, id).await;
    (device.site.unwrap().to_string(), device.target.generation)
}

pub(super) async fn audited(store: &Store, action: &str) -> Vec<serde_json::Value> {
    let (log, _) = store.list_audit(0, 100_000).await.unwrap();
    let entries = log.iter().map(|entry| serde_json::from_str(&entry.leaf).unwrap());
    entries
        .filter(|entry: &serde_json::Value| entry["action"] == action)
        .collect()
}

pub(super) async fn a_change_goes_through_its_stages(store: &Store) {
    let devices = fleet(store, 5).await;
    let (id, moved) = (change_id(9), store.changes_moved());
    started(store, change(9), &devices).await;
    work(store, at(200)).await;
    assert!(moved.has_changed().unwrap());
    // The pilot alone, and it waits for proof.
    assert_eq!(
        standings(store, id).await,
        [(Standing::Waiting, 3), (Standing::Sent, 2)]
    );
    assert_eq!(site(store, devices[0]).await, ("HAM-1".to_owned(), 2));
    assert_eq!(site(store, devices[2]).await, ("BER-1".to_owned(), 1));
    assert_eq!(
        device(store, devices[1]).await.verification.state(),
        VerificationState::Pending
    );
    sound(store).await;
    for device in &devices[..2] {
        say(store, *device, FacetState::Applied, at(210)).await;
        say(store, *device, FacetState::Applied, at(211)).await;
    }
    work(store, at(212)).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Waiting, 3), (Standing::Proved, 2)]
    );
    sound(store).await;
    // It soaks for a minute; then the rest begins.
    work(store, at(269)).await;
    assert_eq!(standings(store, id).await[0], (Standing::Waiting, 3));
    work(store, at(270)).await;
    assert_eq!(
        standings(store, id).await,
        [(Standing::Sent, 3), (Standing::Done, 2)]
    );
    for device in &devices[2..] {
        say(store, *device, FacetState::Applied, at(280)).await;
    }
    work(store, at(340)).await;
    assert_eq!(
        (state(store, id).await, standings(store, id).await),
        ("DONE", vec![(Standing::Done, 5)])
    );
    // Watched, then closed.
    assert_eq!(store.open_changes().await.unwrap().len(), 1);
    work(store, at(340 + 3600)).await;
    assert!(store.open_changes().await.unwrap().is_empty());
    say(store, devices[0], FacetState::Failed("late".into()), at(9000)).await;
    assert_eq!(standings(store, id).await, [(Standing::Done, 5)]);
    let retargeted = audited(store, "device_retargeted").await;
    assert_eq!(retargeted.len(), 5);
    assert_eq!(retargeted[0]["detail"]["change"], id.to_string());
    for action in [
        "change_created",
        "change_planned",
        "change_started",
        "change_stage_opened",
        "change_finished",
    ] {
        assert_eq!(audited(store, action).await.len(), 1, "{action}");
    }
}

pub(super) async fn the_same_request_gives_the_same_change(store: &Store) {
    let create = async |change: Change, request: &str| {
        let created = store.create_change(change, request.to_owned()).await.unwrap();
        created.map(|record| record.change.id)
    };
    assert_eq!(create(change(1), "one").await, Ok(change_id(1)));
    assert_eq!(create(change(2), "one").await, Ok(change_id(1)));
    assert_eq!(create(change(3), "").await, Ok(change_id(3)));
    let other = Change {
        action: to("BER-1"),
        ..change(4)
    };
    assert_eq!(
        create(other, "one").await.unwrap_err().code,
        Code::RequestIdReused
    );
    let listed = async |before, limit| {
        let found = store.list_changes(before, limit).await.unwrap();
        found.iter().map(|record| record.change.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 9).await, [change_id(3), change_id(1)]);
    assert_eq!(listed(Some(change_id(3)), 9).await, [change_id(1)]);
    assert!(store.change(change_id(2)).await.unwrap().is_none());
}

pub(super) async fn a_plan_that_was_cut_is_void(store: &Store) {
    let devices = fleet(store, 4).await;
    let id = change_id(9);
    let first = planned(store, change(9), &devices).await;
    let approver = "bob".parse().unwrap();
    order(store, id, ChangeOrder::Approve(approver, PLAN))
        .await
        .unwrap();
    // Another attempt ends in the middle, and a third one is whole.
    let second = store.begin_plan(id, None, at(103)).await.unwrap().unwrap();
    assert_eq!(
        (second.change.state, second.tallies.len()),
        (ChangeState::Draft, 0)
    );
    let late = store.write_plan(id, first.attempt, PlanPart::default()).await;
    assert_eq!(late.unwrap().unwrap_err().code, Code::ChangeState);
    sound(store).await;
    let start = ChangeOrder::Start(PLAN, 4);
    assert_eq!(
        order(store, id, start.clone()).await.unwrap_err().code,
        Code::ChangeState
    );
    let third = plan(store, id, &devices[..3]).await;
    assert_eq!((third.total().total(), third.attempt), (3, 3));
    assert_eq!(
        order(store, id, start).await.unwrap_err().code,
        Code::TargetCountMoved
    );
    let stale = store
        .order_change(id, ChangeOrder::Abort, Some(1), alice(), at(104))
        .await;
    assert_eq!(stale.unwrap().unwrap_err().code, Code::EtagMismatch);
    order(store, id, ChangeOrder::Start(PLAN, 3)).await.unwrap();
    let again = store.begin_plan(id, None, at(105)).await;
    assert_eq!(again.unwrap().unwrap_err().code, Code::ChangeState);
}

pub(super) async fn a_device_is_in_one_change(store: &Store) {
    let devices = fleet(store, 4).await;
    let (first, second) = (change_id(1), change_id(2));
    started(store, change(1), &devices[..3]).await;
    // Planned before the first one took its devices, started after.
    planned(store, change(2), &devices[1..]).await;
    work(store, at(200)).await;
    order(store, second, ChangeOrder::Start(PLAN, 3)).await.unwrap();
    work(store, at(201)).await;
    assert_eq!(
        standings(store, second).await,
        [(Standing::Sent, 1), (Standing::Skipped, 2)]
    );
    sound(store).await;
    // Planned after: left out at once.
    let third = planned(
        store,
        Change {
            id: change_id(3),
            ..change(3)
        },
        &devices,
    )
    .await;
    assert_eq!((third.total().total(), third.left_out()), (0, 4));
    // An urgent one takes what it needs, from both; those say so.
    let urgent = Change {
        action: to("BER-1"),
        priority: Priority::Emergency,
        ..change(4)
    };
    let record = started(store, urgent, &devices).await;
    assert_eq!(record.total().total(), 3, "one never left");
    work(store, at(202)).await;
    let taken = listed(store, first, &[Standing::Skipped]).await;
    assert!(
        matches!(&taken[0].state, TargetState::Skipped { why: Skipped::Taken(by), .. } if *by == change_id(4)),
        "{taken:?}"
    );
    sound(store).await;
    // What was taken is not given back by whoever lost it.
    order(store, first, ChangeOrder::RollBack).await.unwrap();
    work(store, at(203)).await;
    assert_eq!(site(store, devices[0]).await.0, "BER-1");
}

async fn listed(
    store: &Store,
    change: muster_domain::ids::ChangeId,
    standings: &[Standing],
) -> Vec<muster_domain::change::Target> {
    let query = TargetQuery {
        change,
        stage: None,
        standings: standings.to_vec(),
        excluded: false,
        after: None,
        limit: 1000,
    };
    let page = store.list_targets(query).await.unwrap();
    let targets = page.targets.into_iter().map(|(listed, _)| match listed {
        ListedTarget::Target(target) => target,
        ListedTarget::Excluded(..) => panic!("not asked for"),
    });
    targets.collect()
}

pub(super) async fn budgets_and_paces_are_kept(store: &Store) {
    let devices = fleet(store, 6).await;
    let mut slow = change(9);
    slow.strategy.stages.remove(0);
    slow.strategy.in_flight_per_site = Some(2);
    slow.strategy.per_minute = Some(3);
    let id = slow.id;
    // One stage, so the plan of the pilot is of the last one.
    let record = {
        store.create_change(slow, String::new()).await.unwrap().unwrap();
        let pilot = plan_flat(store, id, &devices).await;
        order(store, id, ChangeOrder::Start(PLAN, 6)).await.unwrap();
        pilot
    };
    assert_eq!(record, 6);
    let sent = async || {
        standings(store, id)
            .await
            .iter()
            .find(|(at, _)| *at == Standing::Sent)
            .map(|(_, count)| *count)
    };
    work(store, at(200)).await;
    assert_eq!(sent().await, Some(2), "two of a site");
    for device in &devices[..2] {
        say(store, *device, FacetState::Applied, at(201)).await;
    }
    work(store, at(202)).await;
    assert_eq!(sent().await, Some(1), "three a minute");
    work(store, at(259)).await;
    assert_eq!(sent().await, Some(1));
    work(store, at(260)).await;
    assert_eq!(sent().await, Some(2));
}

/// A plan of one stage.
async fn plan_flat(store: &Store, id: muster_domain::ids::ChangeId, devices: &[DeviceId]) -> u32 {
    use crate::store::PlanTotals;
    use muster_domain::change::{Tally, Target};
    let record = store.begin_plan(id, None, at(100)).await.unwrap().unwrap();
    let mut part = PlanPart::default();
    for id in devices {
        let device = device(store, *id).await;
        part.targets.push(Target {
            device: *id,
            stage: 0,
            former: Former::Site(device.site.clone()),
            site: device.site,
            zone: 0,
            becomes: None,
            repairs: 0,
            late: false,
            state: TargetState::Waiting { reached: None },
        });
    }
    let totals = PlanTotals {
        plan: PLAN,
        tallies: vec![Tally::of(vec![Standing::Waiting; devices.len()])],
        excluded: Default::default(),
        zones: Vec::new(),
        list: None,
    };
    store.write_plan(id, record.attempt, part).await.unwrap().unwrap();
    let finished = store
        .finish_plan(id, record.attempt, totals, alice(), at(101))
        .await;
    finished.unwrap().unwrap().total().total()
}

pub(super) async fn a_device_that_moved_on_has_its_turn_again(store: &Store) {
    let devices = fleet(store, 2).await;
    let id = change_id(9);
    started(store, change(9), &devices).await;
    assert!(step(store, id, at(200)).await, "its devices are taken");
    let record = store.change(id).await.unwrap().unwrap();
    let action = record.change.action.clone();
    let found = store.next_turns(record, 0, 10, None, at(200)).await.unwrap();
    let turns = turns(store, id, found, action.facets(), |_, device| action.pins(device)).await;
    // Meanwhile one is suspended, so what was rendered may be wrong.
    let suspend = DeviceChange {
        transition: Transition::Suspend("lost".to_owned()),
        expected_revision: None,
        actor: alice(),
        now: at(201),
    };
    store.transition(devices[0], suspend).await.unwrap().unwrap();
    let began = store.begin_targets(id, turns.clone(), at(202)).await.unwrap();
    assert_eq!((began.devices, began.moved), (vec![devices[1]], 1));
    // The same turns again change nothing.
    let again = store.begin_targets(id, turns, at(203)).await.unwrap();
    assert_eq!(again.moved, 0);
    work(store, at(204)).await;
    // One that is shut out cannot prove it: it is done when it is on record.
    assert_eq!(
        standings(store, id).await,
        [(Standing::Sent, 1), (Standing::Done, 1)]
    );
}

pub(super) async fn targets_are_listed_page_by_page(store: &Store) {
    let devices = fleet(store, 5).await;
    let id = change_id(9);
    let mut all: Vec<_> = devices.clone();
    // One that is there already is left out.
    all.insert(
        1,
        store
            .device_by_serial(&crate::store::tests::build::serial(1))
            .await
            .unwrap()
            .unwrap()
            .id,
    );
    started(store, change(9), &all).await;
    work(store, at(200)).await;
    let query = |standings: &[Standing], excluded, stage, after, limit| TargetQuery {
        change: id,
        stage,
        standings: standings.to_vec(),
        excluded,
        after,
        limit,
    };
    for limit in [1, 2, 5, 6, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store
                .list_targets(query(&Standing::ALL, true, None, after, limit))
                .await
                .unwrap();
            assert!(page.targets.len() <= limit);
            found.extend(page.targets);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(found.len(), 6, "{limit}");
        assert!(found.iter().all(|(_, serial)| serial.is_some()));
        assert!(matches!(
            &found[5].0,
            ListedTarget::Excluded(_, Exclusion::AlreadyThere)
        ));
    }
    let few = |standings: &'static [Standing], stage| async move {
        store
            .list_targets(query(standings, false, stage, None, 100))
            .await
            .unwrap()
            .targets
            .len()
    };
    assert_eq!(few(&[Standing::Sent], None).await, 2);
    assert_eq!(few(&[Standing::Sent], Some(1)).await, 0);
    assert_eq!(few(&[Standing::Waiting, Standing::Sent], Some(1)).await, 3);
    let held = store.changes_of(devices[0]).await.unwrap();
    assert_eq!((held.len(), held[0].1.state.standing()), (1, Standing::Sent));
    assert!(store.changes_of(all[1]).await.unwrap().is_empty());
}

pub(super) async fn a_device_that_is_taken_back_is_left_out(store: &Store) {
    let devices: Vec<_> = import(store, 1, 0..6)
        .await
        .iter()
        .step_by(2)
        .map(|device| device.id)
        .collect();
    let id = change_id(9);
    let mut patient = change(9);
    patient.strategy.watch = Duration::ZERO;
    started(store, patient, &devices).await;
    assert!(step(store, id, at(200)).await, "its devices are taken");
    let undone = store.undo_batch(batch_id(1), false, alice(), at(201)).await;
    assert_eq!(undone.unwrap().unwrap().blocked, 0);
    sound(store).await;
    work(store, at(202)).await;
    assert_eq!(
        (state(store, id).await, standings(store, id).await),
        ("DONE", vec![(Standing::Skipped, 3)])
    );
}
