//! Changes of many devices: described and planned when operators ask for it, performed by one worker.

mod codes;
mod create;
mod deal;
mod interned;
mod late;
mod list;
mod orders;
mod perform;
mod plan;
mod rules;
mod survey;
mod turns;

pub use codes::{CodesPart, GivenCode};
pub use create::NewChange;
pub use perform::WAVE_PART;

use super::{OrFault as _, Service};
use crate::fault::Failure;
use muster_domain::{Code, Refusal, change::ChangeRecord, ids::ChangeId};
use std::sync::{Arc, atomic::AtomicU64};
use tokio::sync::Mutex;

/// Who has a turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    /// One plan at a time: each takes both cores of a small machine, and memory for its targets.
    planning: Arc<Mutex<()>>,
    /// One performs.
    performing: Arc<Mutex<late::Lookout>>,
    /// What was done since the server started.
    done: Arc<Done>,
}

/// What monitoring sees of the worker.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Targets that were begun.
    pub(crate) begun: AtomicU64,
    /// Changes that their thresholds stopped.
    pub(crate) halts: AtomicU64,
}

impl Service {
    /// What the worker of changes did since the server started.
    pub(crate) fn changes_done(&self) -> &Done {
        &self.turns.done
    }

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
