//! Finding the row that names the columns: people put titles, logos and notes above it.

use super::{
    COLUMN_LIMIT, Mapping, ReadError,
    record::{Fault, Record},
};
use crate::{Code, Refusal};
use std::collections::VecDeque;

/// How far down a header can be, as the file shows rows. Nobody writes a longer letterhead.
pub(super) const SEARCH: u32 = 50;

/// Finds the header among the records that `next` gives. Those behind it that were read on the way are put into
/// `ahead`, those above it into `above`. The row `given` is the header whatever it holds; else the first row that names the serial, or the one
/// with most names that we know, two at least; else the first.
///
/// # Errors
/// [`Code::ManifestUnreadable`] when there is none or it has a fault, [`Code::ManifestTooLarge`] when it is too wide.
pub(super) fn find(
    mut next: impl FnMut(&mut Record) -> Result<bool, ReadError>,
    given: Option<u32>,
    ahead: &mut VecDeque<Record>,
    above: &mut Vec<Record>,
) -> Result<Record, ReadError> {
    let mut record = Record::default();
    let mut best = (0, 1);
    while next(&mut record)? {
        let row = record.row();
        if given.is_some_and(|given| row < given) {
            if row < SEARCH {
                above.push(record.clone());
            }
            continue;
        }
        let (known, names_serial) = score(&record);
        ahead.push_back(record);
        record = Record::default();
        if given.is_some() {
            break;
        }
        if names_serial {
            best = (ahead.len() - 1, known);
            break;
        }
        if known > best.1 {
            best = (ahead.len() - 1, known);
        }
        if row >= SEARCH {
            break;
        }
    }
    above.extend(ahead.drain(..best.0));
    let header = ahead.pop_front();
    match (header, given) {
        (None, None) => Err(unreadable("has no rows").into()),
        (None, Some(given)) => {
            Err(unreadable(&format!("has no row {given}, which should name the columns")).into())
        }
        (Some(header), Some(given)) if header.row() != given => {
            Err(unreadable(&format!("names no columns in row {given}: it is empty")).into())
        }
        (Some(header), _) => {
            refuse(&header)?;
            Ok(header)
        }
    }
}

/// What is in a sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// No row that holds anything.
    Nothing,
    /// Rows, but none that is known for a header.
    Rows,
    /// A row that names columns that we know, or the one that was asked for.
    Header,
}

/// Looks whether a sheet has a header.
pub(super) fn look(
    mut next: impl FnMut(&mut Record) -> Result<bool, ReadError>,
    given: Option<u32>,
) -> Result<Found, ReadError> {
    let mut record = Record::default();
    let mut found = Found::Nothing;
    while next(&mut record)? {
        let row = record.row();
        if row > given.unwrap_or(SEARCH) {
            break;
        }
        if record.is_blank() {
            continue;
        }
        let (known, names_serial) = score(&record);
        if given == Some(row) || given.is_none() && (names_serial || known > 1) {
            return Ok(Found::Header);
        }
        found = Found::Rows;
    }
    Ok(found)
}

fn unreadable(why: &str) -> Refusal {
    Refusal::new(Code::ManifestUnreadable, why)
}

/// How many names we know, and whether the serial is one of them.
fn score(record: &Record) -> (usize, bool) {
    let known = record.cells().filter(|cell| Mapping::knows(cell)).count();
    (known, known > 0 && record.cells().any(Mapping::is_serial))
}

/// Without a sound header no row can be understood.
fn refuse(header: &Record) -> Result<(), Refusal> {
    let why = match header.fault() {
        None => return Ok(()),
        Some(Fault::TooWide) => {
            let why = format!("has more than {COLUMN_LIMIT} columns");
            return Err(Refusal::new(Code::ManifestTooLarge, why));
        }
        Some(Fault::TooLong) => "has a header over 64 KiB",
        Some(Fault::OpenQuote) => "opens a quote in its header and never closes it",
        Some(Fault::Cell { why, .. }) => why,
        Some(Fault::Json(_) | Fault::Xml(_) | Fault::Signature(_) | Fault::Entry { .. }) => "has no header",
    };
    Err(unreadable(why).at(format!("rows[{}]", header.row())))
}
