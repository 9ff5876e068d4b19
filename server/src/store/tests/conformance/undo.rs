//! Taking batches back.

use super::batches::certify;
use crate::store::{
    ClaimBegun, DeviceChange, Store, UndoAnswer,
    tests::build::{
        alice, at, batch_id, begin, claim, commit, enroll, finish, import, import_rows, mac, part, row,
        serial, sound, start, step,
    },
};
use muster_domain::{
    Code, Refusal,
    batch::{BatchState, BatchStep},
    certificate::{CertificateState, RevocationReason},
    device::{Device, Transition, Verification},
    manifest::RowOutcome,
};

async fn undo(store: &Store, number: u32, unit: usize) -> Result<UndoAnswer, Refusal> {
    let answer = store
        .undo_in(batch_id(number), false, alice(), at(5000), unit)
        .await;
    answer.unwrap()
}

async fn found(store: &Store, number: u32) -> Option<Device> {
    store.device_by_serial(&serial(number)).await.unwrap()
}

async fn change(store: &Store, number: u32, transition: Transition) -> Result<Device, Refusal> {
    let id = found(store, number).await.unwrap().id;
    let change = DeviceChange {
        transition,
        expected_revision: None,
        actor: alice(),
        now: at(4000),
    };
    store.transition(id, change).await.unwrap()
}

/// All at once, and part after part.
const UNITS: [usize; 2] = [1000, 0];

pub(super) async fn what_it_made_goes_and_what_it_changed_returns(store: &Store) {
    for (round, unit) in (0..).zip(UNITS) {
        let (first, second) = (10 * round + 1, 10 * round + 2);
        let base = round * 100;
        import(store, first, base..base + 3).await;
        let (counts, before) = (store.counts(), found(store, base).await.unwrap());
        let mut rows: Vec<_> = [base, base + 1, base + 50, base + 51].map(row).into();
        rows[0].row.site = Some("HAM-1".parse().unwrap());
        rows[0].row.mac = Some(mac(base + 900));
        // The address that the first device leaves is taken by a new one.
        start(store, second).await;
        commit(store, part(store, second, 0, vec![rows[0].clone()])).await;
        rows[2].row.mac = Some(mac(base));
        let mut keyed = part(store, second, 1, rows.split_off(2));
        keyed.now = at(500);
        certify(&mut keyed.rows[1], 700 + round);
        let made = commit(store, keyed).await;
        let RowOutcome::Created(certified) = &made[1] else {
            panic!("{made:?}")
        };
        let certificate = certified.lifecycle.certificate().unwrap();
        finish(store, second).await;
        let dry = store.undo_batch(batch_id(second), true, alice(), at(5000)).await;
        assert_eq!(dry.unwrap().unwrap().blocked, 0);
        assert!(found(store, base + 50).await.is_some());
        let answer = undo(store, second, unit).await.unwrap();
        assert_eq!(
            (answer.blocked, answer.batch.state),
            (0, BatchState::Undone(at(5000)))
        );
        sound(store).await;
        assert_eq!(store.counts(), counts);
        let after = found(store, base).await.unwrap();
        assert_eq!((&after.site, after.mac), (&before.site, before.mac));
        assert!(after.target.generation > before.target.generation);
        assert_eq!(after.verification, Verification::Pending);
        assert_eq!(after.target.digest, before.target.digest);
        assert!(found(store, base + 50).await.is_none());
        // Its certificate is known as revoked, and lets nobody in.
        let record = store.certificate(certificate).await.unwrap().unwrap();
        let revoked = CertificateState::Revoked {
            at: at(5000),
            reason: RevocationReason::CessationOfOperation,
        };
        assert_eq!(record.state, revoked);
        assert_eq!(store.holder(record.spki, &record.der).unwrap(), None);
        let told = store.batch_part(batch_id(second), 0).await.unwrap().unwrap();
        assert_eq!((told.seed, told.keys.len()), (None, 0));
        // Taken back is taken back; the file can be imported anew.
        assert_eq!(
            undo(store, second, unit).await.unwrap_err().code,
            Code::BatchState
        );
        let again = import_rows(store, 10 * round + 3, vec![row(base + 50)]).await;
        assert!(matches!(again[..], [RowOutcome::Created(_)]));
    }
}

pub(super) async fn all_that_blocks_it_is_named_and_nothing_changes(store: &Store) {
    import(store, 1, 0..2).await;
    let mut rows: Vec<_> = [0, 1, 10, 11, 12, 13].map(row).into();
    for row in &mut rows[..2] {
        row.row.position = Some("Hall 2".to_owned());
    }
    rows[0].row.mac = Some(mac(900));
    import_rows(store, 2, rows).await;
    enroll(store, 10, 10).await;
    begin(store, claim(11, 11, 11)).await;
    change(store, 12, Transition::Suspend("lost".to_owned()))
        .await
        .unwrap();
    // A later import changes one device, and takes the address that another had.
    let mut later: Vec<_> = [1, 20].map(row).into();
    later[0].row.position = Some("Hall 3".to_owned());
    later[1].row.mac = Some(mac(0));
    import_rows(store, 3, later).await;
    let before = store.dump().unwrap();
    for unit in UNITS {
        let answer = undo(store, 2, unit).await.unwrap();
        assert_eq!(answer.blocked, 5);
        let rows: Vec<_> = answer.blocks.iter().map(|block| block.row).collect();
        assert_eq!(rows, [3, 2, 12, 13, 14]);
        let codes = answer.blocks.iter().map(|block| block.refusal.code);
        assert!(codes.into_iter().all(|code| code == Code::UndoBlocked));
        assert_eq!(answer.batch.state, BatchState::Done(at(2)));
    }
    assert_eq!(store.dump().unwrap(), before);
}

pub(super) async fn only_a_batch_at_its_end_is_taken_back(store: &Store) {
    let missing = undo(store, 1, 1000).await;
    assert_eq!(missing.unwrap_err().code, Code::NotFound);
    start(store, 1).await;
    commit(store, part(store, 1, 0, vec![row(0)])).await;
    assert_eq!(undo(store, 1, 1000).await.unwrap_err().code, Code::BatchState);
    // One that was stopped half way is.
    step(store, 1, BatchStep::Cancelled).await.unwrap();
    undo(store, 1, 1000).await.unwrap();
    assert_eq!(store.counts().devices, 0);
}

pub(super) async fn devices_on_their_way_out_change_no_more(store: &Store) {
    import(store, 1, 0..3).await;
    store.mark_undoing(batch_id(1), at(4000)).await;
    let refused = store.begin_claim(claim(0, 1, 1)).await.unwrap();
    assert!(matches!(refused, ClaimBegun::Refused(refusal) if refusal.code == Code::ClaimRefused));
    let refused = change(store, 0, Transition::Suspend(String::new())).await;
    assert_eq!(refused.unwrap_err().code, Code::BatchState);
    let outcomes = import_rows(store, 2, vec![row(0)]).await;
    assert!(
        matches!(&outcomes[..], [RowOutcome::Refused(problems)] if problems[0].refusal.code == Code::RowFrozen)
    );
    // Whoever finds it like this after a crash finishes it.
    let found = store.unfinished_batches().await.unwrap();
    assert_eq!(
        found.iter().map(|batch| batch.id).collect::<Vec<_>>(),
        [batch_id(1)]
    );
    let answer = undo(store, 1, 1000).await.unwrap();
    assert_eq!(answer.batch.state, BatchState::Undone(at(5000)));
    assert_eq!(store.counts().devices, 0);
}

pub(super) async fn an_undo_that_is_blocked_at_the_last_moment_is_abandoned(store: &Store) {
    import(store, 1, 0..1).await;
    let mut moved = row(0);
    moved.row.position = Some("Hall 2".to_owned());
    import_rows(store, 2, vec![moved, row(1)]).await;
    store.mark_undoing(batch_id(2), at(4000)).await;
    // The device that it only changed is still everybody's.
    change(store, 0, Transition::Suspend("lost".to_owned()))
        .await
        .unwrap();
    let answer = undo(store, 2, 1000).await.unwrap();
    assert_eq!((answer.blocked, answer.batch.state), (1, BatchState::Done(at(2))));
    assert!(matches!(
        store.begin_claim(claim(1, 1, 1)).await.unwrap(),
        ClaimBegun::Issue { .. }
    ));
}

pub(super) async fn an_undo_reaches_behind_every_attempt(store: &Store) {
    import(store, 1, 0..1).await;
    let before = found(store, 0).await.unwrap();
    start(store, 2).await;
    for (number, hall) in (0..).zip(["Hall 2", "Hall 3"]) {
        let mut moved = row(0);
        moved.row.position = Some(hall.to_owned());
        commit(store, part(store, 2, number, vec![moved])).await;
    }
    finish(store, 2).await;
    undo(store, 2, 1000).await.unwrap();
    assert_eq!(found(store, 0).await.unwrap().position, before.position);
}
