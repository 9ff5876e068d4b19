//! What stands in the way of taking a batch back.

use super::record::{Record as _, load};
use crate::store::{StoreError, UNDO_BLOCK_LIMIT};
use muster_domain::{
    Code, Refusal,
    batch::{Reach, UndoBlock, ValuesDigest, undo_created, undo_updated},
    certificate::SpkiDigest,
    device::Device,
    ids::{BatchId, DeviceId},
    mac::Mac,
};
use redb::ReadableTable;
use std::collections::BTreeMap;

/// The tables that an undo looks at.
pub(super) struct Evidence<'v, B, F, D, M, K> {
    pub(super) by_batch: &'v B,
    pub(super) former: &'v F,
    pub(super) devices: &'v D,
    pub(super) macs: &'v M,
    pub(super) keys: &'v K,
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
    /// The row of the newest change.
    row: u32,
    /// What it was before the oldest change looked at: the change before that must have made it so, however far it reached.
    was: [ValuesDigest; 2],
    /// Its address once it is what it was.
    pub(super) mac: Option<Mac>,
    /// The key that it had to be claimed with.
    bound: Option<SpkiDigest>,
    /// What goes back: whatever any of the changes set.
    pub(super) reach: Reach,
}

impl Updated {
    /// The key that is its own again once it is what it was, where that may be another than now.
    pub(super) fn key(&self) -> Option<SpkiDigest> {
        match self.reach {
            Reach::Values => None,
            Reach::Terms => self.bound,
        }
    }

    /// An older change of the same batch, and what it found. `None` when it made something else of the device than the next
    /// change found.
    fn behind(&mut self, made: ValuesDigest, before: &Device) -> Option<()> {
        let mut ways = Reach::ALL.into_iter().zip(self.was);
        let (reach, _) = ways.find(|(_, was)| *was == made)?;
        self.reach = self.reach.max(reach);
        self.was = was(before);
        self.mac = before.mac;
        self.bound = bound(before);
        Some(())
    }
}

fn was(device: &Device) -> [ValuesDigest; 2] {
    Reach::ALL.map(|reach| ValuesDigest::reaching(device, reach))
}

fn bound(device: &Device) -> Option<SpkiDigest> {
    device.lifecycle.claim_terms().and_then(|terms| terms.key)
}

impl Survey {
    fn block(&mut self, device: DeviceId, row: u32, refusal: Refusal) {
        self.blocked += 1;
        if self.blocks.len() < UNDO_BLOCK_LIMIT {
            self.blocks.push(UndoBlock { device, row, refusal });
        }
    }
}

impl<B, F, D, M, K> Evidence<'_, B, F, D, M, K>
where
    B: ReadableTable<(u128, u128), ()>,
    F: ReadableTable<(u128, u32, u32), (u128, &'static [u8])>,
    D: ReadableTable<u128, &'static [u8]>,
    M: ReadableTable<u128, u128>,
    K: ReadableTable<&'static [u8; 32], u128>,
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
                Some(newer) => {
                    if newer.behind(made, &before).is_none() {
                        let why = format!("{} was changed by somebody between two files", before.name());
                        survey.block(before.id, row, Refusal::new(Code::UndoBlocked, why));
                    }
                }
            }
        }
        self.addresses(id, &mut survey)?;
        self.taken_keys(id, &mut survey)?;
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
        let undone = if device.origin.batch == id {
            Ok(Reach::Values)
        } else {
            undo_updated(&device, before, made)
        };
        let reach = undone.unwrap_or_else(|refusal| {
            survey.block(device.id, row, refusal);
            Reach::Values
        });
        let updated = Updated {
            made,
            row,
            was: was(before),
            mac: before.mac,
            bound: bound(before),
            reach,
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

    /// The key that a device must have again may be another one's by now, which keeps it.
    fn taken_keys(&self, id: BatchId, survey: &mut Survey) -> Result<(), StoreError> {
        let mut taken = Vec::new();
        for (&device, updated) in &survey.updated {
            let Some(key) = updated.key() else { continue };
            let holder = self.keys.get(&key.0)?.map(|holder| holder.value());
            let Some(holder) = holder.filter(|&holder| holder != device) else {
                continue;
            };
            let other = survey.updated.get(&holder);
            let returns = other.is_some_and(|other| other.reach == Reach::Terms && other.key() != Some(key));
            let goes = || -> Result<bool, StoreError> {
                let holder = load::<Device>(self.devices, holder)?;
                Ok(holder.is_some_and(|holder| holder.origin.batch == id))
            };
            if !returns && !goes()? {
                taken.push((device, updated.row, DeviceId::from_u128(holder)));
            }
        }
        for (device, row, holder) in taken {
            let why = format!("the key that it had to come with belongs to devices/{holder} now");
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
