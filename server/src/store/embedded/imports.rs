//! Batches and the parts of an import.

use super::{
    Store, index,
    record::{Record as _, load},
    tables::{BATCHES, View},
    txn::Txn,
};
use crate::store::{ImportPart, StoreError};
use muster_domain::{
    Code, Refusal, Timestamp,
    audit::{Action, Actor, Event},
    batch::{Batch, BatchState, Tally},
    device::Device,
    ids::{BatchId, DeviceId},
    manifest::{Fresh, Holders, Limits, RowOutcome, ValidRow},
};
use redb::ReadableTable;

impl Store {
    /// Starts an import.
    pub async fn create_batch(&self, batch: Batch, event: Event) -> Result<(), StoreError> {
        self.write(move |txn| {
            let record = batch.encode()?;
            index::insert_new(
                "batches",
                &mut txn.write().batches,
                batch.id.as_u128(),
                record.as_slice(),
            )?;
            txn.audit(&event).map(drop)
        })
        .await
    }

    /// What a commit of this part would answer now. Writes nothing and needs no batch.
    pub async fn preview_import_part(&self, part: ImportPart) -> Result<Vec<RowOutcome>, StoreError> {
        self.blocking(move |txn| {
            let view = View::open(txn)?;
            let outcomes = decide(&part, &view.serials, &view.macs, &view.devices)?;
            Ok(outcomes.into_iter().map(|(outcome, _)| outcome).collect())
        })
        .await
    }

    /// Commits a part: every accepted row or, after a crash, none. One outcome a row, in their order.
    pub async fn commit_import_part(&self, part: ImportPart) -> Result<Vec<RowOutcome>, StoreError> {
        self.write_rows(part.rows.len(), move |txn| commit(txn, &part))
            .await
    }

    /// Ends an import; doing so again changes nothing.
    pub async fn finish_batch(&self, id: BatchId, now: Timestamp, actor: Actor) -> Result<Batch, StoreError> {
        self.write(move |txn| finish(txn, id, now, &actor)).await
    }

    /// The record of an import.
    pub async fn batch(&self, id: BatchId) -> Result<Option<Batch>, StoreError> {
        load(&self.read()?.open_table(BATCHES)?, id.as_u128())
    }

    /// Imports older than `before`, newest first.
    pub async fn list_batches(
        &self,
        before: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>, StoreError> {
        self.blocking(move |txn| {
            let table = txn.open_table(BATCHES)?;
            let range = match before {
                Some(before) => table.range(..before.as_u128())?,
                None => table.range::<u128>(..)?,
            };
            range
                .rev()
                .take(limit)
                .map(|entry| Batch::from_guard(entry?.1))
                .collect()
        })
        .await
    }
}

/// The outcome of a row, with the device as it was where it is updated.
type Decided = (RowOutcome, Option<Device>);

/// Decides about every row against one state of the registry.
fn decide(
    part: &ImportPart,
    serials: &impl ReadableTable<&'static str, u128>,
    macs: &impl ReadableTable<u128, u128>,
    devices: &impl ReadableTable<u128, &'static [u8]>,
) -> Result<Vec<Decided>, StoreError> {
    let by_serial = holders(
        &part.rows,
        |row| Some(row.row.serial.as_str()),
        |keys| index::find_sorted(serials, keys),
    )?;
    let by_mac = holders(
        &part.rows,
        |row| Some(row.row.mac?.key()),
        |keys| index::find_sorted(macs, keys),
    )?;
    let decided = part.rows.iter().zip(by_serial.into_iter().zip(by_mac));
    let decided = decided.map(|((row, fresh), (serial, mac))| -> Result<Decided, StoreError> {
        let number = row.row.row;
        let (serial, mac) = match (serial, mac) {
            (Holder::EarlierRow(earlier), _) => {
                return Ok((repeated(Code::SerialRepeated, number, "serial", earlier), None));
            }
            (_, Holder::EarlierRow(earlier)) => {
                return Ok((repeated(Code::MacRepeated, number, "mac", earlier), None));
            }
            (serial, mac) => (serial.device(), mac.device()),
        };
        let holder = match serial {
            Some(id) => Some(
                load::<Device>(devices, id)?
                    .ok_or_else(|| StoreError::missing("devices", DeviceId::from_u128(id)))?,
            ),
            None => None,
        };
        let holders = Holders {
            serial: holder.as_ref(),
            mac: mac.map(DeviceId::from_u128),
        };
        let outcome = part.intake.decide(row, holders, fresh, &Limits::default());
        Ok((outcome, holder))
    });
    decided.collect()
}

/// Who has the key of a row.
#[derive(Clone, Copy)]
enum Holder {
    Nobody,
    Device(u128),
    /// An earlier row of this part, by its number. The manifest's own check names these first; here they would break
    /// uniqueness.
    EarlierRow(u32),
}

impl Holder {
    const fn device(self) -> Option<u128> {
        match self {
            Self::Device(id) => Some(id),
            Self::Nobody | Self::EarlierRow(_) => None,
        }
    }
}

fn repeated(code: Code, row: u32, field: &str, earlier: u32) -> RowOutcome {
    let refusal = Refusal::new(code, format!("row {earlier} has the same"));
    RowOutcome::Refused(vec![refusal.at(format!("rows[{row}].{field}")).into()])
}

/// Looks up one key of every row, in the order of the keys.
fn holders<'r, K: Ord + Copy>(
    rows: &'r [(ValidRow, Fresh)],
    key: impl Fn(&'r ValidRow) -> Option<K>,
    find: impl FnOnce(&[K]) -> Result<Vec<Option<u128>>, StoreError>,
) -> Result<Vec<Holder>, StoreError> {
    let mut sorted: Vec<(K, usize)> = rows
        .iter()
        .enumerate()
        .filter_map(|(place, (row, _))| Some((key(row)?, place)))
        .collect();
    sorted.sort_unstable();
    let keys: Vec<K> = sorted.iter().map(|(key, _)| *key).collect();
    let found = find(&keys)?;
    let mut holders = vec![Holder::Nobody; rows.len()];
    let mut first: Option<(K, usize)> = None;
    for ((key, place), id) in sorted.into_iter().zip(found) {
        holders[place] = match (first, id) {
            (Some((known, earlier)), _) if known == key => Holder::EarlierRow(rows[earlier].0.row.row),
            (_, Some(id)) => Holder::Device(id),
            (_, None) => Holder::Nobody,
        };
        if first.is_none_or(|(known, _)| known != key) {
            first = Some((key, place));
        }
    }
    Ok(holders)
}

fn commit(txn: &mut Txn<'_>, part: &ImportPart) -> Result<Vec<RowOutcome>, StoreError> {
    // 1. Decide.
    let tables = txn.tables();
    let batch = load::<Batch>(&tables.batches, part.batch.as_u128())?;
    let mut batch = batch.ok_or_else(|| StoreError::missing("batches", part.batch))?;
    let expected = (batch.state == BatchState::Applying).then_some(batch.parts);
    if expected != Some(part.number) {
        return Err(StoreError::PartOutOfTurn {
            batch: batch.id,
            part: part.number,
            expected,
        });
    }
    let decided = decide(part, &tables.serials, &tables.macs, &tables.devices)?;
    let refused = |(outcome, _): &Decided| matches!(outcome, RowOutcome::Refused(_));
    if part.whole && decided.iter().any(refused) {
        return Ok(decided.into_iter().map(|(outcome, _)| outcome).collect());
    }
    // 2. Write the devices.
    let mut tally = Tally {
        refused: part.refused,
        ..Tally::default()
    };
    let mut created = Vec::with_capacity(decided.len());
    for (outcome, before) in &decided {
        match (outcome, before) {
            (RowOutcome::Created(device), _) => {
                tally.created += 1;
                created.push(&**device);
            }
            (RowOutcome::Updated { device: after, .. }, Some(before)) => {
                tally.updated += 1;
                index::replace(txn, before, after)?;
            }
            (RowOutcome::Updated { device: after, .. }, None) => {
                return Err(StoreError::missing("devices", after.id));
            }
            (RowOutcome::Unchanged(_), _) => tally.unchanged += 1,
            (RowOutcome::Refused(_), _) => tally.refused += 1,
        }
    }
    index::create(txn, &created)?;
    // 3. Count the part, so that it is never committed again.
    batch.parts += 1;
    batch.tally = batch.tally.plus(tally);
    txn.write()
        .batches
        .insert(batch.id.as_u128(), batch.encode()?.as_slice())?;
    let event = Event::new(
        part.now,
        part.actor.clone(),
        Action::BatchPartCommitted,
        name(batch.id),
    );
    txn.audit(&tallied(event, tally).with("part", part.number))?;
    Ok(decided.into_iter().map(|(outcome, _)| outcome).collect())
}

fn name(id: BatchId) -> String {
    format!("batches/{id}")
}

fn tallied(event: Event, tally: Tally) -> Event {
    event
        .with("created", tally.created)
        .with("updated", tally.updated)
        .with("unchanged", tally.unchanged)
        .with("refused", tally.refused)
}

fn finish(txn: &mut Txn<'_>, id: BatchId, now: Timestamp, actor: &Actor) -> Result<Batch, StoreError> {
    let batch = load::<Batch>(&txn.tables().batches, id.as_u128())?;
    let mut batch = batch.ok_or_else(|| StoreError::missing("batches", id))?;
    if batch.state == BatchState::Applying {
        batch.state = BatchState::Done(now);
        txn.write()
            .batches
            .insert(id.as_u128(), batch.encode()?.as_slice())?;
        let event = Event::new(now, actor.clone(), Action::BatchFinished, name(id));
        txn.audit(&tallied(event, batch.tally).with("parts", batch.parts))?;
    }
    Ok(batch)
}
