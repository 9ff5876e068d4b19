//! Writing rows in the format of the user's own file: one writer a family of formats, all into a [`Sink`].

mod csv;
mod json;
mod ods;
mod sheet;
mod sink;
mod text;
mod xlsx;
mod xml;

pub(super) use csv::CsvWriter;
pub(super) use json::{JsonForm, JsonWriter};
pub(super) use sheet::{Book, SHEET_ROWS, SheetWriter};
pub(crate) use sink::Sink;
pub(super) use xml::XmlWriter;

use super::rows::Row;
use std::{io, path::PathBuf};

/// Names and texts that are added to a row, in order.
pub(super) type Added<'a> = [(&'a str, String)];

/// A file of rows that is being written.
pub(super) enum Writer {
    Csv(CsvWriter),
    Json(JsonWriter),
    Sheet(SheetWriter),
    Xml(Box<XmlWriter>),
}

impl Writer {
    /// Writes a row of the user's and what is added to it.
    pub(super) fn push(&mut self, row: &Row, added: &Added<'_>) -> io::Result<()> {
        match self {
            Self::Csv(writer) => writer.push(&row.cells, added),
            Self::Json(writer) => writer.push(&row.source, added),
            Self::Sheet(writer) => writer.push(row, added),
            Self::Xml(writer) => writer.push(row.number, added),
        }
    }

    /// Brings what was pushed to the file, as far as its format allows: an archive is whole at its end only, and what
    /// is encrypted goes out in blocks.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Csv(writer) => writer.flush(),
            Self::Json(writer) => writer.flush(),
            Self::Sheet(_) => Ok(()),
            Self::Xml(writer) => writer.flush(),
        }
    }

    /// Ends the file and gives it its name.
    pub(super) fn finish(self) -> io::Result<PathBuf> {
        let sink = match self {
            Self::Csv(writer) => writer.finish(),
            Self::Json(writer) => writer.finish(),
            Self::Sheet(writer) => writer.finish(),
            Self::Xml(writer) => writer.finish(),
        };
        sink?.finish()
    }
}
