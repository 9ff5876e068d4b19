//! A JSON list of objects, or an object that has one: read object by object, however long the list.
//!
//! What surrounds the list is passed over as it comes and never held. The list is the one that the path names, else the
//! only list of objects among the members of the object.

use super::{
    CELL_LIMIT, ROW_LIMIT, ReadError, ReadOptions,
    input::Input,
    json,
    record::{Draft, Fault, Record},
    rows::Rows,
};
use crate::{Code, Refusal};
use std::io::Read;

/// How deep values may nest that are passed over.
const DEPTH_LIMIT: usize = 64;

/// A list that is being read.
#[derive(Debug)]
pub(super) struct List<R> {
    input: Input<R>,
    rows: Rows,
    draft: Draft,
    /// The members of the objects around the list, outermost first: what is behind it must be passed over.
    around: Vec<String>,
    /// The list was looked for, and a second one would be a question.
    is_only: bool,
    state: State,
}

/// Where the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first value of the list.
    First,
    /// Behind a value.
    Between,
    /// Behind everything.
    Over,
}

impl<R: Read> List<R> {
    /// Goes to the beginning of the list.
    pub(super) fn open(input: Input<R>, options: &ReadOptions) -> Result<Self, ReadError> {
        let mut list = Self {
            input,
            rows: Rows::default(),
            draft: Draft::default(),
            around: Vec::new(),
            is_only: options.record_path.is_none(),
            state: State::First,
        };
        let path = options.record_path.as_deref().map(str::trim).unwrap_or_default();
        match list.peek()? {
            Some(b'[') if path.is_empty() => list.input.advance(1),
            Some(b'[') => return Err(refused("is a list itself, so it has no list by that name").into()),
            Some(b'{') if path.is_empty() => list.find()?,
            Some(b'{') => list.follow(path)?,
            Some(_) | None => return Err(refused("is neither a JSON list nor an object that has one").into()),
        }
        Ok(list)
    }

    /// Goes to the first list of objects among the members of this object.
    fn find(&mut self) -> Result<(), ReadError> {
        self.input.advance(1);
        while let Some(name) = self.member()? {
            if self.is_objects()? {
                self.around.push(name);
                return Ok(());
            }
        }
        Err(refused("has no list of objects; name the one that holds the devices").into())
    }

    /// Goes to the list by its path: names of members with dots between, or one name that has dots.
    fn follow(&mut self, path: &str) -> Result<(), ReadError> {
        let mut rest = path;
        loop {
            self.input.advance(1);
            let step = loop {
                let name = self.member()?;
                let Some(name) = name else {
                    return Err(refused(&format!("has no list {path:?}")).into());
                };
                if name == rest {
                    break "";
                }
                let below = rest
                    .strip_prefix(name.as_str())
                    .and_then(|rest| rest.strip_prefix('.'));
                match (below, self.peek()?) {
                    (Some(below), Some(b'{')) => {
                        self.around.push(name);
                        break below;
                    }
                    (_, _) => self.skip_value()?,
                }
            };
            rest = step;
            if rest.is_empty() {
                self.around.push(path.to_owned());
                return match self.peek()? {
                    Some(b'[') => {
                        self.input.advance(1);
                        Ok(())
                    }
                    Some(_) | None => {
                        Err(refused(&format!("has no list {path:?}, but another value there")).into())
                    }
                };
            }
        }
    }

    /// Passes over a value, unless it is a list that begins with an object: then stands behind its bracket.
    fn is_objects(&mut self) -> Result<bool, ReadError> {
        if self.peek()? != Some(b'[') {
            self.skip_value()?;
            return Ok(false);
        }
        self.input.advance(1);
        match self.peek()? {
            Some(b'{') => Ok(true),
            Some(b']') => {
                self.input.advance(1);
                Ok(false)
            }
            Some(_) | None => {
                self.skip_to_end(1)?;
                Ok(false)
            }
        }
    }

    /// The next value of the list, or `false` at the end of the file.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        self.read_as(record, json::object)
    }

    /// The same, with another way to make cells of a value.
    pub(super) fn read_as(
        &mut self,
        record: &mut Record,
        parse: impl FnOnce(&[u8], &mut Draft),
    ) -> Result<bool, ReadError> {
        if self.state == State::Over {
            return Ok(false);
        }
        let next = self.peek()?;
        match (self.state, next) {
            (State::First | State::Between, Some(b']')) => {
                self.input.advance(1);
                self.state = State::Over;
                self.close()?;
                return Ok(false);
            }
            (State::Between, Some(b',')) => self.input.advance(1),
            (State::First, Some(_)) => {}
            (_, None) => return Err(cut()),
            (State::Between | State::Over, Some(_)) => {
                let why = format!(
                    "is not JSON: value {} of the list has no comma behind it",
                    self.rows.passed()
                );
                return Err(refused(&why).into());
            }
        }
        self.state = State::Between;
        self.peek()?;
        self.value(record, parse)?;
        Ok(true)
    }

    /// Reads a value of the list into a record.
    fn value(&mut self, record: &mut Record, parse: impl FnOnce(&[u8], &mut Draft)) -> Result<(), ReadError> {
        let length = self.length()?;
        let row = self.rows.count()?;
        let Some(length) = length else {
            self.draft.clear();
            self.draft.fault = Some(Fault::TooLong);
            self.draft.finish(row, &[], record);
            return self.skip_value();
        };
        let source = self.input.text().get(..length).unwrap_or_default();
        if source.is_empty() {
            return Err(refused(&format!("is not JSON: value {row} of the list is missing")).into());
        }
        parse(source, &mut self.draft);
        self.draft.finish(row, source, record);
        self.input.advance(length);
        Ok(())
    }

    /// The length of the value that begins here; `None` when it is over the limit of a row.
    fn length(&mut self) -> Result<Option<usize>, ReadError> {
        let mut scan = Scan::default();
        let mut seen = 0;
        loop {
            let text = self.input.text();
            while let Some(&byte) = text.get(seen) {
                if scan.ends_before(byte) {
                    return Ok(Some(seen));
                }
                seen += 1;
                if scan.ends_with(byte)? {
                    return Ok(Some(seen));
                }
                if seen > ROW_LIMIT {
                    return Ok(None);
                }
            }
            if !self.input.grow()? {
                return Err(cut());
            }
        }
    }

    /// Passes over the value that begins here.
    fn skip_value(&mut self) -> Result<(), ReadError> {
        self.peek()?;
        self.pass(Scan::default())
    }

    /// Passes over what is left of a value, out of so many brackets.
    fn skip_to_end(&mut self, depth: usize) -> Result<(), ReadError> {
        self.pass(Scan {
            depth,
            ..Scan::default()
        })
    }

    fn pass(&mut self, mut scan: Scan) -> Result<(), ReadError> {
        loop {
            let text = self.input.text();
            let mut seen = 0;
            while let Some(&byte) = text.get(seen) {
                let is_over = scan.ends_before(byte);
                seen += usize::from(!is_over);
                if is_over || scan.ends_with(byte)? {
                    self.input.advance(seen);
                    return Ok(());
                }
            }
            self.input.advance(seen);
            if !self.input.grow()? {
                return Err(cut());
            }
        }
    }

    /// What follows the list: members of the objects around it, and then nothing.
    fn close(&mut self) -> Result<(), ReadError> {
        for depth in (0..self.around.len()).rev() {
            while let Some(name) = self.member()? {
                if depth > 0 || !self.is_only {
                    self.skip_value()?;
                } else if self.is_objects()? {
                    let first = self.around.first().map_or("", String::as_str);
                    let why = format!(
                        "has two lists of objects, {first:?} and {name:?}; name the one that holds the devices"
                    );
                    return Err(refused(&why).into());
                }
            }
        }
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(refused("goes on behind the end of its list").into()),
        }
    }

    /// The name of the next member of the object, with its colon; `None` at the end of the object.
    fn member(&mut self) -> Result<Option<String>, ReadError> {
        let mut next = self.peek()?;
        if next == Some(b',') {
            self.input.advance(1);
            next = self.peek()?;
        }
        match next {
            Some(b'}') => {
                self.input.advance(1);
                return Ok(None);
            }
            Some(b'"') => {}
            Some(_) => return Err(refused("is not JSON: a member has no name").into()),
            None => return Err(cut()),
        }
        let length = self.length()?.filter(|length| *length <= CELL_LIMIT);
        let length = length.ok_or_else(|| refused("has a name of more than 4096 bytes"))?;
        let name = serde_json::from_slice(self.input.text().get(..length).unwrap_or_default());
        let name = name.map_err(|_| refused("is not JSON: a member has a broken name"))?;
        self.input.advance(length);
        match self.peek()? {
            Some(b':') => self.input.advance(1),
            Some(_) => return Err(refused("is not JSON: a member has no value").into()),
            None => return Err(cut()),
        }
        Ok(Some(name))
    }

    /// The next byte that is no blank; it is not used up.
    fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            let text = self.input.text();
            let blanks = text.iter().position(|byte| !byte.is_ascii_whitespace());
            if let Some(blanks) = blanks {
                let found = text.get(blanks).copied();
                self.input.advance(blanks);
                return Ok(found);
            }
            let length = text.len();
            self.input.advance(length);
            if !self.input.grow()? {
                return Ok(None);
            }
        }
    }
}

impl<R> List<R> {
    pub(super) const fn input(&self) -> &Input<R> {
        &self.input
    }
}

fn refused(why: &str) -> Refusal {
    Refusal::new(Code::ManifestUnreadable, why)
}

fn cut() -> ReadError {
    refused("ends within its JSON").into()
}

/// Looks for the end of a value, byte by byte, without understanding it.
#[derive(Debug, Default)]
struct Scan {
    depth: usize,
    is_quoted: bool,
    is_escaped: bool,
    is_plain: bool,
}

impl Scan {
    /// Did a number or a word end before this byte?
    const fn ends_before(&self, byte: u8) -> bool {
        self.depth == 0 && !self.is_quoted && matches!(byte, b',' | b']' | b'}' | b':')
            || self.is_plain && byte.is_ascii_whitespace()
    }

    /// Does the value end with this byte?
    fn ends_with(&mut self, byte: u8) -> Result<bool, ReadError> {
        if self.is_quoted {
            let closes = byte == b'"' && !self.is_escaped;
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            self.is_quoted = !closes;
            return Ok(closes && self.depth == 0);
        }
        match byte {
            b'"' => self.is_quoted = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => self.is_plain = self.depth == 0,
        }
        if self.depth > DEPTH_LIMIT {
            return Err(refused(&format!("nests values deeper than {DEPTH_LIMIT}")).into());
        }
        Ok(self.depth == 0 && matches!(byte, b'}' | b']'))
    }
}
