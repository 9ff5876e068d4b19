//! What nobody comes back for ends by itself, and leaves no secret behind.

use super::batches::{Caller, manifest, named};
use muster_proto::v1::{BatchSpec, batch::State};
use muster_server::clock::Clock;
use muster_tests::World;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tonic::Code;

const DAY: u64 = 24 * 3_600_000;

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_uploads_and_codes_that_nobody_wants_expire() {
    let millis = Arc::new(AtomicU64::new(Clock::System.now().millis()));
    let clock = Clock::Manual(Arc::clone(&millis));
    let world = World::builder().clock(clock).start().await;
    let look = |name: &str| BatchSpec {
        validate_only: true,
        ..named(name)
    };
    // 1. Results that are not acknowledged, a plan that is not applied, a file that is not whole.
    let done = Caller::new(&world, "done", named("done.csv")).await;
    done.send_all(&manifest(1, 3)).await;
    assert!(done.heard().await.codes().iter().all(|code| !code.is_empty()));
    let planned = Caller::new(&world, "planned", look("planned.csv")).await;
    planned.send_all(&manifest(11, 3)).await;
    let plan = planned.heard().await.summary.expect("a summary").plan_hash;
    let cut = Caller::new(&world, "cut", named("cut.csv")).await;
    cut.send(0, &manifest(21, 3).as_bytes()[..100], None)
        .await
        .expect("some bytes");
    let batches = world.registry().join("batches");
    let nothing: [PathBuf; 0] = [];
    assert_ne!(files(&batches), nothing);
    // 2. A plan lives for a day, all else for seven.
    let days_later = async |days: u64| {
        millis.fetch_add(days * DAY, Ordering::Relaxed);
        world.service().sweep_batches().await.expect("no fault");
    };
    days_later(2).await;
    assert_eq!(planned.get().await.state(), State::Cancelled);
    let late = planned.apply(&plan).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition, "{late:?}");
    assert_eq!(cut.get().await.state(), State::Uploading);
    assert!(done.heard().await.codes().iter().all(|code| !code.is_empty()));
    // 3. Of what was done the record stays, and nothing that opens a claim.
    days_later(6).await;
    assert_eq!(cut.get().await.state(), State::Cancelled);
    let late = cut.send(100, b"more", None).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition, "{late:?}");
    assert_eq!(
        (done.heard().await.codes(), done.get().await.created),
        (vec!["", "", ""], 3)
    );
    days_later(0).await;
    assert_eq!(files(&batches), nothing);
}
