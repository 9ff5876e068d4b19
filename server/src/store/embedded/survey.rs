//! What stands in the way of taking a batch back.

use super::record::{Record as _, load};
use crate::store::{StoreError, UNDO_BLOCK_LIMIT};
use muster_domain::{
    Code, Refusal,
    batch::{UndoBlock, ValuesDigest, undo_created, undo_updated},
    device::Device,
    ids::{BatchId, DeviceId},
    mac::Mac,
};
use redb::ReadableTable;
use std::collections::BTreeMap;

/// The tables that an undo looks at.
pub(super) struct Evidence<'v, B, F, D, M> {
    pub(super) by_batch: &'v B,
    pub(super) former: &'v F,
    pub(super) devices: &'v D,
    pub(super) macs: &'v M,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The first of them.
    pub(super) blocks: Vec<UndoBlock>,
    /// How many.
    pub(super) blocked: u64,
    /// Devices to delete.
    pub(super) created: usize,
    /// Devices that the batch changed, and what becomes of each.
    pub(super) updated: BTreeMap<u128, Updated>,
}

/// A device that the batch changed, perhaps several times.
#[derive(Debug)]
pub(super) struct Updated {
    /// What the newest change made of it.
    made: ValuesDigest,
    /// What it was before the oldest change looked at: the change before that must have made it so.
    was: ValuesDigest,
    /// The row of the newest change.
    row: u32,
    /// Its address once it is what it was.
    pub(super) mac: Option<Mac>,
}

impl Survey {
    fn block(&mut self, device: DeviceId, row: u32, refusal: Refusal) {
        self.blocked += 1;
        if self.blocks.len() < UNDO_BLOCK_LIMIT {
            self.blocks.push(UndoBlock { device, row, refusal });
        }
    }
}

impl<B, F, D, M> Evidence<'_, B, F, D, M>
where
    B: ReadableTable<(u128, u128), ()>,
    F: ReadableTable<(u128, u32, u32), (u128, &'static [u8])>,
    D: ReadableTable<u128, &'static [u8]>,
    M: ReadableTable<u128, u128>,
{
    /// Everything that blocks it.
    pub(super) fn survey(&self, id: BatchId) -> Result<Survey, StoreError> {
        let mut survey = self.updated(id)?;
        self.created(id, &mut survey)?;
        Ok(survey)
    }

    /// What blocks the devices that the batch changed, newest change first.
    pub(super) fn updated(&self, id: BatchId) -> Result<Survey, StoreError> {
        let mut survey = Survey::default();
        let key = id.as_u128();
        let range = (key, 0, 0)..=(key, u32::MAX, u32::MAX);
        for entry in self.former.range(range)?.rev() {
            let (place, value) = entry?;
            let (row, (made, before)) = (place.value().2, value.value());
            let made = ValuesDigest(made.to_be_bytes());
            let before = Device::decode(before)?;
            match survey.updated.get_mut(&before.id.as_u128()) {
                None => self.newest(&mut survey, id, row, &before, made)?,
                Some(newer) if newer.was == made => {
                    newer.was = ValuesDigest::of(&before);
                    newer.mac = before.mac;
                }
                Some(_) => {
                    let why = format!("{} was changed by somebody between two files", before.name());
                    survey.block(before.id, row, Refusal::new(Code::UndoBlocked, why));
                }
            }
        }
        self.addresses(id, &mut survey)?;
        Ok(survey)
    }

    fn newest(
        &self,
        survey: &mut Survey,
        id: BatchId,
        row: u32,
        before: &Device,
        made: ValuesDigest,
    ) -> Result<(), StoreError> {
        let device = load::<Device>(self.devices, before.id.as_u128())?;
        let device = device.ok_or_else(|| StoreError::missing("devices", before.id))?;
        // A device that the batch made, too, is judged with those.
        if device.origin.batch != id
            && let Err(refusal) = undo_updated(&device, before, made)
        {
            survey.block(device.id, row, refusal);
        }
        let updated = Updated {
            made,
            was: ValuesDigest::of(before),
            row,
            mac: before.mac,
        };
        survey.updated.insert(device.id.as_u128(), updated);
        Ok(())
    }

    /// The former address of a device may belong to another one by now, which keeps it.
    fn addresses(&self, id: BatchId, survey: &mut Survey) -> Result<(), StoreError> {
        let mut taken = Vec::new();
        for (&device, updated) in &survey.updated {
            let Some(mac) = updated.mac else { continue };
            let holder = self.macs.get(mac.key())?.map(|holder| holder.value());
            let Some(holder) = holder.filter(|&holder| holder != device) else {
                continue;
            };
            let goes = match survey.updated.get(&holder) {
                Some(other) => other.mac != Some(mac),
                None => load::<Device>(self.devices, holder)?.is_some_and(|other| other.origin.batch == id),
            };
            if !goes {
                taken.push((device, updated.row, mac, DeviceId::from_u128(holder)));
            }
        }
        for (device, row, mac, holder) in taken {
            let why = format!("its former address {mac} belongs to devices/{holder} now");
            let refusal = Refusal::new(Code::UndoBlocked, why);
            survey.block(DeviceId::from_u128(device), row, refusal);
        }
        Ok(())
    }

    /// What blocks the devices that the batch made.
    fn created(&self, id: BatchId, survey: &mut Survey) -> Result<(), StoreError> {
        let key = id.as_u128();
        for entry in self.by_batch.range((key, 0)..=(key, u128::MAX))? {
            let device = entry?.0.value().1;
            let found = load::<Device>(self.devices, device)?;
            let found = found.ok_or_else(|| StoreError::missing("devices", DeviceId::from_u128(device)))?;
            survey.created += 1;
            let updated = survey.updated.get(&device).map(|updated| updated.made);
            if let Err(refusal) = undo_created(&found, updated) {
                survey.block(found.id, found.origin.row, refusal);
            }
        }
        Ok(())
    }
}
