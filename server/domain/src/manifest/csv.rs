//! CSV: cells between delimiters, quoted where they hold one (RFC 4180), read as spreadsheets do.
//!
//! Rows end with CR LF, LF or CR. A quote counts at the start of a cell only; text behind a closing quote is
//! added to the cell. A quote that is never closed would swallow the file, so a quoted cell with line breaks may
//! not be longer than [`CELL_LIMIT`]: then its first line is a row of its own and reading goes on behind it.

use super::{
    CELL_LIMIT, ROW_LIMIT,
    record::{CellKind, Draft, Fault},
};

/// What cells can be separated by, most likely first.
pub(super) const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
const QUOTE: u8 = b'"';

/// How far a record was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// A record of this many bytes, line break included.
    Record(usize),
    /// The text ends within the record.
    Cut,
    /// The line is over its limit; its end is not in sight.
    Endless,
}

/// Reads the record at the start of `text` into `draft`. `whole` says that nothing follows the text.
pub(super) fn split(text: &[u8], delimiter: u8, whole: bool, draft: &mut Draft) -> Split {
    draft.clear();
    let mut place = 0;
    loop {
        let start = draft.bytes.len();
        let end = match text.get(place) {
            Some(&QUOTE) => match quoted(text, place + 1, draft) {
                Quoted::Closed(end) => end,
                Quoted::Open if !whole && text.len() < ROW_LIMIT => return Split::Cut,
                Quoted::Open | Quoted::Runaway => return first_line(text, whole, draft),
            },
            Some(_) | None => place,
        };
        let end = plain(text, end, delimiter, draft);
        // A CR at the end of the text may have its LF in the next block.
        if end >= ROW_LIMIT {
            return too_long(text, whole, draft);
        }
        let next = match (text.get(end), text.get(end + 1)) {
            (Some(&b'\r'), None) if !whole => return Split::Cut,
            (None, _) if !whole => return Split::Cut,
            (Some(&found), _) if found == delimiter => None,
            (Some(b'\r'), Some(b'\n')) => Some(end + 2),
            (Some(_), _) => Some(end + 1),
            (None, _) => Some(end),
        };
        draft.end_cell(start, start, CellKind::Text);
        match next {
            Some(next) => return Split::Record(next),
            None => place = end + 1,
        }
    }
}

/// Copies a cell up to its delimiter or line break and returns where that is.
fn plain(text: &[u8], start: usize, delimiter: u8, draft: &mut Draft) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let ends = |&byte: &u8| byte == delimiter || byte == b'\n' || byte == b'\r';
    let length = rest.iter().position(ends).unwrap_or(rest.len());
    draft.bytes.extend_from_slice(&rest[..length]);
    start + length
}

/// How a quoted cell ends.
enum Quoted {
    /// At this place, behind the closing quote.
    Closed(usize),
    /// Not within the text.
    Open,
    /// Not within its limit, and it holds line breaks: the quote is a mistake.
    Runaway,
}

/// Copies the inside of quotes.
fn quoted(text: &[u8], start: usize, draft: &mut Draft) -> Quoted {
    let mut place = start;
    let mut has_break = false;
    loop {
        let rest = text.get(place..).unwrap_or_default();
        let found = rest.iter().position(|&byte| byte == QUOTE);
        let part = &rest[..found.unwrap_or(rest.len())];
        has_break |= part.contains(&b'\n');
        if has_break && place + part.len() - start > CELL_LIMIT {
            return Quoted::Runaway;
        }
        if found.is_none() {
            return Quoted::Open;
        }
        draft.bytes.extend_from_slice(part);
        place += part.len() + 1;
        if text.get(place) != Some(&QUOTE) {
            return Quoted::Closed(place);
        }
        draft.bytes.push(QUOTE);
        place += 1;
    }
}

/// The record is the first line of the text, as it stands, because a quote in it is never closed.
fn first_line(text: &[u8], whole: bool, draft: &mut Draft) -> Split {
    let Some(length) = text.iter().position(|&byte| byte == b'\n') else {
        return too_long(text, whole, draft);
    };
    draft.clear();
    draft.fault = Some(Fault::OpenQuote);
    Split::Record(length + 1)
}

/// The record is over its limit: it is skipped to the end of the line.
fn too_long(text: &[u8], whole: bool, draft: &mut Draft) -> Split {
    draft.clear();
    draft.fault = Some(Fault::TooLong);
    match text.iter().position(|&byte| byte == b'\n') {
        Some(length) => Split::Record(length + 1),
        None if whole => Split::Record(text.len()),
        None => Split::Endless,
    }
}
