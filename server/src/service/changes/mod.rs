//! Changes of many devices: described and planned when operators ask for it, performed by one worker.

mod create;
mod list;
mod orders;
mod perform;
mod plan;
mod turns;

pub use create::NewChange;

use super::{OrFault as _, Service};
use crate::fault::Failure;
use muster_domain::{Code, Refusal, change::ChangeRecord, ids::ChangeId};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Who has a turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    /// One plan at a time: each takes both cores of a small machine, and memory for its targets.
    planning: Arc<Mutex<()>>,
    /// One performs.
    performing: Arc<Mutex<()>>,
}

impl Service {
    /// The change of that id.
    ///
    /// # Errors
    /// [`Code::NotFound`]; or a fault.
    pub async fn change(&self, id: ChangeId) -> Result<ChangeRecord, Failure> {
        let found = self.store.change(id).await.or_fault("load a change")?;
        let missing = || Refusal::new(Code::NotFound, format!("no change has the id {id}")).at("name");
        Ok(found.ok_or_else(missing)?)
    }
}
