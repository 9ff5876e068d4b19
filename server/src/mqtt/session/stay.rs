//! A device's stay, as the registry and integrators hear of it: whatever ends a session, its end is told.

use super::{
    super::{
        bus::{Spoken, Uplink},
        registry::{Arrival, Registry},
    },
    Parts,
};
use bytes::Bytes;
use muster_domain::{
    device::{Departure, Presence},
    ids::DeviceId,
};
use muster_proto::{payload, topic::Encoding};

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
    pub(super) fn new(parts: &'a Parts<R>, device: DeviceId, arrival: Arrival) -> Self {
        tell(parts, device, arrival);
        Self {
            parts,
            device,
            session: arrival.session,
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
        let (device, session) = (self.device, self.session);
        if let Some(presence) = self.parts.registry.departed(device, session, departure) {
            tell(self.parts, device, Arrival { session, presence });
        }
    }
}

fn tell<R: Registry>(parts: &Parts<R>, device: DeviceId, arrival: Arrival) {
    parts.bus.send_up(|| {
        let message = message(device, arrival);
        // Numbers and short texts: nothing that could not be written.
        let payload = payload::encode(&message, Encoding::Postcard).unwrap_or_default();
        Uplink {
            device,
            spoken: Spoken::Presence,
            json: false,
            payload: Bytes::from(payload),
        }
    });
}

fn message(device: DeviceId, arrival: Arrival) -> payload::Presence {
    let Arrival { session, presence } = arrival;
    let Presence {
        since,
        source,
        departure,
    } = presence;
    payload::Presence {
        device_id: device.to_string(),
        online: presence.is_online(),
        at_millis: since.millis(),
        reason: departure.map(reason),
        source: source.to_string(),
        session,
    }
}

const fn reason(departure: Departure) -> payload::Departure {
    match departure {
        Departure::Left => payload::Departure::Left,
        Departure::Lost => payload::Departure::Lost,
        Departure::Silent => payload::Departure::Silent,
        Departure::ShutOut => payload::Departure::ShutOut,
        Departure::Misbehaved => payload::Departure::Misbehaved,
        Departure::Failed => payload::Departure::Failed,
        Departure::Stopped => payload::Departure::Stopped,
    }
}
