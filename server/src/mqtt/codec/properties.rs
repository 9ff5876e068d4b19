//! Properties of 5.0: checked in place, and only the few that this server heeds are told to the caller.

use super::{DecodeError, cursor::Cursor};

/// Identifiers `[5: 2.2.2.2]`.
pub(super) mod id {
    pub(in super::super) const SESSION_EXPIRY: u8 = 0x11;
    pub(in super::super) const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
    pub(in super::super) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(in super::super) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(in super::super) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(in super::super) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(in super::super) const REASON_STRING: u8 = 0x1f;
    pub(in super::super) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(in super::super) const TOPIC_ALIAS: u8 = 0x23;
    pub(in super::super) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(in super::super) const USER_PROPERTY: u8 = 0x26;
    pub(in super::super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(in super::super) const WILDCARD_AVAILABLE: u8 = 0x28;
    pub(in super::super) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
    pub(in super::super) const SUBSCRIPTION_IDENTIFIERS_AVAILABLE: u8 = 0x29;
    pub(in super::super) const SHARED_AVAILABLE: u8 = 0x2a;
}

/// What may stand in a kind of packet that a client sends.
pub(super) const CONNECT: &[u8] = &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27];
pub(super) const WILL: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26];
/// The subscription identifier has its place in a message, only not in one from a client.
pub(super) const PUBLISH: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x23, 0x26];
pub(super) const ACK: &[u8] = &[0x1f, 0x26];
pub(super) const SUBSCRIBE: &[u8] = &[0x0b, 0x26];
pub(super) const UNSUBSCRIBE: &[u8] = &[0x26];
pub(super) const DISCONNECT: &[u8] = &[0x11, 0x1f, 0x26];

/// Walks the properties of a packet, length first. `visit` gets each identifier with its value as a number; texts
/// and byte strings are checked and given as 0.
pub(super) fn walk(
    cursor: &mut Cursor<'_>,
    allowed: &[u8],
    mut visit: impl FnMut(u8, u32) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let length = cursor.variable()?;
    let mut rest = Cursor::new(cursor.take(length)?);
    let mut seen = 0u64;
    while !rest.is_empty() {
        // Identifiers are variable byte integers, but all there are fit one byte.
        let id = rest.byte()?;
        if !allowed.contains(&id) {
            return Err(DecodeError::Malformed("property has no place in this packet"));
        }
        if id != id::USER_PROPERTY && seen & 1 << id != 0 {
            return Err(DecodeError::Protocol("property stands twice"));
        }
        seen |= 1 << id;
        let value = value(&mut rest, id)?;
        visit(id, value)?;
    }
    Ok(())
}

fn value(rest: &mut Cursor<'_>, id: u8) -> Result<u32, DecodeError> {
    match id {
        0x01 | 0x17 | 0x19 => match rest.byte()? {
            flag @ (0 | 1) => Ok(u32::from(flag)),
            _ => Err(DecodeError::Protocol("flag property is neither 0 nor 1")),
        },
        0x21..=0x23 => rest.two().map(u32::from),
        0x02 | 0x11 | 0x18 | 0x27 => rest.four(),
        0x0b => {
            let value = rest.variable()?;
            u32::try_from(value).map_err(|_| DecodeError::Malformed("variable byte integer"))
        }
        0x03 | 0x15 | 0x1f => rest.text().map(|_| 0),
        // The response topic is a name `[5: MQTT-3.3.2-14]`.
        0x08 if rest.text()?.contains(['+', '#']) => {
            Err(DecodeError::Protocol("response topic with a wildcard"))
        }
        0x08 => Ok(0),
        0x09 | 0x16 => rest.binary().map(|_| 0),
        id::USER_PROPERTY => rest.text().and_then(|_| rest.text()).map(|_| 0),
        _ => Err(DecodeError::Malformed("unknown property")),
    }
}
