//! MQTT packets by hand, also those that no client would send. Level 4 is 3.1.1, level 5 is 5.0.

/// What has a length before it: a string, whatever its bytes, or binary data.
///
/// # Panics
/// When it has more than 65,535 bytes.
pub fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).expect("a field of 65,535 bytes at most");
    [&length.to_be_bytes(), bytes].concat()
}

/// A packet: its first byte, its length, the rest.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7f).expect("seven bits");
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// Less than 128 bytes of properties, which level 4 has not.
fn properties(level: u8, inner: &[u8]) -> Vec<u8> {
    let length = u8::try_from(inner.len()).expect("few properties");
    if level == 5 {
        [&[length], inner].concat()
    } else {
        Vec::new()
    }
}

/// CONNECT with a clean session and a keep-alive of a minute, with what is given of a client id, the topic of a will, and
/// user name with password.
pub fn connect(level: u8, id: &[u8], will: Option<&[u8]>, login: Option<(&[u8], &[u8])>) -> Vec<u8> {
    let flags = 0x02 | will.map_or(0, |_| 0x04) | login.map_or(0, |_| 0xc0);
    let mut body = [
        field("MQTT"),
        vec![level, flags, 0, 60],
        properties(level, &[]),
        field(id),
    ]
    .concat();
    if let Some(topic) = will {
        body.extend([properties(level, &[]), field(topic), field("last words")].concat());
    }
    if let Some((user, password)) = login {
        body.extend([field(user), field(password)].concat());
    }
    packet(0x10, &body)
}

/// PUBLISH. `flags` are those of the first byte: 1 retains, 2 is QoS 1, 4 is QoS 2.
pub fn publish(level: u8, topic: &[u8], flags: u8, id: u16, inner: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = field(topic);
    if flags & 6 != 0 {
        body.extend(id.to_be_bytes());
    }
    body.extend(properties(level, inner));
    body.extend(payload);
    packet(0x30 | flags, &body)
}

/// SUBSCRIBE with one filter.
pub fn subscribe(level: u8, id: u16, filter: &[u8], options: u8) -> Vec<u8> {
    let body = [
        &id.to_be_bytes()[..],
        &properties(level, &[]),
        &field(filter),
        &[options],
    ]
    .concat();
    packet(0x82, &body)
}

/// PINGREQ.
pub const PING: [u8; 2] = [0xc0, 0];
/// The first byte of PINGRESP.
pub const PONG: u8 = 0xd0;
/// DISCONNECT.
pub const BYE: [u8; 2] = [0xe0, 0];
