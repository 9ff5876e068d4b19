//! Of changes that are begun zone by zone, the targets that wait: a worker finds those whose window is open in one range each, and
//! looks at no other.

use crate::store::{StoreError, embedded::txn::Txn};
use muster_domain::{
    change::{ChangeRecord, Standing, Target, Zones},
    ids::ChangeId,
};
use redb::ReadableTable;

type Place = (u128, u16, u16, u128);

fn place(change: ChangeId, target: &Target) -> Place {
    (
        change.as_u128(),
        target.stage,
        target.zone,
        target.device.as_u128(),
    )
}

/// Adds targets of a plan that was just written.
pub(super) fn add(txn: &mut Txn<'_>, record: &ChangeRecord, targets: &[Target]) -> Result<(), StoreError> {
    if !record.is_zoned {
        return Ok(());
    }
    for target in targets {
        txn.write().zoned.insert(place(record.change.id, target), ())?;
    }
    Ok(())
}

/// A target moved.
pub(super) fn moved(
    txn: &mut Txn<'_>,
    change: ChangeId,
    before: &Target,
    after: &Target,
) -> Result<(), StoreError> {
    let waits = |target: &Target| target.state.standing() == Standing::Waiting;
    match (waits(before), waits(after)) {
        (true, false) => drop(txn.write().zoned.remove(place(change, before))?),
        (false, true) => drop(txn.write().zoned.insert(place(change, after), ())?),
        (true, true) | (false, false) => {}
    }
    Ok(())
}

/// The devices of a stage that wait and whose window is open, in the order of zones and ids.
pub(super) fn open(
    table: &impl ReadableTable<Place, ()>,
    record: &ChangeRecord,
    stage: u16,
    zones: &Zones,
    mut each: impl FnMut(u128) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let Zones::Some(open, _) = zones else {
        return Ok(());
    };
    let id = record.change.id.as_u128();
    for zone in open {
        for entry in table.range((id, stage, *zone, 0)..=(id, stage, *zone, u128::MAX))? {
            if !each(entry?.0.value().3)? {
                return Ok(());
            }
        }
    }
    Ok(())
}
