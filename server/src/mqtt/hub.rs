//! The live device sessions of this gate, and the bell of each; and beside them the audience.
//!
//! A bell coalesces: ten changes of desired state while a session is busy ring once, and nothing queues up behind a
//! slow device.

use super::{audience::Audience, bus::Down};
use muster_domain::{certificate::AuthorityId, ids::DeviceId};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};
use tokio::sync::Notify;

const KICKED: u8 = 1;
const TAKEN_OVER: u8 = 2;
const DESIRED: u8 = 4;
const RENEWAL: u8 = 8;
const TRUST: u8 = 16;

#[derive(Debug, Default)]
struct Bell {
    /// Whose end is the session's end.
    issuer: Option<AuthorityId>,
    rung: AtomicU8,
    notify: Notify,
}

impl Bell {
    fn ring(&self, signal: u8) {
        self.rung.fetch_or(signal, Ordering::AcqRel);
        self.notify.notify_one();
    }
}

/// Why a session is cut from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The device, or the operator, was shut out.
    Kicked,
    /// It has a newer connection.
    TakenOver,
}

/// What a session hears from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// End.
    Cut(Cut),
    /// The desired state is another now.
    DesiredChanged,
    /// The certificate should be renewed now.
    RenewalOrdered,
    /// Devices are to trust other roots now.
    TrustChanged,
}

/// All live sessions.
#[derive(Debug, Default)]
pub(super) struct Hub {
    sessions: Mutex<HashMap<DeviceId, Arc<Bell>>>,
    audience: Arc<Audience>,
}

/// A session's place in the hub; leaving is by drop.
#[derive(Debug)]
pub(super) struct Seat {
    hub: Arc<Hub>,
    device: DeviceId,
    bell: Arc<Bell>,
}

impl Hub {
    fn sessions(&self) -> MutexGuard<'_, HashMap<DeviceId, Arc<Bell>>> {
        // A panic elsewhere cannot leave the map half changed: each change is one call.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the device's one seat; a session that had it is cut. `arrive` notes the new session before the former one hears
    /// of it, and in the order in which the seat was taken: of two connections that race, the one that is left is the newest.
    pub(super) fn enter<T>(
        self: &Arc<Self>,
        device: DeviceId,
        issuer: Option<AuthorityId>,
        arrive: impl FnOnce() -> T,
    ) -> (Seat, T) {
        let bell = Arc::new(Bell {
            issuer,
            ..Bell::default()
        });
        let mut sessions = self.sessions();
        let arrived = arrive();
        if let Some(former) = sessions.insert(device, Arc::clone(&bell)) {
            former.ring(TAKEN_OVER);
        }
        drop(sessions);
        let seat = Seat {
            hub: Arc::clone(self),
            device,
            bell,
        };
        (seat, arrived)
    }

    /// The integrators' sessions.
    pub(super) const fn audience(&self) -> &Arc<Audience> {
        &self.audience
    }

    /// Passes a message on to its session, if that is here.
    pub(super) fn deliver(&self, down: Down) {
        let (device, signal) = match down {
            Down::OperatorOut(key) => return self.audience.shut_out(key),
            Down::Kick(device) => (device, KICKED),
            Down::DesiredChanged(device) => (device, DESIRED),
            Down::RenewalOrdered(device) => (device, RENEWAL),
        };
        if let Some(bell) = self.sessions().get(&device) {
            bell.ring(signal);
        }
    }

    /// Ends every session whose certificate is of an authority that is trusted no more; says how many.
    pub(super) fn shut_out(&self, is_trusted: impl Fn(AuthorityId) -> bool) -> usize {
        let sessions = self.sessions();
        let untrusted = |bell: &&Arc<Bell>| bell.issuer.is_some_and(|issuer| !is_trusted(issuer));
        sessions
            .values()
            .filter(untrusted)
            .map(|bell| bell.ring(KICKED))
            .count()
    }

    /// Tells every session that devices are to trust other roots.
    pub(super) fn trust_changed(&self) {
        self.sessions().values().for_each(|bell| bell.ring(TRUST));
    }

    pub(super) fn is_connected(&self, device: DeviceId) -> bool {
        self.sessions().contains_key(&device)
    }

    pub(super) fn len(&self) -> usize {
        self.sessions().len()
    }
}

impl Seat {
    fn cut_now(&self) -> Option<Cut> {
        let rung = self.bell.rung.load(Ordering::Acquire);
        if rung & KICKED != 0 {
            Some(Cut::Kicked)
        } else if rung & TAKEN_OVER != 0 {
            Some(Cut::TakenOver)
        } else {
            None
        }
    }

    /// Waits for a cut only. Other signals stay for [`Seat::signal`].
    pub(super) async fn cut(&self) -> Cut {
        loop {
            if let Some(cut) = self.cut_now() {
                return cut;
            }
            self.bell.notify.notified().await;
        }
    }

    /// Waits for any signal. Cancel safe: what was rung stays rung until it is given back from here.
    pub(super) async fn signal(&self) -> Signal {
        loop {
            if let Some(cut) = self.cut_now() {
                return Signal::Cut(cut);
            }
            if self.bell.rung.fetch_and(!DESIRED, Ordering::AcqRel) & DESIRED != 0 {
                return Signal::DesiredChanged;
            }
            if self.bell.rung.fetch_and(!RENEWAL, Ordering::AcqRel) & RENEWAL != 0 {
                return Signal::RenewalOrdered;
            }
            if self.bell.rung.fetch_and(!TRUST, Ordering::AcqRel) & TRUST != 0 {
                return Signal::TrustChanged;
            }
            self.bell.notify.notified().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut sessions = self.hub.sessions();
        if sessions
            .get(&self.device)
            .is_some_and(|bell| Arc::ptr_eq(bell, &self.bell))
        {
            sessions.remove(&self.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    const DEVICE: DeviceId = DeviceId::from_u128(1);

    #[test]
    fn the_newer_session_takes_the_seat_and_keeps_it() {
        let hub = Arc::new(Hub::default());
        let (first, ()) = hub.enter(DEVICE, None, || ());
        let (second, ()) = hub.enter(DEVICE, None, || ());
        assert_eq!(first.signal().now_or_never(), Some(Signal::Cut(Cut::TakenOver)));
        assert_eq!(second.signal().now_or_never(), None);
        drop(first);
        assert!(hub.is_connected(DEVICE));
        drop(second);
        assert_eq!((hub.is_connected(DEVICE), hub.len()), (false, 0));
    }

    #[test]
    fn signals_coalesce_and_survive_a_wait_for_another() {
        let hub = Arc::new(Hub::default());
        let (seat, ()) = hub.enter(DEVICE, None, || ());
        (0..3).for_each(|_| hub.deliver(Down::DesiredChanged(DEVICE)));
        assert_eq!(seat.cut().now_or_never(), None);
        assert_eq!(seat.signal().now_or_never(), Some(Signal::DesiredChanged));
        assert_eq!(seat.signal().now_or_never(), None);
        hub.deliver(Down::DesiredChanged(DEVICE));
        hub.deliver(Down::Kick(DEVICE));
        assert_eq!(seat.signal().now_or_never(), Some(Signal::Cut(Cut::Kicked)));
        assert_eq!(seat.cut().now_or_never(), Some(Cut::Kicked));
    }

    #[test]
    fn a_session_ends_with_the_authority_of_its_certificate() {
        let hub = Arc::new(Hub::default());
        let [old, new] = [1, 2].map(|byte| AuthorityId([byte; 20]));
        let enter = |number, issuer| hub.enter(DeviceId::from_u128(number), issuer, || ()).0;
        let [of_old, of_new, pinned] =
            [(1, Some(old)), (2, Some(new)), (3, None)].map(|(n, issuer)| enter(n, issuer));
        assert_eq!(hub.shut_out(|id| id == new), 1);
        hub.trust_changed();
        assert_eq!(of_old.signal().now_or_never(), Some(Signal::Cut(Cut::Kicked)));
        for seat in [of_new, pinned] {
            assert_eq!(seat.signal().now_or_never(), Some(Signal::TrustChanged));
            assert_eq!(seat.signal().now_or_never(), None);
        }
    }
}
