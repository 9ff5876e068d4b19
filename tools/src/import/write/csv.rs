//! Results of CSV: the user's cells and ours between the user's delimiters.

use super::{Added, Sink};
use crate::{
    import::rows::{Cell, Table, TextForm},
    output::formula::{neutralise, neutralise_own},
};
use csv::Terminator;
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// Bytes of a usual line: what is put together before it goes to the file's own buffer.
const LINE: usize = 512;

/// Cells between delimiters, under a header.
pub(in crate::import) struct CsvWriter {
    out: Sink,
    delimiter: u8,
    has_returns: bool,
    /// The user's own columns.
    width: usize,
}

impl CsvWriter {
    /// Writes what stands above the rows; `ours` are the names of the columns that are added.
    pub(in crate::import) fn begin(
        out: Sink,
        (table, delimiter, form): (&Table, u8, TextForm),
        ours: &[String],
    ) -> io::Result<Self> {
        let mut writer = Self {
            out,
            delimiter,
            has_returns: form.has_returns,
            width: table.header.len(),
        };
        let mark = if form.has_mark { "\u{feff}" } else { "" };
        writer.out.write_all(mark.as_bytes())?;
        for title in &table.titles {
            writer.line(title.cells.iter().map(|cell| neutralise_own(&cell.text)))?;
        }
        let own = table.header.iter().map(|name| neutralise_own(name));
        writer.line(own.chain(ours.iter().map(|name| neutralise(name))))?;
        Ok(writer)
    }

    pub(super) fn push(&mut self, cells: &[Cell], added: &Added<'_>) -> io::Result<()> {
        // A short row is filled up, or the answers would stand under the user's headings.
        let missing = self.width.saturating_sub(cells.len());
        let own = cells.iter().map(|cell| neutralise_own(&cell.text));
        let own = own.chain(std::iter::repeat_n(Cow::Borrowed(""), missing));
        self.line(own.chain(added.iter().map(|(_, text)| neutralise(text))))
    }

    fn line<'t>(&mut self, cells: impl Iterator<Item = Cow<'t, str>>) -> io::Result<()> {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.delimiter)
            .flexible(true)
            .buffer_capacity(LINE)
            .terminator(match self.has_returns {
                true => Terminator::CRLF,
                false => Terminator::Any(b'\n'),
            })
            .from_writer(&mut self.out);
        for cell in cells {
            writer.write_field(&*cell).map_err(io::Error::other)?;
        }
        writer.write_record(None::<&[u8]>).map_err(io::Error::other)?;
        writer.flush()
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(super) fn finish(self) -> io::Result<Sink> {
        Ok(self.out)
    }
}
