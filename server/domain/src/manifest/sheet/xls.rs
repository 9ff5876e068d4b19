//! XLS (MS-XLS, BIFF8): Excel 97 to 2003.

use super::{
    Listed, SHEET_LIMIT,
    biff::{self, CONTINUE, Part},
    bytes::{f64_at, place, u16_at, u32_at},
    choose,
    compound::Compound,
    date::{Epoch, is_built_in, is_format},
    line::Line,
    number,
    strings::Strings,
};
use crate::{
    Code, Refusal,
    manifest::{
        ReadError, ReadOptions,
        carried::{damaged, too_large},
        header,
        record::{CellKind, Record},
    },
};
use core::mem;
use std::{
    borrow::Cow,
    collections::BTreeSet,
    io::{Read, Seek},
};

/// Kinds of records (MS-XLS 2.3.2).
mod kind {
    pub(super) const FORMULA: u16 = 0x0006;
    pub(super) const EOF: u16 = 0x000A;
    pub(super) const DATE_1904: u16 = 0x0022;
    pub(super) const FILE_PASS: u16 = 0x002F;
    pub(super) const BOUND_SHEET: u16 = 0x0085;
    pub(super) const MUL_RK: u16 = 0x00BD;
    pub(super) const R_STRING: u16 = 0x00D6;
    pub(super) const XF: u16 = 0x00E0;
    pub(super) const SST: u16 = 0x00FC;
    pub(super) const LABEL_SST: u16 = 0x00FD;
    pub(super) const NUMBER: u16 = 0x0203;
    pub(super) const LABEL: u16 = 0x0204;
    pub(super) const BOOL_ERR: u16 = 0x0205;
    pub(super) const STRING: u16 = 0x0207;
    pub(super) const RK: u16 = 0x027E;
    pub(super) const FORMAT: u16 = 0x041E;
    pub(super) const BOF: u16 = 0x0809;
}

/// The version of BIFF8, in the record that begins a stream.
const BIFF8: u16 = 0x0600;

/// What the cells of all sheets refer to.
#[derive(Debug, Default)]
struct Book {
    epoch: Epoch,
    strings: Strings,
    /// For each cell style: does it show a date?
    dates: Vec<bool>,
    sheets: Vec<Listed>,
    /// Where each sheet begins.
    starts: Vec<usize>,
}

/// A sheet of a workbook that is being read.
#[derive(Debug)]
pub(in crate::manifest) struct Xls {
    bytes: Vec<u8>,
    book: Book,
    cursor: Cursor,
    name: String,
    length: u64,
}

/// Where a reader of rows stands.
#[derive(Debug, Default)]
struct Cursor {
    place: usize,
    /// The row given last.
    last: u32,
    /// The row whose cells are collected, and its next column.
    row: Option<(u16, usize)>,
    line: Line,
    /// The text of the formula at this row and column is in the next record.
    awaits: Option<usize>,
    is_over: bool,
}

impl Xls {
    pub(in crate::manifest) fn open(
        source: impl Read + Seek,
        options: &ReadOptions,
    ) -> Result<Self, ReadError> {
        let mut source = source;
        let compound = Compound::read(&mut source)?;
        let bytes = compound.into_workbook()?;
        let length = source.stream_position().map_err(ReadError::Input)?;
        let book = Book::read(&bytes)?;
        let lost = || damaged("lacks one of its sheets");
        let chosen = choose(&book.sheets, options, |sheet| {
            let mut cursor = Cursor::at(&bytes, *book.starts.get(sheet).ok_or_else(lost)?)?;
            header::look(|record| cursor.read(&bytes, &book, record), options.header_row)
        })?;
        let cursor = Cursor::at(&bytes, *book.starts.get(chosen).ok_or_else(lost)?)?;
        let name = book.sheets.get(chosen).ok_or_else(lost)?.name.clone();
        Ok(Self {
            bytes,
            book,
            cursor,
            name,
            length,
        })
    }

    pub(in crate::manifest) fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        self.cursor.read(&self.bytes, &self.book, record)
    }

    pub(in crate::manifest) const fn sheet(&self) -> &str {
        self.name.as_str()
    }

    pub(in crate::manifest) const fn length(&self) -> u64 {
        self.length
    }
}

fn cut() -> Refusal {
    damaged("ends early")
}

/// The place of the first record of a stream of this version.
fn begin(bytes: &[u8], start: usize) -> Result<usize, ReadError> {
    let first = biff::part(bytes, start)
        .filter(|part| part.kind == kind::BOF)
        .ok_or_else(cut)?;
    if u16_at(first.data, 0) == Some(BIFF8) {
        Ok(first.end)
    } else {
        let why = "is a workbook of Excel 95 or before; save it as XLSX or CSV";
        Err(Refusal::new(Code::ManifestUnreadable, why).into())
    }
}

impl Book {
    fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut place = begin(bytes, 0)?;
        let mut book = Self::default();
        let mut formats = BTreeSet::new();
        loop {
            let part = biff::part(bytes, place).ok_or_else(cut)?;
            match part.kind {
                kind::EOF => return Ok(book),
                kind::FILE_PASS => {
                    let why = "is encrypted; save it without a password";
                    return Err(Refusal::new(Code::ManifestUnreadable, why).into());
                }
                kind::DATE_1904 if u16_at(part.data, 0) == Some(1) => book.epoch = Epoch::Of1904,
                kind::BOUND_SHEET => book.list(part.data)?,
                kind::FORMAT => {
                    let code = biff::text(part.data.get(2..).unwrap_or_default());
                    if code.is_some_and(|code| is_format(&code)) {
                        formats.extend(u16_at(part.data, 0));
                    }
                }
                kind::XF => {
                    let format = u16_at(part.data, 2).ok_or_else(cut)?;
                    book.dates
                        .push(is_built_in(format.into()) || formats.contains(&format));
                }
                kind::SST => {
                    let (strings, end) = biff::strings(bytes, place)?;
                    book.strings = strings;
                    place = end;
                    continue;
                }
                _ => {}
            }
            place = part.end;
        }
    }

    /// Lists a sheet, unless it is a chart or a macro.
    fn list(&mut self, data: &[u8]) -> Result<(), ReadError> {
        let (Some(start), &[_, _, _, _, state, sheet, count, flags, ..]) = (u32_at(data, 0), data) else {
            return Err(cut().into());
        };
        if sheet != 0 {
            return Ok(());
        }
        if self.sheets.len() == SHEET_LIMIT {
            return Err(too_large(format!("has more than {SHEET_LIMIT} sheets")).into());
        }
        let mut name = Vec::new();
        let text = data.get(8..).unwrap_or_default();
        biff::characters(text, count.into(), flags & 1 == 1, &mut name).ok_or_else(cut)?;
        self.sheets.push(Listed {
            name: biff::decoded(&name),
            is_hidden: state & 3 != 0,
        });
        self.starts.push(place(start));
        Ok(())
    }

    fn number(&self, number: f64, style: u16) -> (String, CellKind) {
        let is_date = self.dates.get(usize::from(style)).copied().unwrap_or_default();
        match is_date.then(|| self.epoch.iso(number)).flatten() {
            Some(date) => (date, CellKind::Date),
            None => (number::show(number), CellKind::Number),
        }
    }
}

impl Cursor {
    fn at(bytes: &[u8], start: usize) -> Result<Self, ReadError> {
        Ok(Self {
            place: begin(bytes, start)?,
            ..Self::default()
        })
    }

    /// The next row that has cells: they stand one behind the other, row by row.
    fn read(&mut self, bytes: &[u8], book: &Book, record: &mut Record) -> Result<bool, ReadError> {
        while !self.is_over {
            let part = biff::part(bytes, self.place).ok_or_else(cut)?;
            let row = row(&part);
            if row.is_some() && self.row.is_some_and(|(current, _)| row != Some(current)) {
                // The cell is read again when its row begins.
                return self.end(record).map(|()| true);
            }
            if let (Some(row), None) = (row, self.row) {
                self.line.begin();
                self.row = Some((row, 0));
            }
            self.place = part.end;
            match part.kind {
                kind::EOF => self.is_over = true,
                // A chart within the sheet.
                kind::BOF => self.place = behind(bytes, part.end)?,
                _ => self.cells(&part, book)?,
            }
        }
        match self.row {
            Some(_) => self.end(record).map(|()| true),
            None => Ok(false),
        }
    }

    fn end(&mut self, record: &mut Record) -> Result<(), ReadError> {
        let row = mem::take(&mut self.row).map_or(0, |(row, _)| row);
        let row = u32::from(row) + 1;
        if row <= self.last {
            return Err(damaged(&format!("has row {row} behind row {}", self.last)).into());
        }
        self.last = row;
        self.line.end(row, record)
    }

    /// Puts the cells of a record.
    fn cells(&mut self, part: &Part<'_>, book: &Book) -> Result<(), ReadError> {
        let data = part.data;
        let column = u16_at(data, 2).map(usize::from);
        let style = u16_at(data, 4).unwrap_or_default();
        let value = data.get(6..).unwrap_or_default();
        let awaits = mem::take(&mut self.awaits);
        let (text, kind): (Cow<'_, str>, CellKind) = match part.kind {
            kind::LABEL_SST => {
                let text = u32_at(value, 0).and_then(|text| book.strings.at(place(text)));
                (
                    text.ok_or_else(|| damaged("refers to a text that is not there"))?
                        .into(),
                    CellKind::Text,
                )
            }
            kind::LABEL | kind::R_STRING => (biff::text(value).ok_or_else(cut)?.into(), CellKind::Text),
            kind::NUMBER => {
                let (text, kind) = book.number(f64_at(value, 0).ok_or_else(cut)?, style);
                (text.into(), kind)
            }
            kind::RK => {
                let number = biff::short_number(u32_at(value, 0).ok_or_else(cut)?);
                let (text, kind) = book.number(number, style);
                (text.into(), kind)
            }
            kind::BOOL_ERR => match value {
                [code, 1, ..] => (biff::error(*code).into(), CellKind::Error),
                [0, 0, ..] => ("false".into(), CellKind::Boolean),
                [_, 0, ..] => ("true".into(), CellKind::Boolean),
                _ => return Err(cut().into()),
            },
            kind::FORMULA => match formula(value, style, book).ok_or_else(cut)? {
                Some(text) => (text.into(), CellKind::Formula),
                None => {
                    self.awaits = column;
                    return Ok(());
                }
            },
            kind::STRING => {
                let Some(column) = awaits else { return Ok(()) };
                return self.put(column, &biff::text(data).ok_or_else(cut)?, CellKind::Formula);
            }
            kind::MUL_RK => return self.row_of_numbers(data, book),
            CONTINUE => return Ok(()),
            _ => {
                // Shared formulas stand between a formula and its text.
                self.awaits = awaits;
                return Ok(());
            }
        };
        self.put(column.ok_or_else(cut)?, &text, kind)
    }

    fn row_of_numbers(&mut self, data: &[u8], book: &Book) -> Result<(), ReadError> {
        let first = usize::from(u16_at(data, 2).ok_or_else(cut)?);
        let cells = data.get(4..data.len().saturating_sub(2)).ok_or_else(cut)?;
        let (cells, _) = cells.as_chunks::<6>();
        for (place, cell) in cells.iter().enumerate() {
            let style = u16_at(cell, 0).unwrap_or_default();
            let number = biff::short_number(u32_at(cell, 2).unwrap_or_default());
            let (text, kind) = book.number(number, style);
            self.put(first + place, &text, kind)?;
        }
        Ok(())
    }

    fn put(&mut self, column: usize, text: &str, kind: CellKind) -> Result<(), ReadError> {
        let Some((_, next)) = &mut self.row else {
            return Err(damaged("has a text without a cell").into());
        };
        if column < *next {
            return Err(damaged("has cells out of their order").into());
        }
        *next = column + 1;
        self.line.put(column, text, kind);
        Ok(())
    }
}

/// The row of a record that holds cells.
fn row(part: &Part<'_>) -> Option<u16> {
    let has_cells = matches!(
        part.kind,
        kind::LABEL_SST
            | kind::LABEL
            | kind::R_STRING
            | kind::NUMBER
            | kind::RK
            | kind::BOOL_ERR
            | kind::FORMULA
            | kind::MUL_RK
    );
    has_cells.then(|| u16_at(part.data, 0)).flatten()
}

/// The place behind a stream within a stream.
fn behind(bytes: &[u8], start: usize) -> Result<usize, ReadError> {
    let mut place = start;
    let mut depth = 1;
    while depth > 0 {
        let part = biff::part(bytes, place).ok_or_else(cut)?;
        match part.kind {
            kind::BOF => depth += 1,
            kind::EOF => depth -= 1,
            _ => {}
        }
        place = part.end;
    }
    Ok(place)
}

/// What a formula came to. The outer `None`: cut; the inner: its text is in a record of its own.
fn formula(value: &[u8], style: u16, book: &Book) -> Option<Option<String>> {
    let result = value.first_chunk::<8>()?;
    Some(match result {
        [0, .., 0xFF, 0xFF] => None,
        [1, _, truth, .., 0xFF, 0xFF] => Some(if *truth == 0 { "false" } else { "true" }.to_owned()),
        [2, _, code, .., 0xFF, 0xFF] => Some(biff::error(*code).to_owned()),
        [_, .., 0xFF, 0xFF] => Some(String::new()),
        number => Some(book.number(f64::from_le_bytes(*number), style).0),
    })
}
