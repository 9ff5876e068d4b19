//! `muster device watch` as it runs beside an operator's day, and over a restart of the server.

use super::{catalog, connected, import};
use muster_tests::{Program, Registry, fixture, until};
use std::process::Command;

fn watch(registry: &Registry, arguments: &[&str]) -> Program {
    let mut muster = registry.muster();
    muster.args(["device", "watch"]).args(arguments);
    Program::start(&mut muster)
}

/// Waits for a line that holds all of this.
async fn printed(watch: &Program, parts: &[&str]) -> String {
    until(&format!("a line with {parts:?}"), async || {
        let out = watch.out();
        let fits = |line: &&str| parts.iter().all(|part| line.contains(part));
        out.lines().find(fits).map(str::to_owned)
    })
    .await
}

async fn done(mut command: Command, arguments: &str) {
    let ended = Program::run(command.args(arguments.split_whitespace())).await;
    assert_eq!(ended.code, Some(0), "{arguments}: {ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_prints_what_changes_and_outlives_a_restart() {
    let registry = Registry::new();
    registry.keep_ports();
    let (musterd, ..) = registry.serve("info").await;
    let client = connected(&registry).await;
    catalog(&client).await;
    let (rows, ended) = import(&client, &fixture::manifest("gateways.csv"), |_| {}).await;
    ended.unwrap();
    let id = rows[1].device.trim_start_matches("devices/").to_owned();
    // 1. For people and for programs, with what is there and without.
    let mut people = watch(&registry, &["--filter", "state = SUSPENDED"]);
    let program = watch(
        &registry,
        &["--filter", "serial = \"GW2-700000*\"", "--current", "-o", "jsonl"],
    );
    printed(
        &program,
        &[
            "\"change\":\"MATCHES\"",
            "\"serial\":\"GW2-7000002\"",
            "\"state\":\"REGISTERED\"",
        ],
    )
    .await;
    // It says nothing before there is something to say, so ask until it is there.
    until("a suspension is printed", async || {
        done(registry.muster(), "device suspend GW2-7000001 --reason test").await;
        let is_there = people.out().contains("MATCHES  GW2-7000001  SUSPENDED");
        done(registry.muster(), "device resume GW2-7000001").await;
        is_there.then_some(())
    })
    .await;
    printed(&people, &["LEFT", "GW2-7000001"]).await;
    printed(
        &program,
        &["GW2-7000001", "SUSPENDED", "\"state_reason\":\"test\""],
    )
    .await;
    // 2. The server goes and comes back; what happens next is printed by both.
    drop(client);
    musterd.signal("TERM");
    assert_eq!(musterd.ended().await.code, Some(0));
    let (musterd, ..) = registry.serve("info").await;
    done(registry.muster(), &format!("device suspend {id} --reason test")).await;
    printed(&people, &["MATCHES  GW2-7000002  SUSPENDED"]).await;
    printed(&program, &["\"change\":\"MATCHES\"", "GW2-7000002", "SUSPENDED"]).await;
    assert!(!people.has_ended());
    // 3. What cannot be watched is told, and nothing waits.
    let wrong = Program::run(
        registry
            .muster()
            .args(["device", "watch", "--filter", "colour = red"]),
    )
    .await;
    assert!(wrong.code == Some(4) && wrong.log.contains("colour"), "{wrong:?}");
    let wrong = Program::run(registry.muster().args(["device", "watch", "-o", "csv"])).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    for program in [people, program, musterd] {
        program.killed().await;
    }
}
