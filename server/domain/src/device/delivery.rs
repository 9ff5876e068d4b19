//! When a device that is connected and has not confirmed its desired state is sent it once more.
//!
//! Truth is in the record; messages get lost, on the bus or in a device that had power cut while it applied one. A repeat is
//! harmless: a device applies it anew and reports. What must not happen is a fleet that is sent the same thing in step, so the
//! pauses grow, and each device has a moment of its own within them.

use crate::{Timestamp, ids::DeviceId};
use core::time::Duration;

/// Before the first repeat: a device that applies and reports does so in seconds.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Before later ones: each is twice the one before, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a device was sent and has not confirmed by a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Of the desired state.
    pub generation: u64,
    /// How often it was sent; 0 when it was not, though it should have been.
    pub sent: u32,
    /// When that was last; with `sent` 0, when it was missed.
    pub at: Timestamp,
    /// Whether the device acknowledged the last one: it has it, and has not said what became of it.
    pub acknowledged: bool,
}

/// Whether a message is the first of its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// It is.
    First,
    /// The device was sent that generation before.
    Repeat,
}

impl Delivery {
    /// A generation goes out to a device that was sent `before`.
    #[must_use]
    pub fn send(before: Option<Self>, generation: u64, now: Timestamp) -> (Self, Sending) {
        let sent = before.filter(|before| before.generation == generation);
        let sent = sent.map_or(0, |before| before.sent);
        let delivery = Self {
            generation,
            sent: sent.saturating_add(1),
            at: now,
            acknowledged: false,
        };
        (
            delivery,
            if sent == 0 {
                Sending::First
            } else {
                Sending::Repeat
            },
        )
    }

    /// A connected device is found to lack a generation that nobody sent it: the word that it is due was lost, or it could not be
    /// made. Older deliveries count no more.
    #[must_use]
    pub fn missed(before: Option<Self>, generation: u64, now: Timestamp) -> Self {
        match before {
            Some(known) if known.generation >= generation => known,
            Some(_) | None => Self {
                generation,
                sent: 0,
                at: now,
                acknowledged: false,
            },
        }
    }

    /// When it is sent again unless the device confirms it before. Devices share no moment: each adds its own part of a quarter
    /// of the pause.
    pub fn due(&self, device: DeviceId) -> Timestamp {
        let doublings = self.sent.saturating_sub(1).min(16);
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        // The end of an id is random.
        let [.., share] = device.as_u128().to_be_bytes();
        self.at.plus(pause + pause * u32::from(share) / 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEVICE: DeviceId = DeviceId::from_u128(0);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let mut delivery = Delivery::missed(None, 3, at(0));
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let due = delivery.due(DEVICE);
            pauses.push(due.seconds() - delivery.at.seconds());
            delivery = Delivery::send(Some(delivery), 3, due).0;
        }
        assert_eq!(pauses, [60, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    }

    #[test]
    fn a_newer_generation_begins_anew() {
        let (first, sending) = Delivery::send(None, 3, at(0));
        assert_eq!((first.sent, sending), (1, Sending::First));
        let (again, sending) = Delivery::send(Some(first), 3, at(9));
        assert_eq!((again.sent, again.at, sending), (2, at(9), Sending::Repeat));
        let (newer, sending) = Delivery::send(Some(again), 4, at(10));
        assert_eq!((newer.sent, sending), (1, Sending::First));
        assert_eq!(Delivery::missed(Some(newer), 4, at(11)), newer);
        assert_eq!(
            Delivery::missed(Some(newer), 5, at(12)),
            Delivery {
                generation: 5,
                sent: 0,
                at: at(12),
                acknowledged: false
            }
        );
    }

    proptest! {
        /// Whatever was sent how often, a repeat is never sooner than a minute and never later than an hour and a quarter.
        #[test]
        fn a_repeat_is_never_at_once_and_never_out_of_sight(sent: u32, device: u128, since in 0..1u64 << 40) {
            let delivery = Delivery { generation: 1, sent, at: Timestamp::from_millis(since), acknowledged: false };
            let pause = delivery.due(DeviceId::from_u128(device)).millis() - since;
            prop_assert!((60_000..=4_500_000).contains(&pause));
        }

        /// Devices that were sent something together are not sent it again together.
        #[test]
        fn repeats_are_spread(sent in 1u32..12) {
            let delivery = Delivery { generation: 1, sent, at: at(0), acknowledged: false };
            let dues = (0..256u128).map(|device| delivery.due(DeviceId::from_u128(device)).millis());
            let distinct = dues.collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(distinct.len(), 256);
        }
    }
}
