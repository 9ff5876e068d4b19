//! The life of a batch.

use crate::support::{at, batch};
use muster_domain::{
    Code, Refusal,
    activation::Seed,
    batch::{Batch, BatchSpec, BatchState, BatchStep, CheckedFile, PLAN_KEPT, PlanHash, RetryFile, Tally},
    manifest::Format,
};
use proptest::prelude::*;

fn seed(number: u8) -> Seed {
    Seed::from_bytes([number; 16])
}

fn tally(created: u64, refused: u64) -> Tally {
    Tally {
        created,
        refused,
        ..Tally::default()
    }
}

fn ended(bytes: u64) -> BatchStep {
    BatchStep::UploadEnded {
        bytes,
        sha256: [3; 32],
    }
}

fn checked() -> BatchStep {
    BatchStep::Checked(CheckedFile {
        format: Format::Csv,
        sheet: String::new(),
        mapping: None,
        rows: 10,
    })
}

fn planned(hash: u8) -> BatchStep {
    BatchStep::Planned {
        plan: PlanHash([hash; 32]),
        tally: tally(8, 2),
        until: at(0).plus(PLAN_KEPT),
    }
}

fn begun(hash: Option<u8>) -> BatchStep {
    BatchStep::ApplyBegun {
        plan: hash.map(|hash| PlanHash([hash; 32])),
    }
}

fn part(created: u64, refused: u64, sent_again: u64) -> BatchStep {
    BatchStep::PartCommitted {
        tally: tally(created, refused),
        sent_again,
        next_seed: seed(9),
    }
}

fn retry() -> BatchStep {
    BatchStep::RetryBegun {
        request_id: "again".to_owned(),
        file: RetryFile {
            file_name: "failed.csv".to_owned(),
            ..RetryFile::default()
        },
    }
}

fn run(batch: Batch, steps: impl IntoIterator<Item = BatchStep>) -> Result<Batch, Refusal> {
    steps
        .into_iter()
        .try_fold(batch, |batch, step| batch.step(step, at(1)))
}

fn received() -> [BatchStep; 2] {
    [BatchStep::Received(100), ended(100)]
}

fn applying() -> Batch {
    run(batch(), received().into_iter().chain([checked(), begun(None)])).unwrap()
}

#[test]
fn a_mapping_is_named_once_it_is_used() {
    let kept = || {
        let name = "gateways".parse().unwrap();
        BatchStep::MappingKept(name, 3)
    };
    let named = run(applying(), [kept()]).unwrap().mapping;
    assert_eq!(named, Some(("gateways".parse().unwrap(), 3)));
    let early = run(batch(), received().into_iter().chain([checked(), kept()]));
    assert_eq!(early.unwrap_err().code, Code::BatchState);
}

#[test]
fn each_state_takes_its_own_steps() {
    let check = |steps: Vec<BatchStep>, expected: Result<&str, Code>| {
        let shown = format!("{steps:?}");
        let found = run(batch(), steps);
        let found = found
            .as_ref()
            .map(|batch| batch.state.as_str())
            .map_err(|refusal| refusal.code);
        assert_eq!(found, expected, "{shown}");
    };
    let then = |steps: &[BatchStep]| [received().to_vec(), vec![checked()], steps.to_vec()].concat();
    check(vec![], Ok("UPLOADING"));
    check(then(&[]), Ok("CHECKING"));
    check(then(&[planned(1)]), Ok("PLANNED"));
    check(then(&[planned(1), begun(Some(1))]), Ok("APPLYING"));
    check(then(&[planned(1), begun(Some(2))]), Err(Code::PlanMoved));
    check(then(&[planned(1), begun(None)]), Err(Code::PlanMoved));
    check(
        then(&[begun(None), part(3, 1, 0), BatchStep::Finished]),
        Ok("DONE"),
    );
    check(then(&[begun(None), BatchStep::Cancelled]), Ok("CANCELLED"));
    let refusal = Refusal::new(Code::ManifestUnreadable, "no header");
    check(vec![BatchStep::Failed(refusal)], Ok("FAILED"));
    // Out of turn.
    check(vec![ended(1)], Err(Code::UploadMismatch));
    check(vec![checked()], Err(Code::BatchState));
    check(vec![begun(None)], Err(Code::BatchState));
    check(then(&[part(1, 0, 0)]), Err(Code::BatchState));
    check(then(&[BatchStep::Finished]), Err(Code::BatchState));
    check(then(&[BatchStep::UndoBegun]), Err(Code::BatchState));
    check(then(&[retry()]), Err(Code::BatchState));
    let done = then(&[begun(None), BatchStep::Finished]);
    let after = |steps: &[BatchStep]| [done.clone(), steps.to_vec()].concat();
    check(after(&[BatchStep::Cancelled]), Err(Code::BatchState));
    check(after(&[BatchStep::Received(1)]), Err(Code::BatchState));
    check(after(&[retry()]), Ok("UPLOADING"));
    check(after(&[BatchStep::UndoBegun]), Ok("UNDOING"));
    check(
        after(&[BatchStep::UndoBegun, BatchStep::Undone]),
        Err(Code::BatchState),
    );
    check(
        after(&[BatchStep::UndoBegun, BatchStep::UndoAbandoned]),
        Ok("DONE"),
    );
    let undone = [BatchStep::UndoBegun, BatchStep::UndoDecided, BatchStep::Undone];
    check(after(&undone), Ok("UNDONE"));
    check(
        after(&[&undone[..2], &[BatchStep::UndoAbandoned]].concat()),
        Err(Code::BatchState),
    );
    check(after(&[&undone[..], &[retry()]].concat()), Err(Code::BatchState));
}

#[test]
fn a_file_arrives_from_its_durable_end_on_or_again_from_its_beginning() {
    let check = |bytes, expected: Result<u64, Code>| {
        let batch = run(batch(), [BatchStep::Received(50)]).unwrap();
        let found = batch.step(BatchStep::Received(bytes), at(2));
        assert_eq!(
            found.map(|batch| batch.received).map_err(|refusal| refusal.code),
            expected,
            "{bytes}"
        );
    };
    check(50, Ok(50));
    check(80, Ok(80));
    check(49, Err(Code::UploadOffset));
    check(0, Ok(0));
}

#[test]
fn a_plan_that_was_asked_for_is_applied_or_nothing_is() {
    let asked = Batch {
        spec: BatchSpec {
            plan_hash: Some(PlanHash([7; 32])),
            ..BatchSpec::default()
        },
        ..batch()
    };
    let ready = run(asked, received().into_iter().chain([checked()])).unwrap();
    let other = ready.clone().step(begun(Some(8)), at(2));
    assert_eq!(other.unwrap_err().code, Code::PlanMoved);
    let same = ready.step(begun(Some(7)), at(2)).unwrap();
    assert_eq!(same.plan, Some(PlanHash([7; 32])));
}

#[test]
fn a_plan_ends_at_its_time() {
    let ready = run(batch(), received().into_iter().chain([checked(), planned(1)])).unwrap();
    let end = at(0).plus(PLAN_KEPT);
    assert_eq!(ready.expires(), Some(end));
    assert_eq!(ready.step(begun(Some(1)), end).unwrap_err().code, Code::PlanMoved);
}

#[test]
fn a_retry_keeps_what_was_applied_and_forgets_the_file() {
    let done = run(applying(), [part(6, 2, 0), part(1, 1, 0), BatchStep::Finished]).unwrap();
    assert_eq!((done.tally, done.parts), (tally(7, 3), 2));
    let again = done.step(retry(), at(5)).unwrap();
    assert_eq!(
        (
            again.attempt,
            again.first_part,
            again.received,
            again.file_sha256,
            again.rows
        ),
        (1, 2, 0, None, 0)
    );
    assert_eq!(
        (again.request_id.as_str(), again.spec.file_name.as_str()),
        ("again", "failed.csv")
    );
    let former: Vec<_> = again
        .former
        .iter()
        .map(|file| (file.name.as_str(), file.sha256))
        .collect();
    assert_eq!(former, [("line7.csv", Some([3; 32]))]);
    // Of three refused rows two are mended, and one is still refused.
    let steps = received()
        .into_iter()
        .chain([checked(), begun(None), part(2, 1, 3), BatchStep::Finished]);
    assert_eq!(run(again, steps).unwrap().tally, tally(9, 1));
}

#[test]
fn a_batch_of_an_older_program_takes_no_retry() {
    let former = Batch {
        state: BatchState::Done(at(1)),
        parts: 2,
        unrecorded: 2,
        ..batch()
    };
    assert_eq!(former.step(retry(), at(2)).unwrap_err().code, Code::BatchState);
}

#[test]
fn results_wait_until_they_are_acknowledged() {
    let done = run(applying(), [part(1, 0, 0), part(1, 0, 0), BatchStep::Finished]).unwrap();
    assert!(done.is_open() && done.expires().is_some());
    let half = done.step(BatchStep::Acknowledged(1), at(3)).unwrap();
    assert!(half.is_open());
    // Nobody takes it back, and nobody acknowledges what is not there.
    let all = run(half, [BatchStep::Acknowledged(0), BatchStep::Acknowledged(99)]).unwrap();
    assert_eq!((all.acknowledged, all.is_open(), all.expires()), (2, false, None));
}

fn any_step() -> impl Strategy<Value = BatchStep> {
    prop_oneof![
        (0u64..4).prop_map(|bytes| BatchStep::Received(bytes * 50)),
        (0u64..4).prop_map(|bytes| ended(bytes * 50)),
        Just(checked()),
        (0u8..2).prop_map(planned),
        proptest::option::of(0u8..2).prop_map(begun),
        (0u64..5, 0u64..5).prop_map(|(created, refused)| part(created, refused, 0)),
        Just(BatchStep::Finished),
        Just(BatchStep::Cancelled),
        Just(BatchStep::Failed(Refusal::new(Code::ManifestUnreadable, "why"))),
        (0u32..4).prop_map(BatchStep::Acknowledged),
        Just(retry()),
        Just(BatchStep::UndoBegun),
        Just(BatchStep::UndoDecided),
        Just(BatchStep::UndoAbandoned),
        Just(BatchStep::Undone),
    ]
}

proptest! {
    /// Whatever comes in whatever order: parts are never lost or counted twice, what ended stays ended but by a retry or an
    /// undo, and what is taken back stays so.
    #[test]
    fn no_order_of_steps_breaks_a_batch(steps in proptest::collection::vec(any_step(), 0..60)) {
        let mut batch = batch();
        let (mut parts, mut created) = (0, 0);
        for step in steps {
            let before = batch.clone();
            let Ok(after) = batch.clone().step(step.clone(), at(1)) else { continue };
            if let BatchStep::PartCommitted { tally, .. } = &step {
                prop_assert_eq!(&before.state, &BatchState::Applying);
                parts += 1;
                created += tally.created;
            }
            prop_assert_eq!((after.parts, after.tally.created), (parts, created));
            prop_assert!(after.first_part <= after.parts && after.acknowledged <= after.parts);
            prop_assert!(before.acknowledged <= after.acknowledged && before.attempt <= after.attempt);
            prop_assert_eq!(usize::try_from(after.attempt).unwrap(), after.former.len());
            let is_gone = matches!(before.state, BatchState::Undone(_));
            prop_assert!(!is_gone || before.state == after.state);
            let works = matches!(
                after.state,
                BatchState::Checking | BatchState::Applying | BatchState::Planned { until: _, tally: _ }
            );
            prop_assert!(!works || after.file_sha256.is_some(), "it works at no file");
            batch = after;
        }
    }
}
