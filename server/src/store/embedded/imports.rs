//! Parts of an import: decided, then written, in one step.

use super::{
    Store, batches, certificates,
    decide::{Decided, Registry, digest},
    devices::on_terms,
    index, keys, parts,
    record::Record as _,
    registry,
    tables::View,
    txn::Txn,
};
use crate::store::{CommittedPart, ImportPart, PartRow, PreviewedPart, StoreError};
use muster_domain::{
    Code, Refusal,
    audit::{Action, Event},
    batch::{Batch, BatchState, BatchStep, PartRecord, Reach, Slot, SlotOutcome, Tally, ValuesDigest},
    device::Device,
    ids::DeviceId,
    manifest::{FreshCredential, Problem, RowOutcome},
};

impl Store {
    /// What a commit of this part would do now, and the digest of it for a plan. Writes nothing and needs no batch.
    pub async fn preview_import_part(&self, part: ImportPart) -> Result<PreviewedPart, StoreError> {
        self.blocking(move |txn| {
            let view = View::open(txn)?;
            let registry = Registry {
                serials: &view.serials,
                macs: &view.macs,
                keys: &view.keys,
                blocked_keys: &view.blocked_keys,
                devices: &view.devices,
                open: &view.open_batches,
            };
            let decided = registry.decide(&part)?;
            let digests = decided.iter().zip(&part.rows);
            let digests = digests.map(|((outcome, before), row)| digest(row, outcome, before.as_ref()));
            Ok(PreviewedPart {
                digests: digests.collect(),
                outcomes: decided.into_iter().map(|(outcome, _)| outcome).collect(),
            })
        })
        .await
    }

    /// Commits a part: every accepted row with its record and the next seed or, after a crash, nothing. Refused when the
    /// batch is not being applied (any more), or is at another attempt.
    pub async fn commit_import_part(
        &self,
        part: ImportPart,
    ) -> Result<Result<CommittedPart, Refusal>, StoreError> {
        let weight = part.rows.len() + part.settled.len();
        self.write_rows(weight, move |txn| commit(txn, &part)).await
    }
}

fn commit(txn: &mut Txn<'_>, part: &ImportPart) -> Result<Result<CommittedPart, Refusal>, StoreError> {
    // 1. Everything that can say no.
    let batch = match due(txn, part)? {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if part.rows.iter().any(|row| row.certificate.is_some())
        && let Err(refusal) = registry::clock_runs(txn, part.now)?
    {
        return Ok(Err(refusal));
    }
    let tables = txn.tables();
    let registry = Registry {
        serials: &tables.serials,
        macs: &tables.macs,
        keys: &tables.keys,
        blocked_keys: &tables.blocked_keys,
        devices: &tables.devices,
        open: &tables.open_batches,
    };
    let mut decided = registry.decide(part)?;
    uncertified(part, &mut decided);
    if part.whole && refuses(part, &decided) {
        return Ok(Ok(CommittedPart {
            batch,
            written: false,
            outcomes: decided.into_iter().map(|(outcome, _)| outcome).collect(),
        }));
    }
    let sent_again = sent_again(txn, part)?;
    // 2. The devices, and what they were.
    let tally = write(txn, part, &decided)?;
    // 3. The record of the part with its seed, and the batch behind it: it is never committed again.
    record(txn, part, &batch, &decided)?;
    let committed = BatchStep::PartCommitted {
        tally,
        sent_again,
        next_seed: part.next_seed.clone(),
    };
    let batch = match batch.step(committed, part.now) {
        Ok(batch) => batch,
        Err(refusal) => return Err(StoreError::damaged("batches", refusal)),
    };
    batches::put(txn, &batch)?;
    let event = Event::new(
        part.now,
        part.actor.clone(),
        Action::BatchPartCommitted,
        batch.name(),
    );
    txn.audit(&batches::tallied(event, tally).with("part", part.number))?;
    Ok(Ok(CommittedPart {
        batch,
        written: true,
        outcomes: decided.into_iter().map(|(outcome, _)| outcome).collect(),
    }))
}

/// The batch, if this is its next part.
fn due(txn: &Txn<'_>, part: &ImportPart) -> Result<Result<Batch, Refusal>, StoreError> {
    let batch = match batches::find(txn, part.batch)? {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if batch.state != BatchState::Applying || batch.attempt != part.attempt {
        return Ok(Err(batch.refusal("be applied")));
    }
    if batch.parts != part.number {
        return Err(StoreError::PartOutOfTurn {
            batch: batch.id,
            part: part.number,
            expected: batch.parts,
        });
    }
    Ok(Ok(batch))
}

/// A device that is created with a certificate has one: where the row's was not signed, because the device was
/// there when the part was made, it is gone since.
fn uncertified(part: &ImportPart, decided: &mut [Decided]) {
    for ((outcome, _), row) in decided.iter_mut().zip(&part.rows) {
        let is_certified = matches!(row.fresh.credential, FreshCredential::Certified(_));
        if is_certified && row.certificate.is_none() && matches!(outcome, RowOutcome::Created(_)) {
            let why = format!("{} went away while its row was on its way", row.row.row.serial);
            let problem = Problem::new(Refusal::new(Code::RowMoved, why)).in_row(row.row.row.row);
            *outcome = RowOutcome::Refused(vec![problem]);
        }
    }
}

fn refuses(part: &ImportPart, decided: &[Decided]) -> bool {
    let settled = part.settled.iter();
    settled
        .map(|(_, slot)| &slot.outcome)
        .any(|outcome| matches!(outcome, SlotOutcome::Refused(_)))
        || decided
            .iter()
            .any(|(outcome, _)| matches!(outcome, RowOutcome::Refused(_)))
}

/// How many rows of the part stand refused from a former attempt: their new outcome replaces that.
fn sent_again(txn: &Txn<'_>, part: &ImportPart) -> Result<u64, StoreError> {
    if part.attempt == 0 {
        return Ok(0);
    }
    let refused = parts::refused(&txn.tables().parts, part.batch, part.number)?;
    let rows = part.rows.iter().map(|row| row.fresh.origin.row);
    let rows = rows.chain(part.settled.iter().map(|(_, slot)| slot.row));
    Ok(rows.filter(|row| refused.contains(row)).count() as u64)
}

/// Writes every accepted row.
fn write(txn: &mut Txn<'_>, part: &ImportPart, decided: &[Decided]) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    for (_, slot) in &part.settled {
        match slot.outcome {
            SlotOutcome::Created { .. } => tally.created += 1,
            SlotOutcome::Updated { .. } => tally.updated += 1,
            SlotOutcome::Unchanged { .. } => tally.unchanged += 1,
            SlotOutcome::Refused(_) => tally.refused += 1,
        }
    }
    let mut created = Vec::with_capacity(decided.len());
    for ((outcome, before), row) in decided.iter().zip(&part.rows) {
        match (outcome, before) {
            (RowOutcome::Created(device), _) => {
                tally.created += 1;
                created.push(&**device);
                certify(txn, part, row)?;
            }
            (
                RowOutcome::Updated {
                    device: after,
                    changes,
                },
                Some(before),
            ) => {
                tally.updated += 1;
                let reach = Reach::of(changes);
                match reach {
                    Reach::Values => {}
                    Reach::Terms => rearm(txn, part, row, before, after)?,
                }
                index::replace(txn, before, after)?;
                let key = (part.batch.as_u128(), part.number, row.fresh.origin.row);
                let made = u128::from_be_bytes(ValuesDigest::reaching(after, reach).0);
                txn.write()
                    .former
                    .insert(key, (made, before.encode()?.as_slice()))?;
            }
            (RowOutcome::Updated { device: after, .. }, None) => {
                return Err(StoreError::missing("devices", after.id));
            }
            (RowOutcome::Unchanged(_), _) => tally.unchanged += 1,
            (RowOutcome::Refused(_), _) => tally.refused += 1,
        }
    }
    index::create(txn, &created)?;
    Ok(tally)
}

/// A row changed on which terms its device may be claimed: the key is the device's from now on, and the log says so, as
/// if an operator had changed that one device.
fn rearm(
    txn: &mut Txn<'_>,
    part: &ImportPart,
    row: &PartRow,
    before: &Device,
    after: &Device,
) -> Result<(), StoreError> {
    keys::replace(txn, before, after)?;
    let event = Event::new(part.now, part.actor.clone(), Action::ClaimArmed, after.name());
    let event = event.with("batch", part.batch).with("row", row.fresh.origin.row);
    txn.audit(&on_terms(event, after)).map(drop)
}

/// What comes with a new device: its certificate, the key that was made for it.
fn certify(txn: &mut Txn<'_>, part: &ImportPart, row: &PartRow) -> Result<(), StoreError> {
    if let Some(key) = &row.key {
        let place = (part.batch.as_u128(), part.number, row.fresh.origin.row);
        index::insert_new("part_keys", &mut txn.write().part_keys, place, key.as_slice())?;
    }
    let Some(certificate) = &row.certificate else {
        return Ok(());
    };
    certificates::create(txn, certificate)?;
    registry::set_last_issued(txn, part.now)
}

/// Writes what became of each row, in the order of the file, and what codes follow from.
fn record(
    txn: &mut Txn<'_>,
    part: &ImportPart,
    batch: &Batch,
    decided: &[Decided],
) -> Result<(), StoreError> {
    let mut settled = part.settled.iter().peekable();
    let mut slots = Vec::with_capacity(decided.len() + part.settled.len());
    for ((outcome, _), row) in decided.iter().zip(&part.rows) {
        while let Some((_, slot)) = settled.next_if(|(place, _)| *place <= slots.len()) {
            slots.push(slot.clone());
        }
        slots.push(Slot {
            row: row.fresh.origin.row,
            outcome: slot_outcome(part.first, outcome)?,
            warnings: row.warnings.clone(),
        });
    }
    slots.extend(settled.map(|(_, slot)| slot.clone()));
    let key = (part.batch.as_u128(), part.number);
    let record = PartRecord {
        batch: part.batch,
        number: part.number,
        attempt: part.attempt,
        first: part.first,
        slots,
    };
    let tables = txn.write();
    index::insert_new("parts", &mut tables.parts, key, record.encode()?.as_slice())?;
    tables.seeds.insert(key, &batch.next_seed.to_bytes())?;
    Ok(())
}

fn slot_outcome(first: DeviceId, outcome: &RowOutcome) -> Result<SlotOutcome, StoreError> {
    Ok(match outcome {
        RowOutcome::Created(device) => SlotOutcome::Created {
            offset: offset(first, device)?,
        },
        RowOutcome::Updated { device, changes } => SlotOutcome::Updated {
            device: device.id,
            changes: changes.clone(),
        },
        RowOutcome::Unchanged(device) => SlotOutcome::Unchanged { device: *device },
        RowOutcome::Refused(problems) => SlotOutcome::Refused(problems.clone()),
    })
}

fn offset(first: DeviceId, device: &Device) -> Result<u32, StoreError> {
    let offset = u32::try_from(device.id.as_u128().wrapping_sub(first.as_u128()));
    offset.map_err(|_| StoreError::Unencodable {
        table: "parts",
        why: format!("{} does not count up from {first}", device.id),
    })
}
