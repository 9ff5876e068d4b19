//! Somebody else's gRPC client: a manufacturing line in Python, written from the contract and its README.

use muster_tests::{Program, World, fixture};
use serde_json::{Value, json};
use std::process::Command;

/// The interpreter with the packages of `tests/clients`, which `tests/run` makes.
#[expect(clippy::print_stderr, reason = "what was not checked must be said")]
pub(super) fn python() -> Option<std::path::PathBuf> {
    let python = fixture::in_repository("target/python/bin/python");
    let is_there = python.exists();
    if !is_there {
        eprintln!("skipped: there is no {}; tests/run makes it", python.display());
    }
    is_there.then_some(python)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_in_python_imports_a_file_and_single_devices() {
    let Some(python) = python() else { return };
    let world = World::start().await;
    world.apply_catalog().await;
    let mut line = Command::new(python);
    line.arg(fixture::in_repository("tests/clients/line.py"))
        .arg("--proto")
        .arg(fixture::in_repository("proto"))
        .args(["--server", &world.grpc().to_string(), "--model", "GW-200"])
        .arg("--operator")
        .arg(world.registry().join("operator"))
        .arg("--manifest")
        .arg(fixture::manifest("gateways.csv"));
    let ended = Program::run(&mut line).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said: Value = serde_json::from_str(&ended.out).expect("one JSON object");
    let check = |key: &str, expected: Value| assert_eq!(said[key], expected, "{key}");
    // The file arrived whole although the first call was cut, and each row was heard once although a stream was left.
    check("same_batch", json!(true));
    let bytes = std::fs::metadata(fixture::manifest("gateways.csv"))
        .unwrap()
        .len();
    check("half", json!(bytes / 2));
    check("rows", (2..=1001).collect::<Vec<u32>>().into());
    check("created", json!(1000));
    check("state", json!("STATE_DONE"));
    check("codes", json!(1000));
    check("shown_late", json!(0));
    check("typed", json!(["ROW_STATUS_CREATED", "ROW_STATUS_REFUSED"]));
    check(
        "typed_refusals",
        json!([[2111, "rows[2].mac", "00:1B:C5:00:00:0G"]]),
    );
    check("same_code", json!(true));
    check(
        "reused",
        json!({"status": "INVALID_ARGUMENT", "fields": ["request_id"], "reason": "REQUEST_ID_REUSED", "code": "2011"}),
    );
    assert_eq!(world.counts().await.devices, 1001);
}
