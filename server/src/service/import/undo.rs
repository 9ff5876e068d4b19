//! Taking a batch back as one unit.

use super::{Service, actor, drive::Driver};
use crate::{fault::Failure, service::OrFault as _, store::UndoAnswer};
use muster_domain::{access::Permit, batch::Batch, ids::BatchId};

impl Service {
    /// Takes a batch back, or says what stands in the way; `dry` only says it. Devices whose values return hear of it.
    ///
    /// # Errors
    /// [`Code::BatchState`](muster_domain::Code::BatchState) when the batch is still at work.
    pub async fn undo_batch(&self, permit: &Permit, id: BatchId, dry: bool) -> Result<UndoAnswer, Failure> {
        let actor = actor(permit)?;
        let undone = self.store.undo_batch(id, dry, actor, self.clock.now()).await;
        let undone = undone.or_fault("take a batch back")??;
        self.take_up_undo(&undone.batch)?;
        Ok(undone)
    }
}
