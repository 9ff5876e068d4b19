//! What connected devices were sent and have not confirmed, and sending it again.
//!
//! Kept in memory alone: after a restart every device says hello, and is sent what it lacks.

use super::{OrFault as _, Service};
use crate::{fault::Failure, mqtt::bus::Down};
use muster_domain::{
    Timestamp,
    device::{Delivery, Sending, VerificationState},
    ids::DeviceId,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Devices looked at in one go.
const PAGE: usize = 1024;
/// How long it is remembered what a device was sent that went away before it confirmed it.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What was sent and not confirmed: at most one entry for each device that was connected within the last hour.
#[derive(Debug, Clone, Default)]
pub(super) struct Deliveries {
    known: Arc<Mutex<HashMap<DeviceId, Delivery>>>,
}

/// What a look at all connected devices found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Devices that have not confirmed their desired state.
    pub unconfirmed: u64,
    /// Those of them that are sent it again now.
    pub overdue: u64,
}

impl Deliveries {
    fn known(&self) -> MutexGuard<'_, HashMap<DeviceId, Delivery>> {
        // A panic elsewhere cannot leave it half changed: each change is one call.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, device: DeviceId) -> Option<Delivery> {
        self.known().get(&device).copied()
    }

    pub(super) fn sent(&self, device: DeviceId, generation: u64, now: Timestamp) -> Sending {
        let mut known = self.known();
        let (delivery, sending) = Delivery::send(known.get(&device).copied(), generation, now);
        known.insert(device, delivery);
        sending
    }

    pub(super) fn acknowledged(&self, device: DeviceId) {
        if let Some(delivery) = self.known().get_mut(&device) {
            delivery.acknowledged = true;
        }
    }

    pub(super) fn confirmed(&self, device: DeviceId) {
        self.known().remove(&device);
    }

    /// Those of these devices that are due, each with the generation that it lacks.
    fn due(&self, unconfirmed: &[(DeviceId, u64)], now: Timestamp) -> Vec<DeviceId> {
        let mut known = self.known();
        let overdue = unconfirmed.iter().filter(|(device, generation)| {
            let delivery = Delivery::missed(known.get(device).copied(), *generation, now);
            known.insert(*device, delivery);
            delivery.due(*device) <= now
        });
        overdue.map(|(device, _)| *device).collect()
    }

    /// Drops what is of no use any more.
    fn forget(&self, unconfirmed: &HashSet<DeviceId>, now: Timestamp) {
        self.known()
            .retain(|device, delivery| unconfirmed.contains(device) || delivery.at.plus(REMEMBERED) > now);
    }
}

impl Service {
    /// Looks at every connected device, and sends those again what they should have confirmed by now. For the worker that does so
    /// all the time, and for whoever cannot wait for it.
    ///
    /// # Errors
    ///
    /// Faults of the store.
    pub async fn redeliver(&self) -> Result<Backlog, Failure> {
        let now = self.clock.now();
        let (mut backlog, mut unconfirmed) = (Backlog::default(), HashSet::new());
        let pending = self
            .store
            .counts()
            .verifications
            .get(&VerificationState::Pending)
            .copied();
        let mut after = None;
        while pending.is_some() && !self.stopping.is_cancelled() {
            let page = self.store.unconfirmed(after, PAGE).await;
            let page = page.or_fault("look for devices that have not confirmed their desired state")?;
            let due = self.deliveries.due(&page.devices, now);
            backlog.overdue += due.len() as u64;
            due.into_iter()
                .for_each(|device| self.tell(Down::DesiredChanged(device)));
            unconfirmed.extend(page.devices.into_iter().map(|(device, _)| device));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        backlog.unconfirmed = unconfirmed.len() as u64;
        self.deliveries.forget(&unconfirmed, now);
        Ok(backlog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn what_is_not_confirmed_is_due_again_and_again_until_it_is() {
        let (deliveries, device) = (Deliveries::default(), DeviceId::from_u128(256));
        let lacks = [(device, 2)];
        assert_eq!(deliveries.sent(device, 2, at(0)), Sending::First);
        assert!(deliveries.due(&lacks, at(59)).is_empty());
        assert_eq!(deliveries.due(&lacks, at(60)), [device]);
        assert_eq!(deliveries.sent(device, 2, at(60)), Sending::Repeat);
        deliveries.acknowledged(device);
        assert_eq!(
            deliveries
                .of(device)
                .map(|known| (known.sent, known.acknowledged)),
            Some((2, true))
        );
        assert!(deliveries.due(&lacks, at(179)).is_empty());
        assert_eq!(deliveries.due(&lacks, at(180)), [device]);
        deliveries.confirmed(device);
        assert_eq!(deliveries.of(device), None);
    }

    #[test]
    fn a_generation_that_nobody_sent_is_due_after_a_first_pause() {
        let (deliveries, device) = (Deliveries::default(), DeviceId::from_u128(256));
        deliveries.sent(device, 2, at(0));
        // It has become another since, and the word of that was lost.
        assert!(deliveries.due(&[(device, 3)], at(1000)).is_empty());
        assert!(deliveries.due(&[(device, 3)], at(1059)).is_empty());
        assert_eq!(deliveries.due(&[(device, 3)], at(1060)), [device]);
    }

    #[test]
    fn devices_that_went_away_are_forgotten_in_time() {
        let deliveries = Deliveries::default();
        let (here, gone) = (DeviceId::from_u128(1), DeviceId::from_u128(2));
        deliveries.sent(here, 1, at(0));
        deliveries.sent(gone, 1, at(0));
        deliveries.forget(&HashSet::from([here]), at(3599));
        assert!(deliveries.of(gone).is_some());
        deliveries.forget(&HashSet::from([here]), at(3600));
        assert_eq!((deliveries.of(gone), deliveries.of(here).is_some()), (None, true));
    }
}
