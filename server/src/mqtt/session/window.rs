//! Messages of QoS 1 that a client has and has not acknowledged yet.

use std::collections::VecDeque;
use tokio::time::Instant;

/// Most of them that we remember; a client may take fewer.
const LIMIT: u16 = 64;

/// The messages under way, the oldest first.
#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    under_way: VecDeque<(u16, Instant)>,
    last: u16,
}

impl Window {
    /// For a client that takes so many.
    pub(super) fn new(receive_maximum: u16) -> Self {
        Self {
            limit: usize::from(receive_maximum.min(LIMIT)),
            under_way: VecDeque::new(),
            last: 0,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.under_way.len() < self.limit
    }

    /// A message goes out; gives its packet identifier.
    pub(super) fn sent(&mut self, now: Instant) -> u16 {
        let mut id = self.last.wrapping_add(1);
        while id == 0 || self.under_way.iter().any(|(taken, _)| *taken == id) {
            id = id.wrapping_add(1);
        }
        self.last = id;
        self.under_way.push_back((id, now));
        id
    }

    /// The client has a message; whether one of that identifier was under way.
    pub(super) fn acknowledged(&mut self, id: u16) -> bool {
        let place = self.under_way.iter().position(|(known, _)| *known == id);
        place.and_then(|place| self.under_way.remove(place)).is_some()
    }

    /// Since when the oldest waits.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.under_way.front().map(|(_, since)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_window_is_full_at_the_smaller_of_two_limits() {
        for (receive_maximum, expected) in [(1, 1), (10, 10), (u16::MAX, usize::from(LIMIT))] {
            let mut window = Window::new(receive_maximum);
            let mut sent = 0;
            while window.has_room() {
                window.sent(Instant::now());
                sent += 1;
            }
            assert_eq!(sent, expected);
            assert!(window.acknowledged(1) && window.has_room());
        }
    }

    #[tokio::test]
    async fn identifiers_are_never_0_and_never_taken() {
        let mut window = Window::new(2);
        assert_eq!(window.sent(Instant::now()), 1);
        // The first is never acknowledged, while the others go round twice.
        for _ in 0..140_000u32 {
            let id = window.sent(Instant::now());
            assert!(id > 1);
            assert!(window.acknowledged(id));
            assert!(!window.acknowledged(id), "once");
        }
        assert!(window.waiting_since().is_some());
    }
}
