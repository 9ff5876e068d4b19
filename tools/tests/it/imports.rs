//! Imports: the file up, the answers beside its rows.

use crate::fake::{Bench, Script};
use muster_proto::v1::{
    self, ImportMapping, ImportProgress, ImportResults, MappedColumn, Refusal, RowResult, RowStatus,
    import_manifest_response::Message, import_progress::Phase,
};
use muster_tools::{
    Exit,
    import::{ImportEvent, ImportOptions, run, run_until},
};
use std::io::Write as _;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

const MANIFEST: &str = "Serial No.;Note\nGW2-1;a\nGW2-2;\"b;b\"\n\nGW2-3;=1+1\n";

fn created(row: u32) -> RowResult {
    RowResult {
        row,
        status: RowStatus::Created.into(),
        refusals: vec![],
        device: format!("devices/d{row}"),
        activation_code: format!("CODE-{row}"),
    }
}

fn refused(row: u32) -> RowResult {
    let refusal = Refusal {
        code: 2161,
        reason: "FORMULA_CELL".into(),
        field: format!("rows[{row}].variables.note"),
        message: "starts with '='".into(),
        help: "Write the plain value.".into(),
    };
    RowResult {
        row,
        status: RowStatus::Refused.into(),
        refusals: vec![refusal],
        ..RowResult::default()
    }
}

fn results(rows: Vec<RowResult>) -> Message {
    Message::Results(ImportResults { rows })
}

fn script() -> Vec<Message> {
    let column = |column: &str, field: &str| MappedColumn {
        column: column.into(),
        field: field.into(),
    };
    let columns = vec![column("Serial No.", "serial"), column("Note", "variables.note")];
    vec![
        Message::Mapping(ImportMapping { columns }),
        Message::Progress(ImportProgress {
            phase: Phase::Applying.into(),
            done: 0,
            total: 3,
        }),
        results(vec![created(2), created(3)]),
        results(vec![refused(5)]),
    ]
}

const RESULTS: &str = "Serial No.;Note;status;code;message;device;activation_code\n\
    GW2-1;a;created;;;d2;CODE-2\nGW2-2;\"b;b\";created;;;d3;CODE-3\n\
    GW2-3;'=1+1;refused;M2161;variables.note: starts with '=';;\n";

#[tokio::test]
async fn an_import_gives_the_user_their_file_with_answers() {
    let bench = Bench::start(Script::Answer(script())).await;
    bench.write("gw.csv", MANIFEST);
    let (exit, out, notes) = bench
        .muster(&[
            "import",
            "DIR/gw.csv",
            "--out",
            "DIR/r.csv",
            "--failed",
            "DIR/f.csv",
            "--model",
            "GW-200",
            "--code-ttl",
            "30d",
        ])
        .await;
    assert_eq!((exit, notes.as_str()), (Exit::RowsRefused, ""));
    assert_eq!(
        out,
        "columns: Serial No. -> serial, Note -> variables.note\n\
         2 created, 0 updated, 0 unchanged, 1 refused\n  \
         M2161 1 row (5): variables.note: starts with '='\n        Write the plain value.\n\
         batch:   b1\nresults: DIR/r.csv\nrefused: DIR/f.csv  (mend these rows and import them alone)\n"
    );
    assert_eq!(bench.read("r.csv"), RESULTS);
    assert_eq!(bench.read("f.csv"), "Serial No.;Note\nGW2-3;'=1+1\n");
    let seen = bench.fake.seen.lock().unwrap();
    assert_eq!(seen.bytes, MANIFEST.as_bytes());
    let header = v1::ImportHeader {
        file_name: "gw.csv".into(),
        default_model: "models/GW-200".into(),
        code_ttl_seconds: 30 * 86_400,
        ..v1::ImportHeader::default()
    };
    assert_eq!(seen.header.as_ref(), Some(&header));
}

#[tokio::test]
async fn programs_get_one_object() {
    let bench = Bench::start(Script::Answer(script())).await;
    bench.write("gw.csv", MANIFEST);
    let (exit, out, _) = bench.muster(&["import", "DIR/gw.csv", "-o", "json"]).await;
    assert_eq!(exit, Exit::RowsRefused);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (report["created"].as_u64(), report["refused"].as_u64()),
        (Some(2), Some(1))
    );
    assert_eq!(report["causes"][0]["first_rows"][0], 5);
    assert_eq!(report["results"], "DIR/gw.results.csv");
    assert!(!out.contains("CODE-"), "codes are in the results file only");
    assert_eq!(bench.files(), ["gw.csv", "gw.results.csv"]);
}

#[tokio::test]
async fn a_dry_run_writes_no_results_unless_asked() {
    let bench = Bench::start(Script::Nothing(vec![results(vec![
        created(2),
        created(3),
        created(5),
    ])]))
    .await;
    bench.write("gw.csv", MANIFEST);
    let (exit, out, _) = bench.muster(&["import", "DIR/gw.csv", "--dry-run"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(
        out.contains("3 created, 0 updated, 0 unchanged, 0 refused (dry run: nothing was changed)"),
        "{out}"
    );
    assert!(
        bench
            .fake
            .seen
            .lock()
            .unwrap()
            .header
            .as_ref()
            .unwrap()
            .validate_only
    );
    assert_eq!(bench.files(), ["gw.csv"]);
}

#[tokio::test]
async fn an_all_or_nothing_import_says_what_was_done() {
    // The server answers without codes when one row is refused, and sums up without a batch.
    let planned = |row| RowResult {
        device: String::new(),
        activation_code: String::new(),
        ..created(row)
    };
    let nothing = vec![results(vec![planned(2), planned(3)]), results(vec![refused(5)])];
    let bench = Bench::start(Script::Nothing(nothing)).await;
    bench.write("gw.csv", MANIFEST);
    let arguments = [
        "import",
        "DIR/gw.csv",
        "--all-or-nothing",
        "--out",
        "DIR/r.csv",
        "--replace",
    ];
    let (exit, out, _) = bench.muster(&arguments).await;
    assert_eq!(exit, Exit::RowsRefused);
    assert!(
        out.contains("2 created, 0 updated, 0 unchanged, 1 refused (all or nothing: nothing was changed)"),
        "{out}"
    );
    let kept = bench.read("r.csv");
    assert!(kept.contains("GW2-1;a;would be created;;;;\n"), "{kept}");
    *bench.fake.script.lock().unwrap() =
        Script::Answer(vec![results(vec![created(2), created(3), created(5)])]);
    let (exit, _, _) = bench.muster(&arguments).await;
    assert_eq!(exit, Exit::Done);
    assert!(bench.read("r.csv").contains("GW2-1;a;created;;;d2;CODE-2\n"));
    *bench.fake.script.lock().unwrap() = Script::Break(vec![results(vec![created(2), created(3)])]);
    let (exit, _, notes) = bench.muster(&arguments).await;
    assert_eq!(exit, Exit::Fault);
    assert!(notes.contains("are in DIR/r.csv"), "{notes}");
    assert!(bench.read("r.csv").contains("GW2-1;a;created;;;d2;CODE-2\n"));
}

#[tokio::test]
async fn a_refused_file_leaves_nothing_behind() {
    let metadata = [
        ("code".to_owned(), "2003".to_owned()),
        ("help".to_owned(), "Name the columns.".to_owned()),
    ];
    let details = ErrorDetails::with_error_info("HEADER_MISSING", "muster", metadata);
    let status = Status::with_error_details(
        tonic::Code::InvalidArgument,
        "M2003: no column holds the serial",
        details,
    );
    let bench = Bench::start(Script::Refuse(status)).await;
    bench.write("gw.csv", MANIFEST);
    let (exit, out, notes) = bench.muster(&["import", "DIR/gw.csv"]).await;
    assert_eq!((exit, out.as_str()), (Exit::Refused, ""));
    assert_eq!(
        notes,
        "error[M2003]: no column holds the serial\n  help: Name the columns.\n"
    );
    assert_eq!(bench.files(), ["gw.csv"]);
}

#[tokio::test]
async fn codes_survive_a_server_that_fails() {
    let bench = Bench::start(Script::Break(script()[..3].to_vec())).await;
    bench.write("gw.csv", MANIFEST);
    let (exit, out, notes) = bench
        .muster(&["import", "DIR/gw.csv", "--out", "DIR/r.csv"])
        .await;
    assert_eq!((exit, out.as_str()), (Exit::Fault, ""));
    assert!(
        notes.contains("the answers that came, with their activation codes, are in DIR/r.csv"),
        "{notes}"
    );
    let kept: String = RESULTS.lines().take(3).map(|line| format!("{line}\n")).collect();
    assert_eq!(bench.read("r.csv"), kept);
}

#[tokio::test]
async fn codes_survive_an_interruption() {
    let bench = Bench::start(Script::Hang(script()[..3].to_vec())).await;
    let file = bench.write("gw.csv", MANIFEST);
    let options = ImportOptions {
        results: Some(bench.path("r.csv")),
        ..ImportOptions::of(file)
    };
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut stop = Some(stop);
    let mut partial = None;
    let on_event = |event: ImportEvent<'_>| match event {
        ImportEvent::Results(_) => stop.take().unwrap().send(()).unwrap(),
        ImportEvent::Partial(path) => partial = Some(path.to_owned()),
        ImportEvent::Mapping(_) | ImportEvent::Progress { .. } | ImportEvent::Sent => {}
    };
    let client = bench.client().await;
    let failure = run_until(&client, options, on_event, async { stopped.await.unwrap() })
        .await
        .unwrap_err();
    assert!(failure.to_string().contains("interrupted"), "{failure}");
    assert_eq!(partial, Some(bench.path("r.csv")));
    assert!(bench.read("r.csv").contains("CODE-3"));
}

#[tokio::test]
async fn an_interruption_before_any_answer_leaves_nothing() {
    let bench = Bench::start(Script::Hang(vec![])).await;
    let file = bench.write("gw.csv", MANIFEST);
    let options = ImportOptions {
        results: Some(bench.path("r.csv")),
        ..ImportOptions::of(file)
    };
    let client = bench.client().await;
    let ended = run_until(&client, options, |_| panic!("no event"), std::future::ready(())).await;
    assert!(ended.is_err());
    assert_eq!(bench.files(), ["gw.csv"]);
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_noticed_and_no_code_is_lost() {
    let bench = Bench::start(Script::Answer(script())).await;
    // Longer than one read: a short file is read whole before its answers come, and its change changes nothing.
    let file = bench.write("gw.csv", &format!("{MANIFEST}{}", "GW2-9;x\n".repeat(1 << 17)));
    let options = ImportOptions {
        results: Some(bench.path("r.csv")),
        ..ImportOptions::of(&file)
    };
    let client = bench.client().await;
    let mut changed = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    let on_event = |event: ImportEvent<'_>| {
        if let ImportEvent::Mapping(_) = event {
            changed.write_all(b"GW2-10;y\n").unwrap();
        }
    };
    let failure = run(&client, options, on_event).await.unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("the file changed while it was imported"),
        "{failure}"
    );
    assert!(bench.read("r.csv").contains("CODE-3"));
}

#[tokio::test]
async fn results_that_are_there_are_not_replaced() {
    let bench = Bench::start(Script::Answer(script())).await;
    bench.write("gw.csv", MANIFEST);
    bench.write("r.csv", "codes of yesterday");
    let (exit, _, notes) = bench
        .muster(&["import", "DIR/gw.csv", "--out", "DIR/r.csv"])
        .await;
    assert_eq!(exit, Exit::Usage);
    assert!(notes.contains("DIR/r.csv is there already"), "{notes}");
    assert_eq!(bench.read("r.csv"), "codes of yesterday");
    assert!(
        bench.fake.seen.lock().unwrap().header.is_none(),
        "nothing was sent"
    );
    bench
        .muster(&["import", "DIR/gw.csv", "--out", "DIR/r.csv", "--replace"])
        .await;
    assert_eq!(bench.read("r.csv"), RESULTS);
}

#[tokio::test]
async fn a_large_file_arrives_whole() {
    let bench = Bench::start(Script::Answer(vec![results(vec![created(2)])])).await;
    let text = format!("serial\n{}", "GW2-7000001\n".repeat(200_000));
    let file = bench.write("big.csv", &text);
    let summary = run(&bench.client().await, ImportOptions::of(file), |_| {})
        .await
        .unwrap();
    assert_eq!((summary.created, summary.results), (1, None));
    assert!(bench.fake.seen.lock().unwrap().bytes == text.as_bytes());
}
