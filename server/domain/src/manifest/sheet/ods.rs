//! ODS (OpenDocument 1.3, part 3): all sheets are in one part, `content.xml`, which is read as it is unpacked.

use super::{
    Listed, SHEET_LIMIT, choose,
    date::duration,
    line::{Line, add},
    number,
    workbook::buffered,
};
use crate::{
    Code, Refusal,
    manifest::{
        COLUMN_LIMIT, ROW_COUNT_LIMIT, ReadError, ReadOptions,
        archive::{Archive, Entry},
        carried::too_large,
        header,
        markup::{Markup, Tag, Token},
        part::Part,
        record::{CellKind, Record},
    },
};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Seek},
};

/// How often a row that holds something may be repeated: rows that are all the same are no devices.
const REPEAT_LIMIT: u32 = 1024;
/// Most blanks that one element stands for: as many as a cell holds.
const BLANKS: u32 = 4 << 10;
/// Most styles of sheets that are looked at.
const STYLE_LIMIT: usize = 4096;

/// A sheet that is being read.
#[derive(Debug)]
pub(in crate::manifest) struct Ods<R> {
    table: Table<BufReader<Part<R>>>,
    name: String,
    length: u64,
}

impl<R: Read + Seek> Ods<R> {
    pub(in crate::manifest) fn open(
        mut archive: Archive<R>,
        options: &ReadOptions,
    ) -> Result<Self, ReadError> {
        refuse_encrypted(&mut archive)?;
        let entry = archive.entry("content.xml").ok_or_else(|| {
            Refusal::new(
                Code::ManifestUnreadable,
                "is an archive that holds no spreadsheet",
            )
        })?;
        let sheets = contents(archive.part(&entry)?)?;
        let place = choose(&sheets, options, |place| {
            look(&mut archive, &entry, place, options)
        })?;
        let name = sheets
            .get(place)
            .map(|sheet| sheet.name.clone())
            .unwrap_or_default();
        let length = archive.length();
        let table = Table::new(buffered(archive.into_part(&entry)?), place)?;
        Ok(Self { table, name, length })
    }

    pub(in crate::manifest) fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        self.table.read(record)
    }
}

impl<R> Ods<R> {
    pub(in crate::manifest) const fn sheet(&self) -> &str {
        self.name.as_str()
    }

    pub(in crate::manifest) const fn length(&self) -> u64 {
        self.length
    }
}

fn look<R: Read + Seek>(
    archive: &mut Archive<R>,
    entry: &Entry,
    place: usize,
    options: &ReadOptions,
) -> Result<header::Found, ReadError> {
    let mut table = Table::new(buffered(archive.part(entry)?), place)?;
    header::look(|record| table.read(record), options.header_row)
}

/// With a password, the parts are encrypted and the manifest of the archive says so.
fn refuse_encrypted<R: Read + Seek>(archive: &mut Archive<R>) -> Result<(), ReadError> {
    let Some(entry) = archive.entry("META-INF/manifest.xml") else {
        return Ok(());
    };
    let mut markup = Markup::new(buffered(archive.part(&entry)?));
    loop {
        match markup.next()? {
            Token::Open(tag) if tag.name() == "encryption-data" => {
                let why = "is encrypted; save it without a password";
                return Err(Refusal::new(Code::ManifestUnreadable, why).into());
            }
            Token::Open(_) | Token::Close(_) | Token::Text(_) => {}
            Token::End => return Ok(()),
        }
    }
}

/// The sheets, in order. What they hold is passed over; the whole part is read, which shows whether it is sound.
fn contents(part: Part<impl Read>) -> Result<Vec<Listed>, ReadError> {
    let mut markup = Markup::new(buffered(part));
    let mut sheets = Vec::new();
    let mut hidden = BTreeSet::new();
    let mut style = String::new();
    loop {
        match markup.next()? {
            Token::Open(tag) => match tag.name() {
                "style" => style = tag.attribute("name")?.unwrap_or_default().into_owned(),
                "table-properties"
                    if tag.attribute("display")?.as_deref() == Some("false")
                        && hidden.len() < STYLE_LIMIT =>
                {
                    hidden.insert(style.clone());
                }
                "table" => {
                    let name = tag.attribute("name")?.unwrap_or_default().into_owned();
                    let is_hidden = tag
                        .attribute("style-name")?
                        .is_some_and(|style| hidden.contains(&*style));
                    sheets.push(Listed { name, is_hidden });
                    markup.skip()?;
                }
                _ => {}
            },
            Token::Close(_) | Token::Text(_) => {}
            Token::End => return Ok(sheets),
        }
        if sheets.len() > SHEET_LIMIT {
            return Err(too_large(format!("has more than {SHEET_LIMIT} sheets")).into());
        }
    }
}

/// The rows of one sheet.
#[derive(Debug)]
struct Table<B> {
    markup: Markup<B>,
    line: Line,
    cell: Cell,
    /// Rows passed.
    row: u32,
    /// The last row, and how often it is to be given again.
    last: Record,
    again: u32,
    /// How many elements were open within the sheet; `None` behind it.
    depth: Option<usize>,
}

/// One cell, as written. Keeps its memory.
#[derive(Debug, Default)]
struct Cell {
    kind: Option<CellKind>,
    /// The value beside the text that is shown.
    value: String,
    is_formula: bool,
    repeated: usize,
    shown: String,
    has_paragraph: bool,
}

impl<B: BufRead> Table<B> {
    /// Goes to the sheet at this place.
    fn new(source: B, place: usize) -> Result<Self, ReadError> {
        let mut markup = Markup::new(source);
        let mut passed = 0;
        let depth = loop {
            match markup.next()? {
                Token::Open(tag) if tag.name() == "table" => {
                    if passed == place {
                        break Some(markup.depth());
                    }
                    passed += 1;
                    markup.skip()?;
                }
                Token::Open(_) | Token::Close(_) | Token::Text(_) => {}
                Token::End => break None,
            }
        };
        Ok(Self {
            markup,
            line: Line::default(),
            cell: Cell::default(),
            row: 0,
            last: Record::default(),
            again: 0,
            depth,
        })
    }

    /// The next row, be it empty. Rows may be grouped, and those that print on each page are in a group too.
    fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        if self.again > 0 {
            self.again -= 1;
            self.row += 1;
            self.last.renumber(self.row);
            record.clone_from(&self.last);
            return Ok(true);
        }
        let Some(depth) = self.depth else {
            return Ok(false);
        };
        loop {
            match self.markup.next()? {
                Token::Open(tag) => match tag.name() {
                    "table-row" => {
                        let times = repeated(&tag, "number-rows-repeated")?;
                        return self.read_row(times, record).map(|()| true);
                    }
                    "table-row-group" | "table-header-rows" | "table-rows" => {}
                    _ => self.markup.skip()?,
                },
                Token::Text(_) => {}
                Token::Close(_) | Token::End => {}
            }
            if self.markup.depth() < depth {
                self.depth = None;
                return Ok(false);
            }
        }
    }

    fn read_row(&mut self, times: u32, record: &mut Record) -> Result<(), ReadError> {
        self.line.begin();
        self.read_cells()?;
        self.row = self.row.saturating_add(1);
        self.line.end(self.row, record)?;
        if record.is_blank() {
            self.row = self.row.saturating_add(times - 1);
            return Ok(());
        }
        if self.row.saturating_add(times) > ROW_COUNT_LIMIT {
            return Err(too_large(format!("has more than {ROW_COUNT_LIMIT} rows")).into());
        }
        if times > REPEAT_LIMIT {
            let why = format!("repeats its row {} more than {REPEAT_LIMIT} times", self.row);
            return Err(too_large(why).into());
        }
        if times > 1 {
            self.again = times - 1;
            self.last.clone_from(record);
        }
        Ok(())
    }

    fn read_cells(&mut self) -> Result<(), ReadError> {
        let mut column = 0usize;
        loop {
            match self.markup.next()? {
                Token::Open(tag) if matches!(tag.name(), "table-cell" | "covered-table-cell") => {
                    // What a merged cell covers is not shown, so it is no data.
                    let is_covered = tag.name() == "covered-table-cell";
                    self.cell.begin(&tag)?;
                    self.read_cell()?;
                    let (text, kind) = if is_covered {
                        (String::new(), CellKind::Text)
                    } else {
                        self.cell.render()
                    };
                    let times = if text.is_empty() { 0 } else { self.cell.repeated };
                    for place in (column..column.saturating_add(times)).take(COLUMN_LIMIT + 1) {
                        self.line.put(place, &text, kind);
                    }
                    column = column.saturating_add(self.cell.repeated);
                }
                Token::Open(_) => self.markup.skip()?,
                Token::Text(_) => {}
                // Cells are read to their ends, so this is the end of the row.
                Token::Close(_) | Token::End => return Ok(()),
            }
        }
    }

    fn read_cell(&mut self) -> Result<(), ReadError> {
        let outside = self.markup.depth() - 1;
        let mut is_paragraph = false;
        while self.markup.depth() > outside {
            match self.markup.next()? {
                Token::Open(tag) => match tag.name() {
                    "p" => {
                        if self.cell.has_paragraph {
                            add(&mut self.cell.shown, "\n");
                        }
                        (is_paragraph, self.cell.has_paragraph) = (true, true);
                    }
                    "s" => {
                        let blanks = repeated(&tag, "c")?.min(BLANKS);
                        (0..blanks).for_each(|_| add(&mut self.cell.shown, " "));
                    }
                    "tab" => add(&mut self.cell.shown, "\t"),
                    "line-break" => add(&mut self.cell.shown, "\n"),
                    "span" | "a" => {}
                    // Notes, drawings and how to pronounce it.
                    _ => self.markup.skip()?,
                },
                Token::Text(text) if is_paragraph => add(&mut self.cell.shown, &text),
                Token::Text(_) => {}
                Token::Close(tag) => is_paragraph &= tag.name() != "p",
                Token::End => return Ok(()),
            }
        }
        Ok(())
    }
}

/// A count that an attribute gives; 1 without.
fn repeated(tag: &Tag<'_>, name: &str) -> Result<u32, ReadError> {
    let count = tag
        .attribute(name)?
        .map(|count| count.parse::<u64>().unwrap_or(1));
    Ok(u32::try_from(count.unwrap_or(1).max(1)).unwrap_or(u32::MAX))
}

impl Cell {
    fn begin(&mut self, tag: &Tag<'_>) -> Result<(), ReadError> {
        self.value.clear();
        self.shown.clear();
        (self.kind, self.is_formula, self.has_paragraph) = (None, false, false);
        self.repeated = usize::try_from(repeated(tag, "number-columns-repeated")?).unwrap_or(usize::MAX);
        for attribute in tag.attributes() {
            let (name, value) = attribute?;
            match name {
                // Excel's and LibreOffice's own kinds have the same name; only they know errors.
                "value-type" if self.kind.is_none() || value == "error" => self.kind = Some(kind(&value)),
                "formula" => self.is_formula = true,
                "value" | "date-value" | "time-value" | "boolean-value" | "string-value" => {
                    self.value.clear();
                    add(&mut self.value, &value);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn render(&self) -> (String, CellKind) {
        let kind = self.kind.unwrap_or(CellKind::Text);
        let text = match kind {
            CellKind::Number => {
                let number = self
                    .value
                    .trim()
                    .parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite());
                number.map_or_else(|| self.shown.clone(), number::show)
            }
            CellKind::Date => duration(&self.value).unwrap_or_else(|| self.value.clone()),
            CellKind::Boolean => self.value.clone(),
            CellKind::Text | CellKind::Formula if !self.has_paragraph => self.value.clone(),
            CellKind::Text | CellKind::Formula | CellKind::Error => self.shown.clone(),
        };
        (text, if self.is_formula { CellKind::Formula } else { kind })
    }
}

fn kind(name: &str) -> CellKind {
    match name {
        "float" | "percentage" | "currency" => CellKind::Number,
        "date" | "time" => CellKind::Date,
        "boolean" => CellKind::Boolean,
        "error" => CellKind::Error,
        _ => CellKind::Text,
    }
}
