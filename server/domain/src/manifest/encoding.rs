//! Encodings: which one a file has, and its way to UTF-8.
//!
//! A byte order mark decides, or the declaration of XML. Without either, a file is UTF-8 if its first block is, and Windows-1252 if not: every
//! byte means something there, so the choice is made once and for the whole file. What cannot be decoded later
//! becomes bytes that are not UTF-8, and the row they are in is refused.

use core::fmt;

/// How a file writes its characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a mark.
    Utf8,
    /// UTF-16 with its mark, low byte first.
    Utf16Le,
    /// UTF-16 with its mark, high byte first.
    Utf16Be,
    /// The 8-bit encoding of Western European Windows.
    Windows1252,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le => "UTF-16LE",
            Self::Utf16Be => "UTF-16BE",
            Self::Windows1252 => "Windows-1252",
        })
    }
}

/// A byte that no UTF-8 text contains; stands for what cannot be decoded.
const NOT_UTF8: u8 = 0xFF;

/// What files begin with that are no text, and how to name them.
const FOREIGN: [(&[u8], &str); 8] = [
    (b"\x1F\x8B", "is compressed with gzip; send it unpacked"),
    (b"\x28\xB5\x2F\xFD", "is compressed with zstd; send it unpacked"),
    (b"\xFD7zXZ", "is compressed with xz; send it unpacked"),
    (
        b"7z\xBC\xAF\x27\x1C",
        "is a 7z archive; unpack it and send what is in it, or a ZIP archive",
    ),
    (
        b"Rar!",
        "is a RAR archive; unpack it and send what is in it, or a ZIP archive",
    ),
    (
        b"%PDF",
        "is a PDF, not a table; ask for the file it was made from",
    ),
    (
        b"{\\rtf",
        "is a text document (RTF), not a table; save the table as CSV",
    ),
    (b"\xFF\xFE\0\0", "is UTF-32; save it as UTF-8"),
];

impl Encoding {
    /// The encoding of a file that begins with `block`, and the length of its mark; or why it is no text.
    pub(super) fn detect(block: &[u8]) -> Result<(Self, usize), &'static str> {
        if let Some((_, why)) = FOREIGN.iter().find(|(magic, _)| block.starts_with(magic)) {
            return Err(why);
        }
        let marked = match block {
            [0xEF, 0xBB, 0xBF, ..] => Some((Self::Utf8, 3)),
            [0xFF, 0xFE, ..] => Some((Self::Utf16Le, 2)),
            [0xFE, 0xFF, ..] => Some((Self::Utf16Be, 2)),
            // XML says how it is encoded in characters that need no mark.
            [b'<', 0, b'?', 0, ..] => Some((Self::Utf16Le, 0)),
            [0, b'<', 0, b'?', ..] => Some((Self::Utf16Be, 0)),
            _ => None,
        };
        match marked {
            Some(found) => Ok(found),
            None if block.contains(&0) => {
                Err("contains NUL bytes: it is binary, or UTF-16 without a byte order mark")
            }
            None if is_declared_windows(block) => Ok((Self::Windows1252, 0)),
            None => Ok((
                if is_utf8_so_far(block) {
                    Self::Utf8
                } else {
                    Self::Windows1252
                },
                0,
            )),
        }
    }

    /// Appends the UTF-8 of as much of `bytes` as is whole, and returns how much that was.
    pub fn decode(self, bytes: &[u8], text: &mut Vec<u8>) -> usize {
        match self {
            Self::Utf8 => text.extend_from_slice(bytes),
            Self::Windows1252 => decode_windows(bytes, text),
            Self::Utf16Le => return decode_utf16(bytes, u16::from_le_bytes, text),
            Self::Utf16Be => return decode_utf16(bytes, u16::from_be_bytes, text),
        }
        bytes.len()
    }

    /// Appends what stands for bytes that the file ends with and that are not whole.
    pub(super) fn decode_rest(rest: &[u8], text: &mut Vec<u8>) {
        if !rest.is_empty() {
            text.push(NOT_UTF8);
        }
    }
}

/// Does an XML declaration say that this is Windows-1252, or Latin-1, which everybody reads as such (WHATWG Encoding)?
fn is_declared_windows(block: &[u8]) -> bool {
    let declaration = block.split(|&byte| byte == b'>').next().unwrap_or_default();
    let declaration = declaration.to_ascii_lowercase();
    let names: [&[u8]; 4] = [b"windows-1252", b"cp1252", b"iso-8859-1", b"latin1"];
    let names_one = |name: &&[u8]| declaration.windows(name.len()).any(|part| part == *name);
    declaration.trim_ascii_start().starts_with(b"<?xml") && names.iter().any(names_one)
}

/// A character that the end of the block cuts is no mistake.
fn is_utf8_so_far(block: &[u8]) -> bool {
    core::str::from_utf8(block).map_or_else(|error| error.error_len().is_none(), |_| true)
}

fn push(c: char, text: &mut Vec<u8>) {
    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Bytes 0x80 to 0x9F of Windows-1252 (WHATWG Encoding, index windows-1252); the other bytes are Latin-1. The five
/// that mean nothing stay control characters, which no cell may hold.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];

fn decode_windows(bytes: &[u8], text: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            0..0x80 => text.push(byte),
            0x80..0xA0 => push(WINDOWS[usize::from(byte - 0x80)], text),
            0xA0.. => push(char::from(byte), text),
        }
    }
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, text: &mut Vec<u8>) -> usize {
    let mut used = 0;
    let mut units = bytes
        .chunks_exact(2)
        .map(|pair| unit([pair[0], pair[1]]))
        .peekable();
    while let Some(first) = units.next() {
        let mut length = 2;
        let decoded = if is_leading(first) {
            match units.peek() {
                // Its other half is in the next block.
                None => break,
                Some(&second) => {
                    let both = char::decode_utf16([first, second]).next().and_then(Result::ok);
                    if both.is_some() {
                        units.next();
                        length = 4;
                    }
                    both
                }
            }
        } else {
            char::from_u32(first.into())
        };
        match decoded {
            Some(c) => push(c, text),
            None => text.push(NOT_UTF8),
        }
        used += length;
    }
    used
}

/// The first half of a surrogate pair.
const fn is_leading(unit: u16) -> bool {
    matches!(unit, 0xD800..0xDC00)
}
