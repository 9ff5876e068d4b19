//! Mended rows that are sent again: only those of the batch that stand refused run.

use super::check::Entry;
use crate::{
    fault::Fault,
    service::{OrFault as _, Service},
    store::Store,
};
use muster_domain::{
    Code, Refusal,
    batch::{Batch, SlotOutcome},
    manifest::{Mapping, Problem, RETRY_ROW_COLUMN, Record},
};
use std::collections::BTreeSet;
use tokio::runtime::Handle;

/// Rows that stand refused. Each runs once in a file.
pub(super) struct Refused {
    rows: BTreeSet<u32>,
    store: Store,
    runtime: Handle,
}

/// Where a file of mended rows says which rows of the batch they are.
pub(super) enum Numbers {
    /// It is not the first file of its batch, and the numbers stand in this column.
    Column(String),
    /// Rows count as they stand.
    AsTheyStand,
}

impl Numbers {
    /// For the file of an attempt.
    pub(super) fn of(attempt: u32, mapping: &Mapping) -> Self {
        match mapping.retry() {
            Some(retry) if attempt > 0 => Self::Column(retry.row.to_owned()),
            Some(_) | None => Self::AsTheyStand,
        }
    }

    /// The number of a record in the first file of its batch; `None` when its cell does not say.
    pub(super) fn number(&self, columns: &[String], record: &Record) -> Option<u32> {
        let Self::Column(column) = self else {
            return Some(record.row());
        };
        let text = if record.is_named() {
            record.fields().find(|(name, _)| name == column)?.1
        } else {
            record.cell(columns.iter().position(|name| name == column)?)?
        };
        text.trim().parse().ok()
    }
}

/// A row of the retry that names no row of the batch.
pub(super) fn unnumbered(row: u32) -> Problem {
    let why =
        format!("says in {RETRY_ROW_COLUMN} of no row of the batch which it is; leave the column as it came");
    let refusal = Refusal::new(Code::ValueMissing, why).at(format!("rows[{row}].retry_row"));
    Problem::new(refusal).in_column(RETRY_ROW_COLUMN)
}

impl Service {
    /// What of a file of mended rows runs; `None` for the first file of a batch, of which everything does. To be asked
    /// where a runtime is.
    pub(super) async fn refused(&self, batch: &Batch) -> Result<Option<Refused>, Fault> {
        if batch.attempt == 0 {
            return Ok(None);
        }
        let rows = self.store.refused_rows(batch.id).await;
        Ok(Some(Refused {
            rows: rows.or_fault("find refused rows")?,
            store: self.store.clone(),
            runtime: Handle::current(),
        }))
    }
}

impl Refused {
    /// How a row ends that does not run, because it was accepted before; `None` when it runs. Blocks.
    pub(super) fn settled(&mut self, entry: &Entry) -> Result<Option<SlotOutcome>, Fault> {
        if self.rows.remove(&entry.row) {
            return Ok(None);
        }
        let serial = match &entry.outcome {
            Ok(valid) => valid.row.serial.as_str(),
            // What is wrong with it is said, whether it was to run or not.
            Err(_) => return Ok(None),
        };
        let known = self.runtime.block_on(self.store.device_by_serial(serial));
        let outcome = match known.or_fault("load a device")? {
            Some(device) => SlotOutcome::Unchanged { device: device.id },
            None => SlotOutcome::Refused(vec![unnumbered(entry.row)]),
        };
        Ok(Some(outcome))
    }
}
