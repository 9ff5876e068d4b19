//! MQTT 3.1.1 (OASIS standard of 2014), as much of it as a device needs: QoS 0 and 1, no wills, nothing retained.

/// Largest packet that is read or written: the largest payload, its topic and a few bytes of head.
pub(crate) const PACKET_LIMIT: usize = muster_proto::payload::LIMIT + 1024;
/// Level of protocol 3.1.1 (section 3.1.2.2).
const LEVEL: u8 = 4;

/// Packets that a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// The answer to a CONNECT; 0 accepts (table 3.1).
    ConnAck {
        code: u8,
    },
    /// A code for each filter.
    SubAck {
        id: u16,
        codes: Vec<u8>,
    },
    /// `id` when it wants an acknowledgement.
    Publish {
        topic: String,
        id: Option<u16>,
        payload: Vec<u8>,
    },
    PubAck {
        id: u16,
    },
    PingResp,
}

/// Why bytes are not MQTT. The connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("packet of {0} bytes")]
    TooLarge(usize),
    #[error("packet length of more than four bytes")]
    Length,
    #[error("packet type {0} from a server")]
    Type(u8),
    #[error("packet of type {0} is malformed")]
    Packet(u8),
}

/// What a CONNECT says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connect<'a> {
    pub(crate) client_id: &'a str,
    /// Seconds; the server hangs up after one and a half of it.
    pub(crate) keep_alive: u16,
    pub(crate) login: Option<(&'a str, &'a str)>,
}

/// Takes the first packet off the front of `bytes`; `None` until it is there, whole.
pub(crate) fn decode(bytes: &mut Vec<u8>) -> Result<Option<Incoming>, Malformed> {
    let Some((&head, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let Some((length, digits)) = remaining_length(rest)? else {
        return Ok(None);
    };
    if length > PACKET_LIMIT {
        return Err(Malformed::TooLarge(length));
    }
    let Some(body) = rest.get(digits..digits + length) else {
        return Ok(None);
    };
    let packet = parse(head, body)?;
    bytes.drain(..1 + digits + length);
    Ok(Some(packet))
}

/// Section 2.2.3: seven bits a byte, least first, four bytes at most. `None` until it is there.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    if bytes.len() >= 4 {
        Err(Malformed::Length)
    } else {
        Ok(None)
    }
}

fn parse(head: u8, body: &[u8]) -> Result<Incoming, Malformed> {
    let kind = head >> 4;
    let malformed = Malformed::Packet(kind);
    match (kind, head & 0x0f, body) {
        (2, 0, &[_session, code]) => Ok(Incoming::ConnAck { code }),
        (3, flags, body) => publish(flags, body).ok_or(malformed),
        (4, 0, &[high, low]) => Ok(Incoming::PubAck {
            id: u16::from_be_bytes([high, low]),
        }),
        (9, 0, &[high, low, ref codes @ ..]) if !codes.is_empty() => Ok(Incoming::SubAck {
            id: u16::from_be_bytes([high, low]),
            codes: codes.to_vec(),
        }),
        (13, 0, &[]) => Ok(Incoming::PingResp),
        (2 | 4 | 9 | 13, ..) => Err(malformed),
        _ => Err(Malformed::Type(kind)),
    }
}

fn publish(flags: u8, body: &[u8]) -> Option<Incoming> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let topic = String::from_utf8(topic.to_vec()).ok()?;
    let (id, payload) = match flags >> 1 & 3 {
        0 => (None, rest),
        1 => {
            let (id, payload) = rest.split_first_chunk::<2>()?;
            let id = u16::from_be_bytes(*id);
            (Some(id).filter(|id| *id != 0).map(Some)?, payload)
        }
        // Never subscribed with QoS 2.
        _ => return None,
    };
    Some(Incoming::Publish {
        topic,
        id,
        payload: payload.to_vec(),
    })
}

/// Text with its length in front; everything that is sent is far below the 64 KiB that this can carry.
fn text(into: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    into.extend(length.to_be_bytes());
    into.extend(text.bytes().take(usize::from(length)));
}

fn packet(into: &mut Vec<u8>, head: u8, body: &[u8]) {
    into.push(head);
    let mut length = body.len();
    loop {
        let digit = u8::try_from(length & 0x7f).unwrap_or(0);
        length >>= 7;
        if length == 0 {
            into.push(digit);
            break;
        }
        into.push(digit | 0x80);
    }
    into.extend(body);
}

/// Section 3.1, with a clean session: what a device must know, its registry tells it again.
pub(crate) fn connect(into: &mut Vec<u8>, connect: Connect<'_>) {
    let mut body = zeroize::Zeroizing::new(Vec::with_capacity(256));
    text(&mut body, "MQTT");
    let login = if connect.login.is_some() { 0b1100_0000 } else { 0 };
    body.extend([LEVEL, login | 0b10]);
    body.extend(connect.keep_alive.to_be_bytes());
    text(&mut body, connect.client_id);
    if let Some((name, password)) = connect.login {
        text(&mut body, name);
        text(&mut body, password);
    }
    packet(into, 0x10, &body);
}

/// Section 3.8, each filter with QoS 1.
pub(crate) fn subscribe(into: &mut Vec<u8>, id: u16, filters: &[String]) {
    let mut body = id.to_be_bytes().to_vec();
    for filter in filters {
        text(&mut body, filter);
        body.push(1);
    }
    packet(into, 0x82, &body);
}

/// Section 3.3, with QoS 1.
pub(crate) fn publish_once(into: &mut Vec<u8>, id: u16, topic: &str, payload: &[u8]) {
    let mut body = Vec::with_capacity(payload.len() + topic.len() + 4);
    text(&mut body, topic);
    body.extend(id.to_be_bytes());
    body.extend(payload);
    packet(into, 0x32, &body);
}

/// Section 3.4.
pub(crate) fn acknowledge(into: &mut Vec<u8>, id: u16) {
    packet(into, 0x40, &id.to_be_bytes());
}

/// Section 3.12.
pub(crate) fn ping(into: &mut Vec<u8>) {
    packet(into, 0xc0, &[]);
}

/// Section 3.14.
pub(crate) fn disconnect(into: &mut Vec<u8>) {
    packet(into, 0xe0, &[]);
}

#[cfg(test)]
mod tests;
