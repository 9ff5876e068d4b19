//! Parts on record: what a caller is told about its rows, as often as it asks.

use super::{
    Store,
    record::{Record as _, load},
    tables::{BATCHES, CERTIFICATES, DEVICES, PART_KEYS, PARTS, SEEDS},
};
use crate::store::{RecordedPart, StoreError};
use muster_domain::{
    activation::Seed,
    batch::{Batch, CredentialKind, PartRecord, SlotOutcome},
    certificate::CertificateRecord,
    device::Device,
    ids::BatchId,
};
use redb::{ReadTransaction, ReadableTable};
use std::collections::{BTreeMap, BTreeSet};

impl Store {
    /// A part of a batch, with what its codes and keys can be shown from. `None` when it is not committed, or was before
    /// parts were recorded.
    pub async fn batch_part(&self, id: BatchId, number: u32) -> Result<Option<RecordedPart>, StoreError> {
        self.blocking(move |txn| {
            let key = (id.as_u128(), number);
            let Some(record) = txn.open_table(PARTS)?.get(key)? else {
                return Ok(None);
            };
            let record = PartRecord::from_guard(record)?;
            let seed = txn
                .open_table(SEEDS)?
                .get(key)?
                .map(|seed| Seed::from_bytes(*seed.value()));
            let mut keys = BTreeMap::new();
            let range = (key.0, number, 0)..=(key.0, number, u32::MAX);
            for entry in txn.open_table(PART_KEYS)?.range(range)? {
                let (place, key) = entry?;
                keys.insert(place.value().2, key.value().to_vec());
            }
            let mut part = RecordedPart {
                record,
                seed,
                keys,
                certificates: BTreeMap::new(),
                serials: BTreeMap::new(),
            };
            add_certificates(txn, id, &mut part)?;
            Ok(Some(part))
        })
        .await
    }

    /// The rows of a batch that stand refused after all its attempts: those that a retry is for.
    pub async fn refused_rows(&self, id: BatchId) -> Result<BTreeSet<u32>, StoreError> {
        self.blocking(move |txn| refused(&txn.open_table(PARTS)?, id, u32::MAX))
            .await
    }
}

/// Adds the certificates with which a part's devices were created; none where devices claim theirs.
fn add_certificates(txn: &ReadTransaction, id: BatchId, part: &mut RecordedPart) -> Result<(), StoreError> {
    let batch = load::<Batch>(&txn.open_table(BATCHES)?, id.as_u128())?;
    let claims = |batch: &Batch| batch.spec.credential == CredentialKind::Code;
    if batch.as_ref().is_none_or(claims) {
        return Ok(());
    }
    let (devices, certificates) = (txn.open_table(DEVICES)?, txn.open_table(CERTIFICATES)?);
    for slot in &part.record.slots {
        let SlotOutcome::Created { offset } = slot.outcome else {
            continue;
        };
        let device = load::<Device>(&devices, part.record.first.offset(offset).as_u128())?;
        let Some(device) = device else { continue };
        let Some(serial) = device.lifecycle.certificate() else {
            continue;
        };
        if let Some(certificate) = load::<CertificateRecord>(&certificates, serial.as_u128())? {
            part.certificates.insert(slot.row, certificate.der);
            part.serials.insert(slot.row, device.serial);
        }
    }
    Ok(())
}

/// Rows that stand refused after the parts before `end`: of a row that was sent again, the last word counts.
pub(super) fn refused(
    parts: &impl ReadableTable<(u128, u32), &'static [u8]>,
    id: BatchId,
    end: u32,
) -> Result<BTreeSet<u32>, StoreError> {
    let mut rows = BTreeSet::new();
    let id = id.as_u128();
    for entry in parts.range((id, 0)..(id, end))? {
        for slot in PartRecord::from_guard(entry?.1)?.slots {
            match slot.outcome {
                SlotOutcome::Refused(_) => rows.insert(slot.row),
                SlotOutcome::Created { .. } | SlotOutcome::Updated { .. } | SlotOutcome::Unchanged { .. } => {
                    rows.remove(&slot.row)
                }
            };
        }
    }
    Ok(rows)
}
