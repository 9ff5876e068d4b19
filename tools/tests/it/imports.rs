//! Imports: the file up, the answers beside its rows.

use crate::{
    fake::Bench,
    play::{Event, Point, Script, refusal},
};
use muster_domain::Code;
use muster_proto::v1::{
    self, ImportMapping, ImportProgress, ImportResults, MappedColumn, Refusal, RowResult, RowStatus,
    import_progress::Phase, watch_batch_response::Message,
};
use muster_tools::{
    Exit,
    import::{ImportEvent, ImportOptions, run, run_until},
};
use std::io::Write as _;

pub(crate) const MANIFEST: &str = "Serial No.;Note\nGW2-1;a\nGW2-2;\"b;b\"\n\nGW2-3;=1+1\n";

pub(crate) fn created(row: u32) -> RowResult {
    RowResult {
        row,
        status: RowStatus::Created.into(),
        device: format!("devices/d{row}"),
        activation_code: format!("CODE-{row}"),
        ..RowResult::default()
    }
}

pub(crate) fn refused(row: u32) -> RowResult {
    let refusal = Refusal {
        code: 2161,
        reason: "FORMULA_CELL".into(),
        field: format!("rows[{row}].variables.note"),
        message: "starts with '='".into(),
        help: "Write the plain value.".into(),
        column: "Note".into(),
        value: "=1+1".into(),
        ..Refusal::default()
    };
    RowResult {
        row,
        status: RowStatus::Refused.into(),
        refusals: vec![refusal],
        ..RowResult::default()
    }
}

pub(crate) fn results(rows: Vec<RowResult>) -> Message {
    Message::Results(ImportResults {
        rows,
        ..ImportResults::default()
    })
}

pub(crate) fn script() -> Vec<Message> {
    let column = |column: &str, field: &str| MappedColumn {
        column: column.into(),
        field: field.into(),
    };
    let columns = vec![column("Serial No.", "serial"), column("Note", "variables.note")];
    vec![
        Message::Mapping(ImportMapping {
            columns,
            ..ImportMapping::default()
        }),
        Message::Progress(ImportProgress {
            phase: Phase::Applying.into(),
            done: 0,
            total: 3,
        }),
        results(vec![created(2), created(3)]),
        results(vec![refused(5)]),
    ]
}

pub(crate) const RESULTS: &str = "Serial No.;Note;status;code;message;device;activation_code\n\
    GW2-1;a;created;;;d2;CODE-2\nGW2-2;\"b;b\";created;;;d3;CODE-3\n\
    GW2-3;'=1+1;refused;M2161;Note: starts with '=';;\n";

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
         M2161 1 row (5): Note: starts with '='\n        row 5, column Note: \"=1+1\"\n        Write the plain value.\n\
         batch:   b1\nresults: DIR/r.csv\nrefused: DIR/f.csv  (mend these rows and import them alone)\n"
    );
    assert_eq!(bench.read("r.csv"), RESULTS);
    assert_eq!(
        bench.read("f.csv"),
        "Serial No.;Note;muster_batch;muster_row;muster_code;muster_message\nGW2-3;'=1+1;b1;5;M2161;Note: starts with '='\n"
    );
    let seen = bench.fake.seen.lock().unwrap();
    assert_eq!(seen.batches.bytes, MANIFEST.as_bytes());
    let spec = v1::BatchSpec {
        file_name: "gw.csv".into(),
        default_model: "models/GW-200".into(),
        code_ttl_seconds: 30 * 86_400,
        ..v1::BatchSpec::default()
    };
    assert_eq!(seen.batches.spec(), spec);
    assert_eq!(seen.batches.acknowledged, ["5"]);
    drop(seen);
    assert_eq!(bench.files(), ["f.csv", "gw.csv", "r.csv"]);
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
    let hash = "ab".repeat(32);
    assert!(
        out.contains(&format!(
            "plan:    {hash}\napply:   muster --context DIR/ import DIR/gw.csv --plan {hash}\n"
        )),
        "{out}"
    );
    assert!(bench.fake.seen.lock().unwrap().batches.spec().validate_only);
    assert_eq!(bench.fake.seen.lock().unwrap().batches.acknowledged, [""; 0]);
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
    let status = refusal(Code::HeaderMissing, "no column holds the serial");
    let bench = Bench::start(Script::Refuse(status)).await;
    bench.write("gw.csv", MANIFEST);
    let (exit, out, notes) = bench.muster(&["import", "DIR/gw.csv"]).await;
    assert_eq!((exit, out.as_str()), (Exit::Refused, ""));
    assert_eq!(
        notes,
        format!(
            "error[M2003]: no column holds the serial\n  help: {}\n",
            Code::HeaderMissing.help()
        )
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
        ImportEvent::Batch { .. }
        | ImportEvent::Mapping(_)
        | ImportEvent::Progress { .. }
        | ImportEvent::Sent => {}
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
        bench.fake.seen.lock().unwrap().batches.created.is_empty(),
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
    assert!(bench.fake.seen.lock().unwrap().batches.bytes == text.as_bytes());
}

/// An import with this plan of mishaps; what the fake saw is left in the bench.
async fn mishap(bench: &Bench, plan: &[(Point, Event)], text: &str) -> String {
    *bench.fake.plan.lock().unwrap() = plan.to_vec();
    bench.write("gw.csv", text);
    let (exit, _, notes) = bench
        .muster(&["import", "DIR/gw.csv", "--out", "DIR/r.csv", "--replace"])
        .await;
    assert_eq!((exit, notes.as_str()), (Exit::RowsRefused, ""), "{plan:?}");
    assert!(bench.fake.plan.lock().unwrap().is_empty(), "{plan:?} happened");
    assert_eq!(bench.files(), ["gw.csv", "r.csv"]);
    bench.read("r.csv")
}

#[tokio::test]
async fn cuts_do_not_change_how_an_import_ends() {
    for plan in [
        vec![(Point::Created, Event::Cut)],
        vec![(Point::Received(1), Event::Cut)],
        vec![(Point::Whole, Event::Cut)],
        vec![(Point::Told(1), Event::Cut)],
        vec![(Point::Told(3), Event::Cut), (Point::Told(4), Event::Cut)],
        vec![(Point::Told(5), Event::Cut)],
        vec![(Point::Acknowledged, Event::Cut)],
    ] {
        let bench = Bench::start(Script::Answer(script())).await;
        assert_eq!(mishap(&bench, &plan, MANIFEST).await, RESULTS, "{plan:?}");
        let seen = bench.fake.seen.lock().unwrap();
        let ids: std::collections::BTreeSet<_> =
            seen.batches.created.iter().map(|made| &made.request_id).collect();
        assert_eq!(ids.len(), 1, "{plan:?}: one batch");
        assert_eq!(seen.batches.bytes, MANIFEST.as_bytes(), "{plan:?}");
        assert!(
            seen.batches.acknowledged.iter().all(|token| token == "5"),
            "{plan:?}: everything was there"
        );
    }
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_cut() {
    let bench = Bench::start(Script::Answer(script())).await;
    let text = format!("{MANIFEST}{}", "GW2-9;x\n".repeat(1 << 17));
    let plan = [
        (Point::Received(300_000), Event::Cut),
        (Point::Received(600_000), Event::Cut),
    ];
    mishap(&bench, &plan, &text).await;
    let seen = bench.fake.seen.lock().unwrap();
    assert!(seen.batches.bytes == text.as_bytes());
    let offsets = &seen.batches.offsets;
    assert_eq!((offsets.len(), offsets[0]), (3, 0));
    assert!(offsets[1] >= 300_000 && offsets[2] >= 600_000, "{offsets:?}");
}

#[tokio::test]
async fn refused_rows_that_are_mended_go_into_their_batch() {
    let bench = Bench::start(Script::Answer(vec![results(vec![created(9), created(5)])])).await;
    // Rows are answered under the numbers that they had, in the order that they have.
    bench.write(
        "failed.csv",
        "serial,muster_batch,muster_row\nGW2-7,b7,9\nGW2-3,b7,5\n",
    );
    let (exit, _, notes) = bench.muster(&["import", "DIR/failed.csv"]).await;
    assert_eq!(exit, Exit::Done, "{notes}");
    let written = bench.read("failed.results.csv");
    let rows: Vec<_> = written.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "{written}");
    for (row, (serial, code)) in rows.iter().zip([
        ("GW2-7", created(9).activation_code),
        ("GW2-3", created(5).activation_code),
    ]) {
        assert!(
            row.starts_with(&format!("{serial},created,")) && row.ends_with(&code),
            "{written}"
        );
    }
    bench.write("other.csv", "serial\nGW2-3\n");
    bench.muster(&["import", "DIR/other.csv", "--batch", "b8"]).await;
    bench.write("own.csv", "serial\nGW2-3\n");
    bench.muster(&["import", "DIR/own.csv"]).await;
    let seen = bench.fake.seen.lock().unwrap();
    let of: Vec<_> = seen
        .batches
        .created
        .iter()
        .map(|made| made.retry_of.as_str())
        .collect();
    assert_eq!(of, ["batches/b7", "batches/b8", ""]);
}

#[tokio::test]
async fn rows_are_printed_one_object_a_line() {
    let mut planned = script();
    planned.truncate(2);
    planned.push(results(vec![
        RowResult {
            device: String::new(),
            activation_code: String::new(),
            ..created(2)
        },
        refused(5),
    ]));
    let bench = Bench::start(Script::Nothing(planned)).await;
    bench.write("gw.csv", MANIFEST);
    let (exit, out, _) = bench
        .muster(&["import", "DIR/gw.csv", "--dry-run", "-o", "jsonl"])
        .await;
    assert_eq!(exit, Exit::RowsRefused);
    let rows: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["row"], &rows[0]["status"]),
        (&2.into(), &"create".into())
    );
    assert_eq!(
        (
            &rows[1]["row"],
            &rows[1]["status"],
            &rows[1]["code"],
            &rows[1]["column"]
        ),
        (&5.into(), &"refused".into(), &2161.into(), &"Note".into())
    );
    *bench.fake.script.lock().unwrap() = Script::Answer(script());
    let (_, out, _) = bench.muster(&["import", "DIR/gw.csv", "-o", "jsonl"]).await;
    assert!(
        out.contains("\"status\":\"created\"") && !out.contains("CODE-"),
        "{out}"
    );
}

#[tokio::test]
async fn every_option_reaches_the_server() {
    let bench = Bench::start(Script::Answer(vec![])).await;
    bench.write("gw.csv", MANIFEST);
    let hash = "0f".repeat(32);
    let line = format!(
        "import DIR/gw.csv --format csv --sheet S --header-row 3 --record-path r --mapping m@2 --save-mapping k \
         --plan {hash} --all-or-nothing --create-only --update-mask site,labels.rack --credential key \
         --key-format pkcs12 --key-recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    );
    let (exit, _, notes) = bench.muster(&line.split_whitespace().collect::<Vec<_>>()).await;
    assert_eq!(exit, Exit::Done, "{notes}");
    let expected = v1::BatchSpec {
        file_name: "gw.csv".into(),
        format: v1::ManifestFormat::Csv.into(),
        sheet: "S".into(),
        header_row: 3,
        record_path: "r".into(),
        mapping: "mappings/m/revisions/2".into(),
        save_mapping: "mappings/k".into(),
        plan_hash: vec![0x0f; 32],
        all_or_nothing: true,
        writes: v1::Writes::CreateOnly.into(),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["site".into(), "labels.rack".into()],
        }),
        credential: v1::CredentialKind::Key.into(),
        key_format: v1::KeyFormat::Pkcs12.into(),
        key_recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".into(),
        ..v1::BatchSpec::default()
    };
    assert_eq!(bench.fake.seen.lock().unwrap().batches.spec(), expected);
}

#[tokio::test]
async fn nobody_has_to_wait() {
    let bench = Bench::start(Script::Answer(script())).await;
    bench.write("gw.csv", MANIFEST);
    let (exit, _, notes) = bench.muster(&["import", "DIR/gw.csv", "--no-wait"]).await;
    assert_eq!(exit, Exit::Done, "{notes}");
    assert!(
        notes.contains("muster --context DIR/ import DIR/gw.csv fetches"),
        "{notes}"
    );
    assert_eq!(bench.files(), ["gw.csv", "gw.csv.muster-import"]);
    let (exit, _, notes) = bench.muster(&["import", "DIR/gw.csv"]).await;
    assert_eq!(exit, Exit::RowsRefused);
    assert!(notes.contains("went on with batch b1"), "{notes}");
    assert_eq!(bench.read("gw.results.csv"), RESULTS);
    assert_eq!(bench.files(), ["gw.csv", "gw.results.csv"]);
    assert_eq!(bench.fake.seen.lock().unwrap().batches.created.len(), 1);
}
