//! Reading a manifest record by record, in bounded memory.

use super::{
    COLUMN_LIMIT, Encoding, Mapping, ROW_COUNT_LIMIT, ROW_LIMIT, csv,
    csv::Split,
    input::Input,
    json,
    record::{Draft, Fault, Record},
};
use crate::{Code, Refusal};
use core::fmt;
use std::io::{self, Read};

/// What a manifest is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Cells between commas, semicolons, tabs or bars; the first row names them.
    Csv,
    /// A JSON object a line.
    Ndjson,
    /// A JSON list of objects, or an object that has one.
    Json,
    /// One XML element a record.
    Xml,
    /// An Excel workbook (ECMA-376).
    Xlsx,
    /// An Excel workbook of before 2007 (MS-XLS).
    Xls,
    /// An OpenDocument spreadsheet (ISO 26300).
    Ods,
    /// A manifest of the Microchip Trust Platform.
    Microchip,
    /// A ZIP archive of certificates, PEM or DER, one device each.
    Certificates,
}

/// What is known of a file before it is read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// As the user calls it; its ending hints at the format.
    pub file_name: String,
    /// The format, where the user gave it.
    pub format: Option<Format>,
    /// Spreadsheets: the sheet; `None`: the first that holds a header.
    pub sheet: Option<String>,
    /// The row that names the columns, as the file shows it; `None`: find it.
    pub header_row: Option<u32>,
    /// XML: the element that is a record; JSON: the key of the list. `None`: find it.
    pub record_path: Option<String>,
    /// DER certificates of which one must have signed each entry of a Microchip manifest.
    pub signers: Vec<Vec<u8>>,
}

/// Why a file cannot be read (on).
#[derive(Debug)]
pub enum ReadError {
    /// The byte stream failed; the file may be sound.
    Input(io::Error),
    /// The file is no manifest, or over a limit.
    Refused(Refusal),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(_) => f.write_str("reading the manifest"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl core::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Input(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}

impl From<Refusal> for ReadError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// How records are told apart.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Csv { delimiter: u8 },
    Ndjson,
}

/// A manifest that is being read.
#[derive(Debug)]
pub struct Reader<R> {
    input: Input<R>,
    cut: Cut,
    columns: Vec<String>,
    /// Rows passed.
    row: u32,
    draft: Draft,
    /// NDJSON: the first object, read for its keys.
    first: Option<Record>,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning: encoding, format, delimiter, header.
    ///
    /// # Errors
    /// [`Code::ManifestUnreadable`] when it is no manifest, [`Code::ManifestTooLarge`] when the header is over a limit.
    pub fn new(input: R, options: &ReadOptions) -> Result<Self, ReadError> {
        let input = Input::new(input)?;
        let format = format(input.text(), options)?;
        let mut reader = Self {
            input,
            cut: Cut::Ndjson,
            columns: Vec::new(),
            row: 0,
            draft: Draft::default(),
            first: None,
        };
        let mut record = Record::default();
        match format {
            Format::Csv => reader.read_header(&mut record, options)?,
            Format::Ndjson => {
                if reader.read(&mut record)? {
                    reader.columns = record.fields().map(|(name, _)| name.to_owned()).collect();
                    reader.first = Some(record);
                }
            }
            Format::Json
            | Format::Xml
            | Format::Xlsx
            | Format::Xls
            | Format::Ods
            | Format::Microchip
            | Format::Certificates => {
                return Err(
                    Refusal::new(Code::ManifestUnreadable, "is in a format that is not read yet").into(),
                );
            }
        }
        Ok(reader)
    }

    fn read_header(&mut self, record: &mut Record, options: &ReadOptions) -> Result<(), ReadError> {
        let delimiter = match declared(self.input.text()) {
            Some((delimiter, length)) => {
                self.input.advance(length);
                self.row += 1;
                delimiter
            }
            None => delimiter(self.input.text(), self.input.is_whole(), options),
        };
        self.cut = Cut::Csv { delimiter };
        if !self.read(record)? {
            return Err(Refusal::new(Code::ManifestUnreadable, "has no rows").into());
        }
        let why = match record.fault() {
            None => None,
            Some(Fault::TooWide) => {
                let why = format!("has more than {COLUMN_LIMIT} columns");
                return Err(Refusal::new(Code::ManifestTooLarge, why).into());
            }
            Some(Fault::TooLong) => Some("has a header over 64 KiB"),
            Some(Fault::OpenQuote) => Some("opens a quote in its header and never closes it"),
            Some(Fault::Cell { why, .. }) => Some(*why),
            Some(Fault::Json(_)) => Some("has no header"),
        };
        if let Some(why) = why {
            return Err(Refusal::new(Code::ManifestUnreadable, why)
                .at(format!("rows[{}]", record.row()))
                .into());
        }
        self.columns = record.cells().map(|cell| cell.trim().to_owned()).collect();
        Ok(())
    }

    /// Reads the next record that holds anything; `false` at the end. Empty rows are counted and passed over.
    ///
    /// # Errors
    /// [`Code::ManifestTooLarge`] when the file is over a limit, or the stream's own error. A record that is wrong in
    /// itself is no error: see [`Record::fault`].
    pub fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        if let Some(first) = self.first.take() {
            *record = first;
            return Ok(true);
        }
        loop {
            let found = match self.cut {
                Cut::Csv { delimiter } => self.read_csv(delimiter, record)?,
                Cut::Ndjson => self.read_object(record)?,
            };
            if !found {
                return Ok(false);
            }
            if !record.is_blank() {
                return Ok(true);
            }
        }
    }

    fn read_csv(&mut self, delimiter: u8, record: &mut Record) -> Result<bool, ReadError> {
        loop {
            let whole = self.input.is_whole();
            if whole && self.input.text().is_empty() {
                return Ok(false);
            }
            match csv::split(self.input.text(), delimiter, whole, &mut self.draft) {
                Split::Record(length) => {
                    self.count()?;
                    self.draft.finish(self.row, &[], record);
                    self.input.advance(length);
                    return Ok(true);
                }
                Split::Cut => {
                    self.input.grow()?;
                }
                Split::Endless => {
                    self.count()?;
                    self.draft.finish(self.row, &[], record);
                    self.skip_line()?;
                    return Ok(true);
                }
            }
        }
    }

    fn read_object(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        loop {
            let text = self.input.text();
            let end = text.iter().position(|&byte| byte == b'\n');
            match end {
                None if !self.input.is_whole() && text.len() <= ROW_LIMIT => {
                    self.input.grow()?;
                    continue;
                }
                None if text.is_empty() => return Ok(false),
                Some(_) | None => {}
            }
            let length = end.unwrap_or(text.len());
            let endless = end.is_none() && !self.input.is_whole();
            let line = text[..length].trim_ascii();
            let blank = line.is_empty();
            if length > ROW_LIMIT {
                self.draft.clear();
                self.draft.fault = Some(Fault::TooLong);
            } else if !blank {
                json::object(line, &mut self.draft);
            }
            self.count()?;
            if !blank {
                let line = self.input.text()[..length].trim_ascii();
                let source = if length > ROW_LIMIT { &[] } else { line };
                self.draft.finish(self.row, source, record);
            }
            if endless {
                self.skip_line()?;
            } else {
                self.input.advance(length + 1);
            }
            if !blank {
                return Ok(true);
            }
        }
    }

    fn count(&mut self) -> Result<(), ReadError> {
        if self.row == ROW_COUNT_LIMIT {
            let why = format!("has more than {ROW_COUNT_LIMIT} rows");
            return Err(Refusal::new(Code::ManifestTooLarge, why).into());
        }
        self.row += 1;
        Ok(())
    }

    /// Passes over the rest of a line that does not fit into the window.
    fn skip_line(&mut self) -> Result<(), ReadError> {
        loop {
            let text = self.input.text();
            if let Some(length) = text.iter().position(|&byte| byte == b'\n') {
                self.input.advance(length + 1);
                return Ok(());
            }
            let length = text.len();
            self.input.advance(length);
            if !self.input.grow()? {
                return Ok(());
            }
        }
    }
}

impl<R> Reader<R> {
    /// The names of the columns, in order; in NDJSON, the keys of the first object.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What the file is written in.
    pub const fn format(&self) -> Format {
        match self.cut {
            Cut::Csv { .. } => Format::Csv,
            Cut::Ndjson => Format::Ndjson,
        }
    }

    /// What stands between the cells of a CSV file.
    pub const fn delimiter(&self) -> Option<u8> {
        match self.cut {
            Cut::Csv { delimiter } => Some(delimiter),
            Cut::Ndjson => None,
        }
    }

    /// How the file writes characters.
    pub const fn encoding(&self) -> Encoding {
        self.input.encoding()
    }

    /// Bytes of the file read so far.
    pub const fn bytes(&self) -> u64 {
        self.input.total()
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

/// The delimiter that a spreadsheet declares in a first line such as `sep=;`, and the length of that line.
fn declared(text: &[u8]) -> Option<(u8, usize)> {
    let (&delimiter, rest) = text.strip_prefix(b"sep=")?.split_first()?;
    let line_break = match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\n' | b'\r', ..] => 1,
        _ => return None,
    };
    let usable = !delimiter.is_ascii_alphanumeric() && delimiter.is_ascii() && delimiter != b'"';
    usable.then_some((delimiter, b"sep=;".len() + line_break))
}

/// The delimiter with which the header makes most sense: most columns that we know, then most columns.
fn delimiter(text: &[u8], whole: bool, options: &ReadOptions) -> u8 {
    let tabs = options.file_name.to_ascii_lowercase().ends_with(".tsv");
    let mut draft = Draft::default();
    let mut best = ((0, 0, false), csv::DELIMITERS[0]);
    // The last of equals wins, so the likely ones come last.
    for delimiter in csv::DELIMITERS.into_iter().rev() {
        let mut record = Record::default();
        let mut rest = text;
        // The header is the first row that holds anything.
        while let Split::Record(length) = csv::split(rest, delimiter, whole, &mut draft) {
            draft.finish(0, &[], &mut record);
            rest = rest.get(length..).unwrap_or_default();
            if !record.is_blank() || length == 0 {
                break;
            }
        }
        let known = record.cells().filter(|cell| Mapping::knows(cell)).count();
        let score = (known, record.len(), tabs && delimiter == b'\t');
        if score >= best.0 {
            best = (score, delimiter);
        }
    }
    best.1
}
