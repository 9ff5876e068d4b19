//! Targets whose turn has come, with all that can be made for them outside of the one transaction that writes.

use crate::store::{StoreError, embedded::record::Record as _};
use muster_domain::{
    Timestamp,
    activation::CodeHash,
    audit::{Action, Actor, Draft, Event},
    change::Target,
    desired::{ContentDigest, PartDigest},
    device::Device,
    ids::ChangeId,
};
use redb::AccessGuard;

/// A device as it was read, and the record that it was read from: who finds the same record again knows that nothing moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The device; apart, since thousands of these are moved about at once.
    pub device: Box<Device>,
    /// Its bytes.
    pub(in crate::store) record: Vec<u8>,
}

/// A device as it is to be, and its record.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Made {
    pub(in crate::store) device: Box<Device>,
    pub(in crate::store) record: Vec<u8>,
    /// What the audit log says of it.
    pub(in crate::store) event: Draft,
}

/// A target whose turn has come, with what was made for it outside of any transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// As it was then.
    pub target: Target,
    /// Of what it is to be; why it cannot be that.
    pub content: Result<ContentDigest, String>,
    /// Of that, what the facets of the change are; none where its content stays, and where it gets back what it had.
    pub becomes: Option<PartDigest>,
    /// The device as it was then; none where it is gone. Where it moved on since, the turn is lost, and comes again.
    pub(in crate::store) seen: Option<Seen>,
    /// What it is to be; none where its content stays.
    pub(in crate::store) made: Option<Made>,
    /// Of the code that it gets; none where it gets none.
    pub(in crate::store) code: Option<CodeHash>,
}

impl Turn {
    /// Of a target of a change and its device; of the device with what it is to pin, if that is another thing, and the digest that has.
    ///
    /// # Errors
    /// [`StoreError::Unencodable`].
    pub fn new(
        change: ChangeId,
        target: Target,
        seen: Option<Seen>,
        pinned: Option<Device>,
        content: Result<ContentDigest, String>,
        becomes: Option<PartDigest>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let made = match (&seen, pinned, &content) {
            (Some(seen), Some(pinned), Ok(digest)) => {
                Some(Made::of(change, &seen.device, pinned, *digest, now)?)
            }
            _ => None,
        };
        Ok(Self {
            target,
            content,
            becomes,
            seen,
            made,
            code: None,
        })
    }

    /// The same, with a code for the device. What codes follow from is on record before.
    #[must_use]
    pub fn with_code(mut self, code: CodeHash) -> Self {
        self.code = Some(code);
        self
    }
}

impl Seen {
    pub(in crate::store) fn from_guard(guard: &AccessGuard<'_, &'static [u8]>) -> Result<Self, StoreError> {
        let record = guard.value().to_vec();
        Ok(Self {
            device: Box::new(Device::decode(&record)?),
            record,
        })
    }
}

impl Made {
    fn of(
        change: ChangeId,
        before: &Device,
        pinned: Device,
        digest: ContentDigest,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        // Where its content says nothing of what it pins, as of most labels, it is nothing else for the device: a fleet that is
        // relabelled is not told the same a million times.
        let is_quiet = digest == before.target.digest
            && (pinned.labels != before.labels || pinned.position != before.position);
        let device = if is_quiet {
            pinned.touched(now)
        } else {
            pinned.retargeted(digest, now)
        };
        let (name, generation) = (device.name(), device.target.generation);
        let event = |what| Event::new(now, Actor::System, what, name).with("change", change);
        let event = if is_quiet {
            event(Action::DeviceUpdated)
        } else {
            event(Action::DeviceRetargeted).with("generation", generation)
        };
        Ok(Self {
            record: device.encode()?,
            device: Box::new(device),
            event: event.draft(),
        })
    }
}
