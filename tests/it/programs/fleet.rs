//! `muster fleet simulate`: a fleet that goes through a change, and what is read back of it.

use muster_tests::{Ended, Program};
use serde_json::Value;

async fn simulate(options: &str) -> Ended {
    let mut muster = Program::command("muster");
    muster
        .args(["fleet", "simulate"])
        .args(options.split_whitespace());
    Program::run(&mut muster).await
}

/// A simulation that ends as its thresholds say; its figures.
async fn good(options: &str) -> Value {
    let ended = simulate(&format!("{options} --json")).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(figures["problems"], serde_json::json!([]), "{figures}");
    // Whoever was away comes afterwards, and is what it must be.
    assert_eq!(figures["caught_up"], figures["offline"], "{figures}");
    figures
}

fn sum(figures: &Value, what: &str) -> u64 {
    let stages = figures["stages"].as_array().unwrap();
    stages.iter().map(|stage| stage[what].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_takes_a_revision_that_few_cannot_apply() {
    // More are away than may be under way at once: their deadlines make room for the others.
    let figures = good(
        "--devices 300 --failing 2% --offline 20% --pilot 20 --stages 5%,20% --in-flight 25 --max-failures 50% --max-silent 60%",
    )
    .await;
    assert_eq!(
        (&figures["state"], &figures["expected"]),
        (&"DONE".into(), &"done".into())
    );
    let counts = ["done", "failed", "timed_out"].map(|what| sum(&figures, what));
    assert_eq!(counts, [234, 6, 60], "{figures}");
    assert!(figures["most_under_way"].as_u64().unwrap() <= 25, "{figures}");
    // Two deadlines of a day at least, and nobody waited for them.
    assert!(figures["skipped_s"].as_f64().unwrap() >= 172_800.0, "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_spared_a_bad_revision() {
    let figures = good("--devices 300 --bad --pilot 6 --stages 10% --seed 3").await;
    assert_eq!(figures["state"], "ROLLED_BACK", "{figures}");
    assert_eq!(figures["expected"], "stopped in stage 1", "{figures}");
    assert!(sum(&figures, "given_back") <= 6, "{figures}");
    assert_eq!(
        sum(&figures, "untouched") + sum(&figures, "given_back"),
        300,
        "{figures}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_waits_for_a_person_where_it_is_told_to() {
    let figures = good(
        "--devices 60 --failing 50% --offline 0 --stages 50% --pilot 1 --max-failures 10% --on-halt wait",
    )
    .await;
    assert_eq!(figures["state"], "HALTED", "{figures}");
    assert_eq!(sum(&figures, "given_back"), 0, "{figures}");
    // For people.
    let shown = simulate("--devices 20 --failing 0 --offline 0 --stages 50%").await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for word in [
        "GIVEN BACK",
        "DONE after",
        "by its thresholds: done",
        "all 20 devices",
    ] {
        assert!(shown.out.contains(word), "{word}: {}", shown.out);
    }
    assert_eq!(simulate("--devices 0").await.code, Some(2));
}
