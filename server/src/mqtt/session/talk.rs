//! A client's side of the wire: its version, its limits, and how its connection ends.

use super::super::{
    codec::{ConnAck, Connect, Outgoing, Packet, Reason, Version},
    hub::Cut,
    wire::{Wire, WireError},
};
use crate::fault::Failure;
use muster_domain::device::Departure;
use std::fmt;
use tokio::io::{AsyncRead, AsyncWrite};

/// How a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client said so.
    Left,
    /// The transport did, or a peer that does not read; nothing more can be said.
    Lost(String),
    /// We end it; 5.0 clients are told why.
    Told(Departure, Reason, String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the client left"),
            Self::Lost(why) => f.write_str(why),
            Self::Told(_, _, why) => f.write_str(why),
        }
    }
}

impl From<Cut> for End {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Kicked => Self::Told(
                Departure::ShutOut,
                Reason::AdministrativeAction,
                "the device was shut out".into(),
            ),
            // The registry knows of the newer one: this departure says nothing of the device.
            Cut::TakenOver => Self::Told(
                Departure::Lost,
                Reason::SessionTakenOver,
                "the device has a newer connection".into(),
            ),
        }
    }
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Decode(error) => Self::misbehaved(error.reason(), error.to_string()),
            lost @ (WireError::Closed | WireError::Io(_)) => Self::Lost(lost.to_string()),
        }
    }
}

impl End {
    /// The server is stopping.
    pub(super) fn stopping() -> Self {
        Self::Told(
            Departure::Stopped,
            Reason::ServerShuttingDown,
            "the server is stopping".into(),
        )
    }

    /// The client was silent for too long.
    pub(super) fn silent() -> Self {
        Self::Told(
            Departure::Silent,
            Reason::KeepAliveTimeout,
            "nothing was heard within the keep-alive".into(),
        )
    }

    /// A failure that ends the session.
    pub(super) fn failed(failure: &Failure) -> Self {
        Self::Told(
            super::departure_of(failure),
            super::reason_of(failure),
            failure.to_string(),
        )
    }

    /// The client did what ends a session.
    pub(super) fn misbehaved(reason: Reason, why: impl Into<String>) -> Self {
        Self::Told(Departure::Misbehaved, reason, why.into())
    }

    /// What it says of the device.
    pub(super) const fn departure(&self) -> Departure {
        match self {
            Self::Left => Departure::Left,
            Self::Lost(_) => Departure::Lost,
            Self::Told(departure, ..) => *departure,
        }
    }
}

/// A client that said CONNECT.
#[derive(Debug)]
pub(super) struct Talk<S> {
    wire: Wire<S>,
    version: Version,
    maximum_packet: usize,
    problem_information: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub(super) fn new(wire: Wire<S>, connect: &Connect) -> Self {
        Self {
            wire,
            version: connect.version,
            maximum_packet: usize::try_from(connect.maximum_packet).unwrap_or(usize::MAX),
            problem_information: connect.problem_information,
        }
    }

    pub(super) const fn version(&self) -> Version {
        self.version
    }

    /// Lets the client in, with packets up to `limit` from now on.
    pub(super) async fn welcome(&mut self, connack: ConnAck<'_>, limit: usize) -> Result<(), End> {
        self.wire.set_limit(limit);
        let connack = Outgoing::ConnAck(connack);
        if self.encode(connack).len() > self.maximum_packet {
            // Nothing may be said before it, not even why `[5: MQTT-3.2.0-1, MQTT-3.14.0-1]`.
            return Err(End::Lost("the client takes no packet as large as CONNACK".into()));
        }
        self.say(connack).await
    }

    /// Turns the client away.
    pub(super) async fn refuse(&mut self, reason: Reason, text: &str) -> End {
        match self.say(Outgoing::ConnAck(ConnAck::refused(reason, text))).await {
            Ok(()) => End::Lost(format!("turned away: {text}")),
            Err(end) => end,
        }
    }

    /// The next packet, and the bytes of its body. Cancel safe.
    pub(super) async fn hear(&mut self) -> Result<(Packet, usize), End> {
        let frame = self.wire.frame().await?;
        let bytes = frame.len();
        let packet = frame.packet(self.version).map_err(WireError::from)?;
        Ok((packet, bytes))
    }

    /// Sends a packet; a text that the client did not want or cannot take is left out.
    pub(super) async fn say(&mut self, packet: Outgoing<'_>) -> Result<(), End> {
        let mut bytes = self.encode(packet);
        if bytes.len() > self.maximum_packet {
            bytes = packet.without_text().encode(self.version);
        }
        if bytes.len() > self.maximum_packet {
            // `[5: MQTT-3.1.2-25]`: what the client cannot take is not sent; it goes on as if it had been.
            tracing::warn!(
                bytes = bytes.len(),
                limit = self.maximum_packet,
                "message is over the client's limit"
            );
            return Ok(());
        }
        self.wire
            .send(&bytes)
            .await
            .map_err(|error| End::from(WireError::from(error)))
    }

    fn encode(&self, packet: Outgoing<'_>) -> Vec<u8> {
        // `[5: 3.1.2.11.7]`: without problem information only CONNACK and DISCONNECT carry a text.
        let wanted =
            self.problem_information || matches!(packet, Outgoing::ConnAck(_) | Outgoing::Disconnect(..));
        if wanted { packet } else { packet.without_text() }.encode(self.version)
    }

    /// Whether the client takes a message of that size.
    pub(super) const fn takes(&self, packet: usize) -> bool {
        packet <= self.maximum_packet
    }

    /// Ends the connection.
    pub(super) async fn close(self, end: &End) {
        let last_word = match end {
            End::Told(_, reason, text) => {
                let word = self.encode(Outgoing::Disconnect(*reason, text));
                if word.len() <= self.maximum_packet {
                    word
                } else {
                    self.encode(Outgoing::Disconnect(*reason, ""))
                }
            }
            End::Left | End::Lost(_) => Vec::new(),
        };
        self.wire.close(&last_word).await;
    }
}
