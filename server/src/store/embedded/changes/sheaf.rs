//! What a part of a change comes to, forwards or back: whether each turn still fits, and all that is written of those that do.

use super::book::{Book, others};
use crate::store::{
    Began, StoreError,
    embedded::{
        changes::turn::{Made, Seen, Turn},
        devices::{is_staying, live_on},
        index::{self, Replaced},
        txn::Txn,
    },
};
use muster_domain::{
    Refusal, Timestamp,
    audit::{Action as Audited, Actor, Event},
    change::{Facet, Skipped, Target},
    device::{Device, LifecycleState, Transition},
    ids::{ChangeId, DeviceId},
};
use redb::ReadableTable;

/// The device of that id.
pub(super) fn seen(
    devices: &impl ReadableTable<u128, &'static [u8]>,
    id: u128,
) -> Result<Option<Seen>, StoreError> {
    devices.get(id)?.as_ref().map(Seen::from_guard).transpose()
}

/// Where a device is that a turn was made for.
pub(super) enum Stands<'t> {
    /// It is as it was, and the change holds it or may.
    Still(&'t Device, bool),
    /// It is something else now: its turn comes again.
    Moved,
    /// It is not for this change any more.
    Left(Skipped),
}

/// Whether a turn still fits.
pub(super) fn stands<'t>(
    txn: &Txn<'_>,
    turn: &'t Turn,
    facets: &[Facet],
    id: ChangeId,
) -> Result<Stands<'t>, StoreError> {
    let (tables, device) = (txn.tables(), turn.target.device);
    let Some(record) = tables.devices.get(device.as_u128())? else {
        let why = "it is not registered any more";
        return Ok(Stands::Left(Skipped::Unfit(why.into())));
    };
    let (others, is_held) = others(&tables.holders, device, facets, id)?;
    Ok(match (others.first(), &turn.seen) {
        (Some((other, ..)), _) => Stands::Left(Skipped::Taken(*other)),
        (None, Some(seen)) if record.value() == seen.record => Stands::Still(&seen.device, is_held),
        (None, _) => Stands::Moved,
    })
}

/// Whether anything may be changed of a device at all.
fn fit(txn: &Txn<'_>, device: &Device) -> Result<Result<(), String>, StoreError> {
    if device.lifecycle.state() == LifecycleState::Retired {
        return Ok(Err("it is retired".into()));
    }
    Ok(is_staying(txn, device)?.map_err(|Refusal { message, .. }| message))
}

/// What a part of a change comes to, gathered so that each table is written in the order of its keys.
#[derive(Default)]
pub(super) struct Sheaf<'t> {
    targets: Vec<(&'t Target, Target)>,
    devices: Vec<(&'t Device, &'t Made)>,
    told: Vec<DeviceId>,
}

impl<'t> Sheaf<'t> {
    /// A target moved; its device was changed too, or was not.
    pub(super) fn add(&mut self, before: &'t Target, after: Target, changed: bool) {
        self.told.extend(changed.then_some(after.device));
        self.targets.push((before, after));
    }

    /// Devices that were changed, in the order of their turns.
    pub(super) fn told(&self) -> &[DeviceId] {
        &self.told
    }

    /// A device becomes what was made of it; under which generation.
    fn put(
        &mut self,
        txn: &mut Txn<'_>,
        id: ChangeId,
        before: &'t Device,
        made: &'t Made,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (name, generation) = (made.device.name(), made.device.target.generation);
        let event = |what| Event::new(now, Actor::System, what, name).with("change", id);
        txn.audit(&match made.is_told {
            true => event(Audited::DeviceRetargeted).with("generation", generation),
            false => event(Audited::DeviceUpdated),
        })?;
        self.devices.push((before, made));
        Ok(generation)
    }

    /// Takes a device where its turn leads, by a step of its life or to what was made for it; under which generation. None where
    /// nothing was made, since its content stays; or why not.
    pub(super) fn step(
        &mut self,
        txn: &mut Txn<'_>,
        id: ChangeId,
        transition: Option<Transition>,
        device: &'t Device,
        turn: &'t Turn,
        now: Timestamp,
    ) -> Result<Result<Option<u64>, String>, StoreError> {
        if let Some(transition) = transition {
            let stepped = live_on(txn, device, &transition, &Actor::System, Some(id), now)?;
            let generation = stepped.map(|after| Some(after.target.generation));
            return Ok(generation.map_err(|refusal| refusal.message));
        }
        if let Err(why) = fit(txn, device)? {
            return Ok(Err(why));
        }
        match (&turn.made, &turn.content) {
            (Some(made), _) => self.put(txn, id, device, made, now).map(|made| Ok(Some(made))),
            (None, Err(why)) => Ok(Err(why.clone())),
            (None, Ok(_)) => Ok(Ok(None)),
        }
    }

    /// Writes all of it, with the change.
    pub(super) fn close(
        mut self,
        txn: &mut Txn<'_>,
        mut book: Book,
        id: ChangeId,
    ) -> Result<Began, StoreError> {
        let moved = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
        if moved > 0 {
            self.devices.sort_unstable_by_key(|(before, _)| before.id);
            let devices: Vec<Replaced<'_>> = self
                .devices
                .iter()
                .map(|(before, made)| (*before, &made.device, made.record.as_slice()))
                .collect();
            index::replace_all(txn, &devices)?;
            book.replaced(txn, id, &self.targets)?;
            book.close(txn)?;
        }
        Ok(Began {
            devices: self.told,
            moved,
        })
    }
}
