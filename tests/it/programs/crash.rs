//! H1, G1: kill -9 in the middle of an import.

use super::{acknowledged_rows_are_there, catalog, connected, import};
use muster_proto::v1::GetCountsRequest;
use muster_tests::{Program, Random, Registry, fixture};
use std::fs;
use tokio::sync::Notify;

/// Two parts.
const ROWS: u32 = 40_000;
/// Events of such an import: the mapping, progress, ten messages of results.
const EVENTS: u64 = 14;
const POINTS: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h1_a_killed_server_keeps_every_acknowledged_row() {
    let mut chance = Random::seeded(1);
    let mut acknowledged_in_all = 0;
    for _ in 0..POINTS {
        let registry = Registry::new();
        let file = registry.path("cameras.csv");
        fs::write(&file, fixture::cameras(0, ROWS)).unwrap();
        let (musterd, _, _) = registry.serve("info").await;
        let client = connected(&registry).await;
        catalog(&client).await;
        let (mut seen, at, now) = (0, 1 + chance.below(EVENTS), Notify::new());
        let ((acknowledged, _), ()) = tokio::join!(
            import(&client, &file, |_| {
                seen += 1;
                if seen == at {
                    now.notify_one();
                }
            }),
            async {
                now.notified().await;
                musterd.killed().await;
            }
        );
        acknowledged_in_all += acknowledged.len();
        let checked = Program::run(&mut registry.musterd("check")).await;
        let said = (checked.code, checked.out.trim());
        assert_eq!(
            said,
            (Some(0), "everything is in order"),
            "killed at event {at}: {}",
            checked.log
        );
        let (musterd, _, _) = registry.serve("info").await;
        let client = connected(&registry).await;
        acknowledged_rows_are_there(&client, &acknowledged).await;
        let (_, finished) = import(&client, &file, |_| {}).await;
        let finished = finished.unwrap();
        assert_eq!(
            finished.created + finished.unchanged,
            u64::from(ROWS),
            "killed at event {at}"
        );
        assert!(
            finished.unchanged >= acknowledged.len() as u64,
            "killed at event {at}"
        );
        let counts = client
            .fleet
            .clone()
            .get_counts(GetCountsRequest {})
            .await
            .unwrap()
            .into_inner();
        assert_eq!(counts.devices, u64::from(ROWS));
        musterd.killed().await;
    }
    assert!(acknowledged_in_all > 0, "every kill came before the first answer");
}
