//! Devices whose turn has come become what their change wants.

use super::{
    book::{self, Book, hold},
    codes,
    sheaf::{Sheaf, Stands, seen, stands},
    zoned,
};
use crate::{
    store::{
        Began, StoreError,
        embedded::{
            Store,
            changes::turn::{Seen, Turn},
            index,
            record::Record as _,
            tables::{DEVICES, TARGETS, ZONED},
            txn::Txn,
        },
    },
    zone,
};
use muster_domain::{
    Timestamp,
    activation::CodeHash,
    audit::{Action as Audited, Actor, Event},
    change::{Action, ChangeRecord, Next, Skipped, Standing, Target, TargetState, can_prove},
    device::Device,
    ids::{ChangeId, DeviceId},
    names::SiteCode,
};
use redb::ReadableTable;
use std::{collections::BTreeMap, ops::Bound};

/// Targets looked at for those of which there is room at their sites: a tenth of a second. Whoever waits behind more than these at
/// a full site waits until some of them are proved.
const LOOK_LIMIT: usize = 50_000;

impl Store {
    /// The next targets of a stage whose turn it is, behind this one, each with its device, if it is still there. No site gets more
    /// under way than it may, and where there are windows, only those come whose zone is open.
    pub async fn next_turns(
        &self,
        record: ChangeRecord,
        stage: u16,
        most: usize,
        behind: Option<DeviceId>,
        now: Timestamp,
    ) -> Result<Vec<(Target, Option<Seen>)>, StoreError> {
        self.blocking(move |txn| {
            let (targets, devices) = (txn.open_table(TARGETS)?, txn.open_table(DEVICES)?);
            let mut room = Room::new(&record, &targets)?;
            let (first, last) = range(&record, stage, Standing::Waiting).into_inner();
            let from = match behind {
                Some(device) => Bound::Excluded((first.0, first.1, first.2, device.as_u128())),
                None => Bound::Included(first),
            };
            let mut found = Vec::new();
            if record.is_zoned {
                let (zones, mut looked) = (zone::zones(&record, now), 0);
                zoned::open(&txn.open_table(ZONED)?, &record, stage, &zones, |device| {
                    let place = (record.change.id.as_u128(), stage, first.2, device);
                    let target = book::target(&targets, place)?;
                    if room.admits(target.site.as_ref()) {
                        found.push((target, seen(&devices, device)?));
                    }
                    looked += 1;
                    Ok(found.len() < most && looked < LOOK_LIMIT)
                })?;
                return Ok(found);
            }
            for entry in targets.range((from, Bound::Included(last)))?.take(LOOK_LIMIT) {
                if found.len() == most {
                    break;
                }
                let target = Target::from_guard(entry?.1)?;
                if room.admits(target.site.as_ref()) {
                    let seen = seen(&devices, target.device.as_u128())?;
                    found.push((target, seen));
                }
            }
            Ok(found)
        })
        .await
    }

    /// Begins targets. What they are to be is on record, durable, and not sent yet, when this returns.
    pub async fn begin_targets(
        &self,
        id: ChangeId,
        turns: Vec<Turn>,
        now: Timestamp,
    ) -> Result<Began, StoreError> {
        self.write_turns(turns, move |txn, turns| begin(txn, id, turns, now))
            .await
    }
}

/// The keys of targets of a stage that stand there.
pub(super) fn range(
    record: &ChangeRecord,
    stage: u16,
    standing: Standing,
) -> std::ops::RangeInclusive<(u128, u16, u8, u128)> {
    let (id, standing) = (record.change.id.as_u128(), book::standing_key(standing));
    (id, stage, standing, 0)..=(id, stage, standing, u128::MAX)
}

/// How many more targets may be under way at each site.
struct Room {
    most: Option<u32>,
    taken: BTreeMap<Option<SiteCode>, u32>,
}

impl Room {
    fn new(
        record: &ChangeRecord,
        targets: &impl ReadableTable<(u128, u16, u8, u128), &'static [u8]>,
    ) -> Result<Self, StoreError> {
        let most = record.change.strategy.in_flight_per_site;
        let mut taken = BTreeMap::<_, u32>::new();
        let stages = most.map_or(0, |_| record.tallies.len());
        for stage in 0..u16::try_from(stages).unwrap_or(u16::MAX) {
            for entry in targets.range(range(record, stage, Standing::Sent))? {
                *taken.entry(Target::from_guard(entry?.1)?.site).or_default() += 1;
            }
        }
        Ok(Self { most, taken })
    }

    /// One more, if there is room. Devices of no site disturb nobody.
    fn admits(&mut self, site: Option<&SiteCode>) -> bool {
        let (Some(most), Some(site)) = (self.most, site) else {
            return true;
        };
        let taken = self.taken.entry(Some(site.clone())).or_default();
        let admits = *taken < most;
        *taken += u32::from(admits);
        admits
    }
}

fn begin(txn: &mut Txn<'_>, id: ChangeId, turns: &[Turn], now: Timestamp) -> Result<Began, StoreError> {
    let mut book = Book::default();
    let mut sheaf = Sheaf::default();
    let record = book.record(txn.tables(), id)?;
    let action = record.change.action.clone();
    // An operator may have stopped it since, or a threshold.
    let most = match record.next(now) {
        Next::Send(most) if !record.is_reserving() => most,
        _ => 0,
    };
    let zones = zone::zones(record, now);
    let (open, mut sent) = (record.change.begins(), 0);
    for turn in turns.iter().take(usize::try_from(most).unwrap_or(usize::MAX)) {
        let target = &turn.target;
        if open.is_none_or(|open| open < target.stage) || !zones.admits(target.zone) {
            continue;
        }
        if let Some((after, changed)) = begun(txn, &mut sheaf, id, &action, turn, now)? {
            sent += u32::from(changed);
            sheaf.add(target, after, changed);
        }
    }
    book.record(txn.tables(), id)?.note_begun(sent, now);
    if action.gives_codes() {
        codes::issued(txn, id, sheaf.told(), now)?;
    }
    sheaf.close(txn, book, id)
}

/// What becomes of a turn, and whether its device was changed; none where it comes again, since the device moved on.
fn begun<'t>(
    txn: &mut Txn<'_>,
    sheaf: &mut Sheaf<'t>,
    id: ChangeId,
    action: &Action,
    turn: &'t Turn,
    now: Timestamp,
) -> Result<Option<(Target, bool)>, StoreError> {
    let target = &turn.target;
    let left = |why| {
        let state = target.state.clone().skipped(why, now);
        let after = Target {
            state,
            ..target.clone()
        };
        Ok(Some((after, false)))
    };
    let (device, is_held) = match stands(txn, turn, action.facets(), id)? {
        Stands::Still(device, is_held) => (device, is_held),
        Stands::Moved => return Ok(None),
        Stands::Left(why) => return left(why),
    };
    // One that is tried again is so already, and is sent it anew.
    let is_first = target.state == TargetState::Waiting { reached: None };
    if is_first && action.is_done(device) {
        return left(Skipped::AlreadyThere);
    }
    // It may have claimed since the change was planned.
    if action.spares(device) {
        return left(Skipped::Claimed);
    }
    if is_first && turn.content.is_ok() && target.becomes.is_some() && target.becomes != turn.becomes {
        return left(Skipped::NotAsPlanned);
    }
    let former = if is_first {
        action.former(device)
    } else {
        target.former.clone()
    };
    let wants_proof = match &turn.content {
        Ok(content) if is_first => action.wants_proof_of(device, content),
        Ok(_) | Err(_) => action.wants_proof() && can_prove(device),
    };
    if matches!(target.state, TargetState::Fallen { .. }) && !action.is_done(device) {
        // Somebody gave it something else since, which is not this change's to undo.
        let state = target.state.clone().given_up();
        let after = Target {
            state,
            ..target.clone()
        };
        return Ok(Some((after, false)));
    }
    if !is_held {
        hold(txn, id, action.facets(), target)?;
    }
    let transition = action.transition(code(turn, action, id)?, now);
    let made = match sheaf.step(txn, id, transition, device, turn, now)? {
        Ok(Some(generation)) => Ok(generation),
        Ok(None) => renew(txn, id, device, now)?,
        Err(why) => Err(why),
    };
    let generation = match made {
        Ok(generation) => generation,
        Err(why) => return left(Skipped::Unfit(why)),
    };
    let after = Target {
        former,
        state: target.state.clone().sent(generation, wants_proof, now),
        ..target.clone()
    };
    Ok(Some((after, true)))
}

/// What is kept of the code that a device gets.
fn code(turn: &Turn, action: &Action, id: ChangeId) -> Result<CodeHash, StoreError> {
    match turn.code {
        Some(code) => Ok(code),
        None if action.gives_codes() => Err(StoreError::missing("code_seeds", id)),
        None => Ok(CodeHash::NOTHING),
    }
}

/// Asks for another certificate, at once.
fn renew(
    txn: &mut Txn<'_>,
    id: ChangeId,
    before: &Device,
    now: Timestamp,
) -> Result<Result<u64, String>, StoreError> {
    if before.lifecycle.identity().is_none() {
        return Ok(Err("it has no certificate that is in use".into()));
    }
    let mut after = before.clone();
    after.renew_from = Some(now);
    let after = after.touched(now);
    index::replace(txn, before, &after)?;
    let event = Event::new(now, Actor::System, Audited::RenewalOrdered, after.name());
    txn.audit(&event.with("from", now.seconds()).with("change", id))?;
    Ok(Ok(after.target.generation))
}
