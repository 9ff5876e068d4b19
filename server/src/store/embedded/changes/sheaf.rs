//! What a part of a change comes to, forwards or back: whether each turn still fits, and all that is written of those that do.

use super::book::{Book, Holding, holding, place};
use crate::store::{
    Began, StoreError,
    embedded::{
        Store,
        changes::turn::{Made, Seen, Turn},
        devices::{is_staying, live_on},
        index::{self, Replaced},
        txn::Txn,
    },
};
use muster_domain::{
    Refusal, Timestamp,
    audit::Actor,
    change::{Facet, Skipped, Target},
    device::{Device, LifecycleState, Transition},
    ids::{ChangeId, DeviceId},
};
use redb::ReadableTable;
use std::sync::Arc;
use tokio::task::spawn_blocking;

impl Store {
    /// Runs a command on turns. The writer only borrows them: to free what thousands of them own takes as long as much of what it does
    /// with them, and belongs on another thread.
    pub(super) async fn write_turns(
        &self,
        turns: Vec<Turn>,
        run: impl Fn(&mut Txn<'_>, &[Turn]) -> Result<Began, StoreError> + Send + 'static,
    ) -> Result<Began, StoreError> {
        let turns = Arc::new(turns);
        let lent = Arc::clone(&turns);
        let began = self.write_rows(turns.len(), move |txn| run(txn, &lent)).await;
        drop(spawn_blocking(move || drop(turns)));
        began
    }
}

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
    /// It is something else now, or the target is: its turn comes again.
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
    let (tables, place) = (txn.tables(), place(id, &turn.target));
    let holding = holding(&tables.holders, facets, place)?;
    // Who holds a device points to its target.
    if holding != Holding::Here && tables.targets.get(place)?.is_none() {
        return Ok(Stands::Moved);
    }
    let Some(record) = tables.devices.get(place.3)? else {
        let why = "it is not registered any more";
        return Ok(Stands::Left(Skipped::Unfit(why.into())));
    };
    Ok(match (holding, &turn.seen) {
        (Holding::Other(other), _) => Stands::Left(Skipped::Taken(other)),
        (holding, Some(seen)) if record.value() == seen.record => {
            Stands::Still(&seen.device, holding == Holding::Here)
        }
        (Holding::Here | Holding::Free, _) => Stands::Moved,
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
            (Some(made), _) => {
                self.devices.push((device, made));
                Ok(Ok(Some(made.device.target.generation)))
            }
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
            let events: Vec<_> = self.devices.iter().map(|(_, made)| &made.event).collect();
            txn.audit_all(&events)?;
            self.devices.sort_unstable_by_key(|(before, _)| before.id);
            let devices: Vec<Replaced<'_>> = self
                .devices
                .iter()
                .map(|(before, made)| (*before, &*made.device, made.record.as_slice()))
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
