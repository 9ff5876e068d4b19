//! Batches: their lives, their parts on record, their secrets.

use crate::store::{
    PartRow, Retry, Store,
    tests::build::{
        alice, at, batch, batch_id, commit, event, finish, import, key, mac, part, row, seed, serial, sound,
        start, step,
    },
};
use muster_domain::{
    Code, Refusal,
    audit::Action,
    batch::{
        Batch, BatchSpec, BatchState, BatchStep, PlanHash, RESULTS_KEPT, RetryFile, Slot, SlotOutcome, Tally,
    },
    certificate::{CertificateProfile, CertificateRecord, CertificateSerial},
    device::{ClaimIntent, Identity, LifecycleState, PinnedKey},
    manifest::{FreshCredential, Problem, RowOutcome},
};
use std::collections::BTreeSet;

fn problem(code: Code) -> Problem {
    Problem::new(Refusal::new(code, "why").at("rows[9].mac"))
}

fn slot(row: u32, outcome: SlotOutcome) -> Slot {
    Slot {
        row,
        outcome,
        warnings: Vec::new(),
    }
}

fn uploading(number: u32) -> Batch {
    Batch {
        state: BatchState::Uploading,
        received: 0,
        file_bytes: 0,
        file_sha256: None,
        ..batch(number)
    }
}

async fn create(store: &Store, batch: Batch) -> Result<Batch, Refusal> {
    let created = store.create_batch(batch, event(Action::BatchStarted)).await;
    created.unwrap()
}

pub(super) async fn the_same_request_gives_the_same_batch(store: &Store) {
    let first = create(store, uploading(1)).await.unwrap();
    let (_, logged) = store.list_audit(0, 1).await.unwrap();
    let again = Batch {
        id: batch_id(2),
        ..uploading(1)
    };
    assert_eq!(create(store, again.clone()).await, Ok(first.clone()));
    // It is the batch as it is by now.
    let moved = step(store, 1, BatchStep::Received(10)).await.unwrap();
    assert_eq!(create(store, again.clone()).await, Ok(moved));
    let other = Batch {
        spec: BatchSpec {
            all_or_nothing: true,
            ..again.spec.clone()
        },
        ..again.clone()
    };
    assert_eq!(
        create(store, other.clone()).await.unwrap_err().code,
        Code::RequestIdReused
    );
    assert_eq!(store.list_audit(0, 1).await.unwrap().1, logged);
    // Another author has request ids of their own.
    let foreign = Batch {
        author: "bob".parse().unwrap(),
        ..other
    };
    assert_eq!(create(store, foreign).await.unwrap().id, batch_id(2));
}

pub(super) async fn a_batch_is_stepped_and_tells_why_not(store: &Store) {
    create(store, uploading(1)).await.unwrap();
    let missing = step(store, 7, BatchStep::Received(1)).await;
    assert_eq!(missing.unwrap_err().code, Code::NotFound);
    let early = step(store, 1, BatchStep::Finished).await;
    assert_eq!(early.unwrap_err().code, Code::BatchState);
    for reserved in [
        BatchStep::Acknowledged(1),
        BatchStep::UndoBegun,
        BatchStep::Undone,
    ] {
        let refused = step(store, 1, reserved).await;
        assert_eq!(refused.unwrap_err().code, Code::BatchState);
    }
    step(store, 1, BatchStep::Received(1000)).await.unwrap();
    let sha256 = [8; 32];
    let ended = BatchStep::UploadEnded { bytes: 1000, sha256 };
    let checking = step(store, 1, ended).await.unwrap();
    assert_eq!(store.batch(batch_id(1)).await.unwrap(), Some(checking));
    let planned = BatchStep::Planned {
        plan: PlanHash([1; 32]),
        tally: Tally::default(),
        until: at(100),
    };
    step(store, 1, planned).await.unwrap();
    // Nothing is applied before it is said.
    let early = store.commit_import_part(part(store, 1, 0, vec![row(0)])).await;
    assert_eq!(early.unwrap().unwrap_err().code, Code::BatchState);
    let plan = Some(PlanHash([1; 32]));
    step(store, 1, BatchStep::ApplyBegun { plan }).await.unwrap();
    commit(store, part(store, 1, 0, vec![row(0)])).await;
    step(store, 1, BatchStep::Cancelled).await.unwrap();
    let late = store.commit_import_part(part(store, 1, 1, vec![row(1)])).await;
    assert_eq!(late.unwrap().unwrap_err().code, Code::BatchState);
    assert_eq!(store.counts().devices, 1);
}

pub(super) async fn open_batches_are_found_until_their_results_are_kept(store: &Store) {
    create(store, uploading(1)).await.unwrap();
    import(store, 2, 0..2).await;
    start(store, 3).await;
    let ids = |found: Vec<Batch>| found.into_iter().map(|batch| batch.id).collect::<Vec<_>>();
    let unfinished = async || ids(store.unfinished_batches().await.unwrap());
    assert_eq!(unfinished().await, [batch_id(1), batch_id(3)]);
    let expired = async |now| ids(store.expired_batches(now).await.unwrap());
    assert_eq!(expired(at(2)).await, []);
    let late = at(3).plus(RESULTS_KEPT);
    assert_eq!(expired(late).await, [batch_id(1), batch_id(2)]);
    let kept = store.acknowledge(batch_id(2), 1, alice(), at(3)).await;
    kept.unwrap().unwrap();
    assert_eq!(expired(late).await, [batch_id(1)]);
    step(store, 1, BatchStep::Cancelled).await.unwrap();
    assert_eq!(
        (expired(late).await, unfinished().await),
        (vec![], vec![batch_id(3)])
    );
}

pub(super) async fn a_part_is_told_as_often_as_it_is_asked_for(store: &Store) {
    import(store, 1, 0..2).await;
    start(store, 2).await;
    let mut rows: Vec<_> = [0, 1, 10, 11].map(row).into();
    rows[1].row.position = Some("Hall 2".to_owned());
    rows[3].row.mac = Some(mac(0));
    let mut first = part(store, 2, 0, rows);
    first.rows[2].warnings.push(problem(Code::MacLocal));
    let refused = |row| slot(row, SlotOutcome::Refused(vec![problem(Code::SerialRule)]));
    first.settled = vec![(0, refused(1)), (2, refused(50)), (5, refused(51))];
    let outcomes = commit(store, first).await;
    let told = store.batch_part(batch_id(2), 0).await.unwrap().unwrap();
    assert_eq!(told.seed, Some(seed(2)));
    let places: Vec<_> = told.record.slots.iter().map(|slot| slot.row).collect();
    assert_eq!(places, [1, 2, 50, 3, 12, 51, 13]);
    let devices: Vec<_> = told
        .record
        .slots
        .iter()
        .map(|slot| told.record.device(slot))
        .collect();
    let found = async |number| {
        store
            .device_by_serial(&serial(number))
            .await
            .unwrap()
            .map(|device| device.id)
    };
    let expected = [
        None,
        found(0).await,
        None,
        found(1).await,
        found(10).await,
        None,
        None,
    ];
    assert_eq!(devices, expected);
    assert_eq!(
        told.record.slots[3].outcome,
        SlotOutcome::Updated {
            device: found(1).await.unwrap(),
            changes: vec!["position".to_owned()],
        }
    );
    assert_eq!(told.record.slots[4].warnings, [problem(Code::MacLocal)]);
    assert!(matches!((&outcomes[3], &told.record.slots[6].outcome),
        (RowOutcome::Refused(a), SlotOutcome::Refused(b)) if a == b && a[0].refusal.code == Code::MacRepeated));
    let tally = Tally {
        created: 1,
        updated: 1,
        unchanged: 1,
        refused: 4,
    };
    assert_eq!(finish(store, 2).await.tally, tally);
    assert_eq!(
        store.refused_rows(batch_id(2)).await.unwrap(),
        BTreeSet::from([1, 13, 50, 51])
    );
    assert_eq!(store.batch_part(batch_id(2), 1).await.unwrap(), None);
}

pub(super) async fn acknowledged_results_lose_their_codes_and_keys(store: &Store) {
    start(store, 1).await;
    for number in 0..3 {
        let mut keyed = part(store, 1, number, vec![row(number)]);
        keyed.rows[0].key = Some(vec![7; 100]);
        commit(store, keyed).await;
    }
    let secrets = async |number| {
        let part = store.batch_part(batch_id(1), number).await.unwrap().unwrap();
        assert_eq!(part.record.slots.len(), 1);
        (part.seed, part.keys.len())
    };
    // Each part had the seed that was on record before it was made.
    assert_eq!(secrets(0).await, (Some(seed(1)), 1));
    assert_eq!(secrets(1).await, (Some(seed(1001)), 1));
    let kept = store
        .acknowledge(batch_id(1), 2, alice(), at(9))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.acknowledged, 2);
    for gone in 0..2 {
        assert_eq!(secrets(gone).await, (None, 0));
    }
    assert_eq!(secrets(2).await, (Some(seed(2001)), 1));
    sound(store).await;
    let (_, logged) = store.list_audit(0, 1).await.unwrap();
    let again = store
        .acknowledge(batch_id(1), 1, alice(), at(10))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (again.acknowledged, store.list_audit(0, 1).await.unwrap().1),
        (2, logged)
    );
    let missing = store.acknowledge(batch_id(7), 1, alice(), at(9)).await.unwrap();
    assert_eq!(missing.unwrap_err().code, Code::NotFound);
}

fn retry(request_id: &str) -> Retry {
    Retry {
        batch: batch_id(1),
        request_id: request_id.to_owned(),
        file: RetryFile {
            file_name: "failed.csv".to_owned(),
            ..RetryFile::default()
        },
        author: "alice".parse().unwrap(),
        now: at(20),
    }
}

/// Sends the file of the newest attempt, and begins to apply it.
async fn resume(store: &Store) {
    step(store, 1, BatchStep::Received(10)).await.unwrap();
    let sha256 = [8; 32];
    let ended = BatchStep::UploadEnded { bytes: 10, sha256 };
    step(store, 1, ended).await.unwrap();
    step(store, 1, BatchStep::ApplyBegun { plan: None })
        .await
        .unwrap();
}

pub(super) async fn mended_rows_join_their_batch(store: &Store) {
    start(store, 1).await;
    let mut first = part(store, 1, 0, vec![row(0), row(1)]);
    let refused = |row| slot(row, SlotOutcome::Refused(vec![problem(Code::SerialRule)]));
    first.settled = vec![(2, refused(4)), (3, refused(5))];
    commit(store, first).await;
    assert_eq!(finish(store, 1).await.tally.refused, 2);
    let waiting = store.retry_batch(retry("again")).await.unwrap().unwrap();
    assert_eq!((waiting.attempt, waiting.first_part), (1, 1));
    // The same again is the same; anything else with that id is refused, also a new batch.
    assert_eq!(store.retry_batch(retry("again")).await.unwrap(), Ok(waiting));
    let mut other = retry("again");
    other.file.sheet = "B".to_owned();
    assert_eq!(
        store.retry_batch(other).await.unwrap().unwrap_err().code,
        Code::RequestIdReused
    );
    let early = store.retry_batch(retry("third")).await.unwrap();
    assert_eq!(early.unwrap_err().code, Code::BatchState);
    resume(store).await;
    // A part of the former attempt is none of this one.
    let stale = store.commit_import_part(part(store, 1, 1, vec![row(2)])).await;
    assert_eq!(stale.unwrap().unwrap_err().code, Code::BatchState);
    // One is mended, one refused anew, one was accepted before.
    let mut again = part(store, 1, 1, vec![row(0), row(2)]);
    again.attempt = 1;
    again.settled = vec![(2, refused(5))];
    let outcomes = commit(store, again).await;
    assert!(matches!(
        outcomes[..],
        [RowOutcome::Unchanged(_), RowOutcome::Created(_)]
    ));
    let tally = Tally {
        created: 3,
        updated: 0,
        unchanged: 1,
        refused: 1,
    };
    assert_eq!(finish(store, 1).await.tally, tally);
    assert_eq!(
        store.refused_rows(batch_id(1)).await.unwrap(),
        BTreeSet::from([5])
    );
}

pub(super) async fn a_row_stands_once_in_a_file(store: &Store) {
    start(store, 1).await;
    let mut twice = part(store, 1, 0, vec![row(0), row(1)]);
    twice.rows[1].fresh.origin.row = 2;
    let outcomes = commit(store, twice).await;
    assert!(
        matches!(&outcomes[..], [RowOutcome::Created(_), RowOutcome::Refused(problems)]
        if problems[0].refusal.code == Code::RequestInvalid)
    );
}

pub(super) async fn a_row_that_moved_since_the_plan_is_left_alone(store: &Store) {
    import(store, 1, 0..2).await;
    start(store, 2).await;
    let rows = || {
        let mut rows: Vec<_> = [0, 1, 5].map(row).into();
        rows[0].row.position = Some("Hall 2".to_owned());
        rows[1].row.position = Some("Hall 2".to_owned());
        rows
    };
    let plan = store
        .preview_import_part(part(store, 2, 0, rows()))
        .await
        .unwrap();
    // Somebody moves a device, and registers one that was to be created.
    let mut moved = row(1);
    moved.row.position = Some("Hall 3".to_owned());
    super::super::build::import_rows(store, 3, vec![moved, row(5)]).await;
    let again = store
        .preview_import_part(part(store, 2, 0, rows()))
        .await
        .unwrap();
    let same: Vec<_> = plan
        .digests
        .iter()
        .zip(&again.digests)
        .map(|(a, b)| a == b)
        .collect();
    assert_eq!(same, [true, false, false]);
    let mut planned = part(store, 2, 0, rows());
    for (row, digest) in planned.rows.iter_mut().zip(plan.digests) {
        row.expected = Some(digest);
    }
    let outcomes = commit(store, planned).await;
    let codes: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            RowOutcome::Refused(problems) => Some(problems[0].refusal.code),
            RowOutcome::Created(_) | RowOutcome::Updated { .. } | RowOutcome::Unchanged(_) => None,
        })
        .collect();
    assert_eq!(codes, [None, Some(Code::RowMoved), Some(Code::RowMoved)]);
    let stays = store.device_by_serial(&serial(1)).await.unwrap().unwrap();
    assert_eq!(stays.position.as_deref(), Some("Hall 3"));
}

pub(super) async fn a_whole_part_is_written_whole_or_not(store: &Store) {
    start(store, 1).await;
    let mut whole = part(store, 1, 0, vec![row(0)]);
    whole.whole = true;
    whole.settled = vec![(1, slot(9, SlotOutcome::Refused(vec![problem(Code::SerialRule)])))];
    let before = store.dump().unwrap();
    let committed = store.commit_import_part(whole).await.unwrap().unwrap();
    assert!(!committed.written && matches!(committed.outcomes[..], [RowOutcome::Created(_)]));
    assert_eq!(store.dump().unwrap(), before);
    let mut whole = part(store, 1, 0, vec![row(0)]);
    whole.whole = true;
    assert!(store.commit_import_part(whole).await.unwrap().unwrap().written);
}

/// A row whose device comes with a certificate for this key.
pub(super) fn certify(row: &mut PartRow, spki: u32) {
    let certificate = CertificateSerial::new(at(500), u128::from(spki));
    let (spki, not_after) = (key(spki), at(30_000_000));
    row.fresh.credential = FreshCredential::Certified(Identity {
        certificate,
        spki,
        not_after,
        spent: None,
        successor: None,
        source: None,
    });
    let intent = ClaimIntent {
        spki,
        certificate,
        profile: CertificateProfile::Device,
        issuer: None,
        not_before: at(0),
        not_after,
        source: None,
    };
    row.certificate = Some(CertificateRecord::intended(row.fresh.id, &intent).signed(vec![0x30; 500]));
}

pub(super) async fn certificates_and_pinned_keys_come_with_rows(store: &Store) {
    start(store, 1).await;
    let mut keyed = part(store, 1, 0, (0..5).map(row).collect());
    keyed.now = at(500);
    certify(&mut keyed.rows[0], 10);
    certify(&mut keyed.rows[1], 11);
    let pin = |row: &mut PartRow, spki| {
        row.fresh.credential = FreshCredential::Pinned(PinnedKey {
            spki: key(spki),
            certificate: None,
        });
    };
    pin(&mut keyed.rows[2], 12);
    // Keys of earlier rows.
    pin(&mut keyed.rows[3], 10);
    certify(&mut keyed.rows[4], 12);
    let refused = |outcome: &RowOutcome| match outcome {
        RowOutcome::Refused(problems) => Some((problems[0].refusal.code, problems[0].refusal.field.clone())),
        RowOutcome::Created(_) | RowOutcome::Updated { .. } | RowOutcome::Unchanged(_) => None,
    };
    let outcomes = commit(store, keyed).await;
    let repeated = |row| Some((Code::CredentialRepeated, format!("rows[{row}].credential")));
    let found: Vec<_> = outcomes.iter().map(refused).collect();
    assert_eq!(found, [None, None, None, repeated(5), repeated(6)]);
    assert_eq!(store.counts().states[&LifecycleState::Claimed], 2);
    assert_eq!(store.counts().states[&LifecycleState::Registered], 1);
    let device = store.device_by_serial(&serial(0)).await.unwrap().unwrap();
    let identity = *device.lifecycle.identity().unwrap();
    let record = store.certificate(identity.certificate).await.unwrap().unwrap();
    let holder = store.holder(record.spki, &record.der).unwrap();
    assert_eq!(holder.map(|holder| holder.device), Some(device.id));
    sound(store).await;
    // In a later part, the keys are other devices'.
    let mut late = part(store, 1, 1, (6..8).map(row).collect());
    late.now = at(500);
    certify(&mut late.rows[0], 11);
    pin(&mut late.rows[1], 12);
    let found: Vec<_> = commit(store, late).await.iter().map(refused).collect();
    assert_eq!(found, [repeated(8), repeated(9)]);
    // Nothing is issued when the clock went back.
    let mut early = part(store, 1, 2, vec![row(9)]);
    certify(&mut early.rows[0], 19);
    let refused = store.commit_import_part(early).await.unwrap();
    assert_eq!(refused.unwrap_err().code, Code::ClockBehind);
}
