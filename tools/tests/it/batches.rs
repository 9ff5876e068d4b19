//! Batches that are at the server already.

use crate::{
    fake::Bench,
    imports::{MANIFEST, RESULTS, script},
    play::Script,
};
use muster_proto::v1;
use muster_tools::Exit;

/// A batch that is whole at the fake, and nobody fetched its answers.
async fn sent() -> Bench {
    let bench = Bench::start(Script::Answer(script())).await;
    bench.write("gw.csv", MANIFEST);
    bench.muster(&["import", "DIR/gw.csv", "--no-wait"]).await;
    bench
}

#[tokio::test]
async fn results_are_fetched_with_the_file_or_without_it() {
    let bench = sent().await;
    let (exit, out, notes) = bench.muster(&["batch", "watch", "b1"]).await;
    assert_eq!(exit, Exit::RowsRefused, "{notes}");
    assert!(
        out.contains("2 created") && notes.contains("batch results b1 --out"),
        "{out}{notes}"
    );
    bench
        .muster(&["batch", "results", "b1", "--keep", "--out", "DIR/numbers.csv"])
        .await;
    assert_eq!(
        bench.read("numbers.csv"),
        "row,status,code,message,device,activation_code\n2,created,,,d2,CODE-2\n3,created,,,d3,CODE-3\n\
         5,refused,M2161,Note: starts with '=',,\n"
    );
    assert_eq!(bench.fake.seen.lock().unwrap().batches.acknowledged, [""; 0]);
    bench
        .muster(&[
            "batch",
            "results",
            "b1",
            "--file",
            "DIR/gw.csv",
            "--out",
            "DIR/r.csv",
        ])
        .await;
    assert_eq!(bench.read("r.csv"), RESULTS);
    assert_eq!(bench.fake.seen.lock().unwrap().batches.acknowledged, ["5"]);
    bench.write("other.csv", "Serial No.;Note\n");
    let (exit, _, notes) = bench
        .muster(&[
            "batch",
            "results",
            "b1",
            "--file",
            "DIR/other.csv",
            "--out",
            "DIR/x.csv",
        ])
        .await;
    assert_eq!(exit, Exit::Usage);
    assert!(notes.contains("is not the file of batches/b1"), "{notes}");
}

#[tokio::test]
async fn a_batch_is_applied_cancelled_and_taken_back() {
    let bench = sent().await;
    let hash = "0f".repeat(32);
    let (exit, _, notes) = bench.muster(&["batch", "apply", "b1", "--plan", &hash]).await;
    assert_eq!(exit, Exit::RowsRefused, "{notes}");
    let (exit, out, _) = bench.muster(&["batch", "cancel", "b1"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("CANCELLED"), "{out}");
    let (exit, out, _) = bench.muster(&["batch", "undo", "b1"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("UNDONE"), "{out}");
    bench.fake.seen.lock().unwrap().batches.blocks = vec![v1::UndoBlock {
        device: "devices/d2".into(),
        row: 2,
        refusal: Some(v1::Refusal {
            code: 2012,
            message: "is claimed".into(),
            ..v1::Refusal::default()
        }),
    }];
    let (exit, out, notes) = bench.muster(&["batch", "undo", "b1", "--dry-run"]).await;
    assert_eq!(exit, Exit::Refused);
    assert_eq!(out, "DEVICE  ROW  CODE  WHY\nd2        2  2012  is claimed\n");
    assert!(
        notes.contains("1 devices block it; nothing was changed"),
        "{notes}"
    );
    let seen = bench.fake.seen.lock().unwrap();
    assert_eq!(seen.batches.applied[0].plan_hash, [0x0f; 32]);
    assert_eq!(seen.batches.cancelled, ["batches/b1"]);
    let dry: Vec<_> = seen
        .batches
        .undone
        .iter()
        .map(|asked| asked.validate_only)
        .collect();
    assert_eq!(dry, [false, true]);
}
