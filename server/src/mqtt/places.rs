//! Room for connections: bounded in all, bounded by source, and never blocked by those who only hold a place.

use super::Limits;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Whom a connection is charged to: an IPv4 address, or the /64 that one IPv6 subscriber has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into()),
            address => Self(address),
        }
    }
}

#[derive(Debug, Default)]
struct Held {
    strangers: BTreeSet<u64>,
    devices: usize,
}

#[derive(Debug, Default)]
struct Book {
    next: u64,
    /// In order of arrival.
    strangers: BTreeMap<u64, (Source, oneshot::Sender<()>)>,
    devices: usize,
    sources: HashMap<Source, Held>,
}

/// The places of a gate.
#[derive(Debug)]
pub(crate) struct Places {
    limits: Limits,
    book: Mutex<Book>,
}

/// A connection's place, first as a stranger. Given back by drop.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    source: Source,
    /// `None` once the connection is a device's.
    stranger: Option<(u64, oneshot::Receiver<()>)>,
}

impl Book {
    fn held(&mut self, source: Source) -> &mut Held {
        self.sources.entry(source).or_default()
    }

    fn forget_idle(&mut self, source: Source) {
        if self
            .sources
            .get(&source)
            .is_some_and(|held| held.strangers.is_empty() && held.devices == 0)
        {
            self.sources.remove(&source);
        }
    }

    fn remove_stranger(&mut self, number: u64) {
        if let Some((source, _)) = self.strangers.remove(&number) {
            self.held(source).strangers.remove(&number);
            self.forget_idle(source);
        }
    }

    fn remove_device(&mut self, source: Source) {
        self.devices -= 1;
        self.held(source).devices -= 1;
        self.forget_idle(source);
    }
}

impl Places {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            book: Mutex::default(),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a newcomer; where there is none left, the oldest stranger loses its own.
    pub(crate) fn enter(self: &Arc<Self>, source: Source) -> Place {
        let (evict, evicted) = oneshot::channel();
        let mut book = self.book();
        let held = book.held(source);
        if held.strangers.len() >= self.limits.strangers_per_source
            && let Some(&oldest) = held.strangers.first()
        {
            book.remove_stranger(oldest);
        } else if book.strangers.len() >= self.limits.strangers
            && let Some((&oldest, _)) = book.strangers.first_key_value()
        {
            book.remove_stranger(oldest);
        }
        let number = book.next;
        book.next += 1;
        book.strangers.insert(number, (source, evict));
        book.held(source).strangers.insert(number);
        drop(book);
        Place {
            places: Arc::clone(self),
            source,
            stranger: Some((number, evicted)),
        }
    }

    #[cfg(test)]
    fn counts(&self) -> (usize, usize, usize) {
        let book = self.book();
        (book.strangers.len(), book.devices, book.sources.len())
    }
}

impl Place {
    /// Resolves when the place was given to a newcomer; never for a device.
    pub(crate) async fn evicted(&mut self) {
        match &mut self.stranger {
            // Either way the sender is gone: it is dropped, not used.
            Some((_, evicted)) => drop(evicted.await),
            None => std::future::pending().await,
        }
    }

    /// The connection turned out to be a device's; `false` when there is no room for one more.
    pub(super) fn settle(&mut self) -> bool {
        let Some((number, _)) = self.stranger.take() else {
            return true;
        };
        let limits = self.places.limits;
        let mut book = self.places.book();
        // First in, so that the source is not forgotten and remade in between.
        let held = book.held(self.source);
        held.devices += 1;
        let crowded = held.devices > limits.connections_per_source;
        book.devices += 1;
        let full = book.devices > limits.connections;
        book.remove_stranger(number);
        !(crowded || full)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut book = self.places.book();
        match &self.stranger {
            Some((number, _)) => book.remove_stranger(*number),
            None => book.remove_device(self.source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn places(strangers: usize, strangers_per_source: usize, connections: usize) -> Arc<Places> {
        let limits = Limits {
            strangers,
            strangers_per_source,
            connections,
            connections_per_source: 2,
            ..Limits::default()
        };
        Places::new(limits)
    }

    fn source(last: u8) -> Source {
        IpAddr::from([10, 0, 0, last]).into()
    }

    #[test]
    fn the_oldest_stranger_of_a_crowded_source_gives_way() {
        let places = places(10, 2, 10);
        let mut elsewhere = places.enter(source(2));
        let mut held: Vec<_> = (0..3).map(|_| places.enter(source(1))).collect();
        let evicted: Vec<_> = held
            .iter_mut()
            .map(|place| place.evicted().now_or_never().is_some())
            .collect();
        assert_eq!(evicted, [true, false, false]);
        assert!(elsewhere.evicted().now_or_never().is_none());
        assert_eq!(places.counts(), (3, 0, 2));
    }

    #[test]
    fn the_oldest_of_all_gives_way_when_the_house_is_full() {
        let places = places(3, 3, 10);
        let mut held: Vec<_> = (1..=4).map(|last| places.enter(source(last))).collect();
        let evicted: Vec<_> = held
            .iter_mut()
            .map(|place| place.evicted().now_or_never().is_some())
            .collect();
        assert_eq!(evicted, [true, false, false, false]);
    }

    #[test]
    fn devices_are_never_evicted_but_counted() {
        let places = places(2, 2, 3);
        let mut devices: Vec<_> = (0..2).map(|_| places.enter(source(1))).collect();
        assert!(devices.iter_mut().all(Place::settle));
        let mut third = places.enter(source(1));
        assert!(!third.settle(), "two a source");
        drop(third);
        let mut elsewhere = places.enter(source(2));
        assert!(elsewhere.settle());
        let mut full = places.enter(source(3));
        assert!(!full.settle(), "three in all");
        drop(full);
        let _crowd: Vec<_> = (0..5).map(|_| places.enter(source(1))).collect();
        assert!(
            devices
                .iter_mut()
                .all(|place| place.evicted().now_or_never().is_none())
        );
    }

    #[test]
    fn nothing_is_left_behind() {
        let places = places(4, 2, 3);
        let mut held: Vec<_> = (0..20).map(|number| places.enter(source(number % 3))).collect();
        let settled = held
            .iter_mut()
            .step_by(3)
            .filter_map(|place| place.settle().then_some(()))
            .count();
        assert_eq!(settled, 2, "all of one source, which has room for two");
        drop(held);
        assert_eq!(places.counts(), (0, 0, 0));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_source() {
        let source = |text: &str| text.parse::<IpAddr>().map(Source::from);
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
    }
}
