//! On which terms devices may be claimed: as rows say, as operators say, and as it was before.

use super::super::build::{
    SOURCE, alice, at, batch_id, begin, claim, code, commit, enroll, finish, import, import_rows, key, part,
    row, serial, start,
};
use crate::store::{ClaimBegun, DeviceChange, Revocation, Store};
use muster_domain::{
    Code, Refusal,
    certificate::RevocationReason,
    claim as rules,
    device::{ClaimTerms, ClaimWindow, Device, KeyChoice, Transition},
    manifest::{RowClaim, RowOutcome, ValidRow},
};

/// A row whose device must come with a key of this number.
fn bound(device: u32, spki: u32) -> ValidRow {
    on_terms(device, Some(spki), None)
}

fn on_terms(device: u32, spki: Option<u32>, closes: Option<u64>) -> ValidRow {
    let mut row = row(device);
    row.row.claim = Some(Box::new(RowClaim {
        key: spki.map(key),
        not_before: None,
        not_after: closes.map(at),
    }));
    row
}

async fn found(store: &Store, number: u32) -> Device {
    store.device_by_serial(&serial(number)).await.unwrap().unwrap()
}

async fn terms(store: &Store, number: u32) -> Option<ClaimTerms> {
    found(store, number).await.lifecycle.claim_terms()
}

async fn change(store: &Store, number: u32, transition: Transition) -> Result<Device, Refusal> {
    let change = DeviceChange {
        transition,
        expected_revision: None,
        actor: alice(),
        now: at(900),
    };
    let id = found(store, number).await.id;
    store.transition(id, change).await.unwrap()
}

const fn arm(key: KeyChoice) -> Transition {
    Transition::Arm { window: None, key }
}

async fn refused(store: &Store, device: u32, spki: u32) -> Refusal {
    match store.begin_claim(claim(device, spki, 900 + spki)).await.unwrap() {
        ClaimBegun::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// The refusals of a row, with their fields.
fn word(outcome: &RowOutcome) -> String {
    match outcome {
        RowOutcome::Created(_) => "created".into(),
        RowOutcome::Updated { changes, .. } => changes.join(" "),
        RowOutcome::Unchanged(_) => "unchanged".into(),
        RowOutcome::Refused(problems) => {
            let refusals = problems.iter().map(|problem| &problem.refusal);
            let words: Vec<_> = refusals
                .map(|refusal| format!("{:?} {}", refusal.code, refusal.field))
                .collect();
            words.join(", ")
        }
    }
}

/// Entries of the log with this action, as JSON.
async fn logged(store: &Store, action: &str) -> Vec<String> {
    let (entries, _) = store.list_audit(0, 1000).await.unwrap();
    let lines = entries.into_iter().map(|entry| entry.leaf);
    lines
        .filter(|line| line.contains(&format!("\"action\":\"{action}\"")))
        .collect()
}

pub(super) async fn a_key_that_a_row_names_is_its_devices_alone(store: &Store) {
    import(store, 1, 0..2).await;
    enroll(store, 0, 1).await;
    let rows = vec![
        bound(10, 10),
        // The earlier row of the same part has it, a device that claimed, a device of another batch that waits.
        bound(11, 10),
        bound(12, 1),
        bound(1, 10),
        row(13),
    ];
    let outcomes = import_rows(store, 2, rows).await;
    let words: Vec<_> = outcomes.iter().map(word).collect();
    assert_eq!(
        words,
        [
            "created",
            "CredentialRepeated rows[13].spki_sha256",
            "CredentialRepeated rows[14].spki_sha256",
            "CredentialRepeated rows[3].spki_sha256",
            "created",
        ]
    );
    let outcomes = import_rows(store, 3, vec![bound(14, 10), bound(10, 10), bound(1, 5)]).await;
    let words: Vec<_> = outcomes.iter().map(word).collect();
    assert_eq!(
        words,
        [
            "CredentialRepeated rows[16].spki_sha256",
            "unchanged",
            "spki_sha256"
        ]
    );
    // Nobody else can claim with it, and its own device with no other.
    assert_eq!(refused(store, 13, 10).await.code, Code::KeyInUse);
    assert_eq!(refused(store, 10, 11).await, rules::refusal());
    assert_eq!(logged(store, "clone_suspected").await.len(), 1);
    let alarm = found(store, 10).await.alarm.unwrap();
    assert_eq!((alarm.key, alarm.source), (key(11), SOURCE));
    begin(store, claim(10, 10, 10)).await;
    // What it was bound to before is free.
    change(store, 1, arm(KeyChoice::Only(key(6)))).await.unwrap();
    assert_eq!(
        word(&import_rows(store, 4, vec![bound(13, 5)]).await[0]),
        "spki_sha256"
    );
}

pub(super) async fn a_blocked_key_is_bound_to_no_device(store: &Store) {
    import(store, 1, 0..2).await;
    let lost = enroll(store, 0, 1).await;
    let revocation = Revocation {
        serial: lost.certificate.serial,
        reason: RevocationReason::KeyCompromise,
        comment: String::new(),
        actor: alice(),
        now: at(1500),
    };
    store.revoke_certificate(revocation).await.unwrap().unwrap();
    for (batch, device, expected) in [
        (2, 10, "KeyBlocked rows[12].spki_sha256"),
        (3, 1, "KeyBlocked rows[3].spki_sha256"),
    ] {
        let outcomes = import_rows(store, batch, vec![bound(device, 1)]).await;
        assert_eq!(word(&outcomes[0]), expected);
    }
    let refusal = change(store, 1, arm(KeyChoice::Only(key(1)))).await.unwrap_err();
    assert_eq!(
        (refusal.code, refusal.field.as_str()),
        (Code::KeyBlocked, "spki_sha256")
    );
    let reissue = Transition::Reissue {
        hash: code(77),
        window: ClaimWindow::ALWAYS,
        key: KeyChoice::Only(key(1)),
    };
    assert_eq!(
        change(store, 0, reissue).await.unwrap_err().code,
        Code::KeyBlocked
    );
}

pub(super) async fn terms_that_a_row_changes_are_audited_and_hold(store: &Store) {
    import_rows(store, 1, vec![bound(0, 1)]).await;
    assert_eq!(
        logged(store, "claim_armed").await.len(),
        0,
        "the row made the device"
    );
    let outcomes = import_rows(store, 2, vec![on_terms(0, Some(2), Some(950))]).await;
    assert_eq!(word(&outcomes[0]), "spki_sha256 claim_not_after");
    let entries = logged(store, "claim_armed").await;
    assert_eq!(entries.len(), 1);
    for part in [
        key(2).to_string(),
        at(950).to_string(),
        batch_id(2).to_string(),
        found(store, 0).await.name(),
    ] {
        assert!(entries[0].contains(&part), "{part} is not in {}", entries[0]);
    }
    // Too late with the right key: the answer of a wrong code, and no alarm.
    assert_eq!(refused(store, 0, 2).await, rules::refusal());
    assert_eq!(found(store, 0).await.alarm, None);
    let outcomes = import_rows(store, 3, vec![on_terms(0, None, Some(2000)), row(1)]).await;
    assert_eq!(word(&outcomes[0]), "claim_not_after");
    assert_eq!(refused(store, 0, 1).await, rules::refusal());
    begin(store, claim(0, 2, 2)).await;
    // Behind the claim nothing of it is of use: the same file again changes nothing.
    let outcomes = import_rows(store, 4, vec![on_terms(0, Some(7), Some(3000))]).await;
    assert_eq!(word(&outcomes[0]), "unchanged");
    assert_eq!(logged(store, "claim_armed").await.len(), 2);
}

pub(super) async fn a_code_keeps_its_key_when_it_is_replaced(store: &Store) {
    import_rows(store, 1, vec![bound(0, 1), row(1)]).await;
    let reissue = |number, key| Transition::Reissue {
        hash: code(number),
        window: ClaimWindow::ALWAYS,
        key,
    };
    change(store, 0, reissue(50, KeyChoice::Kept)).await.unwrap();
    let with = |code_of, spki| {
        let mut start = claim(0, spki, code_of + spki);
        start.presented.code = code(code_of);
        start
    };
    let answer = store.begin_claim(with(50, 2)).await.unwrap();
    assert!(matches!(answer, ClaimBegun::Refused(_)), "{answer:?}");
    let permit = begin(store, with(50, 1)).await;
    let record = super::super::build::signed(&permit);
    store
        .finish_claim(record, at(1001), SOURCE)
        .await
        .unwrap()
        .unwrap();
    // It was repaired, and has another key.
    change(store, 0, reissue(60, KeyChoice::Kept)).await.unwrap();
    assert_eq!(terms(store, 0).await.unwrap().key, None);
    change(store, 0, reissue(70, KeyChoice::Only(key(3))))
        .await
        .unwrap();
    assert_eq!(terms(store, 0).await.unwrap().key, Some(key(3)));
    let taken = change(store, 1, arm(KeyChoice::Only(key(3)))).await.unwrap_err();
    assert_eq!(
        (taken.code, taken.field.as_str()),
        (Code::KeyInUse, "spki_sha256")
    );
    begin(store, with(70, 3)).await;
}

pub(super) async fn an_undo_gives_keys_and_windows_back(store: &Store) {
    for (round, unit) in (0u32..).zip([1000, 0]) {
        let (first, second, base) = (10 * round + 1, 10 * round + 2, 100 * round);
        let rows = vec![
            bound(base, base + 1),
            bound(base + 1, base + 2),
            on_terms(base + 2, None, Some(2000)),
            row(base + 3),
        ];
        import_rows(store, first, rows).await;
        let mut before = Vec::new();
        for number in 0..4 {
            before.push(terms(store, base + number).await);
        }
        // Keys go round: each part frees what the next one takes. The last goes to a device that the batch makes.
        start(store, second).await;
        let parts = [
            vec![bound(base, base + 9)],
            vec![bound(base + 1, base + 1)],
            vec![bound(base + 2, base + 2)],
            vec![on_terms(base + 3, None, Some(3000)), bound(base, base + 8)],
            vec![bound(base + 50, base + 9)],
        ];
        for (number, rows) in (0..).zip(parts) {
            let outcomes = commit(store, part(store, second, number, rows)).await;
            assert!(
                !outcomes
                    .iter()
                    .any(|outcome| matches!(outcome, RowOutcome::Refused(_))),
                "{outcomes:?}"
            );
        }
        finish(store, second).await;
        let armed = logged(store, "claim_armed").await.len();
        let answer = store
            .undo_in(batch_id(second), false, alice(), at(5000), unit)
            .await;
        assert_eq!(answer.unwrap().unwrap().blocked, 0);
        for (number, terms_before) in (0..).zip(before) {
            assert_eq!(terms(store, base + number).await, terms_before, "{number}");
        }
        assert!(
            store
                .device_by_serial(&serial(base + 50))
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(logged(store, "claim_armed").await.len(), armed + 4);
        begin(store, claim(base, base + 1, base + 1)).await;
        super::super::build::sound(store).await;
    }
}

pub(super) async fn an_undo_takes_no_key_from_others(store: &Store) {
    import_rows(store, 1, vec![bound(0, 1), bound(1, 2), row(2)]).await;
    import_rows(store, 2, vec![bound(0, 3), bound(1, 4)]).await;
    // Somebody arms one of them since, and gives the former key of the other to a third.
    change(store, 1, arm(KeyChoice::Only(key(5)))).await.unwrap();
    change(store, 2, arm(KeyChoice::Only(key(1)))).await.unwrap();
    for unit in [1000, 0] {
        let answer = store.undo_in(batch_id(2), false, alice(), at(5000), unit).await;
        let blocks = answer.unwrap().unwrap().blocks;
        let mut why: Vec<_> = blocks
            .iter()
            .map(|block| (block.row, block.refusal.message.as_str()))
            .collect();
        why.sort_unstable();
        assert_eq!(why.len(), 2, "{why:?}");
        assert!(
            why[0].1.contains("the key that it had to come with belongs to"),
            "{why:?}"
        );
        assert!(why[1].1.ends_with("has changed since"), "{why:?}");
    }
    // Values alone do not ask for terms: whatever was said of the claim since, stays.
    change(store, 1, arm(KeyChoice::Any)).await.unwrap();
    let mut moved = row(1);
    moved.row.position = Some("Hall 2".to_owned());
    import_rows(store, 3, vec![moved]).await;
    change(store, 1, arm(KeyChoice::Only(key(7)))).await.unwrap();
    let answer = store.undo_in(batch_id(3), false, alice(), at(5000), 1000).await;
    assert_eq!(answer.unwrap().unwrap().blocked, 0);
    let device = found(store, 1).await;
    assert_eq!(device.lifecycle.claim_terms().unwrap().key, Some(key(7)));
    assert_eq!(device.position.as_deref(), Some("Hall 1"));
}
