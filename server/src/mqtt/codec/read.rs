//! From bytes to packets.

use super::{
    DecodeError, QoS, Reason, Version,
    cursor::Cursor,
    properties::{self, id},
};
use bytes::{Bytes, BytesMut};
use std::fmt;
use zeroize::{Zeroize as _, Zeroizing};

/// One packet, cut from the stream and not yet read.
#[derive(Debug)]
pub struct Frame {
    first: u8,
    /// The remaining length takes more bytes than it needs: 3.1.1 does not mind.
    padded: bool,
    body: BytesMut,
}

/// What a client sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet {
    /// A second CONNECT is a protocol error; the first is read by [`Frame::connect`].
    Connect,
    /// A message.
    Publish(Publish),
    /// The client has our message of QoS 1.
    PubAck(u16),
    /// Second step of a message of QoS 2 towards us.
    PubRel(u16),
    /// Asks for messages.
    Subscribe(Subscribe),
    /// No longer.
    Unsubscribe(Unsubscribe),
    /// Still here.
    PingReq,
    /// Going.
    Disconnect,
}

/// The first packet of a connection.
#[derive(PartialEq, Eq)]
pub struct Connect {
    /// Which protocol.
    pub version: Version,
    /// Clean session, clean start.
    pub clean: bool,
    /// Seconds; 0 for none.
    pub keep_alive: u16,
    /// May be empty.
    pub client_id: String,
    /// Whether a will message came along (it is not kept).
    pub will: bool,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Zeroizing<Vec<u8>>>,
    /// Messages of QoS 1 the client takes unacknowledged; 5.0.
    pub receive_maximum: u16,
    /// Largest packet the client takes; 5.0.
    pub maximum_packet: u32,
    /// Whether the client wants reason strings everywhere; 5.0.
    pub problem_information: bool,
    /// Whether the client wants an AUTH exchange; 5.0.
    pub authentication: bool,
    /// Whether the client asks that its session outlives the connection; 5.0.
    pub session_expiry: bool,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub struct Publish {
    /// As sent; may be anything.
    pub topic: String,
    /// With its packet identifier.
    pub qos: QoS,
    /// 0 for QoS 0.
    pub packet_id: u16,
    /// Asks to be retained.
    pub retain: bool,
    /// Content.
    pub payload: Bytes,
}

/// One topic filter of a SUBSCRIBE.
#[derive(Debug, PartialEq, Eq)]
pub struct SubscribeFilter {
    /// As sent; may be anything.
    pub filter: String,
    /// The most the client wants.
    pub qos: QoS,
}

/// Asks for messages.
#[derive(Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// To be acknowledged.
    pub packet_id: u16,
    /// At least one, at most `FILTERS_LIMIT`.
    pub filters: Vec<SubscribeFilter>,
}

/// No longer.
#[derive(Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// To be acknowledged.
    pub packet_id: u16,
    /// At least one, at most `FILTERS_LIMIT`.
    pub filters: Vec<String>,
}

/// Filters of one packet. A device has two topics to subscribe; the rest is room for curiosity.
pub const FILTERS_LIMIT: usize = 32;

/// Cuts the next packet off the buffer; `None` until it is there whole. The limit holds before anything of the body
/// has to be kept.
pub fn frame(buffer: &mut BytesMut, limit: usize) -> Result<Option<Frame>, DecodeError> {
    let Some(&first) = buffer.first() else {
        return Ok(None);
    };
    match first {
        // AUTH is for the extended authentication that CONNACK did not offer.
        0xf0 => return Err(DecodeError::Protocol("no such packet is expected")),
        0x00..=0x0f | 0xf1..=0xff => return Err(DecodeError::Malformed("reserved bits of the fixed header")),
        _ => {}
    }
    let mut length = 0;
    for place in 0..4 {
        let Some(&byte) = buffer.get(1 + place) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7f) << (7 * place);
        if length > limit {
            return Err(DecodeError::TooLarge { length, limit });
        }
        if byte & 0x80 == 0 {
            let header = 2 + place;
            if buffer.len() < header + length {
                return Ok(None);
            }
            let mut body = buffer.split_to(header + length);
            return Ok(Some(Frame {
                first,
                padded: place > 0 && byte == 0,
                body: body.split_off(header),
            }));
        }
    }
    Err(DecodeError::Malformed("remaining length of more than four bytes"))
}

impl Frame {
    /// Bytes of the body.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// Reads the first packet of a connection, which must be CONNECT. Its bytes are wiped: they hold a code.
    pub fn connect(mut self) -> Result<Connect, DecodeError> {
        if self.first != 0x10 {
            return Err(DecodeError::Protocol("the first packet is not CONNECT"));
        }
        let connect = connect(&mut Cursor::new(&self.body));
        self.body.as_mut().zeroize();
        let connect = connect?;
        self.check_length(connect.version)?;
        Ok(connect)
    }

    /// `[5: MQTT-1.5.5-1]`.
    const fn check_length(&self, version: Version) -> Result<(), DecodeError> {
        match version {
            Version::V5 if self.padded => Err(DecodeError::Malformed("remaining length is padded")),
            Version::V4 | Version::V5 => Ok(()),
        }
    }

    /// Reads any later packet.
    pub fn packet(self, version: Version) -> Result<Packet, DecodeError> {
        self.check_length(version)?;
        let Self { first, body, .. } = self;
        if first >> 4 == 3 {
            return publish(first & 15, body, version).map(Packet::Publish);
        }
        let mut rest = Cursor::new(&body);
        // The low four bits are fixed for every packet but PUBLISH `[5: MQTT-2.1.3-1]`.
        match first {
            0x10 => Ok(Packet::Connect),
            0x40 => ack(&mut rest, version, PUBACK_REASONS).map(Packet::PubAck),
            0x62 => ack(&mut rest, version, PUBREL_REASONS).map(Packet::PubRel),
            0x82 => subscribe(&mut rest, version).map(Packet::Subscribe),
            0xa2 => unsubscribe(&mut rest, version).map(Packet::Unsubscribe),
            0xc0 => rest.end().map(|()| Packet::PingReq),
            0xe0 => disconnect(&mut rest, version).map(|()| Packet::Disconnect),
            // PUBREC and PUBCOMP answer messages of QoS 2, and we send none.
            0x50 | 0x70 => Err(DecodeError::Protocol("answers a message that was never sent")),
            0x20 | 0x90 | 0xb0 | 0xd0 => Err(DecodeError::Protocol("only a server sends this packet")),
            _ => Err(DecodeError::Malformed("reserved bits of the fixed header")),
        }
    }
}

fn connect(rest: &mut Cursor<'_>) -> Result<Connect, DecodeError> {
    let name = rest.binary()?;
    let version = match (name, rest.byte()?) {
        (b"MQTT", 4) => Version::V4,
        (b"MQTT", 5) => Version::V5,
        (b"MQTT" | b"MQIsdp", level) => return Err(DecodeError::Level(level)),
        _ => return Err(DecodeError::Malformed("protocol name")),
    };
    let flags = rest.byte()?;
    let set = |bit: u8| flags & 1 << bit != 0;
    let (reserved, clean, will, retain) = (set(0), set(1), set(2), set(5));
    let will_qos = flags >> 3 & 3;
    // `[4: MQTT-3.1.2-3, 11, 13, 14, 15, 22]`.
    if reserved || will_qos == 3 || !will && (will_qos != 0 || retain) {
        return Err(DecodeError::Malformed("connect flags"));
    }
    if version == Version::V4 && set(6) && !set(7) {
        return Err(DecodeError::Malformed("password without user name"));
    }
    let keep_alive = rest.two()?;
    let mut connect = Connect {
        version,
        clean,
        keep_alive,
        client_id: String::new(),
        will,
        username: None,
        password: None,
        receive_maximum: u16::MAX,
        maximum_packet: u32::MAX,
        problem_information: true,
        authentication: false,
        session_expiry: false,
    };
    if version == Version::V5 {
        let mut data = false;
        properties::walk(rest, properties::CONNECT, |id, value| {
            data |= id == id::AUTHENTICATION_DATA;
            connect.property(id, value)
        })?;
        if data && !connect.authentication {
            return Err(DecodeError::Protocol("authentication data without a method"));
        }
    }
    rest.text()?.clone_into(&mut connect.client_id);
    if will {
        if version == Version::V5 {
            properties::walk(rest, properties::WILL, |_, _| Ok(()))?;
        }
        rest.text()?;
        rest.binary()?;
    }
    if set(7) {
        connect.username = Some(rest.text()?.to_owned());
    }
    if set(6) {
        connect.password = Some(Zeroizing::new(rest.binary()?.to_vec()));
    }
    rest.end()?;
    Ok(connect)
}

impl Connect {
    fn property(&mut self, id: u8, value: u32) -> Result<(), DecodeError> {
        match id {
            id::RECEIVE_MAXIMUM | id::MAXIMUM_PACKET_SIZE if value == 0 => {
                return Err(DecodeError::Protocol("a maximum is 0"));
            }
            id::RECEIVE_MAXIMUM => self.receive_maximum = u16::try_from(value).unwrap_or(u16::MAX),
            id::MAXIMUM_PACKET_SIZE => self.maximum_packet = value,
            id::REQUEST_PROBLEM_INFORMATION => self.problem_information = value == 1,
            id::AUTHENTICATION_METHOD => self.authentication = true,
            id::SESSION_EXPIRY => self.session_expiry = value != 0,
            _ => {}
        }
        Ok(())
    }
}

fn publish(flags: u8, body: BytesMut, version: Version) -> Result<Publish, DecodeError> {
    let qos = QoS::from_bits(flags >> 1 & 3).ok_or(DecodeError::Malformed("QoS 3"))?;
    // `[4, 5: MQTT-3.3.1-2]`: what is never acknowledged is never repeated.
    if qos == QoS::AtMostOnce && flags & 8 != 0 {
        return Err(DecodeError::Malformed("QoS 0 is marked as a repetition"));
    }
    let mut rest = Cursor::new(&body);
    let topic = rest.text()?.to_owned();
    let packet_id = if qos == QoS::AtMostOnce {
        0
    } else {
        rest.packet_id()?
    };
    if version == Version::V5 {
        properties::walk(&mut rest, properties::PUBLISH, |id, _| match id {
            // CONNACK says Topic Alias Maximum 0, by leaving it out `[5: MQTT-3.2.2-17]`.
            id::TOPIC_ALIAS => Err(DecodeError::Unavailable("topic alias", Reason::TopicAliasInvalid)),
            // `[5: MQTT-3.3.4-6]`.
            id::SUBSCRIPTION_IDENTIFIER => Err(DecodeError::Protocol("only a server sends this property")),
            _ => Ok(()),
        })?;
        if topic.is_empty() {
            return Err(DecodeError::Protocol("neither topic nor alias"));
        }
    }
    let start = body.len() - rest.len();
    let payload = body.freeze().slice(start..);
    Ok(Publish {
        topic,
        qos,
        packet_id,
        retain: flags & 1 == 1,
        payload,
    })
}

/// What a client may give as its reason `[5: MQTT-3.4.2-1, MQTT-3.6.2-1, MQTT-3.14.2-1]`.
const PUBACK_REASONS: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const PUBREL_REASONS: &[u8] = &[0x00, 0x92];
const DISCONNECT_REASONS: &[u8] = &[
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
];

fn reason(rest: &mut Cursor<'_>, known: &[u8]) -> Result<(), DecodeError> {
    if known.contains(&rest.byte()?) {
        Ok(())
    } else {
        Err(DecodeError::Protocol("no reason for this packet"))
    }
}

fn ack(rest: &mut Cursor<'_>, version: Version, reasons: &[u8]) -> Result<u16, DecodeError> {
    let id = rest.packet_id()?;
    // Reason code and properties may be left out from the end `[5: 3.4.2.1]`.
    if version == Version::V5 && !rest.is_empty() {
        reason(rest, reasons)?;
        if !rest.is_empty() {
            properties::walk(rest, properties::ACK, |_, _| Ok(()))?;
        }
    }
    rest.end()?;
    Ok(id)
}

fn filters<T>(
    rest: &mut Cursor<'_>,
    mut read: impl FnMut(&mut Cursor<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut filters = Vec::new();
    while !rest.is_empty() {
        if filters.len() == FILTERS_LIMIT {
            return Err(DecodeError::Unavailable(
                "more than 32 filters in a packet",
                Reason::QuotaExceeded,
            ));
        }
        filters.push(read(rest)?);
    }
    if filters.is_empty() {
        return Err(DecodeError::Protocol("no topic filter"));
    }
    Ok(filters)
}

fn subscribe(rest: &mut Cursor<'_>, version: Version) -> Result<Subscribe, DecodeError> {
    let packet_id = rest.packet_id()?;
    if version == Version::V5 {
        properties::walk(rest, properties::SUBSCRIBE, |id, _| match id {
            id::SUBSCRIPTION_IDENTIFIER => Err(DecodeError::Unavailable(
                "subscription identifier",
                Reason::SubscriptionIdentifiersNotSupported,
            )),
            _ => Ok(()),
        })?;
    }
    let filters = filters(rest, |rest| filter(rest, version))?;
    Ok(Subscribe { packet_id, filters })
}

fn filter(rest: &mut Cursor<'_>, version: Version) -> Result<SubscribeFilter, DecodeError> {
    let filter = rest.text()?.to_owned();
    let options = rest.byte()?;
    let reserved = match version {
        Version::V4 => 0xfc,
        Version::V5 => 0xc0,
    };
    let qos = QoS::from_bits(options & 3)
        .filter(|_| options & reserved == 0)
        .ok_or(DecodeError::Malformed("subscription options"))?;
    if options & 0x30 == 0x30 {
        return Err(DecodeError::Protocol("retain handling 3"));
    }
    // `[5: MQTT-3.8.3-4]`.
    if options & 4 != 0 && filter.starts_with("$share/") {
        return Err(DecodeError::Protocol("no local on a shared subscription"));
    }
    Ok(SubscribeFilter { filter, qos })
}

fn unsubscribe(rest: &mut Cursor<'_>, version: Version) -> Result<Unsubscribe, DecodeError> {
    let packet_id = rest.packet_id()?;
    if version == Version::V5 {
        properties::walk(rest, properties::UNSUBSCRIBE, |_, _| Ok(()))?;
    }
    let filters = filters(rest, |rest| rest.text().map(str::to_owned))?;
    Ok(Unsubscribe { packet_id, filters })
}

fn disconnect(rest: &mut Cursor<'_>, version: Version) -> Result<(), DecodeError> {
    if version == Version::V5 && !rest.is_empty() {
        reason(rest, DISCONNECT_REASONS)?;
        if !rest.is_empty() {
            properties::walk(rest, properties::DISCONNECT, |_, _| Ok(()))?;
        }
    }
    rest.end()
}
