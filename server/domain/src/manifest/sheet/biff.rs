//! Records of old Excel (MS-XLS, BIFF8), and the texts in them.

use super::{
    bytes::{place, u16_at, u32_at},
    line::add,
    strings::Strings,
};
use crate::manifest::{ReadError, carried::damaged};

/// A record: its kind and what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'b> {
    pub(super) kind: u16,
    pub(super) data: &'b [u8],
    /// Where the next one begins.
    pub(super) end: usize,
}

pub(super) const CONTINUE: u16 = 0x003C;

/// The record at this place; `None` at the end.
pub(super) fn part(bytes: &[u8], start: usize) -> Option<Part<'_>> {
    let kind = u16_at(bytes, start)?;
    let length = usize::from(u16_at(bytes, start + 2)?);
    let end = start + 4 + length;
    Some(Part {
        kind,
        data: bytes.get(start + 4..end)?,
        end,
    })
}

/// Adds so many characters of 8 or 16 bits to the units of a text, and returns the bytes they took. `None` where they
/// are cut.
pub(super) fn characters(bytes: &[u8], count: usize, is_wide: bool, units: &mut Vec<u16>) -> Option<usize> {
    let length = if is_wide { count * 2 } else { count };
    let bytes = bytes.get(..length)?;
    if is_wide {
        let (wide, _) = bytes.as_chunks();
        units.extend(wide.iter().copied().map(u16::from_le_bytes));
    } else {
        // The high bytes, which are all zero, are left away.
        units.extend(bytes.iter().copied().map(u16::from));
    }
    Some(length)
}

/// The text of these units, and no more of it than a cell can hold.
pub(super) fn decoded(units: &[u16]) -> String {
    let mut text = String::new();
    for c in char::decode_utf16(units.iter().copied()) {
        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        add(&mut text, c.encode_utf8(&mut [0; 4]));
    }
    text
}

/// A text with a length of 16 bits and flags in front (`XLUnicodeString`). One that goes on in another record is too
/// long for a cell with what is here.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let mut units = Vec::new();
    let is_wide = *bytes.get(2)? & 1 == 1;
    let rest = bytes.get(3..)?;
    let room = if is_wide { rest.len() / 2 } else { rest.len() };
    characters(
        rest,
        usize::from(u16_at(bytes, 0)?).min(room),
        is_wide,
        &mut units,
    )?;
    Some(decoded(&units))
}

/// The shared texts that begin with the record at this place and go on in those behind it; and where those end.
pub(super) fn strings(bytes: &[u8], start: usize) -> Result<(Strings, usize), ReadError> {
    let cut = || damaged("has a table of texts that ends early");
    let first = part(bytes, start).ok_or_else(cut)?;
    let mut end = first.end;
    let mut rest = Vec::new();
    while let Some(more) = part(bytes, end).filter(|more| more.kind == CONTINUE) {
        rest.push(more.data);
        end = more.end;
    }
    rest.reverse();
    let mut pieces = Pieces {
        data: first.data.get(8..).unwrap_or_default(),
        rest,
    };
    let mut strings = Strings::default();
    // The table says how many it has, and some writers are wrong.
    while !pieces.is_over() {
        strings.push(&pieces.text().ok_or_else(cut)?)?;
    }
    Ok((strings, end))
}

/// Bytes that go on in further records. Characters that do begin anew with flags.
struct Pieces<'b> {
    data: &'b [u8],
    /// From the last to the next.
    rest: Vec<&'b [u8]>,
}

impl Pieces<'_> {
    const fn is_over(&self) -> bool {
        self.data.is_empty() && self.rest.is_empty()
    }

    /// A text with its formatting passed over (`XLUnicodeRichExtendedString`).
    fn text(&mut self) -> Option<String> {
        let head = self.head()?;
        let (count, flags) = (usize::from(u16_at(&head, 0)?), head[2]);
        let runs = if flags & 8 == 0 {
            0
        } else {
            usize::from(u16_at(&self.take::<2>()?, 0)?)
        };
        let extra = if flags & 4 == 0 {
            0
        } else {
            place(u32_at(&self.take::<4>()?, 0)?)
        };
        let mut units = Vec::new();
        let (mut left, mut is_wide) = (count, flags & 1 == 1);
        loop {
            let room = if is_wide {
                self.data.len() / 2
            } else {
                self.data.len()
            };
            let now = left.min(room);
            let used = characters(self.data, now, is_wide, &mut units)?;
            self.data = self.data.get(used..)?;
            left -= now;
            if left == 0 {
                break;
            }
            self.data = self.rest.pop()?;
            is_wide = self.take::<1>()?[0] & 1 == 1;
        }
        self.skip(runs.checked_mul(4)?.checked_add(extra)?)?;
        Some(decoded(&units))
    }

    /// Length and flags, which are never torn apart.
    fn head(&mut self) -> Option<[u8; 3]> {
        if self.data.is_empty() {
            self.data = self.rest.pop()?;
        }
        self.take()
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (found, rest) = self.data.split_first_chunk()?;
        self.data = rest;
        Some(*found)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        let mut left = bytes;
        while left > self.data.len() {
            left -= self.data.len();
            self.data = self.rest.pop()?;
        }
        self.data = self.data.get(left..)?;
        Some(())
    }
}

/// A number in 30 bits and two flags (`RkNumber`).
pub(super) fn short_number(rk: u32) -> f64 {
    let number = if rk & 2 == 0 {
        f64::from_bits(u64::from(rk & !3) << 32)
    } else {
        f64::from(rk.cast_signed() >> 2)
    };
    if rk & 1 == 0 { number } else { number / 100.0 }
}

/// An error as it is shown.
pub(super) const fn error(code: u8) -> &'static str {
    match code {
        0x00 => "#NULL!",
        0x07 => "#DIV/0!",
        0x0F => "#VALUE!",
        0x17 => "#REF!",
        0x1D => "#NAME?",
        0x24 => "#NUM!",
        0x2A => "#N/A",
        _ => "#ERROR!",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [&kind.to_le_bytes(), &length.to_le_bytes(), data].concat()
    }

    /// Texts that go on in the next record begin there with new flags, and may change their width; a pair of
    /// surrogates may be torn apart. The count in front is wrong on purpose.
    #[test]
    fn shared_texts_go_on_in_further_records() {
        let first = [&[9, 0, 0, 0, 9, 0, 0, 0][..], b"\x03\0\0abc", b"\x04\0\0de"].concat();
        let second = b"\x01f\0\xAC\x20\x02\0\x01\x3D\xD8".to_vec();
        let third = [&b"\x01\x00\xDE"[..], b"\x01\0\x0D\x01\0\x02\0\0\0\x67\0", b"runs"].concat();
        let parts = [
            record(0xFC, &first),
            record(CONTINUE, &second),
            record(CONTINUE, &third),
            record(CONTINUE, b"xx"),
            record(0x0A, b""),
        ];
        let bytes = parts.concat();
        let (strings, end) = strings(&bytes, 0).unwrap();
        let all: Vec<_> = (0..5).map(|place| strings.at(place)).collect();
        assert_eq!(all, [Some("abc"), Some("def€"), Some("😀"), Some("g"), None]);
        assert_eq!(part(&bytes, end).map(|part| part.kind), Some(0x0A));
    }

    #[test]
    fn short_numbers_are_unpacked() {
        for (rk, expected) in [
            (0x3FF0_0000, 1.0),
            (0x0000_0007, 0.01),
            (0x0000_04D2 << 2 | 2, 1234.0),
            (0xFFFF_FFFE, -1.0),
        ] {
            assert!((short_number(rk) - expected).abs() < 1e-12, "{rk:x}");
        }
    }
}
