//! Directories for operators.

use crate::fake::Bench;
use crate::play::Script;
use muster_proto::v1::operator::Role;
use muster_tools::{Context, Exit};

#[tokio::test]
async fn a_new_operator_gets_a_directory_that_is_a_context() {
    let bench = Bench::start(Script::Answer(vec![])).await;
    let (exit, out, notes) = bench
        .muster(&[
            "operator", "create", "bob", "--role", "viewer", "--out", "DIR/bob",
        ])
        .await;
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        out,
        "name     bob\nrole     VIEWER\nenabled  true\nkey      0102\n"
    );
    assert!(notes.contains("--context DIR/bob"), "{notes}");
    let context = Context::load(&bench.path("bob")).unwrap();
    assert_eq!(context.server, format!("https://{}", bench.address));
    let pem = String::from_utf8(context.certificate).unwrap();
    assert_eq!(pem.matches("-----BEGIN CERTIFICATE-----").count(), 2);
    let seen = bench.fake.seen.lock().unwrap();
    assert_eq!(
        (seen.operators[0].name.as_str(), seen.operators[0].role()),
        ("operators/bob", Role::Viewer)
    );
    let key = String::from_utf8(context.key).unwrap();
    assert!(
        !format!("{:?}", seen.operators).contains(key.lines().nth(1).unwrap()),
        "the key stays here"
    );
}

#[tokio::test]
async fn a_refused_operator_leaves_nothing() {
    let bench = Bench::start(Script::Answer(vec![])).await;
    let (exit, _, notes) = bench
        .muster(&["operator", "create", "taken", "--role", "admin", "--out", "DIR/x"])
        .await;
    assert_eq!(exit, Exit::Refused);
    assert!(notes.contains("is taken"), "{notes}");
    assert_eq!(bench.files(), [""; 0]);
}

const CATALOG: &str = "[[models]]\nname = 'GW-200'\n[[profiles]]\nname = 'gateway'\n[profiles.parameters]\nperiod = { type = 'integer', default = 300 }\n\
    [profiles.files]\n'a.toml' = 'serial = \"{{ device.serial }}\"'\n'b.txt' = '{{ period + 1 }}'\n";

#[tokio::test]
async fn a_profile_is_rendered_from_its_file_without_a_server() {
    let bench = Bench::start(Script::Answer(vec![])).await;
    bench.write("catalog.toml", CATALOG);
    bench.write("one.toml", "name = 'p'\nfiles = { 'x' = '{{ device.model }}' }\n");
    bench.write(
        "two.toml",
        "[[profiles]]\nname = 'p'\nfiles = {}\n[[profiles]]\nname = 'q'\nfiles = {}\n",
    );
    let check = async |arguments: &[&str], exit: Exit, out: &str, notes: &str| {
        let line = [
            // Nobody listens there.
            &["--context", "DIR/nobody", "profile", "render"],
            arguments,
            &["--set", "device.serial=GW2-1", "--set", "device.model=GW-200"],
        ];
        let (ended, printed, noted) = bench.muster(&line.concat()).await;
        assert_eq!((ended, printed.as_str()), (exit, out), "{noted}");
        assert!(noted.contains(notes), "{noted}");
    };
    let catalog = ["-f", "DIR/catalog.toml"];
    check(
        &catalog,
        Exit::Done,
        "==> a.toml <==\nserial = \"GW2-1\"\n\n==> b.txt <==\n301\n",
        "",
    )
    .await;
    let only = [&catalog[..], &["gateway", "--only", "b.txt", "--set", "period=9"]].concat();
    check(&only, Exit::Done, "10", "").await;
    let lines = [&catalog[..], &["-o", "jsonl", "--only", "b.txt"]].concat();
    check(
        &lines,
        Exit::Done,
        "{\"file\":\"b.txt\",\"content\":\"301\"}\n",
        "",
    )
    .await;
    check(&["-f", "DIR/one.toml"], Exit::Done, "==> x <==\nGW-200\n", "").await;
    check(&["-f", "DIR/two.toml"], Exit::Usage, "", "holds several profiles").await;
    let missing = [&catalog[..], &["gatewy"]].concat();
    check(&missing, Exit::Usage, "", "holds no profile \"gatewy\"").await;
    let absent = [&catalog[..], &["--only", "c.txt"]].concat();
    check(&absent, Exit::NotFound, "", "has no file \"c.txt\"").await;
    check(&["gateway"], Exit::Unavailable, "", "Is musterd running").await;
}
