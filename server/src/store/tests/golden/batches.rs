//! Batches and their parts.

use super::{check, opens};
use crate::store::{
    embedded::{Asked, Record as _},
    tests::build::{at, batch, batch_id, fresh},
};
use muster_domain::{
    Code, Refusal,
    activation::Seed,
    batch::{
        Batch, BatchSpec, BatchState, CredentialKind, Ending, KeyFormat, PartRecord, PlanHash, SentFile,
        Slot, SlotOutcome, Tally,
    },
    manifest::{Format, Problem, Writes},
};
use std::time::Duration;

#[test]
fn batches() {
    // The batches of version 1 that ended are what they were; those that were cut cannot be finished any more.
    let former = Batch {
        request_id: String::new(),
        next_seed: Seed::from_bytes([0; 16]),
        tally: Tally {
            created: 5,
            ..Tally::default()
        },
        rows: 5,
        parts: 2,
        acknowledged: 2,
        unrecorded: 2,
        ..batch(1)
    };
    let state = |state, changed| Batch {
        state,
        changed,
        ..former.clone()
    };
    opens("batch_applying", 1, &state(BatchState::Cancelled(at(1)), at(1)));
    opens("batch_done", 1, &state(BatchState::Done(at(9)), at(9)));

    let mut full = batch(2);
    full.spec = spec();
    full.attempt = 1;
    full.format = Some(Format::Csv);
    full.sheet = "Devices".to_owned();
    full.mapping = Some(("line-7".parse().unwrap(), 3));
    full.plan = Some(PlanHash([4; 32]));
    (full.rows, full.parts, full.first_part, full.acknowledged) = (9, 3, 2, 1);
    full.tally.refused = 4;
    full.former.push(SentFile {
        name: "line7.csv".to_owned(),
        bytes: 7,
        sha256: Some([1; 32]),
        sheet: String::new(),
        mapping: None,
        first_part: 0,
    });
    check("batch_applying", &full);
    let refusal = Refusal::new(Code::PlanMoved, "moved").at("plan_hash");
    let ended = Ending::Failed(at(3), refusal.clone());
    for (name, state) in [
        ("uploading", BatchState::Uploading),
        ("checking", BatchState::Checking),
        (
            "planned",
            BatchState::Planned {
                until: at(7),
                tally: full.tally,
            },
        ),
        ("done", BatchState::Done(at(9))),
        ("cancelled", BatchState::Cancelled(at(9))),
        ("failed", BatchState::Failed { at: at(9), refusal }),
        ("undoing", BatchState::Undoing { ended, decided: true }),
        ("undone", BatchState::Undone(at(9))),
    ] {
        check(&format!("batch_{name}"), &Batch { state, ..batch(2) });
    }
    let request = Asked {
        made: batch_id(1),
        digest: [5; 32],
    };
    check("batch_request", &request);
}

fn spec() -> BatchSpec {
    BatchSpec {
        file_name: "failed.csv".to_owned(),
        format: Some(Format::Ndjson),
        sheet: "Devices".to_owned(),
        header_row: 3,
        record_path: "devices".to_owned(),
        signers: vec![vec![0x30, 0]],
        mapping: Some(("line-7".parse().unwrap(), Some(2))),
        save_mapping: Some("line-8".parse().unwrap()),
        default_model: Some("GW-200".parse().unwrap()),
        validate_only: true,
        plan_hash: Some(PlanHash([9; 32])),
        all_or_nothing: true,
        writes: Writes::UpdateOnly,
        update_mask: vec!["site".to_owned()],
        credential: CredentialKind::Pinned,
        code_ttl: Duration::from_secs(60),
        key_format: KeyFormat::Pkcs12,
        key_recipient: "age1".to_owned(),
    }
}

#[test]
fn parts() {
    let problem = Problem::new(Refusal::new(Code::MacLocal, "local").at("rows[7].mac"))
        .in_column("MAC")
        .with_value("02-00")
        .with_rule("assigned");
    let id = fresh(1, 1).id;
    let slot = |row, outcome| Slot {
        row,
        outcome,
        warnings: Vec::new(),
    };
    let record = PartRecord {
        batch: batch_id(1),
        number: 3,
        attempt: 1,
        first: id,
        slots: vec![
            Slot {
                warnings: vec![problem.clone()],
                ..slot(7, SlotOutcome::Created { offset: 300 })
            },
            slot(
                8,
                SlotOutcome::Updated {
                    device: id,
                    changes: vec!["site".to_owned()],
                },
            ),
            slot(9, SlotOutcome::Unchanged { device: id }),
            slot(300, SlotOutcome::Refused(vec![problem])),
        ],
    };
    check("part", &record);
    // A million rows that made devices must not weigh much beside the devices.
    let slots = (0..10_000).map(|row| slot(row, SlotOutcome::Created { offset: row }));
    let plain = PartRecord {
        slots: slots.collect(),
        ..record
    };
    assert!(plain.encode().unwrap().len() < 8 * 10_000);
}
