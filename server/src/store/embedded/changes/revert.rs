//! Devices get back what they had before a change.

use super::{
    begin::range,
    book::{Book, hold},
    sheaf::{Sheaf, Stands, seen, stands},
};
use crate::store::{
    Began, StoreError,
    embedded::{
        Store,
        changes::turn::{Seen, Turn},
        record::Record as _,
        tables::{DEVICES, TARGETS},
        txn::Txn,
    },
};
use muster_domain::{
    Timestamp,
    change::{Action, ChangeRecord, Next, Skipped, Standing, Target, TargetState},
    ids::ChangeId,
};

/// Where targets stand that a rollback has to reach.
const TOUCHED: [Standing; 5] = [
    Standing::Sent,
    Standing::Proved,
    Standing::Done,
    Standing::Failed,
    Standing::TimedOut,
];

impl Store {
    /// The next targets that are to get back what they had, each with its device, if it is still there.
    pub async fn next_reverts(
        &self,
        record: ChangeRecord,
        most: usize,
    ) -> Result<Vec<(Target, Option<Seen>)>, StoreError> {
        self.blocking(move |txn| {
            let (targets, devices) = (txn.open_table(TARGETS)?, txn.open_table(DEVICES)?);
            let mut found = Vec::new();
            for stage in 0..u16::try_from(record.tallies.len()).unwrap_or(u16::MAX) {
                for standing in TOUCHED {
                    let entries = targets.range(range(&record, stage, standing))?;
                    for entry in entries.take(most - found.len()) {
                        let target = Target::from_guard(entry?.1)?;
                        let seen = seen(&devices, target.device.as_u128())?;
                        found.push((target, seen));
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    /// Gives devices back what they had. It is on record, durable, and not sent yet, when this returns.
    pub async fn revert_targets(
        &self,
        id: ChangeId,
        turns: Vec<Turn>,
        now: Timestamp,
    ) -> Result<Began, StoreError> {
        self.write_turns(turns, move |txn, turns| revert(txn, id, turns, now))
            .await
    }
}

fn revert(txn: &mut Txn<'_>, id: ChangeId, turns: &[Turn], now: Timestamp) -> Result<Began, StoreError> {
    let mut book = Book::default();
    let mut sheaf = Sheaf::default();
    let record = book.record(txn.tables(), id)?;
    let action = record.change.action.clone();
    if record.next(now) != Next::Revert {
        return Ok(Began::default());
    }
    for turn in turns {
        let target = &turn.target;
        if let Some((state, changed)) = reverted(txn, &mut sheaf, id, &action, turn, now)? {
            let after = Target {
                state,
                ..target.clone()
            };
            sheaf.add(target, after, changed);
        }
    }
    sheaf.close(txn, book, id)
}

/// What becomes of a target, and whether its device was changed; none where its turn comes again, since the device moved on.
fn reverted<'t>(
    txn: &mut Txn<'_>,
    sheaf: &mut Sheaf<'t>,
    id: ChangeId,
    action: &Action,
    turn: &'t Turn,
    now: Timestamp,
) -> Result<Option<(TargetState, bool)>, StoreError> {
    let target = &turn.target;
    let left = |why| Ok(Some((target.state.clone().left(why, now), false)));
    let (device, is_held) = match stands(txn, turn, action.facets(), id)? {
        Stands::Still(device, is_held) => (device, is_held),
        Stands::Moved => return Ok(None),
        Stands::Left(why) => return left(why),
    };
    if !is_held {
        hold(txn, id, action.facets(), target)?;
    }
    let content = turn.content.as_ref();
    let wants_proof = content.is_ok_and(|content| action.wants_proof_of(device, content));
    let transition = target.former.transition();
    match sheaf.step(txn, id, transition, device, turn, now)? {
        Ok(Some(generation)) => {
            let state = target.state.clone().reverting(generation, wants_proof, now);
            Ok(Some((state, true)))
        }
        Ok(None) => left(Skipped::Unfit("what it had does not come back".into())),
        Err(why) => left(Skipped::Unfit(why)),
    }
}
