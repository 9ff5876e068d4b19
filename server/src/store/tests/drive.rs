//! A worker for tests: what the service does with changes, without its threads.

use super::build::{alice, at, report, seed};
use crate::store::{Advance, Began, ChangeOrder, PlanPart, PlanTotals, Seen, Store, Turn};
use muster_domain::{
    Refusal, Timestamp,
    activation::{ActivationCode, CodeHash, CodeKey, Seed},
    batch::PlanHash,
    change::{
        Action, Change, ChangeRecord, ChangeState, Demands, Facet, OnHalt, Planner, Priority, Share, Stage,
        Standing, Strategy, Tally, Target, TargetState, Zone,
    },
    desired::Digests,
    device::{Device, FacetState},
    ids::{ChangeId, DeviceId},
};
use std::{collections::BTreeMap, time::Duration};

/// The key of codes that changes give out.
const KEY: CodeKey = CodeKey::from_bytes([7; 32]);
pub(super) const PLAN: PlanHash = PlanHash([7; 32]);

pub(super) fn change_id(number: u32) -> ChangeId {
    ChangeId::new(at(u64::from(number)), 0)
}

/// A pilot of two, then the rest; half may fail or stay silent.
pub(super) fn strategy() -> Strategy {
    let stage = |size| Stage {
        size,
        soak: Duration::from_secs(60),
        failures: Share::PerMille(500),
        silent: Share::PerMille(500),
    };
    Strategy {
        stages: vec![stage(Some(Share::Count(2))), stage(None)],
        in_flight: 1000,
        in_flight_per_site: None,
        per_minute: None,
        deadline: Duration::from_secs(600),
        watch: Duration::from_secs(3600),
        on_halt: OnHalt::Wait,
        away_limit: None,
        start_at: None,
        windows: Default::default(),
        canary: None,
        repairs: 0,
        dynamic: None,
    }
}

/// A move to another site.
pub(super) fn change(number: u32) -> Change {
    Change {
        id: change_id(number),
        title: "to Hamburg".to_owned(),
        author: "alice".parse().unwrap(),
        created: at(number.into()),
        action: to("HAM-1"),
        filter: String::new(),
        list: None,
        strategy: strategy(),
        priority: Priority::Normal,
        approvals_needed: 0,
        demands: Demands::default(),
        approvals: Vec::new(),
        accepted: Vec::new(),
        state: ChangeState::Draft,
        revision: 1,
    }
}

pub(super) fn to(site: &str) -> Action {
    Action::Move(site.parse().unwrap())
}

/// Makes a change and plans it for these devices: the first ones are the first stage.
pub(super) async fn planned(store: &Store, change: Change, devices: &[DeviceId]) -> ChangeRecord {
    let id = change.id;
    store.create_change(change, String::new()).await.unwrap().unwrap();
    plan(store, id, devices).await
}

pub(super) async fn plan(store: &Store, id: ChangeId, devices: &[DeviceId]) -> ChangeRecord {
    let record = store.begin_plan(id, None, at(100)).await.unwrap().unwrap();
    while store.void_plan(id, record.attempt).await.unwrap().unwrap() {}
    let (part, totals) = listed(store, &record, devices).await;
    store.write_plan(id, record.attempt, part).await.unwrap().unwrap();
    let finished = store.finish_plan(id, record.attempt, totals, alice(), at(101));
    finished.await.unwrap().unwrap()
}

async fn listed(store: &Store, record: &ChangeRecord, devices: &[DeviceId]) -> (PlanPart, PlanTotals) {
    let (change, catalog) = (&record.change, store.catalog());
    let holders = store
        .holders(devices, change.action.facets(), change.priority)
        .unwrap();
    let mut found = Vec::new();
    for device in devices {
        found.push(store.device(*device).await.unwrap().unwrap());
    }
    let mut planner = Planner::new(change, Digests::new(&catalog), at(100));
    let mut part = PlanPart::default();
    let mut tallies = vec![Tally::default(); change.strategy.stages.len()];
    let mut excluded = BTreeMap::<_, u32>::new();
    for (device, holder) in found.iter().zip(holders) {
        match planner.judge(device, holder) {
            Ok(planned) => {
                let stage = u16::from(part.targets.len() >= 2);
                tallies[usize::from(stage)].add(Standing::Waiting);
                part.targets.push(Target {
                    device: device.id,
                    stage,
                    site: device.site.clone(),
                    zone: u16::try_from(part.targets.len() % 2).unwrap(),
                    becomes: planned.becomes,
                    repairs: 0,
                    late: false,
                    former: planned.former,
                    state: TargetState::Waiting { reached: None },
                });
            }
            Err(why) => {
                *excluded.entry(why.kind()).or_default() += 1;
                part.excluded.push((device.id, why));
            }
        }
    }
    let zone = |time_zone: &str| Zone {
        time_zone: time_zone.to_owned(),
        ..Zone::default()
    };
    let zones = ["", "Asia/Tokyo"].map(zone);
    let totals = PlanTotals {
        plan: PLAN,
        tallies,
        excluded,
        zones: zones.into(),
        list: change.list,
    };
    (part, totals)
}

pub(super) async fn order(store: &Store, id: ChangeId, order: ChangeOrder) -> Result<ChangeRecord, Refusal> {
    let ordered = store.order_change(id, order, None, alice(), at(102)).await;
    ordered.unwrap().map(|(record, _)| record)
}

/// Plans a change and starts it.
pub(super) async fn started(store: &Store, change: Change, devices: &[DeviceId]) -> ChangeRecord {
    let record = planned(store, change, devices).await;
    let start = ChangeOrder::Start(PLAN, record.total().total());
    order(store, record.change.id, start).await.unwrap()
}

pub(super) async fn turns(
    store: &Store,
    id: ChangeId,
    found: Vec<(Target, Option<Seen>)>,
    facets: &[Facet],
    pins: impl Fn(&Target, &Device) -> Option<Device>,
) -> Vec<Turn> {
    let catalog = store.catalog();
    let mut digests = Digests::new(&catalog);
    let turn = |(target, seen): (Target, Option<Seen>)| {
        let pinned = seen.as_ref().and_then(|seen| pins(&target, &seen.device));
        let content = match (&seen, &pinned) {
            (Some(_), Some(pinned)) => digests.of(pinned).map_err(|why| format!("{why:?}")),
            (Some(seen), None) => Ok(seen.device.target.digest),
            (None, _) => Err("gone".to_owned()),
        };
        let becomes = target.becomes.map(|_| digests.part(facets));
        Turn::new(id, target, seen, pinned, content, becomes, at(5)).unwrap()
    };
    found.into_iter().map(turn).collect()
}

/// The code that a change gives a device, where the seed of its number is its seed.
pub(super) fn given(seed: &Seed, device: DeviceId) -> ActivationCode {
    KEY.code_of(seed, device)
}

/// What is kept of it.
pub(super) fn kept(seed: &Seed, device: DeviceId) -> CodeHash {
    given(seed, device).hash(&KEY)
}

/// One step of a change; false when there is none.
pub(super) async fn step(store: &Store, id: ChangeId, now: Timestamp) -> bool {
    let record = async || store.change(id).await.unwrap().unwrap();
    let Began { moved, .. } = match store.advance_change(id, now).await.unwrap() {
        Advance::Stepped | Advance::Halted => return true,
        Advance::Wait => return false,
        Advance::Begin(most) => {
            let record = record().await;
            let Some(stage) = record.begins().first().copied() else {
                return false;
            };
            let action = record.change.action.clone();
            let most = usize::try_from(most).unwrap();
            let found = store.next_turns(record, stage, most, None, now).await.unwrap();
            let mut turns = turns(store, id, found, action.facets(), |_, device| action.pins(device)).await;
            if action.gives_codes() {
                // Whatever is fresh, the first one stays.
                let fresh = seed(u32::try_from(now.seconds() % 100_000).unwrap());
                let seed = store.code_seed(id, fresh).await.unwrap().unwrap();
                let coded = |turn: Turn| {
                    let code = kept(&seed, turn.target.device);
                    turn.with_code(code)
                };
                turns = turns.into_iter().map(coded).collect();
            }
            store.begin_targets(id, turns, now).await.unwrap()
        }
        Advance::Revert => {
            let found = store.next_reverts(record().await, 1000).await.unwrap();
            let turns = turns(store, id, found, &[], |target, device| target.former.pins(device)).await;
            store.revert_targets(id, turns, now).await.unwrap()
        }
    };
    moved > 0
}

/// All that can be done for changes now.
pub(super) async fn work(store: &Store, now: Timestamp) {
    loop {
        let mut stirred = store.pass_time(now).await.unwrap() > 0;
        for record in store.open_changes().await.unwrap() {
            stirred |= step(store, record.change.id, now).await;
        }
        if !stirred {
            return;
        }
    }
}

/// The device says of what it must be now that it is in this state.
pub(super) async fn say(store: &Store, device: DeviceId, state: FacetState, now: Timestamp) {
    let known = store.device(device).await.unwrap().unwrap();
    let heard = store.record_report(device, report(&known, state), now).await;
    heard.unwrap().unwrap();
}

/// How many targets of all stages stand where, of those that do.
pub(super) async fn standings(store: &Store, id: ChangeId) -> Vec<(Standing, u32)> {
    let total = store.change(id).await.unwrap().unwrap().total();
    let counts = Standing::ALL.map(|standing| (standing, total.count(standing)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

pub(super) async fn state(store: &Store, id: ChangeId) -> &'static str {
    store.change(id).await.unwrap().unwrap().change.state.as_str()
}
