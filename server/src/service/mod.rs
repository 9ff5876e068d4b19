//! What the server does, one file a journey step: load, ask the domain, store, tell.
//!
//! Adapters (`grpc`, `mqtt`) call these functions with parsed arguments and a permit; nothing here knows a
//! protobuf, a topic or a table.

mod access;
mod catalog;
mod claim;
mod desired;
mod devices;
pub mod import;
mod session;

pub use access::CreatedOperator;
pub use claim::{ClaimAnswer, ClaimInput};
pub use devices::DeviceName;

use crate::{
    ca::Ca,
    clock::Clock,
    fault::{Failure, Fault},
    mqtt::bus::Bus,
    store::Store,
};
use muster_domain::{
    access::{Operator, Permit},
    audit::Actor,
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The parts that every step works with. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(crate) store: Store,
    pub(crate) ca: Arc<Ca>,
    pub(crate) clock: Clock,
    pub(crate) bus: Bus,
    imports: Arc<Semaphore>,
}

/// Imports at once; one keeps both cores of a small machine busy, the others wait their turn.
const IMPORT_LIMIT: usize = 4;

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// From its parts.
    pub fn new(store: Store, ca: Arc<Ca>, clock: Clock, bus: Bus) -> Self {
        Self { store, ca, clock, bus, imports: Arc::new(Semaphore::new(IMPORT_LIMIT)) }
    }

    /// The store, for read-only questions that need no decision.
    pub const fn store(&self) -> &Store {
        &self.store
    }
}

/// The operator behind a permit.
fn operator(permit: &Permit) -> Result<&Operator, Failure> {
    permit.operator().ok_or_else(|| {
        muster_domain::Refusal::new(muster_domain::Code::NotAuthenticated, "the call needs an operator").into()
    })
}

/// The same, as the actor of an audit entry.
fn actor(permit: &Permit) -> Result<Actor, Failure> {
    operator(permit).map(|operator| Actor::Operator(operator.name.clone()))
}

/// Turns an error of a part into a logged fault.
trait OrFault<T> {
    fn or_fault(self, doing: &str) -> Result<T, Fault>;
}

impl<T, E: std::error::Error + 'static> OrFault<T> for Result<T, E> {
    fn or_fault(self, doing: &str) -> Result<T, Fault> {
        self.map_err(|error| Fault::log(doing, &error))
    }
}

/// Runs CPU work off the async threads.
async fn blocking<T: Send + 'static>(doing: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.or_fault(doing)
}
