//! What callers do with a batch as a whole: make it, send its file, apply its plan, stop it, keep its results.

use super::{
    Service, Upload, actor,
    growing::cancelled,
    issue::Issuing,
    operator,
    token::{Place, invalid},
};
use crate::{fault::Failure, random, service::OrFault as _, store::Retry};
use muster_domain::{
    Code, Refusal,
    access::Permit,
    activation::Seed,
    audit::{Action, Actor, Event},
    batch::{Batch, BatchSpec, BatchState, BatchStep, PlanHash, REQUEST_ID_LIMIT, RetryFile},
    ids::BatchId,
};

/// What a new batch is made of.
#[derive(Debug, Clone)]
pub enum Created {
    /// A file of its own.
    Fresh(Box<BatchSpec>),
    /// Mended rows of a batch that ended.
    Retry(BatchId, RetryFile),
}

fn checked(request_id: &str) -> Result<(), Refusal> {
    let why = match request_id.len() {
        0 => "is empty; choose one for each batch",
        1..=REQUEST_ID_LIMIT => return Ok(()),
        _ => "is longer than 64 bytes",
    };
    Err(Refusal::new(Code::RequestInvalid, why).at("request_id"))
}

impl Service {
    /// Makes a batch that waits for its file; the same request again gives the same batch.
    ///
    /// # Errors
    /// [`Code::RequestIdReused`] when the request id stands for another one.
    pub async fn create_batch(
        &self,
        permit: &Permit,
        request_id: String,
        what: Created,
    ) -> Result<Batch, Failure> {
        checked(&request_id)?;
        match what {
            Created::Fresh(spec) => self.fresh_batch(permit, request_id, *spec).await,
            Created::Retry(batch, file) => {
                let retry = Retry {
                    batch,
                    request_id,
                    file,
                    author: operator(permit)?.name.clone(),
                    now: self.clock.now(),
                };
                let retried = self.store.retry_batch(retry).await;
                Ok(retried.or_fault("record a retry")??)
            }
        }
    }

    async fn fresh_batch(
        &self,
        permit: &Permit,
        request_id: String,
        spec: BatchSpec,
    ) -> Result<Batch, Failure> {
        let now = self.clock.now();
        // Before anything is kept: what was given for a recipient may be a secret.
        Issuing::of(&spec, now)?;
        let id = BatchId::new(now, random::number().or_fault("make an id")?);
        let seed = Seed::from_bytes(random::bytes().or_fault("make a seed")?);
        let author = operator(permit)?.name.clone();
        let batch = Batch::new(id, request_id, spec, author, seed, now);
        let event = Event::new(now, actor(permit)?, Action::BatchStarted, batch.name())
            .with("file_name", &batch.spec.file_name)
            .with("request_id", &batch.request_id);
        Ok(self
            .store
            .create_batch(batch, event)
            .await
            .or_fault("record a batch")??)
    }

    /// Goes on with the file of a batch, from where it is.
    ///
    /// # Errors
    /// [`Code::UploadOffset`] names the right offset; [`Code::BatchState`] when the file is whole already.
    pub async fn upload(&self, permit: &Permit, id: BatchId, offset: u64) -> Result<Upload, Failure> {
        let actor = actor(permit)?;
        let batch = self.known_batch(id).await?;
        match batch.state {
            BatchState::Uploading => {}
            BatchState::Checking
            | BatchState::Planned { .. }
            | BatchState::Applying
            | BatchState::Done(_)
            | BatchState::Cancelled(_)
            | BatchState::Failed { .. }
            | BatchState::Undoing { .. }
            | BatchState::Undone(_) => return Err(batch.refusal("receive a file").into()),
        }
        let running = self.take_up(&batch)?;
        Upload::begin(self.clone(), running, actor, offset, batch.received).await
    }

    /// Applies a plan: exactly this one, or nothing.
    ///
    /// # Errors
    /// [`Code::PlanMoved`] when it is another, [`Code::BatchState`] when there is none.
    pub async fn apply_batch(&self, permit: &Permit, id: BatchId, plan: PlanHash) -> Result<Batch, Failure> {
        let actor = actor(permit)?;
        let batch = self.known_batch(id).await?;
        if let BatchState::Applying | BatchState::Done(_) = batch.state
            && batch.plan == Some(plan)
        {
            // The answer to this very call was lost.
            return Ok(batch);
        }
        let BatchState::Planned { .. } = batch.state else {
            return Err(batch.refusal("be applied").into());
        };
        let step = BatchStep::ApplyBegun { plan: Some(plan) };
        let batch = self.step(id, step, &actor).await?;
        self.take_up(&batch)?;
        Ok(batch)
    }

    /// Stops a batch at its next part.
    ///
    /// # Errors
    /// [`Code::BatchState`] when it has ended.
    pub async fn cancel_batch(&self, permit: &Permit, id: BatchId) -> Result<Batch, Failure> {
        let batch = self.step(id, BatchStep::Cancelled, &actor(permit)?).await?;
        if let Some(running) = self.desk.find(id) {
            running.cancel(cancelled());
            running.wake();
        }
        Ok(batch)
    }

    /// The caller has kept the results up to a token: their codes and keys are erased.
    ///
    /// # Errors
    /// The token is none of this batch.
    pub async fn acknowledge_results(
        &self,
        permit: &Permit,
        id: BatchId,
        token: &str,
    ) -> Result<(), Failure> {
        let actor = actor(permit)?;
        let batch = self.known_batch(id).await?;
        let place = Place::read(token)?.ok_or_else(invalid)?;
        if place.attempt > batch.attempt || place.part > batch.parts {
            return Err(invalid().into());
        }
        if !place.applied || place.part <= batch.acknowledged {
            return Ok(());
        }
        let batch = self.acknowledge(id, place.part, actor).await?;
        self.forget_files(&batch).await
    }

    /// Erases what codes and keys of the first parts are made from.
    pub(super) async fn acknowledge(&self, id: BatchId, parts: u32, actor: Actor) -> Result<Batch, Failure> {
        let kept = self.store.acknowledge(id, parts, actor, self.clock.now()).await;
        Ok(kept.or_fault("acknowledge results")??)
    }
}
