//! The agent's decisions: an event comes in, actions go out. No clock, no socket, no file; `now` counts from the
//! start of the agent.
//!
//! The driver carries actions out and brings back what came of them. At most one connection and one piece of
//! work on the disk are under way at any time.

mod backoff;
mod mark;
mod message;
mod renewal;
mod status;

pub(crate) use backoff::{Backoff, Jitter};
pub(crate) use mark::{Admission, Mark, Stale, admit};
pub(crate) use message::{Action, Event, Memory, Pace, Role, Sent, Work};
pub(crate) use renewal::Term;
pub(crate) use status::{Outcome, Status};

use crate::{desired::Proven, event::AgentEvent, identity::DeviceId, sealed::ProvenSealed};
use renewal::Renewal;
use std::time::Duration;

/// How long a registry may take to answer a claim.
const CLAIM_ANSWER: Duration = Duration::from_secs(60);
/// A refusal without a time to try again needs a person: the first delay, and the greatest.
const REFUSED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// A registry that asks for more patience than this is not obeyed.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// A connection that lasted so long was a good one. What ends sooner counts as a failed attempt, whatever was said on
/// it: a registry that hangs up on a report, or a clone that takes the session over and over, is met ever more slowly.
const STABLE: Duration = Duration::from_secs(60);
/// Most messages on one connection in [`STABLE`]. A registry sends one or two after a hello and one for each change; every
/// one costs the device two signature checks and a line in its log.
const MESSAGES: u32 = 60;
/// Firmware decisions are not made anew more often than this, whatever their windows.
const ASSESS_AT_MOST: Duration = Duration::from_secs(10);

/// The connection.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Line {
    /// There is none; the next is tried at `until`.
    Down { until: Duration },
    /// One is being made.
    Opening(Role),
    /// A claim was sent.
    Claiming { answer_by: Duration },
    /// The device's own.
    Up {
        since: Duration,
        /// Messages, and since when they are counted.
        heard: (u32, Duration),
        /// A report on its way.
        sending: Option<Status>,
        /// The last one that the registry has.
        reported: Option<Status>,
        /// The registry has the hello.
        is_heard: bool,
    },
}

/// The whole state.
#[derive(Debug)]
pub(crate) struct Machine {
    claimed: bool,
    line: Line,
    lost: Backoff,
    refused: Backoff,
    jitter: Jitter,
    /// The newest desired state ever given. Durable before it stands here.
    held: Option<Mark>,
    /// What runs.
    applied: Option<Mark>,
    /// Whether something on the disk is under way.
    busy: bool,
    /// Desired state that came meanwhile; the newest only.
    offer: Option<Box<Proven>>,
    /// Secrets that came meanwhile; the newest only.
    sealed: Option<Box<ProvenSealed>>,
    /// What is held lacks secrets, which the registry is asked for.
    lacks_secrets: bool,
    /// Whether what is held is to be applied next.
    apply: bool,
    inspect_every: Duration,
    inspect_at: Duration,
    status: Option<Status>,
    renewal: Renewal,
}

impl Machine {
    pub(crate) fn new(memory: Memory, pace: Pace) -> Self {
        Self {
            claimed: memory.claimed,
            line: Line::Down {
                until: Duration::ZERO,
            },
            lost: Backoff::new(pace.reconnect.0, pace.reconnect.1),
            refused: Backoff::new(REFUSED.0, REFUSED.1),
            jitter: Jitter::new(pace.seed),
            // Work that a power loss interrupted is done first.
            apply: memory.held.is_some() && memory.held != memory.applied,
            held: memory.held,
            applied: memory.applied,
            busy: false,
            offer: None,
            sealed: None,
            lacks_secrets: false,
            inspect_every: pace.inspect_every,
            inspect_at: Duration::ZERO,
            status: None,
            renewal: Renewal::new(),
        }
    }

    /// When [`Event::Woke`] is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let line = match &self.line {
            Line::Down { until } => Some(*until),
            Line::Claiming { answer_by } => Some(*answer_by),
            Line::Up { .. } => self.renewal.deadline(),
            Line::Opening(_) => None,
        };
        let inspect = (self.held.is_some() && !self.busy).then_some(self.inspect_at);
        line.into_iter().chain(inspect).min()
    }

    /// Takes an event; says what is to be done, in this order.
    pub(crate) fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Started | Event::Woke => {}
            Event::Term(term) => self.renewal.term(now, term),
            Event::Reissued => self.reissued(now, &mut actions),
            Event::NotReissued { reason, retry_after } => {
                self.not_reissued(now, reason, retry_after, &mut actions);
            }
            Event::RenewalWanted => self.renewal.wanted(now),
            Event::Trusting(version) => self.trusting(version, &mut actions),
            Event::Opened => self.opened(now, &mut actions),
            Event::Lost(reason) => self.drop_line(now, reason, &mut actions),
            Event::Granted(device_id) => self.granted(now, device_id, &mut actions),
            Event::Refused { reason, retry_after } => self.refused(now, reason, retry_after, &mut actions),
            Event::Offered(_) | Event::Sealed(_) | Event::Disbelieved(_) if self.is_flooded(now) => {
                actions.push(Action::Close);
                self.drop_line(now, "the registry sends too much".into(), &mut actions);
            }
            Event::Offered(offer) => self.offered(now, offer, &mut actions),
            Event::Sealed(sealed) => self.sealed = Some(sealed),
            Event::Disbelieved(reason) => self.disbelieved(now, reason, &mut actions),
            Event::Acknowledged(sent) => self.acknowledged(sent, &mut actions),
            Event::Done(outcome) => self.done(now, outcome, &mut actions),
        }
        self.proceed(now, &mut actions);
        actions
    }

    fn opened(&mut self, now: Duration, actions: &mut Vec<Action>) {
        match self.line {
            Line::Opening(Role::Claimant) => {
                self.line = Line::Claiming {
                    answer_by: now.saturating_add(CLAIM_ANSWER),
                };
                actions.extend([Action::SendClaim, Action::Tell(AgentEvent::Claiming)]);
            }
            Line::Opening(Role::Device) => {
                self.line = Line::Up {
                    since: now,
                    heard: (0, now),
                    sending: None,
                    reported: None,
                    is_heard: false,
                };
                // First: what the registry says next may be signed under a root that this brings.
                if self.renewal.opened() {
                    actions.extend([Action::SendTrusted, Action::SendHello(self.applied)]);
                }
                actions.push(Action::Tell(AgentEvent::Connected));
                // A report that could be old is not sent; what runs is looked at first.
                if self.applied.is_some() && self.applied == self.held {
                    self.inspect_at = now;
                    self.status = None;
                }
            }
            Line::Down { .. } | Line::Claiming { .. } | Line::Up { .. } => {}
        }
    }

    fn drop_line(&mut self, now: Duration, reason: String, actions: &mut Vec<Action>) {
        if let Line::Up { is_heard, .. } = self.line {
            self.renewal.closed(is_heard);
        }
        match self.line {
            Line::Down { .. } => return,
            Line::Up { since, .. } if now.saturating_sub(since) >= STABLE => self.lost.reset(),
            Line::Opening(_) | Line::Claiming { .. } | Line::Up { .. } => {}
        }
        let retry_in = self.lost.next(self.jitter.next());
        self.down(now, retry_in);
        actions.push(Action::Tell(AgentEvent::Disconnected { reason, retry_in }));
    }

    fn down(&mut self, now: Duration, retry_in: Duration) {
        self.line = Line::Down {
            until: now.saturating_add(retry_in),
        };
    }

    fn granted(&mut self, now: Duration, device_id: DeviceId, actions: &mut Vec<Action>) {
        if !matches!(self.line, Line::Claiming { .. }) {
            return;
        }
        self.claimed = true;
        self.lost.reset();
        // The claim's connection has served; the device has one of its own.
        self.down(now, Duration::ZERO);
        actions.extend([Action::Close, Action::Tell(AgentEvent::Claimed { device_id })]);
    }

    fn refused(
        &mut self,
        now: Duration,
        reason: String,
        retry_after: Option<Duration>,
        actions: &mut Vec<Action>,
    ) {
        if !matches!(self.line, Line::Claiming { .. }) {
            return;
        }
        // Even a registry that says "now" is not asked in a tight loop.
        let own = match retry_after {
            Some(_) => self.lost.next(self.jitter.next()),
            None => self.refused.next(self.jitter.next()),
        };
        let retry_in = retry_after.unwrap_or_default().min(PATIENCE).max(own);
        self.down(now, retry_in);
        let disconnected = AgentEvent::Disconnected {
            reason: "the claim was refused".into(),
            retry_in,
        };
        actions.extend([
            Action::Close,
            Action::Tell(AgentEvent::Failed { reason }),
            Action::Tell(disconnected),
        ]);
    }

    /// The device goes on with its next certificate.
    fn reissued(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.renewal.issued(now, &mut self.jitter);
        actions.push(Action::Tell(AgentEvent::Renewed));
        if matches!(self.line, Line::Up { .. }) {
            actions.push(Action::Close);
            self.down(now, Duration::ZERO);
        }
    }

    fn not_reissued(
        &mut self,
        now: Duration,
        reason: String,
        retry_after: Option<Duration>,
        actions: &mut Vec<Action>,
    ) {
        let wait = retry_after.unwrap_or_default().min(PATIENCE);
        let hello_waits = self.renewal.failed(now, wait, &mut self.jitter);
        actions.push(Action::Tell(AgentEvent::Failed { reason }));
        if hello_waits && matches!(self.line, Line::Up { .. }) {
            actions.extend([Action::SendTrusted, Action::SendHello(self.applied)]);
        }
    }

    /// The registry is told, and asked once more for what was not believed by the roots before.
    fn trusting(&self, version: u64, actions: &mut Vec<Action>) {
        actions.push(Action::Tell(AgentEvent::Trusting { version }));
        if matches!(self.line, Line::Up { .. }) {
            actions.extend([Action::SendTrusted, Action::SendHello(self.applied)]);
        }
    }

    /// Counts a message; says whether it is one too many.
    fn is_flooded(&mut self, now: Duration) -> bool {
        let Line::Up {
            heard: (count, since),
            ..
        } = &mut self.line
        else {
            return false;
        };
        if now.saturating_sub(*since) >= STABLE {
            (*count, *since) = (0, now);
        }
        *count += 1;
        *count > MESSAGES
    }

    fn disbelieved(&mut self, now: Duration, reason: String, actions: &mut Vec<Action>) {
        actions.push(Action::Tell(AgentEvent::Failed { reason }));
        if matches!(self.line, Line::Claiming { .. }) {
            actions.push(Action::Close);
            self.drop_line(now, "the answer to the claim is not believed".into(), actions);
        }
    }

    fn offered(&mut self, now: Duration, offer: Box<Proven>, actions: &mut Vec<Action>) {
        let mark = offer.mark();
        match admit(self.held.as_ref(), &mark) {
            Err(stale) => actions.push(Action::Tell(AgentEvent::Failed {
                reason: stale.to_string(),
            })),
            Ok(admission) => {
                let generation = mark.generation;
                actions.push(Action::Tell(AgentEvent::DesiredReceived { generation }));
                if admission == Admission::Repeat {
                    self.repeated(now);
                }
                if self
                    .offer
                    .as_ref()
                    .is_none_or(|waiting| waiting.mark().generation <= generation)
                {
                    self.offer = Some(offer);
                }
            }
        }
    }

    /// The registry sends again what it was not told about: it wants a fresh report.
    fn repeated(&mut self, now: Duration) {
        if self.held == self.applied {
            self.inspect_at = now;
        } else {
            self.apply = true;
        }
        if let Line::Up { reported, .. } = &mut self.line {
            *reported = None;
            self.status = None;
        }
    }

    fn acknowledged(&mut self, sent: Sent, actions: &mut Vec<Action>) {
        let Line::Up {
            sending,
            reported,
            is_heard,
            ..
        } = &mut self.line
        else {
            return;
        };
        match sent {
            Sent::Claim | Sent::Renewal | Sent::Trusted => {}
            Sent::Hello => {
                *is_heard = true;
                self.renewal.heard();
            }
            Sent::Report => {
                if let Some(status) = sending.take() {
                    let (generation, ok) = (status.mark.generation, status.is_as_desired());
                    *reported = Some(status);
                    actions.push(Action::Tell(AgentEvent::Reported { generation, ok }));
                }
            }
        }
    }

    fn done(&mut self, now: Duration, outcome: Outcome, actions: &mut Vec<Action>) {
        self.busy = false;
        match outcome {
            Outcome::Kept(mark) => {
                // The ledger is what counts; a lower word from it would be a mistake of ours, and must not pass.
                if self.held.is_none_or(|held| held.generation < mark.generation) {
                    self.held = Some(mark);
                    self.apply = true;
                }
            }
            Outcome::SealedKept(generation) => {
                let waits =
                    self.held != self.applied && self.held.is_some_and(|held| held.generation == generation);
                self.apply |= waits;
            }
            Outcome::SealedKnown => {}
            Outcome::NotKept(reason) => actions.push(Action::Tell(AgentEvent::Failed { reason })),
            Outcome::Applied { status, again_in } => {
                self.applied = Some(status.mark);
                self.lacks_secrets = false;
                self.settle(now, again_in);
                let generation = status.mark.generation;
                actions.push(Action::Tell(AgentEvent::Applied { generation }));
                self.status = Some(status);
            }
            Outcome::NotApplied {
                status,
                reason,
                again_in,
                lacks_secrets,
            } => {
                self.lacks_secrets = lacks_secrets;
                self.settle(now, again_in);
                actions.push(Action::Tell(AgentEvent::Failed { reason }));
                self.status = status;
            }
            Outcome::Inspected { status, again_in } => {
                self.settle(now, again_in);
                self.status = Some(status);
            }
            Outcome::Drifted { status, reason } => {
                self.apply = true;
                self.settle(now, None);
                actions.push(Action::Tell(AgentEvent::Drifted { reason }));
                self.status = Some(status);
            }
        }
    }

    fn settle(&mut self, now: Duration, again_in: Option<Duration>) {
        let wait = again_in.map_or(self.inspect_every, |again| {
            again.max(ASSESS_AT_MOST).min(self.inspect_every)
        });
        self.inspect_at = now.saturating_add(wait);
    }

    /// Starts what is due.
    fn proceed(&mut self, now: Duration, actions: &mut Vec<Action>) {
        match self.line {
            Line::Down { until } if until <= now => {
                let role = if self.claimed {
                    Role::Device
                } else {
                    Role::Claimant
                };
                self.line = Line::Opening(role);
                actions.push(Action::Open(role));
            }
            Line::Claiming { answer_by } if answer_by <= now => {
                actions.push(Action::Close);
                self.drop_line(now, "the registry did not answer the claim".into(), actions);
            }
            Line::Up { .. } if self.renewal.is_overdue(now) => {
                let reason = "the registry did not answer the renewal".into();
                self.not_reissued(now, reason, None, actions);
            }
            Line::Up { .. } if self.renewal.asks(now) => actions.push(Action::SendRenewal),
            Line::Down { .. } | Line::Claiming { .. } | Line::Opening(_) | Line::Up { .. } => {}
        }
        self.work(now, actions);
        self.report(actions);
    }

    fn work(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.busy {
            return;
        }
        // Secrets are sent before what needs them.
        let work = if let Some(sealed) = self.sealed.take() {
            Work::KeepSealed(sealed)
        } else if let Some(offer) = self.offer.take() {
            Work::Keep(offer)
        } else if self.held.is_none() {
            return;
        } else if self.apply {
            self.apply = false;
            Work::Apply
        } else if self.inspect_at <= now {
            // The registry sends them in answer to a hello. Asked here alone, it is not asked in a tight loop.
            if self.lacks_secrets && matches!(self.line, Line::Up { .. }) {
                actions.push(Action::SendHello(self.applied));
            }
            // What could not be applied is tried again; an inspection of what runs instead would call it well.
            if self.held == self.applied {
                Work::Inspect
            } else {
                Work::Apply
            }
        } else {
            return;
        };
        self.busy = true;
        actions.push(Action::Work(work));
    }

    /// Sends how the device stands, when that is news.
    fn report(&mut self, actions: &mut Vec<Action>) {
        let (
            Line::Up {
                sending, reported, ..
            },
            Some(status),
        ) = (&mut self.line, &self.status)
        else {
            return;
        };
        if sending.is_none() && reported.as_ref() != Some(status) {
            *sending = Some(status.clone());
            actions.push(Action::SendReport(status.clone()));
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
