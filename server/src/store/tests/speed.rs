//! How fast parts of an import are committed. Run by hand:
//! `cargo test --release -p muster-server --lib store::tests::speed -- --ignored --nocapture`.

use super::build::{SOURCE, commit, finish, found, part, row, sound, start};
use crate::store::Store;
use muster_domain::manifest::ValidRow;
use std::time::{Duration, Instant};

const PART: u32 = 32_768;

async fn import(store: &Store, number: u32, rows: u32, of: impl Fn(u32) -> u32) -> Duration {
    start(store, number).await;
    let mut spent = Duration::ZERO;
    for (part_number, first) in (0..).zip((0..rows).step_by(PART.try_into().unwrap())) {
        let rows: Vec<ValidRow> = (first..rows.min(first + PART))
            .map(|place| row(of(place)))
            .collect();
        let part = part(store, number, part_number, rows);
        let start = Instant::now();
        commit(store, part).await;
        spent += start.elapsed();
    }
    finish(store, number).await;
    spent
}

fn show(what: &str, rows: u32, spent: Duration) {
    println!(
        "{what}: {rows} rows in {spent:.2?}, {:.0} rows/s",
        f64::from(rows) / spent.as_secs_f64()
    );
}

/// Steps through all of `0..size` in an order that jumps; `size` is a power of two.
fn scattered(size: u32) -> impl Fn(u32) -> u32 {
    move |place| place.wrapping_mul(2_654_435_761) & (size - 1)
}

#[tokio::test]
#[ignore = "a measurement, for release builds"]
async fn parts_of_an_import() {
    for rows in [100_000, 1_000_000] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        let store = Store::open(&path).unwrap();
        found(&store).await;
        show(
            "serials in order",
            rows,
            import(&store, 1, rows, |place| place).await,
        );
        show(
            "the same file again",
            rows,
            import(&store, 2, rows, |place| place).await,
        );
        let size = std::fs::metadata(&path).unwrap().len();
        println!("file: {} bytes a device", size / u64::from(rows));
        if rows <= 100_000 {
            sound(&store).await;
        }
        let start = Instant::now();
        store.close().await.unwrap();
        let closed = start.elapsed();
        let store = Store::open(&path).unwrap();
        println!(
            "close {closed:.2?}, open {:.2?}",
            start.elapsed().checked_sub(closed).unwrap()
        );
        store.close().await.unwrap();
    }
}

/// The worst order for any tree of pages: every part touches all of the index.
#[tokio::test]
#[ignore = "a measurement, for release builds"]
async fn parts_of_a_shuffled_import() {
    for rows in [1 << 17, 1 << 19] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store.redb")).unwrap();
        found(&store).await;
        show(
            "serials scattered",
            rows,
            import(&store, 1, rows, scattered(rows)).await,
        );
        store.close().await.unwrap();
    }
}

/// Waiting claimers, each with a durable intent and a durable certificate.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for release builds"]
async fn claims_of_a_fleet() {
    use super::build::{claim, signed};
    let rows = 131_072;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store.redb")).unwrap();
    found(&store).await;
    import(&store, 1, rows, |place| place).await;
    let (clients, each) = (64, 500);
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let store = store.clone();
        tasks.spawn(async move {
            for number in 0..each {
                let device = client * each + number;
                let permit = super::build::begin(&store, claim(device, device, device)).await;
                let now = claim(0, 0, 0).now;
                store
                    .finish_claim(signed(&permit), now, SOURCE)
                    .await
                    .unwrap()
                    .unwrap();
            }
        });
    }
    tasks.join_all().await;
    show("claims (two commits each)", clients * each, start.elapsed());
    store.close().await.unwrap();
}

/// The store's part of a change: its plan written down, its devices taken, its targets begun.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for release builds"]
async fn targets_of_a_change() {
    use super::{
        build::{alice, at, fresh},
        drive::{PLAN, change, order, step, turns},
    };
    use crate::store::{Advance, ChangeOrder, PlanPart, PlanTotals};
    use muster_domain::change::{Former, IN_FLIGHT_LIMIT, Standing, Tally, Target, TargetState};
    let rows = 1 << 18;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store.redb")).unwrap();
    found(&store).await;
    import(&store, 1, rows, |place| place).await;
    let mut wanted = change(9);
    wanted.strategy.in_flight = IN_FLIGHT_LIMIT;
    let id = wanted.id;
    store.create_change(wanted, String::new()).await.unwrap().unwrap();
    let attempt = store.begin_plan(id, None, at(1)).await.unwrap().unwrap().attempt;
    // Every second device is at the site that the change is about to leave.
    let site: Option<muster_domain::names::SiteCode> = Some("BER-1".parse().unwrap());
    let targets: Vec<_> = (0..rows).step_by(2).collect();
    let start = Instant::now();
    for part in targets.chunks(32_768) {
        let target = |number: &u32| Target {
            device: fresh(1, *number).id,
            stage: 1,
            site: site.clone(),
            zone: 0,
            becomes: None,
            repairs: 0,
            late: false,
            former: Former::Site(site.clone()),
            state: TargetState::Waiting { reached: None },
        };
        let part = PlanPart {
            targets: part.iter().map(target).collect(),
            excluded: Vec::new(),
        };
        store.write_plan(id, attempt, part).await.unwrap().unwrap();
    }
    let count = u32::try_from(targets.len()).unwrap();
    show("targets planned", count, start.elapsed());
    let totals = PlanTotals {
        plan: PLAN,
        tallies: vec![
            Tally::default(),
            Tally::of(vec![Standing::Waiting; targets.len()]),
        ],
        excluded: std::collections::BTreeMap::new(),
        zones: Vec::new(),
        list: None,
    };
    let finished = store.finish_plan(id, attempt, totals, alice(), at(2)).await;
    finished.unwrap().unwrap();
    order(&store, id, ChangeOrder::Start(PLAN, count)).await.unwrap();
    let start = Instant::now();
    while store.change(id).await.unwrap().unwrap().is_reserving() {
        assert!(step(&store, id, at(3)).await);
    }
    show("devices taken", count, start.elapsed());
    let (mut rendering, mut committing) = (Duration::ZERO, Duration::ZERO);
    loop {
        let most = match store.advance_change(id, at(4)).await.unwrap() {
            Advance::Begin(most) => most.min(2000),
            Advance::Stepped | Advance::Halted => continue,
            Advance::Revert | Advance::Wait => break,
        };
        let start = Instant::now();
        let record = store.change(id).await.unwrap().unwrap();
        let action = record.change.action.clone();
        let most = usize::try_from(most).unwrap();
        let found = store.next_turns(record, 0, most, None, at(200)).await.unwrap();
        let turns = turns(&store, id, found, action.facets(), |_, device| {
            action.pins(device)
        })
        .await;
        rendering += start.elapsed();
        let start = Instant::now();
        store.begin_targets(id, turns, at(4)).await.unwrap();
        committing += start.elapsed();
    }
    show("read and rendered", count, rendering);
    show("begun", count, committing);
    store.close().await.unwrap();
}
