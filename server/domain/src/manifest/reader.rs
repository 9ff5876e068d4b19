//! Reading a manifest record by record, in bounded memory.

use super::{
    Encoding, Format, ReadError, ReadOptions,
    archive::Archive,
    carried::too_large,
    certificates::{self, Certificates},
    detect::{self, Container, Packed, Text},
    header,
    input::Input,
    lines::{Cut, Lines},
    list::List,
    microchip::{self, Microchip},
    record::Record,
    sheet::{Ods, PART_LIMIT, Xls, Xlsx},
    xml::Xml,
};
use crate::Refusal;
use std::{
    collections::VecDeque,
    io::{Read, Seek},
};

/// Where the records come from: one variant a family of formats.
#[derive(Debug)]
enum Source<R> {
    /// CSV and NDJSON.
    Lines(Lines<R>),
    /// Sheets of Excel, or of what writes as it does.
    Xlsx(Box<Xlsx<R>>),
    /// Sheets of old Excel.
    Xls(Box<Xls>),
    /// Sheets of LibreOffice and others.
    Ods(Box<Ods<R>>),
    /// A list of objects.
    List(List<R>),
    /// Elements that repeat.
    Xml(Box<Xml<R>>),
    /// Secure elements, each entry signed.
    Microchip(Box<Microchip<R>>),
    /// An archive of certificates.
    Certificates(Box<Certificates<R>>),
}

impl<R: Read + Seek> Source<R> {
    /// Decides on the format and reads what it needs before the first record.
    fn open(input: R, options: &ReadOptions) -> Result<Self, ReadError> {
        let input = Input::new(input)?;
        let container = Container::of(input.head());
        let format = detect::format_in(container, options)?;
        match container {
            Container::Text => Self::open_text(input.decoded()?, format, options),
            Container::Archive => Self::open_archive(input.into_source(), format, options),
            Container::Compound => Ok(Self::Xls(Box::new(Xls::open(input.into_source(), options)?))),
        }
    }

    fn open_text(input: Input<R>, format: Option<Format>, options: &ReadOptions) -> Result<Self, ReadError> {
        match detect::text(input.text(), format, options)? {
            Text::Csv => Ok(Self::Lines(Lines::csv(input, options)?)),
            Text::Ndjson => Ok(Self::Lines(Lines::ndjson(input))),
            Text::Json => Ok(Self::List(List::open(input, options)?)),
            Text::Xml => Ok(Self::Xml(Box::new(Xml::open(input, options)?))),
            Text::Microchip => Ok(Self::Microchip(Box::new(Microchip::open(input, options)?))),
        }
    }

    fn open_archive(source: R, format: Option<Format>, options: &ReadOptions) -> Result<Self, ReadError> {
        // What it holds is found by names, so the higher limit is for all; workbooks have one of their own.
        let mut archive = Archive::open(source, certificates::ENTRY_LIMIT)?;
        match detect::packed(&mut archive, format)? {
            Packed::Xlsx => Ok(Self::Xlsx(Box::new(Xlsx::open(workbook(archive)?, options)?))),
            Packed::Ods => Ok(Self::Ods(Box::new(Ods::open(workbook(archive)?, options)?))),
            Packed::Certificates => Ok(Self::Certificates(Box::new(Certificates::open(archive)?))),
        }
    }

    /// The next record, or `false` at the end. Empty rows may be given or passed over, but are counted.
    fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        match self {
            Self::Lines(lines) => lines.read(record),
            Self::Xlsx(sheet) => sheet.read(record),
            Self::Xls(sheet) => sheet.read(record),
            Self::Ods(sheet) => sheet.read(record),
            Self::List(list) => list.read(record),
            Self::Xml(elements) => elements.read(record),
            Self::Microchip(entries) => entries.read(record),
            Self::Certificates(files) => files.read(record),
        }
    }
}

impl<R> Source<R> {
    /// The names of all cells, where they are the same in every file.
    const fn names(&self) -> &'static [&'static str] {
        match self {
            Self::Lines(_) | Self::Xlsx(_) | Self::Xls(_) | Self::Ods(_) | Self::List(_) | Self::Xml(_) => {
                &[]
            }
            Self::Microchip(_) => &microchip::COLUMNS,
            Self::Certificates(_) => &certificates::COLUMNS,
        }
    }

    const fn format(&self) -> Format {
        match self {
            Self::Lines(lines) => match lines.cut() {
                Cut::Csv { .. } => Format::Csv,
                Cut::Ndjson => Format::Ndjson,
            },
            Self::Xlsx(_) => Format::Xlsx,
            Self::Xls(_) => Format::Xls,
            Self::Ods(_) => Format::Ods,
            Self::List(_) => Format::Json,
            Self::Xml(_) => Format::Xml,
            Self::Microchip(_) => Format::Microchip,
            Self::Certificates(_) => Format::Certificates,
        }
    }
}

/// Workbooks have few parts, and more of them are no workbook.
fn workbook<R>(archive: Archive<R>) -> Result<Archive<R>, Refusal> {
    if archive.entries().len() as u64 > PART_LIMIT {
        return Err(too_large(format!("holds more than {PART_LIMIT} parts")));
    }
    Ok(archive)
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
    /// [`Code::ManifestUnreadable`](crate::Code::ManifestUnreadable) when it is no manifest,
    /// [`Code::ManifestTooLarge`](crate::Code::ManifestTooLarge) when it is over a limit,
    /// [`Code::SheetUnknown`](crate::Code::SheetUnknown) when a workbook has no such sheet.
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
            // A first record with a fault does not name all; what comes back from us has more names.
            let fixed = self.source.names();
            let own = record
                .fields()
                .map(|(name, _)| name)
                .filter(|name| !fixed.contains(name));
            self.columns = fixed.iter().copied().chain(own).map(str::to_owned).collect();
            self.ahead.push_back(record);
        }
        Ok(())
    }

    /// Reads the next record that holds anything; `false` at the end. Empty rows are counted and passed over.
    ///
    /// # Errors
    /// [`Code::ManifestTooLarge`](crate::Code::ManifestTooLarge) when the file is over a limit,
    /// [`Code::ManifestUnreadable`](crate::Code::ManifestUnreadable) when it breaks off or cannot be unpacked,
    /// or the stream's own error. A record that is wrong in itself is no error: see [`Record::fault`].
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
            Source::Xlsx(_)
            | Source::Xls(_)
            | Source::Ods(_)
            | Source::List(_)
            | Source::Xml(_)
            | Source::Microchip(_)
            | Source::Certificates(_) => None,
        }
    }

    /// How the file writes characters.
    pub const fn encoding(&self) -> Encoding {
        match &self.source {
            Source::Lines(lines) => lines.input().encoding(),
            Source::List(list) => list.input().encoding(),
            Source::Xml(elements) => elements.input().encoding(),
            Source::Microchip(entries) => entries.input().encoding(),
            Source::Xlsx(_) | Source::Xls(_) | Source::Ods(_) | Source::Certificates(_) => Encoding::Utf8,
        }
    }

    /// The sheet that is read, as the workbook calls it.
    pub const fn sheet(&self) -> Option<&str> {
        match &self.source {
            Source::Lines(_)
            | Source::List(_)
            | Source::Xml(_)
            | Source::Microchip(_)
            | Source::Certificates(_) => None,
            Source::Xlsx(sheet) => Some(sheet.sheet()),
            Source::Xls(sheet) => Some(sheet.sheet()),
            Source::Ods(sheet) => Some(sheet.sheet()),
        }
    }

    /// The row that names the columns, as the file shows it; 0 where each record names its own cells.
    pub const fn header_row(&self) -> u32 {
        self.header_row
    }

    /// XML: where the elements are that are records, as [`ReadOptions::record_path`] says it.
    pub fn record_path(&self) -> Option<String> {
        match &self.source {
            Source::Xml(elements) => Some(elements.path()),
            Source::Lines(_)
            | Source::List(_)
            | Source::Xlsx(_)
            | Source::Xls(_)
            | Source::Ods(_)
            | Source::Microchip(_)
            | Source::Certificates(_) => None,
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
            Source::List(list) => list.input().total(),
            Source::Xml(elements) => elements.input().total(),
            Source::Microchip(entries) => entries.input().total(),
            Source::Certificates(files) => files.archive().length(),
            Source::Xlsx(sheet) => sheet.length(),
            Source::Xls(sheet) => sheet.length(),
            Source::Ods(sheet) => sheet.length(),
        }
    }
}
