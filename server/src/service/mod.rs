//! What the server does, one file a journey step: load, ask the domain, store, tell.
//!
//! Adapters (`grpc`, `http`, `mqtt`) call these functions with parsed arguments and a permit; nothing here knows a
//! protobuf, a topic or a table.

mod access;
mod catalog;
mod certificates;
mod changes;
mod claim;
mod deliveries;
mod desired;
mod devices;
mod enroll;
mod forecast;
mod groups;
pub mod import;
mod kept_keys;
mod keygen;
mod lists;
mod outdated;
mod renew;
mod secrets;
mod session;
mod watch;

pub use crate::store::DeviceName;
pub use access::CreatedOperator;
pub(crate) use catalog::APPLY_LIMIT;
pub use changes::{CodesPart, GivenCode, NewChange, WAVE_PART};
pub use claim::{ClaimAnswer, ClaimInput};
pub use deliveries::Backlog;
use devices::REASON_LIMIT;
pub use forecast::{Asked, ForecastInput, ForecastPart};
pub use keygen::{Keygen, KeygenInput, MadeIdentity};
pub use watch::{Telling, Told, Watched, Witness};

use crate::{
    ca::Ca,
    clock::Clock,
    fault::{Failure, Fault},
    live::Live,
    mqtt::bus::Bus,
    store::Store,
    zone,
};
use certificates::ExpiryCount;
use changes::Turns;
use deliveries::Deliveries;
use forecast::Forecasts;
use import::{Desk, Files};
use muster_domain::{
    Code, Refusal, Timestamp,
    access::{Operator, Permit},
    audit::Actor,
    certificate::CertificateSerial,
    change::explain_target,
    device::{self, Device, Explanation},
};
use muster_proto::payload::TrustBundle;
use std::{path::Path, sync::Arc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The parts that every step works with. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(crate) store: Store,
    /// Replaced whole, by [`crate::reload`]; a step takes it once.
    pub(crate) ca: Live<Ca>,
    pub(crate) clock: Clock,
    pub(crate) bus: Bus,
    imports: Arc<Semaphore>,
    /// Where files without names go while an import runs.
    spool: Arc<Path>,
    /// Manifests as they were sent.
    files: Files,
    /// Batches under way.
    desk: Desk,
    expiry: ExpiryCount,
    deliveries: Deliveries,
    turns: Turns,
    forecasts: Forecasts,
    /// Cancelled when the server stops: long calls end at their next step.
    pub(crate) stopping: CancellationToken,
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
    pub fn new(store: Store, ca: Live<Ca>, clock: Clock, bus: Bus, spool: &Path, files: Files) -> Self {
        Self {
            store,
            ca,
            clock,
            bus,
            imports: Arc::new(Semaphore::new(IMPORT_LIMIT)),
            spool: spool.into(),
            files,
            desk: Desk::default(),
            expiry: ExpiryCount::default(),
            deliveries: Deliveries::default(),
            turns: Turns::default(),
            forecasts: Forecasts::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// The certificate authority as it is now.
    pub(crate) fn ca(&self) -> Arc<Ca> {
        self.ca.current()
    }

    /// Root certificates, DER: what devices and operators pin.
    pub fn roots(&self) -> Vec<Vec<u8>> {
        self.ca().roots()
    }

    /// How one comes from version `held` of the trusted roots to the newest.
    pub fn trust_above(&self, held: u64) -> TrustBundle {
        self.ca().trust_above(held)
    }

    /// Devices that hold a session here.
    pub fn connected(&self) -> u64 {
        self.bus.sessions() as u64
    }

    /// Where a device stands, why, and what to do next; and what changes want of it.
    ///
    /// # Errors
    /// A fault.
    pub async fn explain(&self, device: &Device) -> Result<Explanation, Failure> {
        let explained = device::explain(device, self.deliveries.of(device.id), self.clock.now());
        let changes = self.store.changes_of(device.id).await;
        let changes = changes.or_fault("look for changes of a device")?;
        let now = self.clock.now();
        let under_way = changes.iter().filter(|(record, _)| record.is_open());
        Ok(Explanation {
            changes: under_way
                .map(|(record, target)| explain_target(record, target, zone::meeting(record, target, now)))
                .collect(),
            ..explained
        })
    }

    /// The time, as this server has it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The store, for read-only questions that need no decision.
    pub const fn store(&self) -> &Store {
        &self.store
    }
}

/// What a long call answers when the server stops under it.
pub(crate) fn stopping() -> Refusal {
    Refusal::new(
        Code::Stopping,
        "the server is stopping; what was answered is done, the rest is not",
    )
}

/// The operator behind a permit.
fn operator(permit: &Permit) -> Result<&Operator, Failure> {
    permit
        .operator()
        .ok_or_else(|| Refusal::new(Code::NotAuthenticated, "the call needs an operator").into())
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

/// A serial to issue under; the clock guard's "no" is an answer, not a fault.
fn fresh_serial(ca: &Ca, now: Timestamp) -> Result<CertificateSerial, Failure> {
    ca.fresh_serial(now).map_err(|error| match error.refusal() {
        Some(refusal) => refusal.into(),
        None => Fault::log("make a serial", &error).into(),
    })
}

/// Runs CPU work off the async threads.
async fn blocking<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.or_fault(doing)
}
