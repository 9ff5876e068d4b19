//! Taking a batch back as one unit: the devices that it made go, those that it changed are what they were.
//!
//! A batch of up to [`UNDO_UNIT`] devices goes in one transaction. A larger one is marked first: from then on nobody
//! claims or changes a device that it made. Then everything is looked at once more, and the changed devices are what they
//! were in one transaction. From there on there is no way back: the others go part after part, also after a crash.

use super::{
    Store, batches, devices, index, keys,
    record::{Record as _, load},
    survey::{Evidence, Survey},
    tables::View,
    txn::Txn,
};
use crate::store::{StoreError, UndoAnswer};
use muster_domain::{
    Code, Refusal, Timestamp,
    audit::{Action, Actor, Event},
    batch::{Batch, BatchState, BatchStep, Reach, reverted},
    certificate::RevocationReason,
    device::{ClaimTerms, Device},
    ids::{BatchId, DeviceId},
};
use redb::{ReadTransaction, ReadableTable as _};
use std::collections::BTreeSet;

/// Most devices that are taken back in one transaction: about a kilobyte of memory each, and seconds in which nobody
/// else writes.
const UNDO_UNIT: usize = 1 << 18;
/// Devices of one transaction of a larger batch.
const UNDO_PART: usize = 1 << 15;

type Answer = Result<UndoAnswer, Refusal>;

impl Store {
    /// Takes a batch back, or says what stands in the way; with `dry`, only the latter. Refused while it is not at its
    /// end. Durable when this returns; of a batch that is being taken back already, it finishes the work.
    pub async fn undo_batch(
        &self,
        id: BatchId,
        dry: bool,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Answer, StoreError> {
        self.undo_in(id, dry, actor, now, UNDO_UNIT).await
    }

    /// The same, with another limit of what goes at once.
    pub(in crate::store) async fn undo_in(
        &self,
        id: BatchId,
        dry: bool,
        actor: Actor,
        now: Timestamp,
        unit: usize,
    ) -> Result<Answer, StoreError> {
        let Some(batch) = self.batch(id).await? else {
            let refusal = Refusal::new(Code::NotFound, format!("no batch has the id {id}"));
            return Ok(Err(refusal.at("name")));
        };
        if let BatchState::Undoing { .. } = batch.state {
            return self.finish_undo(id, actor, now).await;
        }
        if let Err(refusal) = may_begin(&batch, now) {
            return Ok(Err(refusal));
        }
        let survey = self.blocking(move |txn| look(txn, id)).await?;
        if dry || survey.blocked > 0 {
            return Ok(Ok(answer(batch, survey)));
        }
        let size = survey.created + survey.updated.len();
        if size <= unit {
            return self
                .write_rows(size, move |txn| at_once(txn, id, &actor, now))
                .await;
        }
        let author = actor.clone();
        match self.write(move |txn| begin(txn, id, &author, now)).await? {
            Ok(_) => self.finish_undo(id, actor, now).await,
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Ends what was begun, after a crash too.
    async fn finish_undo(&self, id: BatchId, actor: Actor, now: Timestamp) -> Result<Answer, StoreError> {
        let survey = self.blocking(move |txn| look(txn, id)).await?;
        let (blocked, who) = (survey.blocked > 0, actor.clone());
        let decided = self
            .write_rows(survey.updated.len(), move |txn| {
                decide(txn, id, blocked, &who, now)
            })
            .await?;
        match decided {
            Ok(Decided::Abandoned(batch, moved)) => {
                let survey = if blocked { survey } else { moved };
                return Ok(Ok(answer(*batch, survey)));
            }
            Ok(Decided::Going) => {}
            Err(refusal) => return Ok(Err(refusal)),
        }
        loop {
            let who = actor.clone();
            let part = self
                .write_rows(UNDO_PART, move |txn| go(txn, id, &who, now))
                .await?;
            match part {
                Ok(None) => {}
                Ok(Some(batch)) => return Ok(Ok(answer(batch, Survey::default()))),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
    }

    /// The first half of the undo of a large batch, as a crash behind it leaves it.
    #[cfg(test)]
    pub(in crate::store) async fn mark_undoing(&self, id: BatchId, now: Timestamp) -> Batch {
        let begun = self.write(move |txn| begin(txn, id, &Actor::System, now)).await;
        begun.unwrap().unwrap()
    }
}

fn answer(batch: Batch, survey: Survey) -> UndoAnswer {
    UndoAnswer {
        batch,
        blocks: survey.blocks,
        blocked: survey.blocked,
    }
}

fn may_begin(batch: &Batch, now: Timestamp) -> Result<Batch, Refusal> {
    let begun = batch.clone().step(BatchStep::UndoBegun, now)?;
    if batch.unrecorded > 0 && batch.tally.updated > 0 {
        let why = format!(
            "{} is of an older program, which did not keep what its {} updated devices were",
            batch.name(),
            batch.tally.updated
        );
        return Err(Refusal::new(Code::UndoBlocked, why));
    }
    Ok(begun)
}

fn look(txn: &ReadTransaction, id: BatchId) -> Result<Survey, StoreError> {
    let view = View::open(txn)?;
    let evidence = Evidence {
        by_batch: &view.by_batch,
        former: &view.former,
        devices: &view.devices,
        macs: &view.macs,
        keys: &view.keys,
    };
    evidence.survey(id)
}

macro_rules! evidence {
    ($txn:expr) => {{
        let tables = $txn.tables();
        Evidence {
            by_batch: &tables.by_batch,
            former: &tables.former,
            devices: &tables.devices,
            macs: &tables.macs,
            keys: &tables.keys,
        }
    }};
}

fn log(
    txn: &mut Txn<'_>,
    batch: &Batch,
    action: Action,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    let event = Event::new(now, actor.clone(), action, batch.name());
    txn.audit(&batches::tallied(event, batch.tally)).map(drop)
}

/// A step that the state, which was looked at in this transaction, allows.
fn stepped(batch: Batch, step: BatchStep, now: Timestamp) -> Result<Batch, StoreError> {
    let stepped = batch.step(step, now);
    stepped.map_err(|refusal| StoreError::damaged("batches", refusal))
}

/// All of it in one transaction.
fn at_once(txn: &mut Txn<'_>, id: BatchId, actor: &Actor, now: Timestamp) -> Result<Answer, StoreError> {
    let batch = match batches::find(txn, id)? {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let begun = match may_begin(&batch, now) {
        Ok(begun) => begun,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // The world may have moved since the snapshot.
    let survey = evidence!(txn).survey(id)?;
    if survey.blocked > 0 {
        return Ok(Ok(answer(batch, survey)));
    }
    let decided = stepped(begun, BatchStep::UndoDecided, now)?;
    revert(txn, id, &survey, actor, now)?;
    remove(txn, id, usize::MAX, now)?;
    let undone = end(txn, decided, actor, now)?;
    Ok(Ok(answer(undone, Survey::default())))
}

/// Marks a large batch.
fn begin(
    txn: &mut Txn<'_>,
    id: BatchId,
    actor: &Actor,
    now: Timestamp,
) -> Result<Result<Batch, Refusal>, StoreError> {
    let begun = batches::find(txn, id)?.and_then(|batch| may_begin(&batch, now));
    let batch = match begun {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    batches::put(txn, &batch)?;
    log(txn, &batch, Action::BatchUndoStarted, actor, now)?;
    Ok(Ok(batch))
}

/// How the last look at a large batch ended.
enum Decided {
    /// Something blocks it, so it is as it was.
    Abandoned(Box<Batch>, Survey),
    /// There is no way back.
    Going,
}

/// The last look at a large batch. Devices that it made cannot change any more, so what the snapshot said of them holds;
/// those that it changed are looked at again.
fn decide(
    txn: &mut Txn<'_>,
    id: BatchId,
    blocked: bool,
    actor: &Actor,
    now: Timestamp,
) -> Result<Result<Decided, Refusal>, StoreError> {
    let batch = match batches::find(txn, id)? {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    match batch.state {
        BatchState::Undoing { decided: false, .. } => {}
        // Another call that does the same was faster, or a crash came behind this.
        BatchState::Undoing { decided: true, .. } | BatchState::Undone(_) => return Ok(Ok(Decided::Going)),
        BatchState::Uploading
        | BatchState::Checking
        | BatchState::Planned { .. }
        | BatchState::Applying
        | BatchState::Done(_)
        | BatchState::Cancelled(_)
        | BatchState::Failed { .. } => return Ok(Err(batch.refusal("be taken back"))),
    }
    let survey = evidence!(txn).updated(id)?;
    if blocked || survey.blocked > 0 {
        let batch = stepped(batch, BatchStep::UndoAbandoned, now)?;
        batches::put(txn, &batch)?;
        log(txn, &batch, Action::BatchUndoAbandoned, actor, now)?;
        return Ok(Ok(Decided::Abandoned(Box::new(batch), survey)));
    }
    revert(txn, id, &survey, actor, now)?;
    let batch = stepped(batch, BatchStep::UndoDecided, now)?;
    batches::put(txn, &batch)?;
    Ok(Ok(Decided::Going))
}

/// The next devices of a large batch. `Some` when it is gone.
fn go(
    txn: &mut Txn<'_>,
    id: BatchId,
    actor: &Actor,
    now: Timestamp,
) -> Result<Result<Option<Batch>, Refusal>, StoreError> {
    let batch = match batches::find(txn, id)? {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    match batch.state {
        BatchState::Undoing { decided: true, .. } => {}
        BatchState::Undone(_) => return Ok(Ok(Some(batch))),
        BatchState::Uploading
        | BatchState::Checking
        | BatchState::Planned { .. }
        | BatchState::Applying
        | BatchState::Done(_)
        | BatchState::Cancelled(_)
        | BatchState::Failed { .. }
        | BatchState::Undoing { decided: false, .. } => return Ok(Err(batch.refusal("be taken back"))),
    }
    if remove(txn, id, UNDO_PART, now)? == UNDO_PART {
        return Ok(Ok(None));
    }
    end(txn, batch, actor, now).map(|batch| Ok(Some(batch)))
}

/// Nothing of it is left but its record.
fn end(txn: &mut Txn<'_>, batch: Batch, actor: &Actor, now: Timestamp) -> Result<Batch, StoreError> {
    let undone = stepped(batch, BatchStep::Undone, now)?;
    batches::erase(txn, undone.id, 0..undone.parts)?;
    batches::put(txn, &undone)?;
    log(txn, &undone, Action::BatchUndone, actor, now)?;
    Ok(undone)
}

/// Makes changed devices what they were before the first change of this batch.
fn revert(
    txn: &mut Txn<'_>,
    id: BatchId,
    survey: &Survey,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    free_addresses(txn, survey)?;
    free_keys(txn, survey, now)?;
    let key = id.as_u128();
    let last = (key, u32::MAX, u32::MAX);
    let mut done = BTreeSet::new();
    let mut next = Some((key, 0, 0));
    while let Some(first) = next {
        let range = txn.tables().former.range(first..=last)?;
        let part = range.take(UNDO_PART).map(|entry| {
            let (place, value) = entry?;
            Ok((place.value(), Device::decode(value.value().1)?))
        });
        let part = part.collect::<Result<Vec<_>, StoreError>>()?;
        next = part.last().and_then(|(place, _)| behind(*place));
        for (_, before) in part {
            // What the oldest change found is what it was.
            if !done.insert(before.id) {
                continue;
            }
            let device = stored(txn, before.id)?;
            if device.origin.batch != id {
                let updated = survey.updated.get(&before.id.as_u128());
                let reach = updated.map_or(Reach::Values, |updated| updated.reach);
                let after = reverted(device.clone(), before, reach, now);
                match reach {
                    Reach::Values => {}
                    Reach::Terms => rearm(txn, id, actor, &device, &after)?,
                }
                index::replace(txn, &device, &after)?;
            }
        }
    }
    let range = (key, 0, 0)..=last;
    txn.write().former.retain_in(range, |_, _| false)?;
    Ok(())
}

/// A device is to be claimed on the terms it had.
fn rearm(
    txn: &mut Txn<'_>,
    id: BatchId,
    actor: &Actor,
    device: &Device,
    after: &Device,
) -> Result<(), StoreError> {
    keys::replace(txn, device, after)?;
    let event = Event::new(after.updated, actor.clone(), Action::ClaimArmed, after.name());
    txn.audit(&devices::on_terms(event.with("batch", id), after))
        .map(drop)
}

/// The key behind this one.
const fn behind((batch, part, row): (u128, u32, u32)) -> Option<(u128, u32, u32)> {
    match (row.checked_add(1), part.checked_add(1)) {
        (Some(row), _) => Some((batch, part, row)),
        (None, Some(part)) => Some((batch, part, 0)),
        (None, None) => None,
    }
}

/// Takes from their holders the addresses that devices get back: each of them changes too, or goes.
fn free_addresses(txn: &mut Txn<'_>, survey: &Survey) -> Result<(), StoreError> {
    for (&device, updated) in &survey.updated {
        let Some(mac) = updated.mac else { continue };
        let holder = txn.tables().macs.get(mac.key())?.map(|holder| holder.value());
        if let Some(holder) = holder.filter(|&holder| holder != device) {
            let holder = stored(txn, DeviceId::from_u128(holder))?;
            let bare = Device {
                mac: None,
                ..holder.clone()
            };
            index::replace(txn, &holder, &bare)?;
        }
    }
    Ok(())
}

/// Takes from their holders the keys that devices must have again: each of them changes too, or goes.
fn free_keys(txn: &mut Txn<'_>, survey: &Survey, now: Timestamp) -> Result<(), StoreError> {
    for (&device, updated) in &survey.updated {
        let Some(key) = updated.key() else { continue };
        let holder = txn.tables().keys.get(&key.0)?.map(|holder| holder.value());
        let Some(holder) = holder.filter(|&holder| holder != device) else {
            continue;
        };
        let holder = stored(txn, DeviceId::from_u128(holder))?;
        let Some(terms) = holder.lifecycle.claim_terms() else {
            continue;
        };
        let mut bare = holder.clone();
        bare.lifecycle = bare.lifecycle.on_terms(ClaimTerms { key: None, ..terms });
        let bare = bare.touched(now);
        keys::replace(txn, &holder, &bare)?;
        index::replace(txn, &holder, &bare)?;
    }
    Ok(())
}

fn stored(txn: &Txn<'_>, id: DeviceId) -> Result<Device, StoreError> {
    let device = load::<Device>(&txn.tables().devices, id.as_u128())?;
    device.ok_or_else(|| StoreError::missing("devices", id))
}

/// Deletes up to `limit` devices that the batch made; says how many. Their certificates are revoked and stay on record.
fn remove(txn: &mut Txn<'_>, id: BatchId, limit: usize, now: Timestamp) -> Result<usize, StoreError> {
    let key = id.as_u128();
    let range = txn.tables().by_batch.range((key, 0)..=(key, u128::MAX))?;
    let going = range.take(limit).map(|entry| Ok(entry?.0.value().1));
    let going = going.collect::<Result<Vec<u128>, StoreError>>()?;
    for &device in &going {
        let device = stored(txn, DeviceId::from_u128(device))?;
        devices::release(txn, &device, RevocationReason::CessationOfOperation, now)?;
        index::remove(txn, &device)?;
    }
    Ok(going.len())
}
