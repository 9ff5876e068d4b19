//! A device's stay, as the registry hears of it: whatever ends a session, its end is told.

use super::{super::registry::Registry, Parts};
use muster_domain::{device::Departure, ids::DeviceId};

/// A session that the registry knows of; it hears of its end by drop.
pub(super) struct Stay<'a, R: Registry> {
    parts: &'a Parts<R>,
    device: DeviceId,
    session: u64,
    /// How it ended; `None` when nobody said, because its task was dropped.
    departure: Option<Departure>,
}

impl<'a, R: Registry> Stay<'a, R> {
    /// Of a device that arrived.
    pub(super) const fn new(parts: &'a Parts<R>, device: DeviceId, session: u64) -> Self {
        Self {
            parts,
            device,
            session,
            departure: None,
        }
    }

    /// Ends it.
    pub(super) fn ends(mut self, departure: Departure) {
        self.departure = Some(departure);
    }
}

impl<R: Registry> Drop for Stay<'_, R> {
    fn drop(&mut self) {
        let unsaid = if self.parts.stop.is_cancelled() {
            Departure::Stopped
        } else {
            Departure::Lost
        };
        let departure = self.departure.unwrap_or(unsaid);
        self.parts.registry.departed(self.device, self.session, departure);
    }
}
