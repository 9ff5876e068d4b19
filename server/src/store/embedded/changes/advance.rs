//! What a change comes to by itself: decided and done in one transaction, by the counts as they are in it.

use super::{
    PART,
    book::{self, Book},
    reserve::reserve,
};
use crate::{
    store::{
        Advance, StoreError,
        embedded::{
            Store,
            record::{Record as _, load},
            tables::CHANGES,
            txn::Txn,
        },
    },
    zone,
};
use muster_domain::{
    Timestamp,
    audit::{Action, Actor, Event},
    change::{ChangeRecord, ChangeState, ChangeStep, Next, Skipped, Standing, Target},
    ids::ChangeId,
};
use redb::ReadableTable as _;

impl Store {
    /// Takes a change one step further, as far as that needs nothing from outside. A look alone costs no commit.
    pub async fn advance_change(&self, id: ChangeId, now: Timestamp) -> Result<Advance, StoreError> {
        let record = load::<ChangeRecord>(&self.read()?.open_table(CHANGES)?, id.as_u128())?;
        match record {
            Some(record) if record.is_open() && stirs(&record, now) => {
                self.write_rows(PART, move |txn| advance(txn, id, now)).await
            }
            Some(_) | None => Ok(Advance::Wait),
        }
    }
}

/// Whether there is anything to do.
fn stirs(record: &ChangeRecord, now: Timestamp) -> bool {
    if record.is_reserving() || record.is_over(now) {
        return true;
    }
    match record.next(now) {
        Next::Wait | Next::Rest => false,
        // All windows are closed: a second a look, and nothing is looked for.
        Next::Send(_) => zone::zones(record, now).closed_until().is_none(),
        Next::Open | Next::Halt(_) | Next::Finish | Next::Skip(_) | Next::Revert | Next::RolledBack => true,
    }
}

fn advance(txn: &mut Txn<'_>, id: ChangeId, now: Timestamp) -> Result<Advance, StoreError> {
    let record = Book::default().record(txn.tables(), id)?.clone();
    if !record.is_open() {
        return Ok(Advance::Wait);
    }
    if record.is_reserving() {
        reserve(txn, record, now)?;
        return Ok(Advance::Stepped);
    }
    match record.next(now) {
        Next::Send(most) => Ok(Advance::Begin(most)),
        Next::Revert => Ok(Advance::Revert),
        Next::Open => step(txn, record, ChangeStep::Opened, now),
        Next::Halt(why) => {
            step(txn, record, ChangeStep::Halted(why), now)?;
            Ok(Advance::Halted)
        }
        Next::Finish => step(txn, record, ChangeStep::Finished, now),
        Next::RolledBack => step(txn, record, ChangeStep::RolledBack, now),
        Next::Skip(why) => skip(txn, record, &why, now),
        Next::Rest if record.is_over(now) => {
            book::put(
                txn,
                &ChangeRecord {
                    closed: true,
                    ..record
                },
            )?;
            Ok(Advance::Stepped)
        }
        Next::Wait | Next::Rest => Ok(Advance::Wait),
    }
}

fn step(
    txn: &mut Txn<'_>,
    record: ChangeRecord,
    step: ChangeStep,
    now: Timestamp,
) -> Result<Advance, StoreError> {
    let change = record.change.clone().step(step.clone(), now);
    // It decided for this step itself.
    let change = change.map_err(|refusal| StoreError::damaged("changes", refusal))?;
    let event = event(&step, &change.state, change.name(), now);
    book::put(txn, &ChangeRecord { change, ..record })?;
    txn.audit(&event)?;
    Ok(Advance::Stepped)
}

fn event(step: &ChangeStep, state: &ChangeState, name: String, now: Timestamp) -> Event {
    let event = |action| Event::new(now, Actor::System, action, name);
    match step {
        ChangeStep::Opened => {
            let stage = u32::from(state.opened().unwrap_or_default()) + 1;
            event(Action::ChangeStageOpened).with("stage", stage)
        }
        ChangeStep::Halted(why) => event(Action::ChangeHalted)
            .with("why", why)
            .with("state", state.as_str()),
        ChangeStep::Finished => event(Action::ChangeFinished),
        _ => event(Action::ChangeRolledBack),
    }
}

/// Leaves out those whose turn has not come.
fn skip(
    txn: &mut Txn<'_>,
    record: ChangeRecord,
    why: &Skipped,
    now: Timestamp,
) -> Result<Advance, StoreError> {
    let (id, waiting) = (record.change.id, book::standing_key(Standing::Waiting));
    let mut found = Vec::new();
    for stage in 0..u16::try_from(record.tallies.len()).unwrap_or(u16::MAX) {
        let place = |device| (id.as_u128(), stage, waiting, device);
        let range = txn.tables().targets.range(place(0)..=place(u128::MAX))?;
        for entry in range.take(PART - found.len()) {
            found.push(Target::from_guard(entry?.1)?);
        }
    }
    let mut book = Book::of(record);
    let skipped = |target: &Target| target.state.clone().skipped(why.clone(), now);
    book.moved_all(txn, id, &found, |target| Ok(skipped(target)))?;
    book.close(txn)?;
    Ok(Advance::Stepped)
}
