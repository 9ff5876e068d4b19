//! What devices prove moves the targets of those changes that are about them: a look or two a report, whatever the size of the
//! fleet.

use super::book::{self, Book, facet_key};
use crate::store::{StoreError, embedded::txn::Txn};
use muster_domain::{
    Timestamp,
    change::{Action, Change, Facet, Target, TargetState},
    device::{Device, Report},
    ids::DeviceId,
};
use redb::{ReadableTable as _, ReadableTableMetadata as _};
use std::time::Duration;

/// A device reports.
pub(in crate::store::embedded) fn heard(
    txn: &mut Txn<'_>,
    device: DeviceId,
    report: &Report,
    now: Timestamp,
) -> Result<(), StoreError> {
    for facet in Facet::ALL {
        moved(txn, device, facet, |change, target| {
            target.heard(report, change, now)
        })?;
    }
    Ok(())
}

/// A device came with its renewed certificate, which it `asked` for then. True where a change waits for another one all the same: it
/// wants one that was made after its order, whatever the device had under way before.
pub(in crate::store::embedded) fn promoted(
    txn: &mut Txn<'_>,
    device: &Device,
    asked: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut is_owed = false;
    moved(txn, device.id, Facet::Lifecycle, |change, target| {
        let stage = change.strategy.stages.get(usize::from(target.stage));
        let soak = stage.map_or(Duration::ZERO, |stage| stage.soak);
        let state = target.state.clone();
        let state = match change.action {
            Action::RotateCertificate => {
                is_owed = ordered(&state, device).is_some_and(|ordered| asked < ordered);
                if is_owed { state } else { state.proved(soak, now) }
            }
            Action::Profile(..)
            | Action::FirmwarePolicy(..)
            | Action::Move(_)
            | Action::Relabel(_)
            | Action::Place(_)
            | Action::Suspend(_)
            | Action::Resume
            | Action::ReissueCodes { .. }
            | Action::Retire(_) => state,
        };
        Target {
            state,
            ..target.clone()
        }
    })?;
    Ok(is_owed)
}

/// When a certificate was ordered that is still waited for. A target that timed out has forgotten it, and its device has not.
fn ordered(state: &TargetState, device: &Device) -> Option<Timestamp> {
    match state {
        TargetState::Sent { at, .. } => Some(*at),
        TargetState::TimedOut { .. } => device.renew_from,
        TargetState::Waiting { .. }
        | TargetState::Proved { .. }
        | TargetState::Done { .. }
        | TargetState::Fallen { .. }
        | TargetState::Failed { .. }
        | TargetState::Skipped { .. }
        | TargetState::Reverting { .. }
        | TargetState::Reverted { .. } => None,
    }
}

/// A device is no longer registered: nothing is about it any more.
pub(in crate::store::embedded) fn forget(txn: &mut Txn<'_>, device: DeviceId) -> Result<(), StoreError> {
    if txn.tables().holders.is_empty()? {
        return Ok(());
    }
    for facet in Facet::ALL {
        txn.write().holders.remove((device.as_u128(), facet_key(facet)))?;
    }
    Ok(())
}

fn moved(
    txn: &mut Txn<'_>,
    device: DeviceId,
    facet: Facet,
    step: impl FnOnce(&Change, &Target) -> Target,
) -> Result<(), StoreError> {
    let tables = txn.tables();
    if tables.open_changes.is_empty()? {
        return Ok(());
    }
    let Some((change, stage, standing)) = book::holder(&tables.holders, device, facet)? else {
        return Ok(());
    };
    if tables.open_changes.get(change.as_u128())?.is_none() {
        return Ok(());
    }
    let place = (change.as_u128(), stage, standing, device.as_u128());
    let target = book::target(&tables.targets, place)?;
    let mut book = Book::default();
    let record = book.record(tables, change)?;
    let after = step(&record.change, &target);
    if after == target {
        return Ok(());
    }
    book.replaced(txn, change, &[(&target, after)])?;
    book.close(txn)
}
