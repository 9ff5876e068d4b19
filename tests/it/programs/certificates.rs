//! Certificates on the command line, and the check of every one that is on record.

use muster_tests::{Program, Registry};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::fs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_shown_revoked_and_verified() {
    let registry = Registry::new();
    let file = registry.path("registry").join("musterd.toml");
    let settings = fs::read_to_string(&file).unwrap();
    let line = r#"crl_url = """#;
    assert!(settings.contains(line));
    let named = settings.replace(line, r#"crl_url = "http://crl.example/crl""#);
    fs::write(&file, named).unwrap();
    let (musterd, _, _) = registry.serve("info").await;
    let muster = async |arguments: &[&str]| {
        let ended = Program::run(registry.muster().args(arguments)).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.out
    };
    let shown = muster(&["certificate", "list", "-o", "json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let admin = &shown[0];
    let serial = admin["serial"].as_str().unwrap();
    assert_eq!(
        (&admin["holder"], &admin["state"]),
        (&"operators/admin".into(), &"CURRENT".into())
    );
    let pem = muster(&["certificate", "get", serial, "--pem"]).await;
    let kept = fs::read_to_string(registry.path("registry").join("operator/operator.pem")).unwrap();
    assert!(kept.starts_with(&pem), "{pem}");
    let out = registry.path("vera");
    let out = out.to_str().unwrap();
    muster(&["operator", "create", "vera", "--role", "viewer", "--out", out]).await;
    let csv = muster(&[
        "certificate",
        "list",
        "--filter",
        "operator = vera",
        "-o",
        "csv",
        "--columns",
        "serial",
    ])
    .await;
    let vera = csv.lines().nth(1).unwrap();
    let revoked = muster(&[
        "certificate",
        "revoke",
        vera,
        "--reason",
        "key-compromise",
        "-o",
        "json",
    ])
    .await;
    assert!(
        revoked.contains("REVOKED") && revoked.contains("key-compromise"),
        "{revoked}"
    );
    let expiry = muster(&["certificate", "expiry", "-o", "json"]).await;
    let expiry: serde_json::Value = serde_json::from_str(&expiry).unwrap();
    assert_eq!(expiry["year"], 1, "{expiry}");
    let lists = muster(&["certificate", "crl", "-o", "csv"]).await;
    assert_eq!(lists.lines().count(), 1 + 3 * 16, "{lists}");
    let lists = registry.path("lists.pem");
    muster(&["certificate", "crl", "--out", lists.to_str().unwrap()]).await;
    let lists = fs::read_to_string(lists).unwrap();
    assert_eq!(lists.matches("BEGIN X509 CRL").count(), 3 * 16);
    musterd.killed().await;
    let check = async || Program::run(registry.musterd("check").arg("certificates")).await;
    let checked = check().await;
    let said = "2 certificates of ours, 0 of other authorities, 0 not signed\neverything is in order\n";
    assert_eq!(
        (checked.code, checked.out.as_str()),
        (Some(0), said),
        "{}",
        checked.log
    );
    let all = Program::run(&mut registry.musterd("check")).await;
    let all = (all.code, all.out.trim().to_owned(), all.log);
    // A bit of a signature that changed on the disk.
    let admin = CertificateDer::from_pem_slice(kept.as_bytes()).unwrap();
    let signature = &admin[admin.len() - 32..];
    let file = registry.path("registry/registry.db");
    let mut bytes = fs::read(&file).unwrap();
    let places: Vec<_> = bytes
        .windows(signature.len())
        .enumerate()
        .filter(|(_, window)| *window == signature)
        .map(|(place, _)| place)
        .collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place + 31] ^= 1;
    }
    fs::write(&file, bytes).unwrap();
    let rotten = check().await;
    assert!(
        rotten.code != Some(0) && rotten.out.contains(serial),
        "{rotten:?}"
    );
    assert_eq!(
        (all.0, all.1.as_str()),
        (Some(0), "everything is in order"),
        "{}",
        all.2
    );
}
