//! When the device asks for its next certificate.

use super::{Backoff, Jitter};
use std::time::Duration;

/// How long a registry may take to answer.
const ANSWER: Duration = Duration::from_secs(60);
/// Between attempts that came to nothing: the first delay, and the greatest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(6 * 3600));
/// So many connections that ended before their hello was acknowledged, one after the other, and the renewal goes before the
/// hello: the certificate may have ended, and the device's clock may not know.
const UNHEARD: u32 = 3;

/// What is known of the certificate in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    /// When it should be renewed, from now.
    pub(crate) renew_in: Duration,
    /// It has ended, by the clock that is believed.
    pub(crate) ended: bool,
}

/// The state of renewals.
#[derive(Debug)]
pub(super) struct Renewal {
    /// When the next attempt is due; `None` while nothing is known of the certificate.
    due: Option<Duration>,
    ended: bool,
    /// Until when an answer is waited for.
    answer_by: Option<Duration>,
    again: Backoff,
    /// Connections in a row that ended before their hello was acknowledged.
    unheard: u32,
    /// On this connection the hello waits for the renewal.
    before_hello: bool,
}

impl Renewal {
    pub(super) const fn new() -> Self {
        Self {
            due: None,
            ended: false,
            answer_by: None,
            again: Backoff::new(AGAIN.0, AGAIN.1),
            unheard: 0,
            before_hello: false,
        }
    }

    /// The certificate that the next connection is made with.
    pub(super) fn term(&mut self, now: Duration, term: Term) {
        let Term { renew_in, ended } = term;
        self.ended = ended;
        if renew_in > Duration::ZERO {
            self.due = Some(now.saturating_add(renew_in));
            self.again.reset();
        } else {
            // An attempt that was put off stays put off.
            self.due = Some(
                self.due
                    .map_or(now, |due| due.max(now))
                    .min(now.saturating_add(AGAIN.1)),
            );
        }
    }

    /// A connection is up: may the hello go first?
    pub(super) fn opened(&mut self) -> bool {
        self.answer_by = None;
        self.before_hello = self.ended || self.unheard >= UNHEARD;
        !self.before_hello
    }

    /// The registry has the hello.
    pub(super) const fn heard(&mut self) {
        self.unheard = 0;
    }

    /// The connection is gone, its hello acknowledged or not.
    pub(super) const fn closed(&mut self, is_heard: bool) {
        self.answer_by = None;
        if !is_heard {
            self.unheard = self.unheard.saturating_add(1);
        }
    }

    /// The registry, or who runs it, wants a renewal.
    pub(super) const fn wanted(&mut self, now: Duration) {
        self.due = Some(now);
    }

    /// Whether it is to be asked for now. Asking is noted.
    pub(super) fn asks(&mut self, now: Duration) -> bool {
        let is_due = self.before_hello || self.due.is_some_and(|due| due <= now);
        let asks = is_due && self.answer_by.is_none();
        if asks {
            self.answer_by = Some(now.saturating_add(ANSWER));
            self.due = None;
        }
        asks
    }

    /// It came to nothing; it is tried again, not before `wait`. Says whether a hello waits for this.
    pub(super) fn failed(&mut self, now: Duration, wait: Duration, jitter: &mut Jitter) -> bool {
        let wait = self.again.next(jitter.next()).max(wait);
        self.due = Some(now.saturating_add(wait));
        self.answer_by = None;
        core::mem::take(&mut self.before_hello)
    }

    /// The next certificate is here. Should the registry not let the device in with it, the one after is not asked for at once.
    pub(super) fn issued(&mut self, now: Duration, jitter: &mut Jitter) {
        self.failed(now, Duration::ZERO, jitter);
        self.unheard = 0;
    }

    /// Whether an answer is overdue.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        self.answer_by.is_some_and(|by| by <= now)
    }

    /// When something is due on a connection.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.answer_by.or(self.due)
    }
}
