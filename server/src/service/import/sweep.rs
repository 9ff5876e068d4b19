//! What a stop or a crash left, and what nobody wants any more.

use super::{Service, files::Kind};
use crate::{
    fault::Failure,
    service::{OrFault as _, blocking},
};
use muster_domain::{
    audit::Actor,
    batch::{Batch, BatchState, BatchStep},
    ids::BatchId,
};

impl Service {
    /// Goes on with every batch that was at work. One that waits for bytes waits on.
    pub(crate) async fn recover_batches(&self) -> Result<(), Failure> {
        for batch in self.store.unfinished_batches().await.or_fault("find batches")? {
            match batch.state {
                BatchState::Checking | BatchState::Applying | BatchState::Undoing { .. } => {
                    if let Err(refusal) = self.take_up(&batch) {
                        tracing::warn!(batch = %batch.id, %refusal, "a batch waits until somebody watches it");
                    }
                }
                BatchState::Uploading
                | BatchState::Planned { .. }
                | BatchState::Done(_)
                | BatchState::Cancelled(_)
                | BatchState::Failed { .. }
                | BatchState::Undone(_) => {}
            }
        }
        Ok(())
    }

    /// Ends what expired, and removes files that belong to nobody. A running server does this every hour.
    ///
    /// # Errors
    /// A fault; what was swept stays swept.
    pub async fn sweep_batches(&self) -> Result<(), Failure> {
        let expired = self.store.expired_batches(self.clock.now()).await;
        for batch in expired.or_fault("find expired batches")? {
            if let Err(failure) = self.expire(&batch).await {
                tracing::warn!(batch = %batch.id, %failure, "an expired batch stays");
            }
        }
        let files = self.files.clone();
        let owners = blocking("list manifests", move || files.owners()).await?;
        for id in owners.or_fault("list manifests")? {
            match self.store.batch(id).await.or_fault("load a batch")? {
                Some(batch) => self.forget_files(&batch).await?,
                None => self.remove_files(id, u32::MAX, Kind::ALL).await?,
            }
        }
        Ok(())
    }

    /// A file that never became whole and a plan are cancelled; results lose their secrets.
    async fn expire(&self, batch: &Batch) -> Result<(), Failure> {
        match batch.state {
            BatchState::Uploading | BatchState::Planned { .. } => {
                self.step(batch.id, BatchStep::Cancelled, &Actor::System).await?;
                if let Some(running) = self.desk.find(batch.id) {
                    running.cancel(super::growing::cancelled());
                    running.wake();
                }
            }
            BatchState::Done(_)
            | BatchState::Cancelled(_)
            | BatchState::Failed { .. }
            | BatchState::Undone(_) => {
                self.acknowledge(batch.id, batch.parts, Actor::System).await?;
            }
            BatchState::Checking | BatchState::Applying | BatchState::Undoing { .. } => {}
        }
        Ok(())
    }

    /// Removes the files of a batch that nobody needs any more: of one that has ended the manifest, and when its results
    /// are acknowledged the rest. What a factory sends back may hold codes, so it does not lie about.
    pub(super) async fn forget_files(&self, batch: &Batch) -> Result<(), Failure> {
        let kinds = match &batch.state {
            BatchState::Uploading
            | BatchState::Checking
            | BatchState::Planned { .. }
            | BatchState::Applying
            | BatchState::Undoing { .. } => return Ok(()),
            BatchState::Done(_)
            | BatchState::Cancelled(_)
            | BatchState::Failed { .. }
            | BatchState::Undone(_) => match batch.is_open() {
                true => Kind::WORK,
                false => Kind::ALL,
            },
        };
        self.remove_files(batch.id, batch.attempt, kinds).await
    }

    async fn remove_files(&self, id: BatchId, newest: u32, kinds: &'static [Kind]) -> Result<(), Failure> {
        let files = self.files.clone();
        let removed = blocking("remove a manifest", move || files.remove(id, newest, kinds)).await?;
        Ok(removed.or_fault("remove a manifest")?)
    }

    /// Waits until nobody works at a batch any more. For a stop, which tells them all.
    pub(crate) async fn batches_left(&self) {
        self.desk.tasks.close();
        self.desk.tasks.wait().await;
    }
}
