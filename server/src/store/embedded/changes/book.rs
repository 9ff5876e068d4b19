//! Records of the changes that a command works on: each read once and written once.

use super::zoned;
use crate::store::{
    StoreError,
    embedded::{
        index::{insert_sorted, remove_sorted},
        record::{Record as _, load},
        tables::Tables,
        txn::Txn,
    },
};
use muster_domain::{
    Timestamp,
    change::{ChangeRecord, Facet, Standing, Target, TargetState},
    ids::{ChangeId, DeviceId},
};
use redb::ReadableTable;
use std::collections::{BTreeMap, btree_map::Entry};

/// The number of a standing in the file.
pub(in crate::store::embedded) const fn standing_key(standing: Standing) -> u8 {
    match standing {
        Standing::Waiting => 0,
        Standing::Sent => 1,
        Standing::Proved => 2,
        Standing::Done => 3,
        Standing::Failed => 4,
        Standing::TimedOut => 5,
        Standing::Skipped => 6,
        Standing::Reverting => 7,
        Standing::Reverted => 8,
    }
}

/// The standing of that number.
pub(in crate::store::embedded) fn standing(key: u8) -> Result<Standing, StoreError> {
    let found = Standing::ALL
        .into_iter()
        .find(|standing| standing_key(*standing) == key);
    found.ok_or_else(|| StoreError::damaged("targets", format!("no standing has the number {key}")))
}

/// The number of a facet in the file.
pub(in crate::store::embedded) const fn facet_key(facet: Facet) -> u8 {
    match facet {
        Facet::Config => 0,
        Facet::Location => 1,
        Facet::Firmware => 2,
        Facet::Lifecycle => 3,
    }
}

/// Where a target stands.
pub(super) fn place(change: ChangeId, target: &Target) -> (u128, u16, u8, u128) {
    let standing = standing_key(target.state.standing());
    (change.as_u128(), target.stage, standing, target.device.as_u128())
}

/// The target at a place that something else says there is one.
pub(super) fn target(
    table: &impl ReadableTable<(u128, u16, u8, u128), &'static [u8]>,
    place: (u128, u16, u8, u128),
) -> Result<Target, StoreError> {
    let found = table.get(place)?;
    let found = found.ok_or_else(|| StoreError::missing("targets", format!("{place:?}")))?;
    Target::from_guard(found)
}

/// The change that was last about a facet of a device.
pub(super) fn holder(
    table: &impl ReadableTable<(u128, u8), (u128, u16, u8)>,
    device: DeviceId,
    facet: Facet,
) -> Result<Option<(ChangeId, u16, u8)>, StoreError> {
    let found = table.get((device.as_u128(), facet_key(facet)))?;
    Ok(found.map(|found| {
        let (change, stage, standing) = found.value();
        (ChangeId::from_u128(change), stage, standing)
    }))
}

/// A change that was last about a device, with stage and standing of its target there.
type Held = (ChangeId, u16, u8);

/// The other changes that were last about any of these facets of a device, each once, with the places of their targets.
pub(super) fn others(
    table: &impl ReadableTable<(u128, u8), (u128, u16, u8)>,
    device: DeviceId,
    facets: &[Facet],
    change: ChangeId,
) -> Result<Vec<Held>, StoreError> {
    let mut others = Vec::new();
    for facet in facets {
        let held = holder(table, device, *facet)?;
        if let Some(other) = held.filter(|(holder, ..)| *holder != change)
            && !others.contains(&other)
        {
            others.push(other);
        }
    }
    Ok(others)
}

/// Who holds the device of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// The change does, for this target of it.
    Here,
    /// Nobody does, of some facet at least, or not for what this target was.
    Free,
    /// This other change does.
    Other(ChangeId),
}

/// Who holds the device of a target, as of all these facets.
pub(super) fn holding(
    table: &impl ReadableTable<(u128, u8), (u128, u16, u8)>,
    facets: &[Facet],
    (change, stage, standing, device): (u128, u16, u8, u128),
) -> Result<Holding, StoreError> {
    let mut holding = Holding::Here;
    for facet in facets {
        match holder(table, DeviceId::from_u128(device), *facet)? {
            Some((other, ..)) if other.as_u128() != change => return Ok(Holding::Other(other)),
            Some((_, at, standing_there)) if (at, standing_there) == (stage, standing) => {}
            Some(_) | None => holding = Holding::Free,
        }
    }
    Ok(holding)
}

/// Takes a device that no change is about any more.
pub(super) fn hold(
    txn: &mut Txn<'_>,
    change: ChangeId,
    facets: &[Facet],
    target: &Target,
) -> Result<(), StoreError> {
    let (change, stage, standing, device) = place(change, target);
    for facet in facets {
        let key = (device, facet_key(*facet));
        txn.write().holders.insert(key, (change, stage, standing))?;
    }
    Ok(())
}

/// Writes a change, and whether it is open.
pub(super) fn put(txn: &mut Txn<'_>, record: &ChangeRecord) -> Result<(), StoreError> {
    let (id, bytes) = (record.change.id.as_u128(), record.encode()?);
    let tables = txn.write();
    tables.changes.insert(id, bytes.as_slice())?;
    if record.is_open() {
        tables.open_changes.insert(id, ())?;
    } else {
        tables.open_changes.remove(id)?;
    }
    txn.move_changes();
    Ok(())
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book(BTreeMap<ChangeId, ChangeRecord>);

impl Book {
    /// Of a change that is at hand.
    pub(super) fn of(record: ChangeRecord) -> Self {
        Self(BTreeMap::from([(record.change.id, record)]))
    }

    /// The record of a change that is there.
    pub(super) fn record(
        &mut self,
        tables: &Tables<'_>,
        id: ChangeId,
    ) -> Result<&mut ChangeRecord, StoreError> {
        match self.0.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(free) => {
                let record = load::<ChangeRecord>(&tables.changes, id.as_u128())?;
                Ok(free.insert(record.ok_or_else(|| StoreError::missing("changes", id))?))
            }
        }
    }

    /// Moves a target to another state, with all that follows it.
    pub(super) fn moved(
        &mut self,
        txn: &mut Txn<'_>,
        change: ChangeId,
        before: &Target,
        state: TargetState,
    ) -> Result<(), StoreError> {
        let after = Target {
            state,
            ..before.clone()
        };
        self.replaced(txn, change, &[(before, after)])
    }

    /// The same of many targets, each to the state that is asked of it.
    pub(super) fn moved_all(
        &mut self,
        txn: &mut Txn<'_>,
        change: ChangeId,
        targets: &[Target],
        state: impl Fn(&Target) -> Result<TargetState, StoreError>,
    ) -> Result<(), StoreError> {
        let after = |target| {
            let state = state(target)?;
            Ok((
                target,
                Target {
                    state,
                    ..target.clone()
                },
            ))
        };
        let moves: Vec<_> = targets.iter().map(after).collect::<Result<_, StoreError>>()?;
        self.replaced(txn, change, &moves)
    }

    /// The same, of targets that change in other ways too; each table is written in the order of its keys.
    pub(super) fn replaced(
        &mut self,
        txn: &mut Txn<'_>,
        change: ChangeId,
        moves: &[(&Target, Target)],
    ) -> Result<(), StoreError> {
        let record = self.record(txn.tables(), change)?;
        let facets = record.change.action.facets();
        let is_zoned = record.is_zoned;
        for (before, after) in moves {
            if let Some(tally) = record.tallies.get_mut(usize::from(after.stage)) {
                tally.moved(before.state.standing(), after.state.standing());
            }
            let repairs = after.repairs.saturating_sub(before.repairs);
            record.repairs = record.repairs.saturating_add(repairs.into());
            if is_zoned {
                zoned::moved(txn, change, before, after)?;
            }
        }
        let tables = txn.write();
        replace_targets(tables, change, moves)?;
        replace_dues(tables, record, moves)?;
        for (before, after) in moves {
            for facet in facets {
                replace_holder(tables, change, *facet, before, after)?;
            }
        }
        Ok(())
    }

    /// Writes what it has.
    pub(super) fn close(self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        self.0.values().try_for_each(|record| put(txn, record))
    }
}

/// Puts targets where they stand now.
fn replace_targets(
    tables: &mut Tables<'_>,
    change: ChangeId,
    moves: &[(&Target, Target)],
) -> Result<(), StoreError> {
    let (mut old, mut new) = (Vec::with_capacity(moves.len()), Vec::with_capacity(moves.len()));
    for (before, after) in moves {
        let (was, is, record) = (place(change, before), place(change, after), after.encode()?);
        if was == is {
            tables.targets.insert(is, record.as_slice())?;
        } else {
            old.push(was);
            new.push((is, record));
        }
    }
    old.sort_unstable();
    remove_sorted(&mut tables.targets, &old)?;
    new.sort_unstable_by_key(|(place, _)| *place);
    let new: Vec<_> = new
        .iter()
        .map(|(place, record)| (*place, record.as_slice()))
        .collect();
    insert_sorted("targets", &mut tables.targets, &new)
}

fn replace_dues(
    tables: &mut Tables<'_>,
    record: &ChangeRecord,
    moves: &[(&Target, Target)],
) -> Result<(), StoreError> {
    let id = record.change.id.as_u128();
    let key = |at: Timestamp, target: &Target| (at.millis(), id, target.device.as_u128());
    let former = |(before, _): &(&Target, Target)| due(record, before).map(|at| key(at, before));
    let mut former: Vec<_> = moves.iter().filter_map(former).collect();
    former.sort_unstable();
    remove_sorted(&mut tables.dues, &former)?;
    let due = |(_, after): &(&Target, Target)| {
        let standing = standing_key(after.state.standing());
        due(record, after).map(|at| (key(at, after), (after.stage, standing)))
    };
    let mut dues: Vec<_> = moves.iter().filter_map(due).collect();
    dues.sort_unstable();
    insert_sorted("dues", &mut tables.dues, &dues)
}

fn replace_holder(
    tables: &mut Tables<'_>,
    change: ChangeId,
    facet: Facet,
    before: &Target,
    after: &Target,
) -> Result<(), StoreError> {
    let key = (after.device.as_u128(), facet_key(facet));
    let (was, is) = (place(change, before), place(change, after));
    let Some(mut held) = tables.holders.get_mut(key)? else {
        return Ok(());
    };
    if held.value() != (was.0, was.1, was.2) {
        return Ok(());
    }
    // What is left out is anybody's.
    if after.state.standing() == Standing::Skipped {
        drop(held);
        tables.holders.remove(key)?;
    } else {
        held.insert((is.0, is.1, is.2))?;
    }
    Ok(())
}

/// When time alone takes a target further.
pub(in crate::store::embedded) fn due(record: &ChangeRecord, target: &Target) -> Option<Timestamp> {
    let strategy = &record.change.strategy;
    let stage = strategy.stages.get(usize::from(target.stage))?;
    target.state.due(stage, strategy)
}
