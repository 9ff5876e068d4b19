//! What the device must never forget: the newest desired state that it was given, and what it made of it.
//!
//! One record, replaced as a whole. A generation is durable here before anything of it is applied, so that an older one
//! cannot come back after a power loss.

use crate::{
    apply::Applied,
    clock::{Believed, Clock},
    desired::{self, Proven, Unproven},
    disk::{Disk, Place},
    identity::{DeviceId, Trust},
    machine::{Admission, Mark, Stale, admit},
    record::{self, StateError},
};
use muster_proto::{
    envelope::EnvelopeError,
    payload::{Binary, Desired},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Every repeat would move the floor; flash wears. A floor that lags by less than this does no harm.
const FLOOR_STEP: u64 = 24 * 3600;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// For the clock: the last signed issue time.
    floor: u64,
    held: Option<Held>,
    applied: Option<Applied>,
}

/// The newest desired state, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    mark: Mark,
    /// When its signer's certificate was found to hold. It is kept beyond that certificate's end.
    proven_at: u64,
    envelope: Binary,
}

/// Why an offer is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    State(#[from] StateError),
}

/// The open ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    disk: Arc<dyn Disk>,
    record: Record,
    /// The content of `held`; `None` when its envelope is not believed any more.
    desired: Option<Desired>,
    /// Its envelope is believed, and what is in it was written for an agent that read something else in its place.
    is_unreadable: bool,
}

fn place() -> Place {
    Place::fixed("ledger")
}

impl Ledger {
    /// Reads the ledger, and raises the clock to its floor.
    pub(crate) fn open(disk: Arc<dyn Disk>, clock: &Clock) -> Result<Self, StateError> {
        let record: Record = record::load(&*disk, &place())?.unwrap_or_default();
        clock.raise(record.floor);
        Ok(Self {
            disk,
            record,
            desired: None,
            is_unreadable: false,
        })
    }

    /// Proves the kept envelope once more, at the moment at which it came. One that fails, because the operator
    /// pinned another root say, or an update of the agent reads other messages, is not applied again, and still bars older ones.
    pub(crate) fn revive(&mut self, device: &DeviceId, trust: &Trust) {
        let Some(held) = &self.record.held else { return };
        match desired::prove(&held.envelope.0, device, trust, Believed::AtLeast(held.proven_at)) {
            Ok(proven) => self.desired = Some(proven.into_desired()),
            Err(error) => {
                self.is_unreadable = matches!(error, Unproven::Envelope(EnvelopeError::Payload(_)));
                tracing::warn!(%error, "the kept desired state is not believed any more");
            }
        }
    }

    /// Admits an offer by the rule of generations, and makes it durable. What was held stays held when this fails.
    pub(crate) fn keep(&mut self, offer: Proven, clock: &Clock) -> Result<Admission, NotKept> {
        let mark = offer.mark();
        let admission = admit(self.bar(&mark).as_ref(), &mark)?;
        if admission == Admission::Fresh || self.refreshes(offer.desired()) {
            let held = Held {
                mark,
                proven_at: offer.proven_at().seconds(),
                envelope: Binary(offer.envelope().to_vec()),
            };
            let floor = self.record.floor.max(offer.desired().issued_at);
            self.write(Record {
                floor,
                held: Some(held),
                applied: self.record.applied.clone(),
            })?;
        }
        clock.raise(offer.desired().issued_at);
        self.desired = Some(offer.into_desired());
        self.is_unreadable = false;
        Ok(admission)
    }

    /// What an offer is held to. What cannot be read any more would come out with another content of the device's own reckoning;
    /// then the registry's digest alone, which its envelope proved as well, says that it is the same.
    fn bar(&self, offered: &Mark) -> Option<Mark> {
        let held = self.held()?;
        let is_same = self.is_unreadable && held.digest == offered.digest;
        let content = if is_same { offered.content } else { held.content };
        Some(Mark { content, ..held })
    }

    /// Whether a repeat brings something worth a write: much later, or another offset of local time.
    fn refreshes(&self, repeat: &Desired) -> bool {
        let offset = |desired: &Desired| {
            desired
                .location
                .as_ref()
                .map(|location| location.utc_offset_seconds)
        };
        repeat.issued_at >= self.record.floor.saturating_add(FLOOR_STEP)
            || self
                .desired
                .as_ref()
                .is_none_or(|held| offset(held) != offset(repeat))
    }

    /// Notes what was applied; durable on return.
    pub(crate) fn note_applied(&mut self, applied: Applied) -> Result<(), StateError> {
        self.write(Record {
            applied: Some(applied),
            ..self.record.clone()
        })
    }

    fn write(&mut self, record: Record) -> Result<(), StateError> {
        record::save(&*self.disk, &place(), &record)?;
        self.record = record;
        Ok(())
    }

    /// The newest generation ever given.
    pub(crate) fn held(&self) -> Option<Mark> {
        self.record.held.as_ref().map(|held| held.mark)
    }

    /// What the newest generation asks for; `None` when there is none to be believed.
    pub(crate) fn desired(&self) -> Option<&Desired> {
        self.desired.as_ref()
    }

    /// What runs.
    pub(crate) fn applied(&self) -> Option<&Applied> {
        self.record.applied.as_ref()
    }
}

#[cfg(test)]
mod tests;
