//! Directories for operators.

use crate::fake::{Bench, Script};
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
