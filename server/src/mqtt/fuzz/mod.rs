//! What may be fed anything: one function a target, for the fuzzer (`tests/fuzz`) and for the tests that replay what it
//! found. None of this is in a program.
//!
//! Each takes bytes and panics where a promise is broken: nothing else panics, memory is bounded by the input, and every
//! session ends.

mod registry;
mod strict;

use super::{
    Limits,
    bus::Bus,
    codec::{ConnAck, Frame, Outgoing, Packet, QoS, Reason, Version, frame},
    session::{self, Parts, Peer},
    throttle::{ClaimRates, Throttle},
};
use crate::tls::Shown;
use bytes::BytesMut;
use registry::Anything;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

/// What is fed bytes.
pub type Target = fn(&[u8]);

/// The targets, by name.
pub const TARGETS: [(&str, Target); 5] = [
    ("read_v4", read_v4),
    ("read_v5", read_v5),
    ("write_v4", write_v4),
    ("write_v5", write_v5),
    ("session", session),
];

/// Most bytes of a packet that is read here.
const LIMIT: usize = 1 << 16;
/// What a session may say for each byte that it hears, and beside that: a hello of some forty bytes brings the largest answer.
const SAID_FOR_A_BYTE: usize = 16;
const SAID: usize = 16 << 10;

/// Reads a stream as a client's of 3.1.1. An odd first byte: beginning with its CONNECT.
pub fn read_v4(bytes: &[u8]) {
    read(Version::V4, bytes);
}

/// The same of 5.0.
pub fn read_v5(bytes: &[u8]) {
    read(Version::V5, bytes);
}

/// Writes what the bytes choose, in 3.1.1, and reads it by a strict reader.
pub fn write_v4(bytes: &[u8]) {
    write(Version::V4, bytes);
}

/// The same in 5.0.
pub fn write_v5(bytes: &[u8]) {
    write(Version::V5, bytes);
}

/// Everything that was read until an error or the end, as text.
fn read_all(version: Version, connects: bool, pieces: &[&[u8]]) -> Vec<String> {
    let (mut buffer, mut seen, mut first) = (BytesMut::new(), Vec::new(), connects);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let one = match frame(&mut buffer, LIMIT) {
                Ok(None) => break,
                Ok(Some(frame)) if first => frame.connect().map(|connect| format!("{connect:?}")),
                Ok(Some(frame)) => packet(frame, version).map(|packet| format!("{packet:?}")),
                Err(error) => Err(error),
            };
            first = false;
            match one {
                Ok(one) => seen.push(one),
                Err(error) => {
                    seen.push(error.to_string());
                    return seen;
                }
            }
        }
    }
    seen
}

/// What is read of a packet is never longer than the packet.
fn packet(frame: Frame, version: Version) -> Result<Packet, super::codec::DecodeError> {
    let size = frame.len();
    let packet = frame.packet(version)?;
    let held = match &packet {
        Packet::Publish(publish) => publish.topic.len() + publish.payload.len(),
        Packet::Subscribe(subscribe) => subscribe.filters.iter().map(|wanted| wanted.filter.len()).sum(),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().map(String::len).sum(),
        _ => 0,
    };
    assert!(held <= size, "{held} of {size} bytes");
    Ok(packet)
}

/// However a stream is cut, it reads the same.
fn read(version: Version, bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let connects = first & 1 == 1;
    let whole = read_all(version, connects, &[rest]);
    let (one, two) = rest.split_at(rest.len() * usize::from(first) / 256);
    assert_eq!(read_all(version, connects, &[one, two]), whole);
    let single: Vec<_> = rest.chunks(1).collect();
    assert_eq!(read_all(version, connects, &single), whole);
}

/// Choices out of bytes; zeros when they are used up.
struct Choice<'a>(&'a [u8]);

impl<'a> Choice<'a> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        byte
    }

    fn two(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.two()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).replace('\0', "")
    }

    fn qos(&mut self) -> Option<QoS> {
        QoS::from_bits(self.byte() & 3)
    }

    /// Why not: a reason that every packet with reasons knows.
    fn refusal(&mut self) -> Reason {
        const REASONS: [Reason; 5] = [
            Reason::UnspecifiedError,
            Reason::ImplementationSpecificError,
            Reason::NotAuthorized,
            Reason::QuotaExceeded,
            Reason::PayloadFormatInvalid,
        ];
        REASONS[usize::from(self.byte()) % REASONS.len()]
    }

    fn reason(&mut self) -> Reason {
        if self.byte() & 1 == 0 {
            Reason::Success
        } else {
            self.refusal()
        }
    }
}

fn write(version: Version, bytes: &[u8]) {
    let mut choice = Choice(bytes);
    let (kind, id) = (choice.byte(), choice.two().max(1));
    let (text, name) = (choice.text(), choice.text());
    let granted: Vec<_> = (0..1 + choice.byte() % 32).map(|_| choice.qos()).collect();
    let known: Vec<_> = granted.iter().map(Option::is_some).collect();
    let connack = ConnAck {
        reason: Reason::Success,
        text: &text,
        assigned_id: (id % 2 == 0).then_some(&name),
        keep_alive: (id % 3 == 0).then_some(id),
        session_expiry: id % 5 == 0,
        receive_maximum: id,
        wildcards: id % 7 == 0,
        maximum_packet: u32::from(id),
    };
    let packet = match kind % 10 {
        0 => Outgoing::ConnAck(connack),
        1 => Outgoing::ConnAck(ConnAck::refused(choice.refusal(), &text)),
        2 => Outgoing::Publish {
            topic: &name,
            packet_id: (kind & 0x80 == 0).then_some(id),
            payload: choice.0,
        },
        3 => Outgoing::PubAck(id, choice.reason(), &text),
        4 => Outgoing::PubRec(id, choice.reason(), &text),
        5 => Outgoing::PubComp(id, Reason::PacketIdentifierNotFound),
        6 => Outgoing::SubAck(id, &granted, &text),
        7 => Outgoing::UnsubAck(id, &known),
        8 => Outgoing::PingResp,
        _ => Outgoing::Disconnect(choice.reason(), &text),
    };
    for packet in [packet, packet.without_text()] {
        let bytes = packet.encode(version);
        let seen =
            strict::read(version, &bytes).unwrap_or_else(|why| panic!("{why}: {packet:?} as {bytes:x?}"));
        match (packet, seen) {
            (Outgoing::Disconnect(..), None) => assert_eq!(version, Version::V4),
            (Outgoing::Publish { topic, payload, .. }, Some(seen))
                if topic.len() <= usize::from(u16::MAX) =>
            {
                assert_eq!((seen.topic.as_str(), seen.rest), (topic, payload));
            }
            (_, seen) => assert!(seen.is_some(), "{packet:?} is nothing"),
        }
    }
}

/// One bus for all: it has threads of its own, and nothing here goes by way of it.
fn bus() -> Bus {
    static BUS: OnceLock<Bus> = OnceLock::new();
    BUS.get_or_init(|| Bus::start().unwrap_or_else(|error| panic!("{error}")))
        .clone()
}

/// A whole session, from its first byte to its end. The first byte chooses who comes and in which pieces; time goes by as
/// soon as nothing else happens.
pub fn session(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let said = runtime.block_on(talk(first, rest));
    let most = SAID + SAID_FOR_A_BYTE * rest.len();
    assert!(said.len() <= most, "{} bytes for {}", said.len(), rest.len());
    assert!(
        Version::both()
            .iter()
            .any(|version| strict::reads_all(*version, &said)),
        "not MQTT: {said:x?}"
    );
}

/// Who comes: a device, an integrator, or somebody without a certificate.
fn shown(first: u8) -> Shown {
    let leaf = b"leaf".as_slice().into();
    match (first & 1, first & 0x20) {
        (0, _) => Shown::Nothing,
        (_, 0) => Shown::Device(leaf),
        (_, _) => Shown::Operator(leaf),
    }
}

/// Everything that the server says to these bytes. Ends when the session does.
async fn talk(first: u8, bytes: &[u8]) -> Vec<u8> {
    let throttle = Arc::new(Throttle::new(ClaimRates::default()));
    let parts = Parts::new(
        Anything,
        bus(),
        throttle,
        Limits::default(),
        CancellationToken::new(),
    );
    // Little room: the server has to wait for its client to read.
    let (near, far) = duplex(1 + usize::from(first >> 4) * 64);
    let (mut hears, says) = tokio::io::split(near);
    let serving = async {
        let source = [127, 0, 0, 1].into();
        let mut place = parts.places.enter(std::net::IpAddr::from([127, 0, 0, 1]).into());
        if let Ok((wire, connect)) = session::connect(parts.wire(far)).await {
            let shown = shown(first);
            session::run(&parts, wire, Peer { shown, source }, connect, &mut place).await;
        }
    };
    let hearing = async {
        let mut said = Vec::new();
        // It ends by an error when the other side was dropped in the middle.
        drop(hears.read_to_end(&mut said).await);
        said
    };
    let ((), said, ()) = tokio::join!(serving, hearing, feed(says, first, bytes));
    said
}

/// Says all in pieces, and then leaves, or stays and says nothing more.
async fn feed(mut says: tokio::io::WriteHalf<DuplexStream>, first: u8, bytes: &[u8]) {
    let size = 1 << (first >> 1 & 7);
    for piece in bytes.chunks(size) {
        if says.write_all(piece).await.is_err() {
            return;
        }
    }
    if first & 0x10 == 0 {
        drop(says.shutdown().await);
    }
}

impl Version {
    const fn both() -> [Self; 2] {
        [Self::V4, Self::V5]
    }
}
