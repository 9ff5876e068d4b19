//! MQTT 3.1.1 and 5.0, the server's side: bytes to packets, packets to bytes.
//!
//! Our own, because what a stranger sends must never cost more than its own size: no packet is buffered past its
//! limit, properties are checked in place and none is stored (a library that keeps each in a vector pays a
//! dozen bytes for each byte of an attacker), and no input panics. No I/O and no state live here.
//!
//! Clauses in comments are of the OASIS standards, `[4: ..]` for 3.1.1 and `[5: ..]` for 5.0.

mod cursor;
mod properties;
mod read;
mod reason;
mod write;

pub use read::{
    Connect, FILTERS_LIMIT, Frame, Packet, Publish, Subscribe, SubscribeFilter, Unsubscribe, frame,
};
pub use reason::Reason;
pub use write::{ConnAck, Outgoing};

/// The two protocol versions that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1; level 4.
    V4,
    /// 5.0; level 5.
    V5,
}

/// Quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    /// 0.
    AtMostOnce,
    /// 1.
    AtLeastOnce,
    /// 2.
    ExactlyOnce,
}

impl QoS {
    /// From two bits; 3 is reserved.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// As two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }
}

/// Why bytes are not a packet that we take. The connection ends; 5.0 peers are told the [`Reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The remaining length is over the limit.
    #[error("packet of {length} bytes is over the limit of {limit}")]
    TooLarge {
        /// What the packet says.
        length: usize,
        /// What it may say here.
        limit: usize,
    },
    /// The bytes do not follow the grammar.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// The grammar is kept, the rules are not.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// CONNECT asks for a protocol level other than 4 and 5.
    #[error("protocol level {0} is not spoken here")]
    Level(u8),
    /// A feature that CONNACK said is not there.
    #[error("{0} is not available")]
    Unavailable(&'static str, Reason),
}

impl DecodeError {
    /// What a 5.0 peer is told.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::PacketTooLarge,
            Self::Malformed(_) => Reason::MalformedPacket,
            Self::Protocol(_) => Reason::ProtocolError,
            Self::Level(_) => Reason::UnsupportedVersion,
            Self::Unavailable(_, reason) => *reason,
        }
    }
}
