//! Files as makers send them, one command each. They lie beside the repository, since they are not ours to hand on: without
//! them there is nothing to check here.

use super::connected;
use muster_proto::v1::GetCountsRequest;
use muster_tests::{Ended, Program, Registry, fixture};
use std::path::PathBuf;

/// A maker's file, if it is there.
#[expect(clippy::print_stderr, reason = "what was not checked must be said")]
fn found(name: &str) -> Option<PathBuf> {
    let path = fixture::in_repository("../shared/data/vendor").join(name);
    let is_there = path.exists();
    if !is_there {
        eprintln!("skipped: there is no {}", path.display());
    }
    is_there.then_some(path)
}

const CAMERA: &str = "[[models]]\nname = \"MODULE\"\n";

/// Imports a file; how that ended, and how many devices there are.
async fn imported(arguments: &[&str]) -> (Ended, u64) {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    let models = registry.path("models.toml");
    std::fs::write(&models, CAMERA).unwrap();
    let applied = Program::run(registry.muster().arg("apply").arg("-f").arg(&models)).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    let out = registry.path("results.csv");
    let mut muster = registry.muster();
    muster
        .arg("import")
        .args(arguments)
        .args(["--model", "MODULE", "--out"])
        .arg(&out);
    let ended = Program::run(&mut muster).await;
    let client = connected(&registry).await;
    let counts = client.fleet.clone().get_counts(GetCountsRequest {}).await;
    (ended, counts.unwrap().into_inner().devices)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn espressif_certificates_are_pinned() {
    let Some(file) = found("espressif.csv") else {
        return;
    };
    let file = file.to_str().unwrap();
    let (ended, devices) = imported(&[file, "--credential", "pinned"]).await;
    // Three of its seven addresses have the group bit set, so they name no device; they are told, and the others go on.
    assert_eq!((ended.code, devices), (Some(3), 4), "{ended:?}");
    assert!(ended.out.contains("M2112 3 rows (2, 3, 4)"), "{ended:?}");
    // Its addresses are made up. By their certificates alone, all seven are devices.
    let by_certificate = ["--mapping", "espressif-certificates", "--credential", "pinned"];
    let (ended, devices) = imported(&[&[file], &by_certificate[..]].concat()).await;
    assert_eq!((ended.code, devices), (Some(0), 7), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn microchip_elements_are_verified_and_get_codes() {
    let Some(file) = found("microchip-ECC608-TMNGTLSS-B.json") else {
        return;
    };
    let Some(signers) = found("microchip-signers") else {
        return;
    };
    let (file, signers) = (file.to_str().unwrap(), signers.to_str().unwrap());
    // Its entries have no keys.
    let (ended, devices) = imported(&[file, "--signer", signers]).await;
    assert_eq!((ended.code, devices), (Some(0), 10), "{ended:?}");
}
