//! Taking devices for a change that was started (I8), part by part.

use super::{
    PART,
    book::{self, Book},
    plan::gives_way,
};
use crate::store::{
    StoreError,
    embedded::{record::Record as _, txn::Txn},
};
use muster_domain::{
    Timestamp,
    change::{ChangeRecord, Reserved, Skipped, Standing, Target},
    ids::{ChangeId, DeviceId},
};
use redb::ReadableTable as _;
use std::ops::Bound::{Excluded, Included};

/// Takes the next devices for a change. One that another change holds is left out, unless that one gives way.
pub(super) fn reserve(txn: &mut Txn<'_>, record: ChangeRecord, now: Timestamp) -> Result<(), StoreError> {
    let id = record.change.id;
    let targets = untaken(txn, &record)?;
    let last = targets.last().map(|target| (target.stage, target.device));
    let mut book = Book::of(record);
    for target in &targets {
        take(txn, &mut book, id, target, now)?;
    }
    let record = book.record(txn.tables(), id)?;
    record.reserved = match last {
        Some(last) if targets.len() == PART => Reserved::UpTo(Some(last)),
        Some(_) | None => Reserved::All,
    };
    book.close(txn)
}

fn untaken(txn: &Txn<'_>, record: &ChangeRecord) -> Result<Vec<Target>, StoreError> {
    let (first, mut after) = match record.reserved {
        Reserved::UpTo(Some((stage, device))) => (stage, Some(device)),
        Reserved::UpTo(None) => (0, None),
        Reserved::All => return Ok(Vec::new()),
    };
    let waiting = book::standing_key(Standing::Waiting);
    let mut found = Vec::new();
    for stage in first..u16::try_from(record.tallies.len()).unwrap_or(u16::MAX) {
        let place = |device: u128| (record.change.id.as_u128(), stage, waiting, device);
        let from = match after.take().map(DeviceId::as_u128) {
            Some(device) => Excluded(place(device)),
            None => Included(place(0)),
        };
        let range = txn.tables().targets.range((from, Included(place(u128::MAX))))?;
        for entry in range.take(PART - found.len()) {
            found.push(Target::from_guard(entry?.1)?);
        }
    }
    Ok(found)
}

/// Takes a device for a change; where another one holds it that does not give way, the target is left out.
pub(super) fn take(
    txn: &mut Txn<'_>,
    book: &mut Book,
    id: ChangeId,
    target: &Target,
    now: Timestamp,
) -> Result<(), StoreError> {
    let change = &book.record(txn.tables(), id)?.change;
    let (facets, priority) = (change.action.facets(), change.priority);
    let others = book::others(&txn.tables().holders, target.device, facets, id)?;
    for (other, ..) in &others {
        if !gives_way(book.record(txn.tables(), *other)?, priority) {
            let state = target.state.clone().skipped(Skipped::Taken(*other), now);
            return book.moved(txn, id, target, state);
        }
    }
    for (other, stage, standing) in others {
        // What it goes on with would be under way for ever, and what it holds it may go on with.
        let holds = book.record(txn.tables(), other)?.change.state.holds_targets();
        if holds || book::standing(standing)?.goes_on() {
            let place = (other.as_u128(), stage, standing, target.device.as_u128());
            let theirs = book::target(&txn.tables().targets, place)?;
            let state = theirs.state.clone().left(Skipped::Taken(id), now);
            book.moved(txn, other, &theirs, state)?;
        }
    }
    book::hold(txn, id, facets, target)
}
