//! The limit of a wave, for benchmarks: what the engine alone does with the same records of the same file.

use super::{Store, builder, tables::DEVICES, txn};
use crate::store::StoreError;
use redb::{ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _};
use std::{
    hash::{DefaultHasher, Hasher as _},
    path::Path,
    time::{Duration, Instant},
};

impl Store {
    /// Reads the records of so many devices, spread over all, and writes each as it was: nothing is decided, rendered, indexed or
    /// told. Durable in parts of so many, as the parts of a wave are. How many it were, and how long that took.
    ///
    /// # Errors
    /// The file of a registry cannot be opened, as while a server has it open, or is damaged.
    pub fn rewrite_bare(path: &Path, devices: u64, part: usize) -> Result<(u32, Duration), StoreError> {
        let database = builder().open(path)?;
        let ids = spread(&database, devices)?;
        let began = Instant::now();
        for part in ids.chunks(part.max(1)) {
            let write = txn::begin(&database)?;
            let mut table = write.open_table(DEVICES)?;
            for id in part {
                let record = table.get(id)?.map(|record| record.value().to_vec());
                if let Some(record) = record {
                    table.insert(id, record.as_slice())?;
                }
            }
            drop(table);
            write.commit()?;
        }
        Ok((u32::try_from(ids.len()).unwrap_or(u32::MAX), began.elapsed()))
    }
}

/// About so many devices, by hashes of their ids, as a plan spreads its stages; in ascending order.
fn spread(database: &redb::Database, devices: u64) -> Result<Vec<u128>, StoreError> {
    let table = database.begin_read()?.open_table(DEVICES)?;
    let all = table.len()?.max(1);
    let mut ids = Vec::new();
    for entry in table.iter()? {
        let id = entry?.0.value();
        // An import gives ids one after the other, so that their own digits would pick neighbours.
        let mut hasher = DefaultHasher::new();
        hasher.write_u128(id);
        if hasher.finish() % all < devices {
            ids.push(id);
        }
    }
    Ok(ids)
}
