//! Taking a batch back as one unit.

use super::{Service, actor};
use crate::{fault::Failure, mqtt::bus::Down, service::OrFault as _, store::UndoAnswer};
use muster_domain::{
    access::Permit,
    audit::Actor,
    batch::{Batch, BatchState, SlotOutcome},
    ids::BatchId,
};

impl Service {
    /// Takes a batch back, or says what stands in the way; `dry` only says it. Once begun it goes on to its end, also
    /// when the caller leaves.
    ///
    /// # Errors
    /// [`Code::BatchState`](muster_domain::Code::BatchState) when the batch is still at work.
    pub async fn undo_batch(&self, permit: &Permit, id: BatchId, dry: bool) -> Result<UndoAnswer, Failure> {
        let actor = actor(permit)?;
        let service = self.clone();
        let work = self
            .desk
            .tasks
            .spawn(async move { service.undo(id, dry, actor).await });
        work.await.or_fault("take a batch back")?
    }

    /// Goes on with an undo that was cut.
    pub(super) async fn finish_undo(&self, batch: &Batch) -> Result<(), Failure> {
        let author = Actor::Operator(batch.author.clone());
        self.undo(batch.id, false, author).await.map(drop)
    }

    async fn undo(&self, id: BatchId, dry: bool, actor: Actor) -> Result<UndoAnswer, Failure> {
        let undone = self.store.undo_batch(id, dry, actor, self.clock.now()).await;
        let undone = undone.or_fault("take a batch back")??;
        if let BatchState::Undone(_) = undone.batch.state {
            self.tell_reverted(&undone.batch).await?;
        }
        if let Some(running) = self.desk.find(id) {
            running.wake();
        }
        Ok(undone)
    }

    /// Devices that are what they were hear of it at once where they are connected.
    async fn tell_reverted(&self, batch: &Batch) -> Result<(), Failure> {
        for number in 0..batch.parts {
            let part = self.store.batch_part(batch.id, number).await;
            let slots = part
                .or_fault("load a part")?
                .map_or_else(Vec::new, |part| part.record.slots);
            for slot in slots {
                if let SlotOutcome::Updated { device, .. } = slot.outcome {
                    self.tell(Down::DesiredChanged(device));
                }
            }
        }
        Ok(())
    }
}
