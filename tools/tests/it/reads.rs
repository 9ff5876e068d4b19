//! Listings and single answers, and what is said when there is none.

use crate::fake::{Bench, ENTRIES};
use crate::play::Script;
use muster_tools::Exit;

async fn check(bench: &Bench, arguments: &[&str], exit: Exit, out: &str, notes: &str) {
    let (ended, printed, noted) = bench.muster(arguments).await;
    assert_eq!((printed.as_str(), noted.as_str()), (out, notes));
    assert_eq!(ended, exit);
}

#[tokio::test]
async fn counts_in_every_form() {
    let bench = Bench::start(Script::Answer(vec![])).await;
    let done = Exit::Done;
    check(
        &bench,
        &["fleet", "counts"],
        done,
        "devices                 3\nconnected               2\nonline                  2\nstates.ACTIVE           2\n\
         states.REGISTERED       1\nverifications.VERIFIED  2\nmodels.GW-200           3\n",
        "",
    )
    .await;
    let json = r#"{"devices":3,"connected":2,"online":2,"states":{"ACTIVE":2,"REGISTERED":1},"verifications":{"VERIFIED":2},"models":{"GW-200":3},"sites":{}}"#;
    check(
        &bench,
        &["fleet", "counts", "-o", "jsonl"],
        done,
        &format!("{json}\n"),
        "",
    )
    .await;
    check(
        &bench,
        &["-o", "csv", "fleet", "counts"],
        done,
        "devices,connected,online,states,verifications,models,sites\n\
         3,2,2,\"{\"\"ACTIVE\"\":2,\"\"REGISTERED\"\":1}\",\"{\"\"VERIFIED\"\":2}\",\"{\"\"GW-200\"\":3}\",\n",
        "",
    )
    .await;
    let (_, out, _) = bench.muster(&["fleet", "counts", "-o", "json"]).await;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&out).unwrap(),
        serde_json::from_str::<serde_json::Value>(json).unwrap()
    );
}

#[tokio::test]
async fn a_forecast_says_what_devices_have_in_common_or_names_each() {
    let bench = Bench::start(Script::Answer(vec![])).await;
    let done = Exit::Done;
    check(
        &bench,
        &["firmware", "simulate", "gw@3"],
        done,
        "Of 2 devices, at 1970-01-01T00:00:00Z: 1 would install at once, 0 wait, 1 are stuck, 0 comply, 0 are not concerned.\n\n\
         OUTCOME  CHANNEL  RUNS   INSTALLS      DEVICES  SUCH AS  WHY\n\
         INSTALL  beta     2.3.1  2.3.5, 2.4.1        1  GW2-1    It is behind.\n\
         STUCK                                        1  GW2-2    It has not said what it runs.\n",
        "",
    )
    .await;
    check(
        &bench,
        &["firmware", "simulate", "gw@3", "--each", "-o", "csv"],
        done,
        "device,serial,channel,outcome,running,versions,assumed,until,reasons,explanation\n\
         devices/01h455vb4pex5vsknk084sn02q,GW2-1,beta,INSTALL,2.3.1,\"[\"\"2.3.5\"\",\"\"2.4.1\"\"]\",false,,\
         \"[\"\"behind_target\"\"]\",\"Install 2.3.5, then 2.4.1.\"\n",
        "",
    )
    .await;
    let (exit, out, notes) = bench
        .muster(&["firmware", "simulate", "gw@3", "--filter", "cut"])
        .await;
    assert_eq!((exit, out.as_str()), (Exit::Unavailable, ""), "{notes}");
}

#[tokio::test]
async fn the_audit_log_is_checked_while_it_is_listed() {
    let bench = Bench::start(Script::Answer(vec![])).await;
    let (exit, out, notes) = bench.muster(&["audit", "list"]).await;
    assert_eq!(exit, Exit::Done);
    assert_eq!(out.lines().count() as u64, ENTRIES + 1);
    assert!(
        out.contains("    2  1970-01-01 00:00:02Z  system  catalog_applied  models/a\n"),
        "{out}"
    );
    assert_eq!(
        notes,
        "5 entries, every hash right and none missing between them\n"
    );
    let (_, out, notes) = bench
        .muster(&[
            "audit",
            "list",
            "--first",
            "1",
            "--limit",
            "2",
            "--columns",
            "index,subject",
        ])
        .await;
    assert_eq!(out, "INDEX  SUBJECT\n    1  models/a\n    2  models/a\n");
    assert!(notes.contains("there are more than 2"), "{notes}");
    *bench.fake.altered.lock().unwrap() = Some(3);
    let (exit, out, notes) = bench.muster(&["audit", "list", "-o", "jsonl"]).await;
    assert_eq!((exit, out.lines().count()), (Exit::Fault, 3));
    assert!(
        notes.contains("audit entry 3: the hash is not that of the entry"),
        "{notes}"
    );
}

#[tokio::test]
async fn refusals_decide_the_exit_code() {
    let bench = Bench::start(Script::Answer(vec![])).await;
    let check = async |arguments: &[&str], exit: Exit, expected: &str| {
        let (ended, _, notes) = bench.muster(arguments).await;
        assert!(notes.contains(expected), "{notes}");
        assert_eq!(ended, exit);
    };
    check(&["batch", "get", "b9"], Exit::NotFound, "there is no such batch").await;
    check(&["operator", "list"], Exit::NotPermitted, "needs role admin").await;
    check(&["operator", "disable", "alice"], Exit::Refused, "last admin").await;
    check(&["device", "list"], Exit::Fault, "Unimplemented").await;
    check(
        &["batch", "list", "--columns", "nme"],
        Exit::Usage,
        "there is no column",
    )
    .await;
    check(
        &["apply", "-f", "DIR/none.toml"],
        Exit::Usage,
        "cannot read DIR/none.toml",
    )
    .await;
}

#[tokio::test]
async fn whoever_cannot_connect_learns_why() {
    let bench = Bench::start(Script::Answer(vec![])).await;
    let check = async |context: &str, expected: &[&str]| {
        let (exit, _, notes) = bench.muster(&["--context", context, "operator", "whoami"]).await;
        for text in expected {
            assert!(notes.contains(text), "{context}: {notes}");
        }
        assert_eq!(exit, Exit::Unavailable, "{notes}");
    };
    let here = format!("https://{}", bench.address);
    check(
        "DIR/nobody",
        &[
            "cannot connect to https://127.0.0.1:1",
            "refused",
            "Is musterd running",
        ],
    )
    .await;
    check("DIR/wrong-root", &[&here, "Does `roots` belong to this server?"]).await;
    check("DIR/wrong-key", &["does not accept this context's certificate"]).await;
    bench.write("operator/operator.key", "not a key");
    let (exit, _, notes) = bench.muster(&["operator", "whoami"]).await;
    assert_eq!(exit, Exit::Usage);
    assert!(notes.contains("cannot be used"), "{notes}");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }
    let mut notes = Vec::new();
    let line = ["muster", "refusal"].map(std::ffi::OsString::from);
    let exit = muster_tools::cli::run(line, &mut Closed, &mut notes).await;
    assert_eq!((exit, notes), (Exit::Done, vec![]));
}
