//! Results of workbooks: a sheet that is written row by row into an archive, so that memory does not grow with it and
//! nothing lies on disk beside the file itself, which may be encrypted.
//!
//! Every text is typed as text and every column is formatted as text: nothing is a formula, and nothing that is
//! written later is taken for a number or a date. Numbers, dates and truths of the user's stay what they were.

use super::{Added, Sink, ods, xlsx};
use crate::import::rows::{Cell, Row, Table};
use muster_domain::manifest::CellKind;
use std::io::{self, Write as _};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

/// Rows that a sheet can have, in every program that reads these files.
pub(in crate::import) const SHEET_ROWS: u32 = 1_048_576;
/// Characters of a sheet's name, and those that it may not have (ECMA-376, Excel's own limits).
const NAME_LIMIT: usize = 31;
const NAME_BANNED: [char; 7] = ['[', ']', ':', '*', '?', '/', '\\'];

/// What kind of workbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::import) enum Book {
    /// Excel (ECMA-376).
    Xlsx,
    /// OpenDocument (ISO 26300).
    Ods,
}

/// How a cell looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::import) enum Look {
    Plain,
    /// A heading of the user's.
    Heading,
    /// A heading of ours.
    Ours,
}

/// A cell with its place in the row.
#[derive(Debug, Clone, Copy)]
pub(in crate::import) struct Slot<'a> {
    /// From 0.
    pub(in crate::import) column: usize,
    pub(in crate::import) text: &'a str,
    pub(in crate::import) kind: CellKind,
    pub(in crate::import) look: Look,
}

/// A part of an archive: its name and what is in it.
pub(super) type Part = (&'static str, String);

/// A sheet that is being written.
pub(in crate::import) struct SheetWriter {
    /// It holds tables of its compression: large.
    archive: Box<ZipWriter<zip::write::StreamWriter<Sink>>>,
    book: Book,
    /// The user's own columns.
    width: usize,
    /// The next row, from 1.
    next: u32,
    /// XML of a row; kept for its memory.
    xml: String,
    /// Rows stand one below the other, whatever their numbers.
    is_dense: bool,
}

/// The same file is made of the same rows, whenever.
fn options(book: Book, name: &str) -> SimpleFileOptions {
    let method = match (book, name) {
        // ODF 1.3 part 2, 3.3: a program knows the format by the first bytes of the archive.
        (Book::Ods, ods::MIMETYPE) => CompressionMethod::Stored,
        (Book::Xlsx | Book::Ods, _) => CompressionMethod::Deflated,
    };
    SimpleFileOptions::default()
        .compression_method(method)
        .last_modified_time(DateTime::default())
}

fn sheet_name(name: &str) -> String {
    let allowed = name
        .chars()
        .filter(|c| !NAME_BANNED.contains(c) && !c.is_control());
    let name: String = allowed.take(NAME_LIMIT).collect();
    match name.trim().trim_matches('\'') {
        "" => "Devices".to_owned(),
        name => name.to_owned(),
    }
}

impl SheetWriter {
    /// Writes what stands above the rows; `ours` are the names of the columns that are added.
    pub(in crate::import) fn begin(
        out: Sink,
        (table, book, sheet): (&Table, Book, &str),
        ours: &[String],
    ) -> io::Result<Self> {
        let mut archive = Box::new(ZipWriter::new_stream(out));
        let name = sheet_name(sheet);
        let width = table.header.len();
        let columns = width + ours.len();
        let (parts, (body, head)) = match book {
            Book::Xlsx => (xlsx::parts(&name), xlsx::head(columns, table.header_row)),
            Book::Ods => (ods::parts(), ods::head(&name, columns)),
        };
        for (name, content) in parts {
            archive
                .start_file(name, options(book, name))
                .map_err(io::Error::other)?;
            archive.write_all(content.as_bytes())?;
        }
        archive
            .start_file(body, options(book, body))
            .map_err(io::Error::other)?;
        archive.write_all(head.as_bytes())?;
        let mut writer = Self {
            archive,
            book,
            width,
            next: 1,
            xml: String::new(),
            is_dense: false,
        };
        for title in &table.titles {
            writer.row(title.number, slots(&title.cells, width, &[]))?;
        }
        let heading = |column, text, look| Slot {
            column,
            text,
            kind: CellKind::Text,
            look,
        };
        let own = table.header.iter().enumerate();
        let own = own.map(|(column, name)| heading(column, name, Look::Heading));
        let ours = ours.iter().enumerate();
        let ours = ours.map(|(place, name)| heading(width + place, name, Look::Ours));
        writer.row(table.header_row, own.chain(ours))?;
        Ok(writer)
    }

    /// The sheet holds some of many rows, and says itself which: it has no gaps.
    pub(in crate::import) const fn dense(mut self) -> Self {
        self.is_dense = true;
        self
    }

    /// Rows keep their numbers where they can: answers are found by them.
    pub(super) fn push(&mut self, row: &Row, added: &Added<'_>) -> io::Result<()> {
        let number = if self.is_dense { self.next } else { row.number };
        self.row(number, slots(&row.cells, self.width, added))
    }

    /// Writes a row under its number, or the next one where that is used already.
    pub(in crate::import) fn row<'c>(
        &mut self,
        number: u32,
        cells: impl Iterator<Item = Slot<'c>>,
    ) -> io::Result<()> {
        let number = number.max(self.next);
        if number > SHEET_ROWS {
            return Err(io::Error::other(format!(
                "a sheet has no more than {SHEET_ROWS} rows"
            )));
        }
        self.xml.clear();
        match self.book {
            Book::Xlsx => xlsx::row(&mut self.xml, number, cells),
            Book::Ods => ods::row(&mut self.xml, number - self.next, cells),
        }
        self.next = number + 1;
        self.archive.write_all(self.xml.as_bytes())
    }

    /// The number of the next row.
    pub(in crate::import) const fn next(&self) -> u32 {
        self.next
    }

    pub(in crate::import) fn finish(mut self) -> io::Result<Sink> {
        let tail = match self.book {
            Book::Xlsx => xlsx::TAIL,
            Book::Ods => ods::TAIL,
        };
        self.archive.write_all(tail.as_bytes())?;
        let stream = self.archive.finish().map_err(io::Error::other)?;
        Ok(stream.into_inner())
    }
}

/// The cells of a row: the user's under the user's headings, ours under ours, and behind both what had no heading.
fn slots<'c>(cells: &'c [Cell], width: usize, added: &'c Added<'_>) -> impl Iterator<Item = Slot<'c>> {
    let (own, more) = cells.split_at(width.min(cells.len()));
    let slot = |column: usize, cell: &'c Cell| Slot {
        column,
        text: &cell.text,
        kind: cell.kind,
        look: Look::Plain,
    };
    let ours = added.iter().enumerate().map(move |(place, (_, text))| Slot {
        column: width + place,
        text,
        kind: CellKind::Text,
        look: Look::Plain,
    });
    let behind = width + added.len();
    let own = own.iter().enumerate().map(move |(place, cell)| slot(place, cell));
    let more = more.iter().enumerate();
    own.chain(ours)
        .chain(more.map(move |(place, cell)| slot(behind + place, cell)))
}
