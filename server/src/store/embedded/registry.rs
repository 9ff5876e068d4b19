//! What the registry knows of itself, and how it begins.

use super::{
    Store, operators,
    record::{Record as _, load_named},
    tables::REGISTRY,
    txn::Txn,
};
use crate::store::{NewOperator, RegistryInfo, StoreError};
use muster_domain::{Code, Refusal, Timestamp, audit::Event};
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use std::time::Duration;

/// The newest format that this program reads, and the one it writes.
///
/// 1: batches of one call, devices with codes. 2: batches that survive, and every record with a version of its own.
/// 3: devices renew their certificates; revocations have reasons. 4: devices in groups, secrets, changes.
pub const FORMAT: u32 = 4;

/// [`FORMAT`] of the file, four bytes, big-endian. Read before anything else, and never of another shape.
const FORMAT_KEY: &str = "format";
/// [`RegistryInfo`].
const INFO: &str = "info";
/// Milliseconds of the youngest intent to issue, eight bytes, big-endian.
const LAST_ISSUED: &str = "last_issued";

/// How far the clock may go back before nothing is issued any more (H4): more than a step of NTP, less than anybody
/// would notice on a certificate.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

impl Store {
    /// What the registry knows of itself; `None` before it was made.
    pub async fn registry(&self) -> Result<Option<RegistryInfo>, StoreError> {
        load_named(&self.read()?.open_table(REGISTRY)?, INFO)
    }

    /// Makes the registry with its first admin. Refused when there is one already.
    pub async fn create_registry(
        &self,
        info: RegistryInfo,
        admin: NewOperator,
        event: Event,
    ) -> Result<Result<(), Refusal>, StoreError> {
        self.write(move |txn| create(txn, &info, &admin, &event)).await
    }
}

fn create(
    txn: &mut Txn<'_>,
    info: &RegistryInfo,
    admin: &NewOperator,
    event: &Event,
) -> Result<Result<(), Refusal>, StoreError> {
    if txn.tables().registry.get(INFO)?.is_some() {
        return Ok(Err(Refusal::new(
            Code::RequestInvalid,
            "the store holds a registry already",
        )));
    }
    if let Err(refusal) = operators::insert(txn, admin)? {
        return Ok(Err(refusal));
    }
    txn.write().registry.insert(INFO, info.encode()?.as_slice())?;
    txn.audit(event)?;
    Ok(Ok(()))
}

/// Writes the format into a new file, or into one of an older program: what is written from now on, that program could
/// not read.
pub(super) fn mark(txn: &WriteTransaction) -> Result<(), StoreError> {
    let mut table = txn.open_table(REGISTRY)?;
    if format(&table)? != Some(FORMAT) {
        table.insert(FORMAT_KEY, FORMAT.to_be_bytes().as_slice())?;
    }
    Ok(())
}

/// Refuses a file of a newer program.
pub(super) fn check_format(txn: &ReadTransaction) -> Result<(), StoreError> {
    let table = match txn.open_table(REGISTRY) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    match format(&table)? {
        Some(found) if found > FORMAT => Err(StoreError::Format { found, known: FORMAT }),
        Some(_) | None => Ok(()),
    }
}

/// The format on record.
pub(super) fn format(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Option<u32>, StoreError> {
    let Some(found) = table.get(FORMAT_KEY)? else {
        return Ok(None);
    };
    let found = number(found.value()).and_then(|found| u32::try_from(found).ok());
    found
        .ok_or_else(|| StoreError::damaged("registry", "the format is not a number"))
        .map(Some)
}

fn number(bytes: &[u8]) -> Option<u64> {
    let mut full = [0; 8];
    full[8usize.checked_sub(bytes.len())?..].copy_from_slice(bytes);
    Some(u64::from_be_bytes(full))
}

/// When the youngest certificate was intended.
pub(super) fn last_issued(txn: &Txn<'_>) -> Result<Timestamp, StoreError> {
    let Some(value) = txn.tables().registry.get(LAST_ISSUED)? else {
        return Ok(Timestamp::default());
    };
    let millis = number(value.value());
    let millis = millis.ok_or_else(|| StoreError::damaged("registry", "the last issue is not a time"))?;
    Ok(Timestamp::from_millis(millis))
}

/// Nothing is issued when the clock went back (H4).
pub(super) fn clock_runs(txn: &Txn<'_>, now: Timestamp) -> Result<Result<(), Refusal>, StoreError> {
    let last = last_issued(txn)?;
    if now >= last.minus(CLOCK_TOLERANCE) {
        return Ok(Ok(()));
    }
    let (now, last) = (now.millis(), last.millis());
    tracing::error!(
        now,
        last,
        "the clock went back: no certificate is issued until it is set"
    );
    let why = "the clock of the server went back";
    Ok(Err(Refusal::new(Code::ClockBehind, why)))
}

/// Notes that something was issued; the clock may have gone back a little since.
pub(super) fn set_last_issued(txn: &mut Txn<'_>, at: Timestamp) -> Result<(), StoreError> {
    let at = at.max(last_issued(txn)?);
    txn.write()
        .registry
        .insert(LAST_ISSUED, at.millis().to_be_bytes().as_slice())?;
    Ok(())
}
