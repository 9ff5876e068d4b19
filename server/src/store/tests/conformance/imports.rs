//! Imports.

use crate::store::{
    CommittedPart, Store, StoreError,
    tests::build::{
        at, batch_id, commit, finish, import, import_rows, mac, part, row, serial, sound, start, step,
    },
};
use muster_domain::{
    Code, Refusal,
    batch::{BatchState, BatchStep, Tally},
    device::{LifecycleState, VerificationState},
    manifest::RowOutcome,
};

fn code(outcome: &RowOutcome) -> Option<Code> {
    match outcome {
        RowOutcome::Refused(problems) => problems.first().map(|problem| problem.refusal.code),
        RowOutcome::Created(_) | RowOutcome::Updated { .. } | RowOutcome::Unchanged(_) => None,
    }
}

pub(super) async fn a_row_becomes_a_device(store: &Store) {
    let devices = import(store, 1, 0..5).await;
    assert_eq!(
        store.device(devices[3].id).await.unwrap().as_ref(),
        Some(&devices[3])
    );
    assert_eq!(devices[3].serial.as_str(), serial(3));
    let counts = store.counts();
    assert_eq!(counts.devices, 5);
    assert_eq!(counts.states[&LifecycleState::Registered], 5);
    assert_eq!(counts.verifications[&VerificationState::Pending], 5);
    assert_eq!((counts.models["GW-200"], counts.models["CAM-IR"]), (3, 2));
    assert_eq!((counts.sites["BER-1"], counts.sites["HAM-1"]), (3, 2));
    let batch = store.batch(batch_id(1)).await.unwrap().unwrap();
    assert_eq!(
        batch.tally,
        Tally {
            created: 5,
            ..Tally::default()
        }
    );
    assert_eq!((batch.parts, batch.state), (1, BatchState::Done(at(1))));
}

pub(super) async fn each_value_is_counted_on_its_own(store: &Store) {
    // Neighbours that differ in one value only.
    let mut rows: Vec<_> = [0, 2, 4, 6].map(row).into();
    rows[1].row.site = Some("HAM-1".parse().unwrap());
    rows[2].row.site = None;
    rows[3].row.model = "CAM-IR".parse().unwrap();
    rows[3].row.site = None;
    import_rows(store, 1, rows).await;
    let counts = store.counts();
    assert_eq!((counts.models["GW-200"], counts.models["CAM-IR"]), (3, 1));
    assert_eq!((counts.sites["BER-1"], counts.sites["HAM-1"]), (1, 1));
}

pub(super) async fn a_preview_answers_what_a_commit_does_and_changes_nothing(store: &Store) {
    import(store, 1, 0..3).await;
    let (_, before) = store.list_audit(0, 1).await.unwrap();
    start(store, 2).await;
    let mut rows: Vec<_> = (1..6).map(row).collect();
    rows[0].row.site = Some("BER-1".parse().unwrap());
    rows[3].row.mac = Some(mac(0));
    let previewed = store
        .preview_import_part(part(store, 2, 0, rows.clone()))
        .await
        .unwrap();
    assert_eq!(store.counts().devices, 3);
    assert_eq!(store.list_audit(0, 1).await.unwrap().1, before + 1);
    let committed = commit(store, part(store, 2, 0, rows)).await;
    assert_eq!(previewed.outcomes, committed);
    assert_eq!(previewed.digests.len(), 5);
    assert_eq!(code(&committed[3]), Some(Code::MacTaken));
    assert_eq!(store.counts().devices, 5);
}

pub(super) async fn the_same_file_again_changes_nothing(store: &Store) {
    let devices = import(store, 1, 0..4).await;
    let counts = store.counts();
    let again = import_rows(store, 2, (0..4).map(row).collect()).await;
    let expected: Vec<_> = devices
        .iter()
        .map(|device| RowOutcome::Unchanged(device.id))
        .collect();
    assert_eq!(again, expected);
    assert_eq!(store.counts(), counts);
    let batch = store.batch(batch_id(2)).await.unwrap().unwrap();
    assert_eq!(
        batch.tally,
        Tally {
            unchanged: 4,
            ..Tally::default()
        }
    );
}

pub(super) async fn a_part_is_committed_once_and_in_turn(store: &Store) {
    let missing = store.commit_import_part(part(store, 1, 0, vec![row(0)])).await;
    let refused =
        |answer: Result<Result<CommittedPart, Refusal>, StoreError>| answer.unwrap().unwrap_err().code;
    assert_eq!(refused(missing), Code::NotFound);
    start(store, 1).await;
    let turn = async |number, first, due: u32| {
        let answer = store
            .commit_import_part(part(store, 1, number, vec![row(first)]))
            .await;
        match answer {
            Ok(committed) => assert_eq!((due, committed.unwrap().written), (number, true)),
            Err(StoreError::PartOutOfTurn { expected, .. }) => assert_eq!(expected, due),
            Err(other) => panic!("{other}"),
        }
    };
    turn(1, 0, 0).await;
    turn(0, 0, 0).await;
    turn(0, 1, 1).await;
    turn(1, 1, 1).await;
    let done = finish(store, 1).await;
    assert_eq!((done.parts, done.tally.created), (2, 2));
    let late = store.commit_import_part(part(store, 1, 2, vec![row(2)])).await;
    assert_eq!(refused(late), Code::BatchState);
    let again = step(store, 1, BatchStep::Finished).await;
    assert_eq!(again.unwrap_err().code, Code::BatchState);
}

pub(super) async fn an_address_belongs_to_one_device(store: &Store) {
    import(store, 1, 0..2).await;
    let mut thief = row(7);
    thief.row.mac = Some(mac(1));
    let outcomes = import_rows(store, 2, vec![thief]).await;
    assert_eq!(code(&outcomes[0]), Some(Code::MacTaken));
    let RowOutcome::Refused(problems) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    // As the file calls it, although only the registry shows it.
    let at = (problems[0].column.as_str(), problems[0].value.as_str());
    assert_eq!(at, ("MAC Address", mac(1).to_string().as_str()));
    assert!(store.device_by_serial(&serial(7)).await.unwrap().is_none());
}

pub(super) async fn rows_of_one_part_do_not_share_serials_or_addresses(store: &Store) {
    let mut same_serial = row(1);
    same_serial.row.row = 40;
    let mut same_mac = row(5);
    same_mac.row.mac = Some(mac(2));
    // The two that repeat stand between others; each names the row it repeats.
    let outcomes = import_rows(
        store,
        1,
        vec![row(3), row(1), same_serial, row(2), same_mac, row(0)],
    )
    .await;
    let codes: Vec<_> = outcomes.iter().map(code).collect();
    assert_eq!(
        codes,
        [
            None,
            None,
            Some(Code::SerialRepeated),
            None,
            Some(Code::MacRepeated),
            None
        ]
    );
    assert!(
        matches!(&outcomes[4], RowOutcome::Refused(problems) if problems[0].refusal.message.contains("row 4"))
    );
    assert_eq!(store.counts().devices, 4);
    sound(store).await;
    // The same when the devices are there already.
    let outcomes = import_rows(store, 2, vec![row(1), row(1)]).await;
    assert_eq!(
        outcomes.iter().map(code).collect::<Vec<_>>(),
        [None, Some(Code::SerialRepeated)]
    );
}

pub(super) async fn changed_rows_move_in_every_index(store: &Store) {
    import(store, 1, 0..4).await;
    let mut moved = row(0);
    moved.row.site = Some("HAM-1".parse().unwrap());
    moved.row.mac = Some(mac(900));
    let outcomes = import_rows(store, 2, vec![moved]).await;
    assert!(matches!(&outcomes[0], RowOutcome::Updated { device, .. } if device.mac == Some(mac(900))));
    assert_eq!(
        (store.counts().sites["BER-1"], store.counts().sites["HAM-1"]),
        (1, 3)
    );
    sound(store).await;
    // The address it had is free.
    let mut heir = row(8);
    heir.row.mac = Some(mac(0));
    let outcomes = import_rows(store, 3, vec![heir]).await;
    assert!(matches!(&outcomes[0], RowOutcome::Created(_)), "{outcomes:?}");
}

pub(super) async fn serials_in_any_order_fill_every_index(store: &Store) {
    start(store, 1).await;
    // 37 is prime to 2048: the parts interleave, in each index and within every page of it.
    let numbers: Vec<u32> = (0..2048).map(|place| place * 37 % 2048).collect();
    for (number, numbers) in (0..).zip(numbers.chunks(700)) {
        let rows = numbers.iter().map(|&device| row(device)).collect();
        let outcomes = commit(store, part(store, 1, number, rows)).await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, RowOutcome::Created(_)))
        );
    }
    assert_eq!(store.counts().devices, 2048);
    for device in [0, 1, 699, 700, 2047] {
        let found = store.device_by_serial(&serial(device)).await.unwrap().unwrap();
        assert_eq!(found.mac, Some(mac(device)));
    }
}

pub(super) async fn batches_are_listed_newest_first(store: &Store) {
    for number in [2, 1, 3] {
        start(store, number).await;
    }
    let ids =
        |found: Vec<muster_domain::batch::Batch>| found.into_iter().map(|batch| batch.id).collect::<Vec<_>>();
    assert_eq!(
        ids(store.list_batches(None, 2).await.unwrap()),
        [batch_id(3), batch_id(2)]
    );
    assert_eq!(
        ids(store.list_batches(Some(batch_id(2)), 2).await.unwrap()),
        [batch_id(1)]
    );
}
