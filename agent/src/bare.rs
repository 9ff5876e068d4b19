//! The agent without clock, disk and network: its machine, its MQTT and its proofs, over bytes that somebody else moves.
//!
//! A hundred thousand of these fit into a process, where an [`crate::Agent`] has files, timers and a TLS connection. What a
//! registry meets is the same: the same packets, each envelope proven, generations admitted by the same rule, the same words in
//! reports. It holds no key, so it neither claims nor renews; who makes it vouches for its identity. It has no firmware, so that
//! no policy finds anything against it.

use crate::{
    clock::{Clock, TimeSource},
    desired::{self, ENCODING, Proven},
    event::AgentEvent,
    identity::{DeviceId, Trust, TrustError},
    link::codec::{self, Connect, Incoming, Malformed},
    machine::{Action, Event, Machine, Mark, Memory, Outcome, Pace, Sent, Status, Work},
};
use muster_proto::{
    payload::{self, Desired, Digest, FacetState, Hello, Report, TrustBundle, Trusted},
    topic::{Channel, Topic},
};
use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

/// Told to the server: the longest that it grants. Nobody pings here.
const KEEP_ALIVE: u16 = 1200;
/// Nothing that runs here drifts.
const INSPECT_EVERY: Duration = Duration::from_secs(365 * 24 * 3600);
/// As of the agent; whoever moves the bytes decides when to come back.
const RECONNECT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Says whether a device can apply what it is to be; if not, why.
pub type Judge = Arc<dyn Fn(&Desired) -> Result<(), String> + Send + Sync>;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BareError {
    /// The server did not let the device in.
    #[error("the server refused the connection (MQTT code {0})")]
    Refused(u8),
    /// Or not to its topics.
    #[error("the server refused the subscription")]
    Subscription,
    /// What came is no MQTT 3.1.1.
    #[error("the server does not speak MQTT 3.1.1: {0}")]
    Malformed(String),
    /// A packet that nobody waits for.
    #[error("the server answered out of turn")]
    OutOfTurn,
    /// The device does not want to go on.
    #[error("the device hung up")]
    HungUp,
    /// A message cannot be written.
    #[error("a message cannot be written: {0}")]
    Unwritten(#[from] payload::PayloadError),
}

impl From<Malformed> for BareError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// The roots that devices trust, and what time they believe it is; shared by all of them.
#[derive(Debug, Clone)]
pub struct BareTrust(Arc<Trust>);

impl BareTrust {
    /// Of roots in PEM.
    ///
    /// # Errors
    /// [`TrustError`] where they are not certificates.
    pub fn from_pem(pem: &[u8], time: TimeSource) -> Result<Self, TrustError> {
        Ok(Self(Arc::new(Trust::from_pem(pem, Clock::new(time))?)))
    }
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Down,
    /// CONNECT was said.
    Greeting,
    /// SUBSCRIBE was.
    Subscribing,
    Up,
}

/// A device.
pub struct BareAgent {
    device: DeviceId,
    trust: BareTrust,
    judge: Judge,
    machine: Machine,
    line: Line,
    /// What is to be applied next. What was applied is not kept: its mark is.
    kept: Option<Proven>,
    applied: Option<Mark>,
    inbox: Vec<u8>,
    in_flight: VecDeque<(u16, Sent)>,
    last_id: u16,
}

impl fmt::Debug for BareAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BareAgent")
            .field("device", &self.device)
            .field("line", &self.line)
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

/// One step: when it is, what is to be sent, and what there is to tell.
struct Turn<'a> {
    now: Duration,
    out: &'a mut Vec<u8>,
    told: Vec<AgentEvent>,
}

impl BareAgent {
    /// A device that has its identity and nothing else yet.
    pub fn new(device: DeviceId, trust: BareTrust, judge: Judge) -> Self {
        let memory = Memory {
            claimed: true,
            ..Memory::default()
        };
        let pace = Pace {
            reconnect: RECONNECT,
            inspect_every: INSPECT_EVERY,
            seed: 0,
        };
        Self {
            device,
            trust,
            judge,
            machine: Machine::new(memory, pace),
            line: Line::Down,
            kept: None,
            applied: None,
            inbox: Vec::new(),
            in_flight: VecDeque::new(),
            last_id: 0,
        }
    }

    /// The generation that it runs; 0 for none.
    pub fn generation(&self) -> u64 {
        self.applied.map_or(0, |mark| mark.generation)
    }

    /// Begins a connection, with the first bytes for `out`; `false` while it waits before it tries again. `now` counts from
    /// any moment, and never back.
    ///
    /// # Errors
    /// [`BareError`], which no first bytes bring about.
    pub fn connect(&mut self, now: Duration, out: &mut Vec<u8>) -> Result<bool, BareError> {
        let told = Vec::new();
        self.happens(&mut Turn { now, out, told }, Event::Woke)?;
        Ok(self.line == Line::Greeting)
    }

    /// Takes what the server said; what is to be sent is added to `out`.
    ///
    /// # Errors
    /// [`BareError`], after which the connection is to be closed and [`BareAgent::lost`] called.
    pub fn hear(
        &mut self,
        now: Duration,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Vec<AgentEvent>, BareError> {
        let mut turn = Turn {
            now,
            out,
            told: Vec::new(),
        };
        self.inbox.extend_from_slice(bytes);
        while let Some(packet) = codec::decode(&mut self.inbox)? {
            self.packet(&mut turn, packet)?;
        }
        if self.inbox.is_empty() {
            // Most devices sit idle most of the time.
            self.inbox = Vec::new();
        }
        Ok(turn.told)
    }

    /// The connection is gone.
    pub fn lost(&mut self, now: Duration, reason: &str) {
        self.line = Line::Down;
        self.inbox = Vec::new();
        self.in_flight.clear();
        // A lost connection asks for nothing but time.
        drop(self.machine.handle(now, Event::Lost(reason.to_owned())));
    }

    fn packet(&mut self, turn: &mut Turn<'_>, packet: Incoming) -> Result<(), BareError> {
        match (self.line, packet) {
            (Line::Greeting, Incoming::ConnAck { code: 0 }) => {
                let filters =
                    [Channel::Desired, Channel::Trust].map(|channel| self.topic(channel).to_string());
                let id = self.fresh_id();
                codec::subscribe(turn.out, id, &filters);
                self.line = Line::Subscribing;
                Ok(())
            }
            (Line::Greeting, Incoming::ConnAck { code }) => Err(BareError::Refused(code)),
            (Line::Subscribing, Incoming::SubAck { codes, .. }) => {
                if codes.iter().any(|code| *code > 1) {
                    return Err(BareError::Subscription);
                }
                self.line = Line::Up;
                self.happens(turn, Event::Opened)
            }
            (Line::Up, Incoming::Publish { topic, id, payload }) => {
                if let Some(id) = id {
                    codec::acknowledge(turn.out, id);
                }
                match self.message(&topic, &payload) {
                    Some(event) => self.happens(turn, event),
                    None => Ok(()),
                }
            }
            (Line::Up, Incoming::PubAck { id }) => {
                let at = self.in_flight.iter().position(|(waiting, _)| *waiting == id);
                let sent = at.and_then(|at| self.in_flight.remove(at));
                let (_, sent) = sent.ok_or(BareError::OutOfTurn)?;
                self.happens(turn, Event::Acknowledged(sent))
            }
            (_, Incoming::PingResp) => Ok(()),
            (Line::Down | Line::Greeting | Line::Subscribing | Line::Up, _) => Err(BareError::OutOfTurn),
        }
    }

    /// What a message means.
    fn message(&mut self, topic: &str, payload: &[u8]) -> Option<Event> {
        match Topic::parse(topic)? {
            Topic::Device(_, Channel::Desired, ENCODING) => {
                let Self { device, trust, .. } = self;
                let proven = desired::prove(payload, device, &trust.0, trust.0.clock().now());
                Some(match proven {
                    Ok(proven) => Event::Offered(Box::new(proven)),
                    Err(error) => Event::Disbelieved(error.to_string()),
                })
            }
            Topic::Device(_, Channel::Trust, ENCODING) => {
                let bundle: TrustBundle = payload::decode(payload, ENCODING).ok()?;
                match self.trust.0.advance(&bundle) {
                    Ok(trust) => {
                        self.trust = BareTrust(Arc::new(trust?));
                        Some(Event::Trusting(self.trust.0.version()))
                    }
                    Err(error) => Some(Event::Disbelieved(error.to_string())),
                }
            }
            _ => None,
        }
    }

    /// Hands an event to the machine and does what it says, and what comes of that.
    fn happens(&mut self, turn: &mut Turn<'_>, event: Event) -> Result<(), BareError> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.machine.handle(turn.now, event) {
                events.extend(self.act(turn, action)?);
            }
        }
        Ok(())
    }

    fn act(&mut self, turn: &mut Turn<'_>, action: Action) -> Result<Option<Event>, BareError> {
        match action {
            Action::Open(_) => {
                let connect = Connect {
                    client_id: self.device.as_str(),
                    keep_alive: KEEP_ALIVE,
                    login: None,
                };
                codec::connect(turn.out, connect);
                self.line = Line::Greeting;
            }
            Action::SendTrusted => {
                let version = self.trust.0.version();
                self.say(turn, Channel::Trusted, &Trusted { version }, Sent::Trusted)?;
            }
            Action::SendHello(have) => self.say(turn, Channel::Hello, &hello(have), Sent::Hello)?,
            Action::SendReport(status) => {
                let report = Report {
                    device_id: self.device.to_string(),
                    generation: status.mark.generation,
                    digest: status.mark.digest,
                    facets: status.facets(),
                    firmware: None,
                };
                self.say(turn, Channel::Report, &report, Sent::Report)?;
            }
            Action::Close => return Err(BareError::HungUp),
            Action::Work(work) => return Ok(Some(Event::Done(self.work(work)))),
            Action::Tell(event) => turn.told.push(event),
            // It has no key to ask with; the machine asks only those that know how long their certificate lasts.
            Action::SendClaim | Action::SendRenewal => {}
        }
        Ok(None)
    }

    fn work(&mut self, work: Work) -> Outcome {
        match work {
            Work::Keep(proven) => {
                let mark = proven.mark();
                self.kept = Some(*proven);
                Outcome::Kept(mark)
            }
            // It has no key that could open them, and keeps none.
            Work::KeepSealed(_) => Outcome::SealedKnown,
            Work::Apply => self.apply(),
            Work::Inspect => match self.applied {
                Some(mark) => Outcome::Inspected {
                    status: status(mark, &FacetState::Applied),
                    again_in: None,
                },
                None => unproven(),
            },
        }
    }

    fn apply(&mut self) -> Outcome {
        let Some(proven) = self.kept.take() else {
            return unproven();
        };
        let mark = proven.mark();
        match (self.judge)(proven.desired()) {
            Ok(()) => {
                self.applied = Some(mark);
                Outcome::Applied {
                    status: status(mark, &FacetState::Applied),
                    again_in: None,
                }
            }
            Err(reason) => {
                let failed = FacetState::Failed {
                    reason: reason.clone(),
                };
                Outcome::NotApplied {
                    status: Some(status(mark, &failed)),
                    reason,
                    again_in: None,
                    lacks_secrets: false,
                }
            }
        }
    }

    fn say<T: serde::Serialize>(
        &mut self,
        turn: &mut Turn<'_>,
        channel: Channel,
        message: &T,
        sent: Sent,
    ) -> Result<(), BareError> {
        let payload = payload::encode(message, ENCODING)?;
        let id = self.fresh_id();
        codec::publish_once(turn.out, id, &self.topic(channel).to_string(), &payload);
        self.in_flight.push_back((id, sent));
        Ok(())
    }

    fn topic(&self, channel: Channel) -> Topic<'_> {
        Topic::Device(self.device.as_str(), channel, ENCODING)
    }

    /// 1 to 65 535, none twice among the few that are in flight.
    fn fresh_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }
}

fn hello(have: Option<Mark>) -> Hello {
    Hello {
        generation: have.map_or(0, |mark| mark.generation),
        digest: have.map_or(Digest([0; 32]), |mark| mark.digest),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        firmware: None,
        boot_id: 1,
    }
}

/// A slot goes live as a whole, so the location stands as the configuration beside it.
fn status(mark: Mark, slot: &FacetState) -> Status {
    Status {
        mark,
        config: slot.clone(),
        location: slot.clone(),
        firmware: FacetState::Applied,
        running: None,
    }
}

fn unproven() -> Outcome {
    Outcome::NotApplied {
        status: None,
        reason: "nothing is kept that could be applied".into(),
        again_in: None,
        lacks_secrets: false,
    }
}

#[cfg(test)]
mod tests;
