//! What a file of the user's looks like, as far as its results follow it.

use super::FILE_COLUMN;
use crate::import::ours::{Earlier, Mark};
use muster_domain::manifest::{CellKind, Encoding, Format, Reader, Record};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// One cell of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::import) struct Cell {
    pub(in crate::import) text: String,
    pub(in crate::import) kind: CellKind,
}

impl Cell {
    pub(in crate::import) fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            kind: CellKind::Text,
        }
    }
}

/// One row of the user's file.
#[derive(Clone, Default, PartialEq, Eq)]
pub(in crate::import) struct Row {
    /// As the file counts.
    pub(in crate::import) number: u32,
    /// Of tables: the user's own cells.
    pub(in crate::import) cells: Vec<Cell>,
    /// Of JSON: the user's own object.
    pub(in crate::import) source: String,
    /// What an earlier import said, where this file is its results or its refused rows.
    pub(in crate::import) earlier: Earlier,
}

/// What stands above the rows of a table.
#[derive(Clone, Default, PartialEq, Eq)]
pub(in crate::import) struct Table {
    /// The user's own columns.
    pub(in crate::import) header: Vec<String>,
    /// Where they stand, from 1.
    pub(in crate::import) header_row: u32,
    /// Rows above: titles and notes.
    pub(in crate::import) titles: Vec<Row>,
    /// An earlier import added a column of certificates, of keys.
    pub(in crate::import) has_certificates: bool,
    pub(in crate::import) has_keys: bool,
}

/// How results of the file are written.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::import) enum Style {
    /// Cells between delimiters, under a header.
    Csv {
        /// Between the cells.
        delimiter: u8,
        table: Table,
    },
    /// A sheet of a workbook. Other sheets are not kept. Old workbooks of Excel become new ones.
    Sheet {
        /// OpenDocument, not Excel.
        is_ods: bool,
        name: String,
        table: Table,
    },
    /// One JSON object a line.
    Ndjson,
    /// A list of JSON objects. What stands around a list is not kept.
    Json,
    /// A list of entries that are signed: ours are in one member.
    Microchip,
    /// The user's document.
    Xml {
        path: PathBuf,
        /// The elements that are records: `/lot/devices/device`, or the end of that.
        record: String,
        encoding: Encoding,
    },
}

impl Style {
    /// The name under which results are understood: where they are written in another format than the file they
    /// answer, an ending of that would be wrong.
    pub(in crate::import) fn named(&self, path: &Path) -> PathBuf {
        let has = |endings: &[&str]| {
            let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
            endings.iter().any(|known| ending == *known)
        };
        match self {
            Self::Sheet { is_ods: false, .. } if has(&["xls", "xlsm"]) => path.with_extension("xlsx"),
            Self::Csv { .. } if has(&["zip"]) => path.with_extension("csv"),
            _ => path.to_owned(),
        }
    }
}

/// The style of a file. `marks` say which of its columns are ours.
pub(super) fn of<R>(path: &Path, reader: &Reader<R>, marks: &[Option<Mark>]) -> Style {
    let is_ods = match reader.format() {
        Format::Csv => {
            return Style::Csv {
                delimiter: reader.delimiter().unwrap_or(b','),
                table: table(reader, marks),
            };
        }
        Format::Certificates => {
            let header = vec![FILE_COLUMN.to_owned()];
            return Style::Csv {
                delimiter: b',',
                table: Table {
                    header,
                    header_row: 1,
                    ..Table::default()
                },
            };
        }
        Format::Ndjson => return Style::Ndjson,
        Format::Json => return Style::Json,
        Format::Microchip => return Style::Microchip,
        Format::Xml => {
            return Style::Xml {
                path: path.to_owned(),
                record: reader.record_path().unwrap_or_default(),
                encoding: reader.encoding(),
            };
        }
        Format::Ods => true,
        Format::Xlsx | Format::Xls => false,
    };
    Style::Sheet {
        is_ods,
        name: reader.sheet().unwrap_or_default().to_owned(),
        table: table(reader, marks),
    }
}

fn table<R>(reader: &Reader<R>, marks: &[Option<Mark>]) -> Table {
    let own = reader.columns().iter().zip(marks);
    let header = own.filter(|(_, mark)| mark.is_none());
    Table {
        header: header.map(|(name, _)| name.clone()).collect(),
        header_row: reader.header_row(),
        titles: reader.above().iter().map(title).collect(),
        has_certificates: marks.contains(&Some(Mark::Certificate)),
        has_keys: marks.contains(&Some(Mark::Key)),
    }
}

fn title(record: &Record) -> Row {
    let cells = record.cells().enumerate().map(|(place, text)| Cell {
        text: text.to_owned(),
        kind: record.kind(place),
    });
    Row {
        number: record.row(),
        cells: cells.collect(),
        ..Row::default()
    }
}

/// How its text is written, as far as the results follow it. They are UTF-8 whatever the manifest is: messages may hold
/// any character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::import) struct TextForm {
    /// Results of CSV begin with a byte order mark, unless the manifest is UTF-8 without one: whatever program wrote
    /// it may take unmarked text for its own encoding.
    pub(in crate::import) has_mark: bool,
    /// Lines end with CR LF.
    pub(in crate::import) has_returns: bool,
}

/// Where the first line end is looked for: no header is longer.
const FIRST_BLOCK: u64 = 64 << 10;

impl TextForm {
    /// The form of a file.
    pub(super) fn of(path: &Path, encoding: Encoding) -> io::Result<Self> {
        let mut block = Vec::new();
        File::open(path)?.take(FIRST_BLOCK).read_to_end(&mut block)?;
        // UTF-16 of these two characters has a zero beside each.
        let mut text = block.iter().filter(|&&byte| byte != 0);
        let mut before = None;
        let ends_with_return = text.find_map(|&byte| {
            let end = (byte == b'\n').then_some(before == Some(b'\r'));
            before = Some(byte);
            end
        });
        Ok(Self {
            has_mark: encoding != Encoding::Utf8 || block.starts_with(b"\xEF\xBB\xBF"),
            has_returns: ends_with_return == Some(true),
        })
    }
}
