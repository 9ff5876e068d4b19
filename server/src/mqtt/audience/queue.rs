//! Messages that wait for one integrator: bounded, and dropped all at once when there are too many. Whoever reads too slowly
//! costs memory up to the bound, and nobody else's time.

use super::super::codec::QoS;
use std::{collections::VecDeque, sync::Arc};

/// Messages that may wait: some seconds of a fleet of twenty thousand.
pub(super) const MESSAGES: usize = 8192;
/// Their bytes. A message is there once, for however many it waits.
pub(super) const BYTES: usize = 8 << 20;

/// A message of a feed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Message {
    pub(in crate::mqtt) topic: String,
    pub(in crate::mqtt) payload: Vec<u8>,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<(Arc<Message>, QoS)>,
    bytes: usize,
    /// How many waited when there was no room for one more. From then on nothing does.
    overrun: Option<usize>,
}

impl Queue {
    pub(super) fn push(&mut self, message: Arc<Message>, qos: QoS) {
        if self.overrun.is_some() {
            return;
        }
        self.bytes += message.payload.len() + message.topic.len();
        if self.waiting.len() == MESSAGES || self.bytes > BYTES {
            self.overrun = Some(self.waiting.len());
            self.waiting = VecDeque::new();
        } else {
            self.waiting.push_back((message, qos));
        }
    }

    /// The next message. One of QoS 1 waits, and those behind it, unless `may_wait_for_ack`: the order is kept.
    pub(super) fn pop(&mut self, may_wait_for_ack: bool) -> Option<(Arc<Message>, QoS)> {
        let (_, qos) = self.waiting.front()?;
        if *qos != QoS::AtMostOnce && !may_wait_for_ack {
            return None;
        }
        let (message, qos) = self.waiting.pop_front()?;
        self.bytes -= message.payload.len() + message.topic.len();
        if self.waiting.is_empty() {
            // A burst is no reason to keep its room for ever.
            self.waiting.shrink_to(16);
        }
        Some((message, qos))
    }

    /// How many waited when there were too many.
    pub(super) const fn overrun(&self) -> Option<usize> {
        self.overrun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Arc<Message> {
        Arc::new(Message {
            topic: String::new(),
            payload: vec![0; bytes],
        })
    }

    #[test]
    fn what_waits_is_bounded_in_number() {
        let mut queue = Queue::default();
        let one = message(1);
        for _ in 0..MESSAGES {
            queue.push(Arc::clone(&one), QoS::AtMostOnce);
        }
        assert_eq!(queue.overrun(), None);
        queue.push(Arc::clone(&one), QoS::AtMostOnce);
        assert_eq!(queue.overrun(), Some(MESSAGES));
        assert!(queue.pop(true).is_none());
        queue.push(Arc::clone(&one), QoS::AtMostOnce);
        assert_eq!(Arc::strong_count(&one), 1, "nothing is kept");
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_what_left_does_not_count() {
        let mut queue = Queue::default();
        for _ in 0..100 {
            queue.push(message(BYTES), QoS::AtMostOnce);
            assert!(queue.pop(false).is_some());
        }
        queue.push(message(BYTES), QoS::AtMostOnce);
        queue.push(message(1), QoS::AtMostOnce);
        assert_eq!(queue.overrun(), Some(1));
    }

    #[test]
    fn order_is_kept_while_acknowledgements_are_awaited() {
        let mut queue = Queue::default();
        queue.push(message(1), QoS::AtMostOnce);
        queue.push(message(2), QoS::AtLeastOnce);
        queue.push(message(3), QoS::AtMostOnce);
        let mut pop = |room| queue.pop(room).map(|(message, _)| message.payload.len());
        assert_eq!(
            [pop(false), pop(false), pop(true), pop(false)],
            [Some(1), None, Some(2), Some(3)]
        );
    }
}
