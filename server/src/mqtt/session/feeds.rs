//! What a client is still to be sent on its topics, in each encoding it subscribed. Only the newest counts, so a feed holds
//! no messages, just whether one is due and whether one is under way.

use super::super::codec::QoS;
use muster_proto::topic::{Channel, Encoding};
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, Default)]
struct Feed {
    subscribed: Option<QoS>,
    due: bool,
    unacknowledged: Option<(u16, Instant)>,
}

/// A topic of the client's own.
pub(super) type Key = (Channel, Encoding);

/// Topics that can be subscribed: four channels in two encodings.
const KEYS: [Key; 8] = [
    // First: what follows may be signed under a root that it brings.
    (Channel::Trust, Encoding::Postcard),
    (Channel::Trust, Encoding::Json),
    // Before what needs them.
    (Channel::Sealed, Encoding::Postcard),
    (Channel::Sealed, Encoding::Json),
    (Channel::Desired, Encoding::Postcard),
    (Channel::Desired, Encoding::Json),
    (Channel::Certificate, Encoding::Postcard),
    (Channel::Certificate, Encoding::Json),
];

/// The feeds of all topics, in the order of [`KEYS`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Feeds {
    feeds: [Feed; KEYS.len()],
    last_id: u16,
}

/// Uplinks are never subscribed: whoever asks for one has no feed.
fn place(key: Key) -> Option<usize> {
    KEYS.iter().position(|known| *known == key)
}

impl Feeds {
    fn feed(&mut self, key: Key) -> Option<&mut Feed> {
        place(key).and_then(|place| self.feeds.get_mut(place))
    }

    /// Subscribes, at QoS 1 or below. A repeat is sent nothing anew: that is what hello is for.
    pub(super) fn subscribe(&mut self, key: Key, qos: QoS) -> QoS {
        let granted = qos.min(QoS::AtLeastOnce);
        if let Some(feed) = self.feed(key) {
            feed.subscribed = Some(granted);
        }
        granted
    }

    /// Whether it was subscribed.
    pub(super) fn unsubscribe(&mut self, key: Key) -> bool {
        self.feed(key)
            .is_some_and(|feed| feed.subscribed.take().is_some())
    }

    /// At which QoS, if it is subscribed.
    pub(super) fn subscribed(&self, key: Key) -> Option<QoS> {
        place(key).and_then(|place| self.feeds.get(place)?.subscribed)
    }

    /// There is something new to send.
    pub(super) fn refresh(&mut self, channel: Channel) {
        for (feed, (of, _)) in self.feeds.iter_mut().zip(KEYS) {
            feed.due |= of == channel;
        }
    }

    /// What to send next, to a client that takes `window` messages unacknowledged.
    pub(super) fn next_due(&self, window: u16) -> Option<(Key, QoS)> {
        let full = self.under_way() >= usize::from(window);
        self.feeds.iter().zip(KEYS).find_map(|(feed, key)| {
            let qos = feed.subscribed.filter(|_| feed.due)?;
            let waits = feed.unacknowledged.is_some()
                || qos == QoS::AtLeastOnce && full
                || key.0 == Channel::Desired && self.owes_secrets(key.1);
            (!waits).then_some((key, qos))
        })
    }

    /// Secrets are still to come, or to be acknowledged: without them the device would fail at what it must be.
    fn owes_secrets(&self, encoding: Encoding) -> bool {
        let feed = place((Channel::Sealed, encoding)).and_then(|place| self.feeds.get(place));
        feed.is_some_and(|feed| feed.unacknowledged.is_some() || feed.due && feed.subscribed.is_some())
    }

    /// It is being fetched: what becomes new from here on is due again.
    pub(super) fn fetch(&mut self, key: Key) {
        if let Some(feed) = self.feed(key) {
            feed.due = false;
        }
    }

    /// A message of QoS 1 goes out; gives its packet identifier.
    pub(super) fn sent(&mut self, key: Key, now: Instant) -> u16 {
        let taken = self.feeds.map(|feed| feed.unacknowledged.map(|(id, _)| id));
        let mut id = self.last_id.wrapping_add(1);
        while id == 0 || taken.contains(&Some(id)) {
            id = id.wrapping_add(1);
        }
        self.last_id = id;
        if let Some(feed) = self.feed(key) {
            feed.unacknowledged = Some((id, now));
        }
        id
    }

    /// The client has a message; gives the channel of it. An unknown identifier is nothing to it.
    pub(super) fn acknowledged(&mut self, id: u16) -> Option<Channel> {
        let mut feeds = self.feeds.iter_mut().zip(KEYS);
        let (feed, (channel, _)) =
            feeds.find(|(feed, _)| feed.unacknowledged.is_some_and(|(known, _)| known == id))?;
        feed.unacknowledged = None;
        Some(channel)
    }

    /// Messages that wait for their acknowledgement.
    pub(super) fn under_way(&self) -> usize {
        let waiting = self.feeds.iter().filter(|feed| feed.unacknowledged.is_some());
        waiting.count()
    }

    /// Since when the oldest message waits for its acknowledgement.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.feeds
            .iter()
            .filter_map(|feed| feed.unacknowledged.map(|(_, at)| at))
            .min()
    }
}

#[cfg(test)]
mod tests;
