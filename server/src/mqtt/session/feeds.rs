//! What a device is still to be sent: its desired state, in each encoding it subscribed. Only the newest counts, so a
//! feed holds no messages, just whether one is due and whether one is under way.

use super::super::codec::QoS;
use muster_proto::topic::Encoding;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, Default)]
struct Feed {
    subscribed: Option<QoS>,
    due: bool,
    unacknowledged: Option<(u16, Instant)>,
}

/// Both encodings' feeds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Feeds {
    postcard: Feed,
    json: Feed,
    last_id: u16,
}

impl Feeds {
    const fn feed(&mut self, encoding: Encoding) -> &mut Feed {
        match encoding {
            Encoding::Postcard => &mut self.postcard,
            Encoding::Json => &mut self.json,
        }
    }

    /// Subscribes, at QoS 1 or below. A repeat is sent nothing anew: that is what hello is for.
    pub(super) fn subscribe(&mut self, encoding: Encoding, qos: QoS) -> QoS {
        let granted = qos.min(QoS::AtLeastOnce);
        self.feed(encoding).subscribed = Some(granted);
        granted
    }

    /// Whether it was subscribed.
    pub(super) const fn unsubscribe(&mut self, encoding: Encoding) -> bool {
        self.feed(encoding).subscribed.take().is_some()
    }

    /// At which QoS, if it is subscribed.
    pub(super) const fn subscribed(&self, encoding: Encoding) -> Option<QoS> {
        match encoding {
            Encoding::Postcard => self.postcard.subscribed,
            Encoding::Json => self.json.subscribed,
        }
    }

    /// There is something new to send.
    pub(super) const fn refresh(&mut self) {
        self.postcard.due = true;
        self.json.due = true;
    }

    /// What to send next, to a client that takes `window` messages unacknowledged.
    pub(super) fn next_due(&self, window: u16) -> Option<(Encoding, QoS)> {
        let under_way = [self.postcard, self.json]
            .iter()
            .filter(|feed| feed.unacknowledged.is_some())
            .count();
        let full = under_way >= usize::from(window);
        [(Encoding::Postcard, self.postcard), (Encoding::Json, self.json)]
            .into_iter()
            .find_map(|(encoding, feed)| {
                let qos = feed.subscribed.filter(|_| feed.due)?;
                let waits = feed.unacknowledged.is_some() || qos == QoS::AtLeastOnce && full;
                (!waits).then_some((encoding, qos))
            })
    }

    /// It is being fetched: what becomes new from here on is due again.
    pub(super) const fn fetch(&mut self, encoding: Encoding) {
        self.feed(encoding).due = false;
    }

    /// A message of QoS 1 goes out; gives its packet identifier.
    pub(super) fn sent(&mut self, encoding: Encoding, now: Instant) -> u16 {
        let taken = [self.postcard, self.json].map(|feed| feed.unacknowledged.map(|(id, _)| id));
        let mut id = self.last_id.wrapping_add(1);
        while id == 0 || taken.contains(&Some(id)) {
            id = id.wrapping_add(1);
        }
        self.last_id = id;
        self.feed(encoding).unacknowledged = Some((id, now));
        id
    }

    /// The client has a message; an unknown identifier is nothing to it.
    pub(super) fn acknowledged(&mut self, id: u16) {
        for feed in [&mut self.postcard, &mut self.json] {
            if feed.unacknowledged.is_some_and(|(known, _)| known == id) {
                feed.unacknowledged = None;
            }
        }
    }

    /// Since when the oldest message waits for its acknowledgement.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        [self.postcard, self.json]
            .into_iter()
            .filter_map(|feed| feed.unacknowledged.map(|(_, at)| at))
            .min()
    }
}

#[cfg(test)]
mod tests;
