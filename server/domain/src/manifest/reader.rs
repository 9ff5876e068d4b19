//! Reading a manifest record by record, in bounded memory.

use super::{
    Encoding, Format, ReadError, ReadOptions, header,
    input::Input,
    lines::{Cut, Lines},
    record::Record,
};
use crate::{Code, Refusal};
use std::{
    collections::VecDeque,
    io::{Read, Seek},
};

/// Where the records come from: one variant a family of formats.
#[derive(Debug)]
enum Source<R> {
    /// CSV and NDJSON.
    Lines(Lines<R>),
}

impl<R: Read + Seek> Source<R> {
    /// Decides on the format and reads what it needs before the first record.
    fn open(input: R, options: &ReadOptions) -> Result<Self, ReadError> {
        let input = Input::new(input)?;
        match format(input.text(), options)? {
            Format::Csv => Ok(Self::Lines(Lines::csv(input, options)?)),
            Format::Ndjson => Ok(Self::Lines(Lines::ndjson(input))),
            Format::Json
            | Format::Xml
            | Format::Xlsx
            | Format::Xls
            | Format::Ods
            | Format::Microchip
            | Format::Certificates => {
                Err(Refusal::new(Code::ManifestUnreadable, "is in a format that is not read yet").into())
            }
        }
    }

    /// The next record, or `false` at the end. Empty rows may be given or passed over, but are counted.
    fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        match self {
            Self::Lines(lines) => lines.read(record),
        }
    }
}

impl<R> Source<R> {
    const fn format(&self) -> Format {
        match self {
            Self::Lines(lines) => match lines.cut() {
                Cut::Csv { .. } => Format::Csv,
                Cut::Ndjson => Format::Ndjson,
            },
        }
    }
}

/// A manifest that is being read.
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    columns: Vec<String>,
    /// 0 where no row names the columns.
    header_row: u32,
    /// Records that were read while looking for the names of the columns.
    ahead: VecDeque<Record>,
    /// Records above the names of the columns: titles.
    above: Vec<Record>,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the beginning: encoding, format, delimiter, sheet, header. Text is read from where `input` stands and never
    /// sought in; archives and workbooks are.
    ///
    /// # Errors
    /// [`Code::ManifestUnreadable`] when it is no manifest, [`Code::ManifestTooLarge`] when it is over a limit,
    /// [`Code::SheetUnknown`] when a workbook has no such sheet.
    pub fn new(input: R, options: &ReadOptions) -> Result<Self, ReadError> {
        let mut reader = Self {
            source: Source::open(input, options)?,
            columns: Vec::new(),
            header_row: 0,
            ahead: VecDeque::new(),
            above: Vec::new(),
        };
        match reader.format() {
            Format::Csv | Format::Xlsx | Format::Xls | Format::Ods => reader.read_header(options)?,
            Format::Ndjson | Format::Json | Format::Xml | Format::Microchip | Format::Certificates => {
                reader.read_names()?;
            }
        }
        Ok(reader)
    }

    /// The columns are named by a row.
    fn read_header(&mut self, options: &ReadOptions) -> Result<(), ReadError> {
        let next = |record: &mut Record| read_filled(&mut self.source, record);
        let found = header::find(next, options.header_row, &mut self.ahead, &mut self.above)?;
        self.header_row = found.row();
        self.columns = found.cells().map(|cell| cell.trim().to_owned()).collect();
        Ok(())
    }

    /// Each record names its cells; the first stands for them.
    fn read_names(&mut self) -> Result<(), ReadError> {
        let mut record = Record::default();
        if self.read(&mut record)? {
            self.columns = record.fields().map(|(name, _)| name.to_owned()).collect();
            self.ahead.push_back(record);
        }
        Ok(())
    }

    /// Reads the next record that holds anything; `false` at the end. Empty rows are counted and passed over.
    ///
    /// # Errors
    /// [`Code::ManifestTooLarge`] when the file is over a limit, [`Code::ManifestUnreadable`] when it breaks off or
    /// cannot be unpacked, or the stream's own error. A record that is wrong in itself is no error: see
    /// [`Record::fault`].
    pub fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        match self.ahead.pop_front() {
            Some(ahead) => {
                *record = ahead;
                Ok(true)
            }
            None => read_filled(&mut self.source, record),
        }
    }
}

fn read_filled<R: Read + Seek>(source: &mut Source<R>, record: &mut Record) -> Result<bool, ReadError> {
    while source.read(record)? {
        if !record.is_blank() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl<R> Reader<R> {
    /// The names of the columns, in order; where each record names its cells, the names of the first.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What the file is written in.
    pub const fn format(&self) -> Format {
        self.source.format()
    }

    /// What stands between the cells of a CSV file.
    pub const fn delimiter(&self) -> Option<u8> {
        match &self.source {
            Source::Lines(lines) => match lines.cut() {
                Cut::Csv { delimiter } => Some(delimiter),
                Cut::Ndjson => None,
            },
        }
    }

    /// How the file writes characters.
    pub const fn encoding(&self) -> Encoding {
        match &self.source {
            Source::Lines(lines) => lines.input().encoding(),
        }
    }

    /// The sheet that is read, as the workbook calls it.
    pub const fn sheet(&self) -> Option<&str> {
        match &self.source {
            Source::Lines(_) => None,
        }
    }

    /// The row that names the columns, as the file shows it; 0 where each record names its own cells.
    pub const fn header_row(&self) -> u32 {
        self.header_row
    }

    /// XML: the element that is a record, without its namespace.
    pub const fn record_element(&self) -> Option<&str> {
        match &self.source {
            Source::Lines(_) => None,
        }
    }

    /// What stands above the row that names the columns, such as a title: the first rows of it.
    pub fn above(&self) -> &[Record] {
        &self.above
    }

    /// Bytes of the file read so far; all of them for archives and workbooks, which are read from their end.
    pub const fn bytes(&self) -> u64 {
        match &self.source {
            Source::Lines(lines) => lines.input().total(),
        }
    }
}

/// The format: what the user says, else what the content looks like; the file's name is a hint for an error only.
fn format(text: &[u8], options: &ReadOptions) -> Result<Format, Refusal> {
    let first = text.trim_ascii_start().first();
    let name = options.file_name.to_ascii_lowercase();
    let named = [".ndjson", ".jsonl", ".json"]
        .iter()
        .any(|ending| name.ends_with(ending));
    let unreadable = |why| Err(Refusal::new(Code::ManifestUnreadable, why));
    match (options.format, first) {
        (_, None) => unreadable("has no rows"),
        (Some(format), _) => Ok(format),
        (None, Some(b'{')) => Ok(Format::Ndjson),
        (None, Some(b'[')) => unreadable("is a JSON list; write one object a line"),
        (None, Some(b'<')) => unreadable("is XML or HTML; send CSV or NDJSON"),
        (None, Some(_)) if named => unreadable("is called JSON, but does not begin with an object"),
        (None, Some(_)) => Ok(Format::Csv),
    }
}
