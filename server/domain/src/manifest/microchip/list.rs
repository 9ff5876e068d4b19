//! Cutting a JSON list into its items, one in memory at a time.

use super::super::{ROW_LIMIT, ReadError, input::Input, rows::Rows};
use crate::{Code, Refusal};
use std::io::Read;

/// A list that is being read.
#[derive(Debug)]
pub(super) struct List<R> {
    input: Input<R>,
    rows: Rows,
    /// Bytes of the item given last, which the input still holds.
    used: usize,
    place: Place,
}

/// How far a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Further,
    Closed,
}

/// One item.
#[derive(Debug)]
pub(super) enum Item<'l> {
    /// Its text.
    Entry(&'l [u8]),
    /// Over [`ROW_LIMIT`]; passed over.
    TooLong,
}

/// Where the scanner is inside an item.
#[derive(Debug, Default)]
struct Scanner {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Scanner {
    /// The place of the comma or bracket that ends the item, if it is among these bytes.
    fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|&byte| self.ends(byte))
    }

    const fn ends(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b',' | b']' if self.depth == 0 => return true,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}

impl<R: Read> List<R> {
    /// Passes the bracket that opens the list.
    pub(super) fn new(input: Input<R>) -> Result<Self, ReadError> {
        let mut list = Self {
            input,
            rows: Rows::default(),
            used: 0,
            place: Place::First,
        };
        match list.peek()? {
            Some(b'[') => list.input.advance(1),
            Some(_) | None => return Err(broken("is no JSON list of signed entries").into()),
        }
        Ok(list)
    }

    /// The next item and its place in the list, from 1; `None` behind the bracket that closes it.
    ///
    /// # Errors
    /// [`Code::ManifestUnreadable`] when the list does not end or something follows it: part of the file is missing then,
    /// or it is two.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Item<'_>)>, ReadError> {
        self.input.advance(self.used);
        self.used = 0;
        match (self.place, self.peek()?) {
            (Place::Closed, _) => return Ok(None),
            (Place::First | Place::Further, Some(b']')) => return self.close().map(|()| None),
            (Place::Further, Some(b',')) => self.input.advance(1),
            (Place::First, Some(_)) => self.place = Place::Further,
            (Place::First | Place::Further, _) => return Err(cut().into()),
        }
        let row = self.rows.count()?;
        let mut scanner = Scanner::default();
        let mut scanned = 0;
        let mut is_long = false;
        loop {
            let text = self.input.text();
            if let Some(end) = scanner.scan(text.get(scanned..).unwrap_or_default()) {
                self.used = scanned + end;
                break;
            }
            scanned = text.len();
            if scanned > ROW_LIMIT {
                self.input.advance(scanned);
                scanned = 0;
                is_long = true;
            }
            if !self.input.grow()? {
                return Err(cut().into());
            }
        }
        if is_long || self.used > ROW_LIMIT {
            return Ok(Some((row, Item::TooLong)));
        }
        let item = self.input.text().get(..self.used).unwrap_or_default();
        Ok(Some((row, Item::Entry(item.trim_ascii()))))
    }

    /// The next byte that is not blank; it stays.
    fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            let text = self.input.text();
            let blanks = text.len() - text.trim_ascii_start().len();
            let found = text.get(blanks).copied();
            self.input.advance(blanks);
            if found.is_some() || !self.input.grow()? {
                return Ok(found);
            }
        }
    }

    /// Passes the bracket that closes the list. Behind it there is nothing.
    fn close(&mut self) -> Result<(), ReadError> {
        self.place = Place::Closed;
        self.input.advance(1);
        if self.peek()?.is_some() {
            return Err(broken("goes on behind the end of its list").into());
        }
        Ok(())
    }
}

impl<R> List<R> {
    pub(super) const fn input(&self) -> &Input<R> {
        &self.input
    }
}

fn broken(why: &str) -> Refusal {
    Refusal::new(Code::ManifestUnreadable, why)
}

fn cut() -> Refusal {
    broken("breaks off inside its list; get the file again")
}

/// The first item of a text that begins a list, as far as it is there.
pub(super) fn first(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start().strip_prefix(b"[")?;
    let end = Scanner::default().scan(text).unwrap_or(text.len());
    text.get(..end)
}
