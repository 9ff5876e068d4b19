//! kill -9 of the client at every point of an import.

use crate::{
    fake::Bench,
    imports::{MANIFEST, RESULTS, script},
    play::{Event, Point, Script},
};
use muster_tools::Exit;
use std::process::Stdio;

/// Kills the first run at a point, and runs the same again.
async fn check(point: Point, arguments: &[&str]) {
    let bench = Bench::start(Script::Answer(script())).await;
    bench.write("gw.csv", MANIFEST);
    *bench.fake.plan.lock().unwrap() = vec![(point, Event::Stop)];
    let mut line = vec!["import", "DIR/gw.csv"];
    line.extend(arguments);
    let base = format!("{}/", bench.path("").display()).replace("//", "/");
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["--context", &base])
        .args(line.iter().map(|word| word.replace("DIR/", &base)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    bench.fake.stopped.notified().await;
    child.kill().await.unwrap();
    assert!(
        bench.files().contains(&"gw.csv.muster-import".to_owned()),
        "{point:?}: {:?}",
        bench.files()
    );
    let (exit, _, notes) = bench.muster(&line).await;
    assert_eq!(exit, Exit::RowsRefused, "{point:?}: {notes}");
    let mut expected = vec!["gw.csv", "gw.results.csv"];
    if arguments.contains(&"--failed") {
        expected.insert(0, "f.csv");
        assert_eq!(
            bench.read("f.csv"),
            "Serial No.;Note;muster_batch;muster_row;muster_code;muster_message\nGW2-3;'=1+1;b1;5;M2161;Note: starts with '='\n",
            "{point:?}"
        );
    }
    assert_eq!(bench.files(), expected, "{point:?}");
    assert_eq!(bench.read("gw.results.csv"), RESULTS, "{point:?}");
    let seen = bench.fake.seen.lock().unwrap();
    let mut ids: Vec<_> = seen.batches.created.iter().map(|made| &made.request_id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{point:?}: one batch");
    assert_eq!(
        seen.batches.acknowledged.last().map(String::as_str),
        Some("5"),
        "{point:?}"
    );
}

#[tokio::test]
async fn a_killed_client_goes_on_and_ends_the_same() {
    for point in [
        Point::Created,
        Point::Received(1),
        Point::Whole,
        Point::Told(1),
        Point::Told(3),
        Point::Told(4),
        Point::Told(5),
        Point::Acknowledged,
    ] {
        check(point, &[]).await;
        check(point, &["--failed", "DIR/f.csv"]).await;
    }
}
