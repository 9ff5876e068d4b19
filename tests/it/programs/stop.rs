//! G19: SIGTERM in the middle of work.

use super::{acknowledged_rows_are_there, agent, catalog, connected, import};
use muster_proto::v1::GetCountsRequest;
use muster_tests::{Program, Registry, fixture, until};
use muster_tools::import::ImportEvent;
use std::{fs, time::Duration};
use tokio::sync::Notify;

/// Several parts of an import, so that some are done and some are not.
const ROWS: u32 = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g19_sigterm_loses_nothing_that_was_acknowledged() {
    let registry = Registry::new();
    let (mut musterd, _, mqtt) = registry.serve("info").await;
    let client = connected(&registry).await;
    catalog(&client).await;
    // Two devices are connected.
    let (rows, ended) = import(&client, &fixture::manifest("gateways.csv"), |_| {}).await;
    ended.unwrap();
    let agents: Vec<_> = (0..2)
        .map(|row| {
            agent(
                &registry,
                &format!("GW2-{}", 7_000_001 + row),
                &rows[row].activation_code,
                mqtt,
            )
        })
        .collect();
    let counts = async || {
        client
            .fleet
            .clone()
            .get_counts(GetCountsRequest {})
            .await
            .unwrap()
            .into_inner()
    };
    until("two devices are verified", async || {
        (counts().await.verifications.get("VERIFIED") == Some(&2)).then_some(())
    })
    .await;
    // The import is under way: a first part is answered.
    let file = registry.path("cameras.csv");
    fs::write(&file, fixture::cameras(0, ROWS)).unwrap();
    let first = Notify::new();
    let (ended, _) = tokio::join!(
        import(&client, &file, |event| {
            if matches!(event, ImportEvent::Results(_)) {
                first.notify_one();
            }
        }),
        async {
            first.notified().await;
            musterd.signal("TERM");
        }
    );
    let (acknowledged, ended) = ended;
    let stopped = musterd.logged("stopped").await;
    let ended_by = musterd.ended().await;
    assert_eq!(ended_by.code, Some(0), "{}", ended_by.log);
    assert!(
        !ended_by.log.contains("were cut"),
        "calls under way were finished: {stopped}\n{}",
        ended_by.log
    );
    // Either it was told to come back, or it was just done.
    let told = match &ended {
        Ok(summary) => summary.created == u64::from(ROWS),
        Err(failure) => failure.answer().is_some_and(|answer| answer.number == Some(1008)),
    };
    assert!(told, "{ended:?}");
    assert!(!acknowledged.is_empty());
    // What was acknowledged is there, in order, and works.
    let checked = Program::run(&mut registry.musterd("check")).await;
    assert_eq!(
        (checked.code, checked.out.trim()),
        (Some(0), "everything is in order"),
        "{}",
        checked.log
    );
    let (musterd, _, _) = registry.serve("info").await;
    let client = connected(&registry).await;
    let there = acknowledged_rows_are_there(&client, &acknowledged).await;
    assert!(there >= 1000 + acknowledged.len());
    // The same file again finishes the work.
    let (_, finished) = import(&client, &file, |_| {}).await;
    let finished = finished.unwrap();
    assert_eq!(finished.created + finished.unchanged, u64::from(ROWS));
    assert!(finished.unchanged >= acknowledged.len() as u64);
    // Agents end as politely.
    for agent in agents {
        agent.signal("TERM");
        assert_eq!(agent.ended().await.code, Some(0));
    }
    musterd.signal("TERM");
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(60), musterd.ended())
            .await
            .unwrap()
            .code,
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_starts_end_with_their_documented_codes() {
    let registry = Registry::new();
    let settings = registry.path("registry/musterd.toml");
    let good = fs::read_to_string(&settings).unwrap();
    let run = async |command: &str| {
        let ended = Program::run(&mut registry.musterd(command)).await;
        (ended.code, ended.log)
    };
    fs::write(
        &settings,
        good.replace("connections = 20000", "connections = 0\nbogus = 1"),
    )
    .unwrap();
    let (code, log) = run("serve").await;
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("bogus"), "{log}");
    fs::write(&settings, &good).unwrap();
    let passphrase = registry.path("passphrase");
    let right = fs::read_to_string(&passphrase).unwrap();
    fs::write(&passphrase, "another one\n").unwrap();
    let (code, log) = run("serve").await;
    assert_eq!(code, Some(3), "{log}");
    assert!(!log.contains("another one"), "{log}");
    fs::write(&passphrase, right).unwrap();
    assert_eq!(run("fly").await.0, Some(2));
    // Two servers in one directory would each believe in a database of their own.
    let (_musterd, _, _) = registry.serve("info").await;
    let (code, log) = run("serve").await;
    assert_eq!(code, Some(3), "{log}");
}
