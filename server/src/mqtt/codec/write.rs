//! From packets to bytes.

use super::{QoS, Reason, Version, properties::id};

/// What a server answers to CONNECT.
#[derive(Debug, Clone, Copy)]
pub struct ConnAck<'a> {
    /// [`Reason::Success`], or why not.
    pub reason: Reason,
    /// Text of a refusal; 5.0.
    pub text: &'a str,
    /// The id of a client that gave none; 5.0.
    pub assigned_id: Option<&'a str>,
    /// Seconds, where the client's own wish does not hold; 5.0.
    pub keep_alive: Option<u16>,
    /// The client asked for a session that outlives its connection; 5.0 is told that it does not.
    pub session_expiry: bool,
    /// Messages of QoS 1 and 2 that we take unacknowledged; 5.0.
    pub receive_maximum: u16,
    /// Whether there are filters with wildcards that the client may subscribe; 5.0.
    pub wildcards: bool,
    /// Largest packet that we take; 5.0.
    pub maximum_packet: u32,
}

/// What a server sends.
#[derive(Debug, Clone, Copy)]
pub enum Outgoing<'a> {
    /// Answers CONNECT.
    ConnAck(ConnAck<'a>),
    /// A message, QoS 0 or 1.
    Publish {
        /// Topic name.
        topic: &'a str,
        /// `Some` for QoS 1.
        packet_id: Option<u16>,
        /// Content.
        payload: &'a [u8],
    },
    /// Answers a message of QoS 1. 3.1.1 knows no other reason than success.
    PubAck(u16, Reason, &'a str),
    /// Answers a message of QoS 2. 3.1.1 knows no other reason than success.
    PubRec(u16, Reason, &'a str),
    /// Answers PUBREL.
    PubComp(u16, Reason),
    /// Answers SUBSCRIBE: for each filter the QoS granted, or `None`.
    SubAck(u16, &'a [Option<QoS>], &'a str),
    /// Answers UNSUBSCRIBE: for each filter whether it was subscribed.
    UnsubAck(u16, &'a [bool]),
    /// Answers PINGREQ.
    PingResp,
    /// Why the connection ends; 3.1.1 has no such packet from a server.
    Disconnect(Reason, &'a str),
}

/// Longest reason string; more is cut. A packet without payload stays under one Ethernet frame.
const TEXT_LIMIT: usize = 512;

struct Body(Vec<u8>);

impl Body {
    fn two(&mut self, value: u16) {
        self.0.extend(value.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        // Callers give texts of ours, far below 64 KiB; a longer one would be cut, not sent wrong.
        let end = (0..=text.len().min(usize::from(u16::MAX)))
            .rev()
            .find(|&end| text.is_char_boundary(end));
        let text = &text[..end.unwrap_or(0)];
        self.two(u16::try_from(text.len()).unwrap_or(0));
        self.0.extend(text.as_bytes());
    }

    fn variable(&mut self, mut value: usize) {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            self.0.push(if value == 0 { low } else { low | 0x80 });
            if value == 0 {
                return;
            }
        }
    }

    fn reason_string(&mut self, text: &str) {
        if !text.is_empty() {
            let end = (0..=text.len().min(TEXT_LIMIT))
                .rev()
                .find(|&end| text.is_char_boundary(end));
            self.0.push(id::REASON_STRING);
            self.text(&text[..end.unwrap_or(0)]);
        }
    }

    fn properties(&mut self, write: impl FnOnce(&mut Self)) {
        let mut inner = Self(Vec::new());
        write(&mut inner);
        self.variable(inner.0.len());
        self.0.append(&mut inner.0);
    }
}

impl Outgoing<'_> {
    /// The packet's bytes; empty where the version has no such packet.
    pub fn encode(&self, version: Version) -> Vec<u8> {
        let mut body = Body(Vec::with_capacity(self.size_hint()));
        let Some(first) = self.body(version, &mut body) else {
            return Vec::new();
        };
        let mut packet = Body(Vec::with_capacity(5 + body.0.len()));
        packet.0.push(first);
        packet.variable(body.0.len());
        packet.0.append(&mut body.0);
        packet.0
    }

    /// The same packet without its reason string.
    #[must_use]
    pub const fn without_text(self) -> Self {
        match self {
            Self::ConnAck(connack) => Self::ConnAck(ConnAck { text: "", ..connack }),
            Self::PubAck(packet_id, reason, _) => Self::PubAck(packet_id, reason, ""),
            Self::PubRec(packet_id, reason, _) => Self::PubRec(packet_id, reason, ""),
            Self::SubAck(packet_id, granted, _) => Self::SubAck(packet_id, granted, ""),
            Self::Disconnect(reason, _) => Self::Disconnect(reason, ""),
            Self::Publish { .. } | Self::PubComp(..) | Self::UnsubAck(..) | Self::PingResp => self,
        }
    }

    const fn size_hint(&self) -> usize {
        match self {
            Self::Publish { topic, payload, .. } => topic.len() + payload.len() + 5,
            _ => 16,
        }
    }

    /// Writes what follows the fixed header, and gives back its first byte.
    fn body(&self, version: Version, body: &mut Body) -> Option<u8> {
        let v5 = version == Version::V5;
        match *self {
            Self::ConnAck(connack) => {
                connack.body(version, body);
                Some(0x20)
            }
            Self::Publish {
                topic,
                packet_id,
                payload,
            } => {
                body.text(topic);
                if let Some(packet_id) = packet_id {
                    body.two(packet_id);
                }
                if v5 {
                    body.0.push(0);
                }
                body.0.extend(payload);
                Some(if packet_id.is_some() { 0x32 } else { 0x30 })
            }
            Self::PubAck(packet_id, reason, text) => Some(ack(body, version, 0x40, packet_id, reason, text)),
            Self::PubRec(packet_id, reason, text) => Some(ack(body, version, 0x50, packet_id, reason, text)),
            Self::PubComp(packet_id, reason) => Some(ack(body, version, 0x70, packet_id, reason, "")),
            Self::SubAck(packet_id, granted, text) => {
                body.two(packet_id);
                if v5 {
                    body.properties(|inner| inner.reason_string(text));
                }
                let refused = if v5 { Reason::NotAuthorized.byte() } else { 0x80 };
                body.0
                    .extend(granted.iter().map(|granted| granted.map_or(refused, QoS::bits)));
                Some(0x90)
            }
            Self::UnsubAck(packet_id, known) => {
                body.two(packet_id);
                if v5 {
                    body.0.push(0);
                    let code = |&known: &bool| {
                        if known {
                            Reason::Success
                        } else {
                            Reason::NoSubscriptionExisted
                        }
                    };
                    body.0.extend(known.iter().map(|known| code(known).byte()));
                }
                Some(0xb0)
            }
            Self::PingResp => Some(0xd0),
            Self::Disconnect(reason, text) => v5.then(|| {
                body.0.push(reason.byte());
                body.properties(|inner| inner.reason_string(text));
                0xe0
            }),
        }
    }
}

fn ack(body: &mut Body, version: Version, first: u8, packet_id: u16, reason: Reason, text: &str) -> u8 {
    body.two(packet_id);
    if version == Version::V5 && reason != Reason::Success {
        body.0.push(reason.byte());
        body.properties(|inner| inner.reason_string(text));
    }
    first
}

impl ConnAck<'_> {
    /// A refusal. Nothing more is said to a client that is not let in.
    pub const fn refused(reason: Reason, text: &str) -> ConnAck<'_> {
        ConnAck {
            reason,
            text,
            assigned_id: None,
            keep_alive: None,
            session_expiry: false,
            receive_maximum: 0,
            wildcards: false,
            maximum_packet: 0,
        }
    }

    fn body(&self, version: Version, body: &mut Body) {
        // No session outlives its connection: session present is always 0.
        body.0.push(0);
        if version == Version::V4 {
            body.0.push(self.reason.connack_v4());
            return;
        }
        body.0.push(self.reason.byte());
        body.properties(|inner| {
            inner.reason_string(self.text);
            if self.reason == Reason::Success {
                self.terms(inner);
            }
        });
    }

    fn terms(&self, inner: &mut Body) {
        inner.0.push(id::RECEIVE_MAXIMUM);
        inner.two(self.receive_maximum);
        inner.0.push(id::MAXIMUM_PACKET_SIZE);
        inner.0.extend(self.maximum_packet.to_be_bytes());
        for (feature, is_there) in [
            (id::RETAIN_AVAILABLE, false),
            (id::WILDCARD_AVAILABLE, self.wildcards),
            (id::SUBSCRIPTION_IDENTIFIERS_AVAILABLE, false),
            (id::SHARED_AVAILABLE, false),
        ] {
            inner.0.extend([feature, u8::from(is_there)]);
        }
        if self.session_expiry {
            inner.0.extend([id::SESSION_EXPIRY, 0, 0, 0, 0]);
        }
        if let Some(assigned) = self.assigned_id {
            inner.0.push(id::ASSIGNED_CLIENT_IDENTIFIER);
            inner.text(assigned);
        }
        if let Some(seconds) = self.keep_alive {
            inner.0.push(id::SERVER_KEEP_ALIVE);
            inner.two(seconds);
        }
    }
}
