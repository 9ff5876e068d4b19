//! What a server may say, read by the letter of both standards. Written without the codec under test.

use crate::mqtt::codec::Version;

/// A packet, as far as it is looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen<'a> {
    /// Of PUBLISH.
    pub(super) topic: String,
    /// Its content, or the codes of an acknowledgement.
    pub(super) rest: &'a [u8],
}

type Read<T> = Result<T, &'static str>;

/// Properties that a server may give, by the first byte of the packet without its low bits.
fn allowed(kind: u8) -> &'static [u8] {
    match kind {
        2 => &[
            0x11, 0x12, 0x13, 0x15, 0x16, 0x1a, 0x1c, 0x1f, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29,
            0x2a,
        ],
        3 => &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x23, 0x26],
        14 => &[0x1c, 0x1f, 0x26],
        _ => &[0x1f, 0x26],
    }
}

/// Codes that a server may give in 5.0.
fn codes(kind: u8) -> &'static [u8] {
    match kind {
        2 => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97,
            0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
        ],
        4 | 5 => &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        7 => &[0x00, 0x92],
        9 => &[
            0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2,
        ],
        11 => &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
        _ => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96,
            0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
        ],
    }
}

/// Takes so many bytes off the front.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Read<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count).ok_or("ends too early")?;
    *rest = left;
    Ok(taken)
}

fn number(rest: &mut &[u8], count: usize) -> Read<usize> {
    let taken = take(rest, count)?;
    Ok(taken.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

fn text(rest: &mut &[u8]) -> Read<String> {
    let length = number(rest, 2)?;
    let text = String::from_utf8(take(rest, length)?.to_vec()).map_err(|_| "not UTF-8")?;
    if text.contains('\0') { Err("NUL") } else { Ok(text) }
}

fn length(rest: &mut &[u8]) -> Read<usize> {
    let mut value = 0;
    for place in 0..4 {
        let byte = number(rest, 1)?;
        value |= (byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return if place > 0 && byte == 0 {
                Err("padded length")
            } else {
                Ok(value)
            };
        }
    }
    Err("length of five bytes")
}

fn properties(rest: &mut &[u8], kind: u8) -> Read<()> {
    let size = length(rest)?;
    let mut inner = take(rest, size)?;
    let mut seen = Vec::new();
    while let Some((&id, value)) = inner.split_first() {
        inner = value;
        if !allowed(kind).contains(&id) {
            return Err("a property that has no place there");
        }
        if id != 0x26 && seen.contains(&id) {
            return Err("a property twice");
        }
        seen.push(id);
        match id {
            0x24 | 0x25 | 0x28..=0x2a if number(&mut inner, 1)? > 1 => return Err("a flag that is none"),
            0x24 | 0x25 | 0x28..=0x2a => {}
            0x13 | 0x22 => drop(number(&mut inner, 2)?),
            0x21 if number(&mut inner, 2)? == 0 => return Err("receive maximum 0"),
            0x27 if number(&mut inner, 4)? == 0 => return Err("maximum packet size 0"),
            0x11 => drop(number(&mut inner, 4)?),
            0x12 | 0x1f => drop(text(&mut inner)?),
            0x21 | 0x27 => {}
            _ => return Err("a property that this server does not give"),
        }
    }
    Ok(())
}

/// Reads one packet, which must be all there is. Nothing at all is nothing.
pub(super) fn read(version: Version, bytes: &[u8]) -> Read<Option<Seen<'_>>> {
    let mut rest = bytes;
    if bytes.is_empty() {
        return Ok(None);
    }
    let seen = one(version, &mut rest)?;
    if rest.is_empty() {
        Ok(Some(seen))
    } else {
        Err("bytes after the end")
    }
}

/// Whether that is a row of packets; the last may be cut, where a client is cut for not reading.
pub(super) fn reads_all(version: Version, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match one(version, &mut bytes) {
            Ok(_) => {}
            Err("ends too early") => return true,
            Err(_) => return false,
        }
    }
    true
}

fn one<'a>(version: Version, rest: &mut &'a [u8]) -> Read<Seen<'a>> {
    let first = take(rest, 1)?[0];
    let size = length(rest)?;
    let mut body = take(rest, size)?;
    let read = packet(version, first, &mut body);
    // What ends too early inside a packet that is all there is no cut.
    read.map_err(|why| {
        if why == "ends too early" {
            "a field goes past its packet"
        } else {
            why
        }
    })
}

fn packet<'a>(version: Version, first: u8, body: &mut &'a [u8]) -> Read<Seen<'a>> {
    let (kind, v5) = (first >> 4, version == Version::V5);
    let mut seen = Seen::default();
    match first {
        0x20 => {
            if number(body, 1)? != 0 {
                return Err("a session is present");
            }
            let code = number(body, 1)?;
            if !v5 && code > 5 {
                return Err("no return code");
            }
            return tail(v5, kind, code, body);
        }
        0x30 | 0x32 => {
            seen.topic = text(body)?;
            if first & 2 != 0 && number(body, 2)? == 0 {
                return Err("identifier 0");
            }
            if v5 {
                properties(body, kind)?;
            }
            seen.rest = body;
            return Ok(seen);
        }
        0x40 | 0x50 | 0x70 => {
            if number(body, 2)? == 0 {
                return Err("identifier 0");
            }
            if body.is_empty() {
                return Ok(seen);
            }
            if !v5 {
                return Err("bytes after the identifier");
            }
            let code = number(body, 1)?;
            return tail(v5, kind, code, body);
        }
        0x90 | 0xb0 => {
            if number(body, 2)? == 0 {
                return Err("identifier 0");
            }
            if v5 {
                properties(body, kind)?;
            }
            let known: &[u8] = if v5 { codes(kind) } else { &[0, 1, 2, 0x80] };
            let fine = body.iter().all(|code| known.contains(code));
            // UNSUBACK of 3.1.1 has no codes.
            if !fine || body.is_empty() != (first == 0xb0 && !v5) {
                return Err("codes");
            }
            seen.rest = body;
            return Ok(seen);
        }
        0xd0 if body.is_empty() => {}
        0xe0 if v5 => {
            let code = number(body, 1)?;
            return tail(v5, kind, code, body);
        }
        _ => return Err("no packet of a server"),
    }
    Ok(seen)
}

/// What follows a code: in 5.0 the properties, and nothing more.
fn tail<'a>(v5: bool, kind: u8, code: usize, body: &mut &'a [u8]) -> Read<Seen<'a>> {
    if v5 {
        if !codes(kind).iter().any(|known| usize::from(*known) == code) {
            return Err("a code that is not in the table");
        }
        properties(body, kind)?;
    }
    if body.is_empty() {
        Ok(Seen::default())
    } else {
        Err("bytes after the end")
    }
}
