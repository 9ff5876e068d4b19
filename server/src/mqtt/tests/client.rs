//! A small MQTT client that also says what no proper client would. Written without the codec under test.

use super::super::codec::Version;
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// No answer takes that long; a test that gets none fails here instead of hanging.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    ConnAck {
        code: u8,
        properties: Vec<(u8, Vec<u8>)>,
    },
    PubAck(u16, u8, String),
    PubRec(u16, u8, String),
    PubComp(u16, u8),
    SubAck(u16, Vec<u8>, String),
    UnsubAck(u16, Vec<u8>),
    Publish {
        topic: String,
        qos: u8,
        id: u16,
        payload: Vec<u8>,
    },
    PingResp,
    Disconnect(u8, String),
    Closed,
}

impl Said {
    /// A CONNACK's property, if it is there.
    pub(super) fn property(&self, id: u8) -> Option<&[u8]> {
        let Self::ConnAck { properties, .. } = self else {
            return None;
        };
        properties
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, value)| value.as_slice())
    }
}

/// CONNECT, field by field.
#[derive(Debug, Clone)]
pub(super) struct Hello<'a> {
    pub(super) id: &'a str,
    pub(super) clean: bool,
    pub(super) keep_alive: u16,
    pub(super) login: Option<(&'a str, &'a str)>,
    pub(super) will: Option<&'a str>,
    pub(super) properties: &'a [u8],
}

impl Default for Hello<'_> {
    fn default() -> Self {
        Self {
            id: "",
            clean: true,
            keep_alive: 60,
            login: None,
            will: None,
            properties: &[],
        }
    }
}

pub(super) fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// The properties of a packet, which 3.1.1 has not; of less than 128 bytes.
pub(super) fn properties(version: Version, properties: &[u8]) -> Vec<u8> {
    match version {
        Version::V4 => Vec::new(),
        Version::V5 => [&[u8::try_from(properties.len()).unwrap()], properties].concat(),
    }
}

pub(super) fn connect(version: Version, hello: &Hello<'_>) -> Vec<u8> {
    let flags = u8::from(hello.clean) << 1
        | if hello.will.is_some() { 0x04 } else { 0 }
        | if hello.login.is_some() { 0xc0 } else { 0 };
    let level = if version == Version::V4 { 4 } else { 5 };
    let mut body = [
        text("MQTT"),
        vec![level, flags],
        hello.keep_alive.to_be_bytes().to_vec(),
    ]
    .concat();
    body.extend(properties(version, hello.properties));
    body.extend(text(hello.id));
    if let Some(topic) = hello.will {
        body.extend([properties(version, &[]), text(topic), text("last words")].concat());
    }
    if let Some((user, password)) = hello.login {
        body.extend([text(user), text(password)].concat());
    }
    packet(0x10, &body)
}

pub(super) fn publish(
    version: Version,
    topic: &str,
    flags: u8,
    id: u16,
    extra: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut body = text(topic);
    if flags & 6 != 0 {
        body.extend(id.to_be_bytes());
    }
    body.extend(properties(version, extra));
    body.extend(payload);
    packet(0x30 | flags, &body)
}

pub(super) fn subscribe(version: Version, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(properties(version, &[]));
    for (filter, options) in filters {
        body.extend(text(filter));
        body.push(*options);
    }
    packet(0x82, &body)
}

/// A connection to the gate.
#[derive(Debug)]
pub(super) struct Client<S> {
    pub(super) stream: S,
    pub(super) version: Version,
    next: u16,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) const fn new(stream: S, version: Version) -> Self {
        Self {
            stream,
            version,
            next: 0,
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        // A server that closed already is seen on reading.
        if self.stream.write_all(bytes).await.is_ok() {
            drop(self.stream.flush().await);
        }
    }

    pub(super) async fn connect(&mut self, hello: &Hello<'_>) -> Said {
        self.send(&connect(self.version, hello)).await;
        self.hear().await
    }

    pub(super) fn id(&mut self) -> u16 {
        self.next += 1;
        self.next
    }

    /// Publishes at QoS 1 and gives the answer.
    pub(super) async fn publish(&mut self, topic: &str, payload: &[u8]) -> Said {
        let id = self.id();
        self.send(&publish(self.version, topic, 2, id, &[], payload))
            .await;
        self.hear().await
    }

    /// Subscribes at QoS 1 and gives the answer.
    pub(super) async fn subscribe(&mut self, filter: &str) -> Said {
        let id = self.id();
        self.send(&subscribe(self.version, id, &[(filter, 1)])).await;
        self.hear().await
    }

    /// Acknowledges a message of QoS 1.
    pub(super) async fn acknowledge(&mut self, id: u16) {
        self.send(&packet(0x40, &id.to_be_bytes())).await;
    }

    pub(super) async fn ping(&mut self) -> Said {
        self.send(&[0xc0, 0]).await;
        self.hear().await
    }

    /// The next packet.
    pub(super) async fn hear(&mut self) -> Said {
        timeout(PATIENCE, self.read())
            .await
            .expect("the server says something")
    }

    /// Waits for the end of the connection and gives what came before it.
    pub(super) async fn hear_out(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        loop {
            match self.hear().await {
                Said::Closed => return said,
                other => said.push(other),
            }
        }
    }

    /// The next packet as it came: its first byte and what follows the fixed header. `None`: the server closed.
    pub(super) async fn hear_raw(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(PATIENCE, self.read_raw())
            .await
            .expect("the server says something")
    }

    async fn read(&mut self) -> Said {
        match self.read_raw().await {
            Some((first, body)) => parse(self.version, first, &body),
            None => Said::Closed,
        }
    }

    async fn read_raw(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((first, body))
    }
}

fn two(body: &[u8]) -> u16 {
    u16::from_be_bytes([body[0], body[1]])
}

fn parse_text(body: &[u8]) -> (String, &[u8]) {
    let end = 2 + usize::from(two(body));
    (String::from_utf8(body[2..end].to_vec()).unwrap(), &body[end..])
}

/// Properties and what follows them; lengths below 128 only, or two bytes.
fn parse_properties(body: &[u8]) -> (Vec<(u8, Vec<u8>)>, &[u8]) {
    let Some(&first) = body.first() else {
        return (Vec::new(), body);
    };
    let (length, start) = if first & 0x80 == 0 {
        (usize::from(first), 1)
    } else {
        (usize::from(first & 0x7f) | usize::from(body[1]) << 7, 2)
    };
    let (mut inner, rest) = body[start..].split_at(length);
    let mut properties = Vec::new();
    while let Some((&id, value)) = inner.split_first() {
        let size = match id {
            0x25 | 0x28 | 0x29 | 0x2a => 1,
            0x13 | 0x21 => 2,
            0x11 | 0x27 => 4,
            _ => 2 + usize::from(two(value)),
        };
        properties.push((id, value[..size].to_vec()));
        inner = &value[size..];
    }
    (properties, rest)
}

fn reason_string(properties: &[(u8, Vec<u8>)]) -> String {
    properties
        .iter()
        .find(|(id, _)| *id == 0x1f)
        .map(|(_, value)| parse_text(value).0)
        .unwrap_or_default()
}

fn parse(version: Version, first: u8, body: &[u8]) -> Said {
    let v5 = version == Version::V5;
    let ack = || {
        let code = body.get(2).copied().unwrap_or(0);
        (
            two(body),
            code,
            reason_string(&parse_properties(body.get(3..).unwrap_or_default()).0),
        )
    };
    match first >> 4 {
        2 => Said::ConnAck {
            code: body[1],
            properties: parse_properties(&body[2..]).0,
        },
        3 => {
            let (topic, mut rest) = parse_text(body);
            let (qos, mut id) = (first >> 1 & 3, 0);
            if qos > 0 {
                id = two(rest);
                rest = &rest[2..];
            }
            let rest = if v5 { parse_properties(rest).1 } else { rest };
            Said::Publish {
                topic,
                qos,
                id,
                payload: rest.to_vec(),
            }
        }
        4 => {
            let (id, code, text) = ack();
            Said::PubAck(id, code, text)
        }
        5 => {
            let (id, code, text) = ack();
            Said::PubRec(id, code, text)
        }
        7 => Said::PubComp(two(body), body.get(2).copied().unwrap_or(0)),
        9 | 11 => {
            let (properties, codes) = if v5 {
                parse_properties(&body[2..])
            } else {
                (Vec::new(), &body[2..])
            };
            if first >> 4 == 9 {
                Said::SubAck(two(body), codes.to_vec(), reason_string(&properties))
            } else {
                Said::UnsubAck(two(body), codes.to_vec())
            }
        }
        13 => Said::PingResp,
        14 => Said::Disconnect(
            body.first().copied().unwrap_or(0),
            reason_string(&parse_properties(body.get(1..).unwrap_or_default()).0),
        ),
        other => panic!("the server sent a packet of kind {other}"),
    }
}
