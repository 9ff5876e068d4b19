//! Do batches, their parts and what they made of devices tell one story?

use super::{
    batches::open_kind,
    check::Check,
    parts,
    record::{Record as _, load},
    requests::Asked,
};
use crate::store::StoreError;
use muster_domain::{
    batch::{Batch, BatchState, PartRecord, SlotOutcome, Tally},
    device::Device,
    ids::BatchId,
};
use redb::{ReadableTable as _, ReadableTableMetadata as _};

/// What all batches make other tables hold.
#[derive(Default)]
struct Sums {
    parts: u64,
    seeds: u64,
    open: u64,
}

impl Check<'_> {
    /// I4: what a batch says of its rows is there, and nothing else is.
    pub(super) fn batches(&mut self) -> Result<(), StoreError> {
        let view = self.view;
        let mut sums = Sums::default();
        for entry in view.batches.iter()? {
            let (key, value) = entry?;
            let batch = Batch::from_guard(value)?;
            self.expect(batch.id.as_u128() == key.value(), || {
                format!("{} stands under another id", batch.id)
            });
            self.created(&batch);
            self.recorded(&batch, &mut sums)?;
            let kind = view.open_batches.get(key.value())?.map(|kind| kind.value());
            self.expect(kind == open_kind(&batch), || {
                format!("{}: open as {kind:?}", batch.id)
            });
            sums.open += u64::from(kind.is_some());
        }
        let orphans: Vec<_> = self.expected.batches.keys().copied().collect();
        self.expect(orphans.is_empty(), || {
            format!("devices of batches that are not there: {orphans:?}")
        });
        for (name, found, expected) in [
            ("parts", view.parts.len()?, sums.parts),
            ("seeds", view.seeds.len()?, sums.seeds),
            ("open batches", view.open_batches.len()?, sums.open),
        ] {
            self.expect(found == expected, || {
                format!("{name} has {found} entries, not {expected}")
            });
        }
        self.leftovers()
    }

    fn created(&mut self, batch: &Batch) {
        let found = self.expected.batches.remove(&batch.id).unwrap_or(0);
        let said = batch.tally.created;
        let fits = match &batch.state {
            BatchState::Undone(_) => found == 0,
            BatchState::Undoing { decided: true, .. } => found <= said,
            BatchState::Uploading
            | BatchState::Checking
            | BatchState::Planned { .. }
            | BatchState::Applying
            | BatchState::Done(_)
            | BatchState::Cancelled(_)
            | BatchState::Failed { .. }
            | BatchState::Undoing { decided: false, .. } => found == said,
        };
        self.expect(fits, || format!("{}: created {said}, found {found}", batch.id));
    }

    /// The tally is what the parts say, seeds are there until they are acknowledged, devices come from their rows.
    fn recorded(&mut self, batch: &Batch, sums: &mut Sums) -> Result<(), StoreError> {
        let (view, id) = (self.view, batch.id);
        let mut tally = Tally::default();
        for number in batch.unrecorded..batch.parts {
            sums.parts += 1;
            let key = (id.as_u128(), number);
            let Some(record) = view.parts.get(key)? else {
                self.expect(false, || format!("{id}: part {number} is not on record"));
                continue;
            };
            let record = PartRecord::from_guard(record)?;
            self.expect((record.batch, record.number) == (id, number), || {
                format!("{id}: part {number} stands in another place")
            });
            let seeded = view.seeds.get(key)?.is_some();
            sums.seeds += u64::from(seeded);
            self.expect(seeded == (number >= batch.acknowledged), || {
                format!("{id}: part {number} has its seed: {seeded}")
            });
            self.slots(batch, &record, &mut tally)?;
        }
        if batch.unrecorded == 0 {
            tally.refused = parts::refused(&view.parts, id, batch.parts)?.len() as u64;
            self.expect(tally == batch.tally, || {
                format!("{id}: says {:?}, its parts {tally:?}", batch.tally)
            });
        }
        Ok(())
    }

    fn slots(&mut self, batch: &Batch, record: &PartRecord, tally: &mut Tally) -> Result<(), StoreError> {
        let gone = matches!(
            batch.state,
            BatchState::Undone(_) | BatchState::Undoing { decided: true, .. }
        );
        for slot in &record.slots {
            match &slot.outcome {
                SlotOutcome::Created { offset } => {
                    tally.created += 1;
                    let device = load::<Device>(&self.view.devices, record.first.offset(*offset).as_u128())?;
                    let fits = device.is_some_and(|device| {
                        (device.origin.batch, device.origin.row) == (batch.id, slot.row)
                    });
                    self.expect(fits || gone, || {
                        format!("{}: the device of row {} is not there", batch.id, slot.row)
                    });
                }
                SlotOutcome::Updated { .. } => tally.updated += 1,
                SlotOutcome::Unchanged { .. } => tally.unchanged += 1,
                SlotOutcome::Refused(_) => {}
            }
        }
        Ok(())
    }

    /// Nothing is kept for parts that were acknowledged, nor for batches that are not there or were taken back.
    fn leftovers(&mut self) -> Result<(), StoreError> {
        let view = self.view;
        for entry in view.part_keys.iter()? {
            let (batch, part, row) = entry?.0.value();
            let owner = load::<Batch>(&view.batches, batch)?;
            let due = owner.is_some_and(|batch| (batch.acknowledged..batch.parts).contains(&part));
            self.expect(due, || {
                let batch = BatchId::from_u128(batch);
                format!("{batch}: the key of row {row} in part {part} is still there")
            });
        }
        for entry in view.former.iter()? {
            let (batch, part, row) = entry?.0.value();
            let owner = load::<Batch>(&view.batches, batch)?;
            let due = owner.is_some_and(|batch| {
                let taken = matches!(
                    batch.state,
                    BatchState::Undone(_) | BatchState::Undoing { decided: true, .. }
                );
                part < batch.parts && !taken
            });
            self.expect(due, || {
                let batch = BatchId::from_u128(batch);
                format!("{batch}: what row {row} of part {part} found is still there")
            });
        }
        for entry in view.batch_requests.iter()? {
            let (key, value) = entry?;
            let request = Asked::<BatchId>::from_guard(value)?;
            let known = view.batches.get(request.made.as_u128())?.is_some();
            self.expect(known, || format!("request {:?} is of no batch", key.value()));
        }
        Ok(())
    }
}
