//! Certificates on record, with the indexes of them: the one place that writes them.

use super::{
    index,
    record::{Record as _, load},
    tables::Tables,
    txn::Txn,
};
use crate::store::StoreError;
use muster_domain::{
    Code, Refusal,
    certificate::{CertificateRecord, CertificateSerial, CertificateState, SpkiDigest},
};
use redb::{ReadableTable, ReadableTableMetadata as _};

/// The place of a revoked certificate in the index of its authority's lists; `None` for what stands on no list: what was
/// never signed, and what another authority signed.
pub(super) fn listed(record: &CertificateRecord) -> Option<([u8; 20], u8, u128)> {
    match (record.state, record.issuer) {
        (CertificateState::Revoked { .. }, Some(issuer)) if !record.der.is_empty() => {
            Some((issuer.0, record.serial.shard(), record.serial.as_u128()))
        }
        (CertificateState::Intended | CertificateState::Current | CertificateState::Revoked { .. }, _) => {
            None
        }
    }
}

/// The holder's part of the index of holders: a device's id; `None` for an operator, who has one certificate.
fn owned(record: &CertificateRecord) -> Option<(u128, u128)> {
    let device = record.holder.device()?;
    Some((device.as_u128(), record.serial.as_u128()))
}

/// Puts a new certificate on record. No other has its serial (I2).
pub(super) fn create(txn: &mut Txn<'_>, record: &CertificateRecord) -> Result<(), StoreError> {
    let (serial, bytes) = (record.serial.as_u128(), record.encode()?);
    let tables = txn.write();
    index::insert_new("certificates", &mut tables.certificates, serial, bytes.as_slice())?;
    if let Some(owned) = owned(record) {
        tables.certificates_by_device.insert(owned, ())?;
    }
    Ok(())
}

/// Writes a certificate that is on record, with its new state.
pub(super) fn replace(txn: &mut Txn<'_>, record: &CertificateRecord) -> Result<(), StoreError> {
    let tables = txn.write();
    tables
        .certificates
        .insert(record.serial.as_u128(), record.encode()?.as_slice())?;
    list(tables, record)
}

/// Notes what has to stand on a revocation list.
fn list(tables: &mut Tables<'_>, record: &CertificateRecord) -> Result<(), StoreError> {
    let CertificateState::Revoked { at, reason } = record.state else {
        return Ok(());
    };
    if let Some((authority, shard, serial)) = listed(record) {
        let entry = (record.not_after.millis(), at.millis(), reason.code());
        let before = tables.revoked.insert((&authority, shard, serial), entry)?;
        if before.is_some_and(|before| before.value() == entry) {
            return Ok(());
        }
        let place = (&authority, shard);
        let due = tables.lists_due.get(place)?.map_or(0, |due| due.value());
        tables.lists_due.insert(place, due + 1)?;
    }
    Ok(())
}

/// A key whose certificate was revoked for its compromise is never certified again (A7).
pub(super) fn is_open(
    blocked: &impl ReadableTable<&'static [u8; 32], u128>,
    key: SpkiDigest,
) -> Result<Result<(), Refusal>, StoreError> {
    let Some(serial) = blocked.get(&key.0)? else {
        return Ok(Ok(()));
    };
    let serial = CertificateSerial::from_u128(serial.value());
    let why = format!("certificate {serial} was revoked because this key was compromised");
    Ok(Err(Refusal::new(Code::KeyBlocked, why)))
}

/// Certifies a key never again.
pub(super) fn block(txn: &mut Txn<'_>, record: &CertificateRecord) -> Result<(), StoreError> {
    let blocked = &mut txn.write().blocked_keys;
    if blocked.get(&record.spki.0)?.is_none() {
        blocked.insert(&record.spki.0, record.serial.as_u128())?;
    }
    Ok(())
}

/// The record of a certificate that must be there.
pub(super) fn known(txn: &Txn<'_>, serial: CertificateSerial) -> Result<CertificateRecord, StoreError> {
    load(&txn.tables().certificates, serial.as_u128())?
        .ok_or_else(|| StoreError::missing("certificates", serial))
}

/// Makes the index of holders in a file of a program that had none.
pub(super) fn index_all(tables: &mut Tables<'_>) -> Result<(), StoreError> {
    if !tables.certificates_by_device.is_empty()? {
        return Ok(());
    }
    for entry in tables.certificates.iter()? {
        if let Some(owned) = owned(&CertificateRecord::from_guard(entry?.1)?) {
            tables.certificates_by_device.insert(owned, ())?;
        }
    }
    Ok(())
}
