//! Batches: made, stepped, acknowledged, sent again.

use super::{
    Store,
    record::{Record as _, load},
    requests::Asked,
    tables::{BATCHES, OPEN_BATCHES},
    txn::Txn,
};
use crate::store::{Retry, StoreError};
use muster_domain::{
    Code, Refusal, Timestamp,
    audit::{Action, Actor, Event},
    batch::{Batch, BatchState, BatchStep, Tally},
    ids::BatchId,
    names::OperatorName,
};
use redb::ReadableTable as _;
use std::ops::Range;

impl Store {
    /// Makes a batch, or answers with the one that its author made with the same request id. Another request with that id
    /// is refused.
    pub async fn create_batch(
        &self,
        batch: Batch,
        event: Event,
    ) -> Result<Result<Batch, Refusal>, StoreError> {
        self.write(move |txn| create(txn, &batch, &event)).await
    }

    /// Mended rows for a batch that has ended: the same batch, waiting for another file. The same request id again answers
    /// with the batch as it is.
    pub async fn retry_batch(&self, retry: Retry) -> Result<Result<Batch, Refusal>, StoreError> {
        self.write(move |txn| again(txn, &retry)).await
    }

    /// Takes a batch one step further. Steps that come with something else (parts, acknowledgements, retries, undo) have
    /// operations of their own, and are refused here.
    pub async fn step_batch(
        &self,
        id: BatchId,
        step: BatchStep,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Result<Batch, Refusal>, StoreError> {
        self.write(move |txn| self::step(txn, id, &step, &actor, now))
            .await
    }

    /// Erases what codes and keys of the first `parts` parts can be shown from. Doing so again changes nothing.
    pub async fn acknowledge(
        &self,
        id: BatchId,
        parts: u32,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Result<Batch, Refusal>, StoreError> {
        self.write(move |txn| acknowledge(txn, id, parts, &actor, now))
            .await
    }

    /// The record of a batch.
    pub async fn batch(&self, id: BatchId) -> Result<Option<Batch>, StoreError> {
        load(&self.read()?.open_table(BATCHES)?, id.as_u128())
    }

    /// Batches older than `before`, newest first.
    pub async fn list_batches(
        &self,
        before: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>, StoreError> {
        self.blocking(move |txn| {
            let table = txn.open_table(BATCHES)?;
            let range = match before {
                Some(before) => table.range(..before.as_u128())?,
                None => table.range::<u128>(..)?,
            };
            range
                .rev()
                .take(limit)
                .map(|entry| Batch::from_guard(entry?.1))
                .collect()
        })
        .await
    }

    /// Batches that wait for a file, work, or can be applied: what a server takes up again when it starts. Oldest first.
    pub async fn unfinished_batches(&self) -> Result<Vec<Batch>, StoreError> {
        let ended = |batch: &Batch| {
            matches!(
                batch.state,
                BatchState::Done(_)
                    | BatchState::Cancelled(_)
                    | BatchState::Failed { .. }
                    | BatchState::Undone(_)
            )
        };
        self.open_batches(move |batch| !ended(batch)).await
    }

    /// Batches that nobody came back for in time; see [`Batch::expires`]. Oldest first.
    pub async fn expired_batches(&self, now: Timestamp) -> Result<Vec<Batch>, StoreError> {
        self.open_batches(move |batch| batch.expires().is_some_and(|at| at <= now))
            .await
    }

    async fn open_batches(
        &self,
        wanted: impl Fn(&Batch) -> bool + Send + 'static,
    ) -> Result<Vec<Batch>, StoreError> {
        self.blocking(move |txn| {
            let (open, batches) = (txn.open_table(OPEN_BATCHES)?, txn.open_table(BATCHES)?);
            let mut found = Vec::new();
            for entry in open.iter()? {
                let id = entry?.0.value();
                let batch = load::<Batch>(&batches, id)?;
                let batch = batch.ok_or_else(|| StoreError::missing("batches", BatchId::from_u128(id)))?;
                if wanted(&batch) {
                    found.push(batch);
                }
            }
            Ok(found)
        })
        .await
    }
}

/// The kind of an open batch whose devices are going.
pub(super) const UNDOING: u8 = 1;

/// The kind of an open batch in the index.
pub(super) fn open_kind(batch: &Batch) -> Option<u8> {
    let undoing = matches!(batch.state, BatchState::Undoing { .. });
    batch.is_open().then_some(if undoing { UNDOING } else { 0 })
}

/// Writes a batch, and whether it is open.
pub(super) fn put(txn: &mut Txn<'_>, batch: &Batch) -> Result<(), StoreError> {
    let record = batch.encode()?;
    let tables = txn.write();
    tables.batches.insert(batch.id.as_u128(), record.as_slice())?;
    match open_kind(batch) {
        Some(kind) => drop(tables.open_batches.insert(batch.id.as_u128(), kind)?),
        None => drop(tables.open_batches.remove(batch.id.as_u128())?),
    }
    Ok(())
}

/// The batch, or that there is none.
pub(super) fn find(txn: &Txn<'_>, id: BatchId) -> Result<Result<Batch, Refusal>, StoreError> {
    let batch = load::<Batch>(&txn.tables().batches, id.as_u128())?;
    let missing = || Refusal::new(Code::NotFound, format!("no batch has the id {id}")).at("name");
    Ok(batch.ok_or_else(missing))
}

/// What came of a request before: the batch as it is now.
fn asked_before(
    txn: &Txn<'_>,
    request: &Asked<BatchId>,
    by: (&OperatorName, &str),
) -> Result<Option<Result<Batch, Refusal>>, StoreError> {
    match request.before(&txn.tables().batch_requests, by, "batches")? {
        None => Ok(None),
        Some(Err(refusal)) => Ok(Some(Err(refusal))),
        Some(Ok(made)) => find(txn, made).map(Some),
    }
}

fn create(txn: &mut Txn<'_>, batch: &Batch, event: &Event) -> Result<Result<Batch, Refusal>, StoreError> {
    let (request, by) = (
        Asked::new(batch.id, &batch.spec)?,
        (&batch.author, batch.request_id.as_str()),
    );
    if let Some(answer) = asked_before(txn, &request, by)? {
        return Ok(answer);
    }
    if txn.tables().batches.get(batch.id.as_u128())?.is_some() {
        return Err(StoreError::duplicate("batches", batch.id));
    }
    request.remember(&mut txn.write().batch_requests, by)?;
    put(txn, batch)?;
    txn.audit(event)?;
    Ok(Ok(batch.clone()))
}

fn again(txn: &mut Txn<'_>, retry: &Retry) -> Result<Result<Batch, Refusal>, StoreError> {
    let (request, by) = (
        Asked::new(retry.batch, &(retry.batch, &retry.file))?,
        (&retry.author, retry.request_id.as_str()),
    );
    if let Some(answer) = asked_before(txn, &request, by)? {
        return Ok(answer);
    }
    let batch = match find(txn, retry.batch)? {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal.at("retry_of"))),
    };
    let begun = BatchStep::RetryBegun {
        request_id: retry.request_id.clone(),
        file: retry.file.clone(),
    };
    let batch = match batch.step(begun, retry.now) {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal.at("retry_of"))),
    };
    request.remember(&mut txn.write().batch_requests, by)?;
    put(txn, &batch)?;
    let actor = Actor::Operator(retry.author.clone());
    let event = Event::new(retry.now, actor, Action::BatchRetried, batch.name());
    let event = event
        .with("attempt", batch.attempt)
        .with("file_name", &batch.spec.file_name);
    txn.audit(&event)?;
    Ok(Ok(batch))
}

/// What the audit log calls a step; `None` for those that are not worth an entry.
fn action(step: &BatchStep) -> Option<Action> {
    match step {
        BatchStep::Planned { .. } => Some(Action::BatchPlanned),
        BatchStep::ApplyBegun { .. } => Some(Action::BatchApplied),
        BatchStep::Finished => Some(Action::BatchFinished),
        BatchStep::Cancelled => Some(Action::BatchCancelled),
        BatchStep::Failed(_) => Some(Action::BatchFailed),
        BatchStep::Received(_)
        | BatchStep::UploadEnded { .. }
        | BatchStep::Checked(_)
        | BatchStep::MappingKept(..)
        | BatchStep::PartCommitted { .. }
        | BatchStep::Acknowledged(_)
        | BatchStep::RetryBegun { .. }
        | BatchStep::UndoBegun
        | BatchStep::UndoDecided
        | BatchStep::UndoAbandoned
        | BatchStep::Undone => None,
    }
}

/// Steps that operations of their own make.
const fn is_reserved(step: &BatchStep) -> bool {
    matches!(
        step,
        BatchStep::PartCommitted { .. }
            | BatchStep::Acknowledged(_)
            | BatchStep::RetryBegun { .. }
            | BatchStep::UndoBegun
            | BatchStep::UndoDecided
            | BatchStep::UndoAbandoned
            | BatchStep::Undone
    )
}

fn step(
    txn: &mut Txn<'_>,
    id: BatchId,
    step: &BatchStep,
    actor: &Actor,
    now: Timestamp,
) -> Result<Result<Batch, Refusal>, StoreError> {
    let batch = match find(txn, id)? {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if is_reserved(step) {
        return Ok(Err(batch.refusal("take this step by itself")));
    }
    let batch = match batch.step(step.clone(), now) {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    put(txn, &batch)?;
    if let Some(action) = action(step) {
        let event = Event::new(now, actor.clone(), action, batch.name());
        txn.audit(&explained(event, step, &batch))?;
    }
    Ok(Ok(batch))
}

fn explained(event: Event, step: &BatchStep, batch: &Batch) -> Event {
    match (step, batch.plan) {
        (BatchStep::Failed(refusal), _) => event.with("refusal", refusal),
        (BatchStep::Planned { tally, .. }, Some(plan)) => tallied(event, *tally).with("plan", plan),
        (BatchStep::ApplyBegun { .. }, Some(plan)) => event.with("plan", plan),
        (BatchStep::ApplyBegun { .. }, None) => event,
        _ => tallied(event, batch.tally).with("parts", batch.parts),
    }
}

pub(super) fn tallied(event: Event, tally: Tally) -> Event {
    event
        .with("created", tally.created)
        .with("updated", tally.updated)
        .with("unchanged", tally.unchanged)
        .with("refused", tally.refused)
}

/// Erases what the codes and keys of parts can be shown from.
pub(super) fn erase(txn: &mut Txn<'_>, id: BatchId, parts: Range<u32>) -> Result<(), StoreError> {
    let (id, Range { start, end }) = (id.as_u128(), parts);
    let tables = txn.write();
    tables.seeds.retain_in((id, start)..(id, end), |_, _| false)?;
    let keys = (id, start, 0)..(id, end, 0);
    tables.part_keys.retain_in(keys, |_, _| false)?;
    Ok(())
}

fn acknowledge(
    txn: &mut Txn<'_>,
    id: BatchId,
    parts: u32,
    actor: &Actor,
    now: Timestamp,
) -> Result<Result<Batch, Refusal>, StoreError> {
    let before = match find(txn, id)? {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let known = before.acknowledged;
    let batch = match before.clone().step(BatchStep::Acknowledged(parts), now) {
        Ok(batch) => batch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if batch.acknowledged == known {
        return Ok(Ok(before));
    }
    erase(txn, batch.id, known..batch.acknowledged)?;
    put(txn, &batch)?;
    let event = Event::new(now, actor.clone(), Action::ResultsAcknowledged, batch.name());
    txn.audit(&event.with("parts", batch.acknowledged))?;
    Ok(Ok(batch))
}
