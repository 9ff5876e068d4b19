//! What the gate counts, for whoever watches it: connections, messages, deliveries.
//!
//! Counters are atomics that a scrape reads; counting a message costs some ten nanoseconds.

use super::codec::Version;
use crate::fault::Failure;
use muster_domain::device::{Departure, Sending};
use muster_proto::topic::Channel;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// How a connection got as far as its CONNECT, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Introduction {
    /// It showed who it is.
    Connected,
    /// The TLS handshake failed.
    Handshake,
    /// What came was no CONNECT.
    Garbled,
    /// It was too slow.
    Late,
    /// A newcomer needed its place.
    Evicted,
}

impl Introduction {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Handshake => "handshake_failed",
            Self::Garbled => "no_connect",
            Self::Late => "late",
            Self::Evicted => "evicted",
        }
    }
}

/// A message of the bus that was lost because it was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// To other gates.
    Down,
    /// To integrators.
    Up,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Spoken {
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    channel: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Heard {
    channel: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// The counters of a gate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    connections: Gauge,
    introductions: Family<Outcome, Counter>,
    sessions: Family<Spoken, Counter>,
    departures: Family<Reason, Counter>,
    received: Family<Heard, Counter>,
    sent: Family<Of, Counter>,
    acknowledged: Family<Of, Counter>,
    in_flight: Gauge,
    dropped: Family<Direction, Counter>,
    deliveries: Family<Kind, Counter>,
    unconfirmed: Gauge,
    overdue: Counter,
    buffered: Gauge,
}

/// A connection that is counted until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

const fn departure(departure: Departure) -> &'static str {
    match departure {
        Departure::Left => "left",
        Departure::Lost => "lost",
        Departure::Silent => "silent",
        Departure::ShutOut => "shut_out",
        Departure::Misbehaved => "misbehaved",
        Departure::Failed => "failed",
        Departure::Stopped => "stopped",
    }
}

const fn outcome(answer: &Result<(), Failure>) -> &'static str {
    match answer {
        Ok(()) => "accepted",
        Err(Failure::Refused(_)) => "refused",
        Err(Failure::Broken(_)) => "failed",
    }
}

impl Meter {
    /// A connection came.
    pub(super) fn connection(&self) -> Counted {
        self.connections.inc();
        Counted(self.connections.clone())
    }

    pub(super) fn introduces(&self, introduction: Introduction) {
        let outcome = introduction.as_str();
        self.introductions.get_or_create(&Outcome { outcome }).inc();
    }

    /// A device was let in.
    pub(super) fn arrives(&self, version: Version) {
        let version = match version {
            Version::V4 => "3.1.1",
            Version::V5 => "5.0",
        };
        self.sessions.get_or_create(&Spoken { version }).inc();
    }

    /// A device's session ended, with that many messages of ours unacknowledged.
    pub(super) fn departs(&self, why: Departure, unacknowledged: i64) {
        let reason = departure(why);
        self.departures.get_or_create(&Reason { reason }).inc();
        self.in_flight.dec_by(unacknowledged);
    }

    /// A message on a topic of the device's own, or on another one (`None`).
    pub(super) fn hears(&self, channel: Option<Channel>, answer: &Result<(), Failure>) {
        let (channel, outcome) = (channel.map_or("other", Channel::as_str), outcome(answer));
        self.received.get_or_create(&Heard { channel, outcome }).inc();
    }

    /// A claim was answered.
    pub(super) fn claims(&self, accepted: bool) {
        let (channel, outcome) = ("claim", if accepted { "accepted" } else { "refused" });
        self.received.get_or_create(&Heard { channel, outcome }).inc();
    }

    /// A message went out, to be acknowledged or not.
    pub(super) fn sends(&self, channel: Channel, acknowledged: bool) {
        let channel = channel.as_str();
        self.sent.get_or_create(&Of { channel }).inc();
        self.in_flight.inc_by(i64::from(acknowledged));
    }

    /// A message was acknowledged.
    pub(super) fn is_acknowledged(&self, channel: Channel) {
        let channel = channel.as_str();
        self.acknowledged.get_or_create(&Of { channel }).inc();
        self.in_flight.dec();
    }

    pub(super) fn drops(&self, lost: Lost) {
        let direction = match lost {
            Lost::Down => "down",
            Lost::Up => "up",
        };
        self.dropped.get_or_create(&Direction { direction }).inc();
    }

    /// A desired state is handed to a session.
    pub(crate) fn delivers(&self, sending: Sending) {
        let kind = match sending {
            Sending::First => "first",
            Sending::Repeat => "repeat",
        };
        self.deliveries.get_or_create(&Kind { kind }).inc();
    }

    /// What a look at all connected devices found: how many have not confirmed their desired state, and how many of them are
    /// sent it again.
    pub(crate) fn found(&self, unconfirmed: u64, overdue: u64) {
        self.unconfirmed
            .set(i64::try_from(unconfirmed).unwrap_or(i64::MAX));
        self.overdue.inc_by(overdue);
    }

    /// Memory that packets and messages under way hold, in bytes.
    pub(super) fn buffers(&self) -> &Gauge {
        &self.buffered
    }

    /// Messages that wait for their acknowledgement.
    #[cfg(test)]
    pub(super) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Names and describes all of them.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let mqtt = registry.sub_registry_with_prefix("mqtt");
        mqtt.register(
            "connections",
            "Connections, whoever is at their other end",
            self.connections.clone(),
        );
        mqtt.register(
            "introductions",
            "Connections by how they got to their CONNECT",
            self.introductions.clone(),
        );
        mqtt.register(
            "sessions_started",
            "Device sessions, by version of MQTT",
            self.sessions.clone(),
        );
        mqtt.register(
            "sessions_ended",
            "Device sessions that ended, by reason",
            self.departures.clone(),
        );
        mqtt.register(
            "messages_received",
            "Messages from devices, by channel and outcome",
            self.received.clone(),
        );
        mqtt.register(
            "messages_sent",
            "Messages to devices, by channel",
            self.sent.clone(),
        );
        mqtt.register(
            "messages_acknowledged",
            "Messages that devices acknowledged",
            self.acknowledged.clone(),
        );
        mqtt.register(
            "messages_in_flight",
            "Messages that wait for an acknowledgement",
            self.in_flight.clone(),
        );
        mqtt.register(
            "buffered_bytes",
            "Memory of packets under way beyond what each connection has",
            self.buffered.clone(),
        );
        let bus = registry.sub_registry_with_prefix("bus");
        bus.register(
            "messages_dropped",
            "Messages that the bus had no room for",
            self.dropped.clone(),
        );
        let delivery = registry.sub_registry_with_prefix("delivery");
        delivery.register(
            "desired_sent",
            "Desired states handed to sessions: first of their generation, or repeated",
            self.deliveries.clone(),
        );
        delivery.register(
            "backlog",
            "Connected devices that have not confirmed their desired state",
            self.unconfirmed.clone(),
        );
        delivery.register(
            "overdue",
            "Desired states sent again because nothing confirmed them in time",
            self.overdue.clone(),
        );
    }
}
