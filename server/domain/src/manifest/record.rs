//! A record: one row of the user's file, as it stands there.

use core::ops::Range;

/// Why a record cannot be used, although the file can be read on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Longer than the limit of rows; its cells are not kept.
    TooLong,
    /// A quote that is opened and never closed within the limit of cells; the record is its first line.
    OpenQuote,
    /// More cells than a row may have; those over it are not kept.
    TooWide,
    /// A cell over its limit, or with bytes that are no characters.
    Cell {
        /// Which, from 0.
        column: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not a flat JSON object; why, for people.
    Json(String),
    /// Not a flat XML element; why, for people.
    Xml(String),
    /// An entry of a manifest of secure elements that is not signed as it must be; why, for people.
    Signature(String),
    /// An entry of a manifest of secure elements, or of an archive, that cannot be used.
    Entry {
        /// What kind of refusal it is.
        code: crate::Code,
        /// Why, for people.
        why: String,
    },
}

/// What a cell was in the file. Its text alone does not tell what a spreadsheet made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// Text, or nothing.
    Text,
    /// A number, which keeps no leading zeros.
    Number,
    /// A date or a time of a spreadsheet, as ISO 8601.
    Date,
    /// True or false.
    Boolean,
    /// An error of a spreadsheet, such as `#N/A`.
    Error,
    /// What a formula came to when the file was saved.
    Formula,
}

/// One cell: places in the text of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    name: (u32, u32),
    value: (u32, u32),
    kind: CellKind,
}

/// One row of a manifest: its cells in the order of the file. Reused from row to row, so that reading does not
/// allocate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    row: u32,
    text: String,
    cells: Vec<Cell>,
    fault: Option<Fault>,
    /// The object as written; empty for all but JSON.
    source: String,
}

impl Record {
    /// As the file shows it: the header is row 1, or further down; in NDJSON the number of the line; in lists of JSON and
    /// XML the place in the list, from 1.
    pub const fn row(&self) -> u32 {
        self.row
    }

    /// How many cells it has.
    pub const fn len(&self) -> usize {
        self.cells.len()
    }

    /// Has it no cell at all?
    pub const fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// A cell's text, unquoted and otherwise as in the file.
    pub fn cell(&self, place: usize) -> Option<&str> {
        self.cells.get(place).map(|cell| self.slice(cell.value))
    }

    /// Every cell's text.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(|cell| self.slice(cell.value))
    }

    /// Names and texts. The name is empty where the header has it; in JSON it is the key, in XML the element, and names
    /// within others follow behind a dot.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cells
            .iter()
            .map(|cell| (self.slice(cell.name), self.slice(cell.value)))
    }

    /// Do its cells have names of their own, rather than those of a header?
    pub fn is_named(&self) -> bool {
        !self.source.is_empty() || self.cells.first().is_some_and(|cell| cell.name.0 < cell.name.1)
    }

    /// The JSON object as written, without the line break; `None` for all but JSON.
    pub fn source(&self) -> Option<&str> {
        Some(self.source.as_str()).filter(|source| !source.is_empty())
    }

    /// Bytes of its cells' texts, about.
    pub const fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Why it cannot be used.
    pub const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// What a cell was in the file; text where there is none.
    pub fn kind(&self, place: usize) -> CellKind {
        self.cells.get(place).map_or(CellKind::Text, |cell| cell.kind)
    }

    /// The same record as another row.
    pub(super) const fn renumber(&mut self, row: u32) {
        self.row = row;
    }

    /// All cells' texts, one behind the other.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Does any cell hold more than blanks?
    pub(super) fn is_blank(&self) -> bool {
        self.fault.is_none() && self.source.is_empty() && self.text.bytes().all(|byte| byte == b' ')
    }

    fn slice(&self, (start, end): (u32, u32)) -> &str {
        let range = Range {
            start: place(start),
            end: place(end),
        };
        self.text.get(range).unwrap_or_default()
    }
}

fn place(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// Builds records; keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) bytes: Vec<u8>,
    cells: Vec<Cell>,
    pub(super) fault: Option<Fault>,
    has_wide: bool,
}

/// Places within a row are small: rows end at 64 KiB.
fn short(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Draft {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.cells.clear();
        self.fault = None;
        self.has_wide = false;
    }

    /// Ends a cell: its name takes `bytes[name..value]`, its value what follows.
    pub(super) fn end_cell(&mut self, name: usize, value: usize, kind: CellKind) {
        let end = self.bytes.len();
        if self.cells.len() == super::COLUMN_LIMIT {
            self.bytes.truncate(name);
            self.has_wide = true;
        } else {
            let (start, middle, end) = (short(name), short(value), short(end));
            self.cells.push(Cell {
                name: (start, middle),
                value: (middle, end),
                kind,
            });
        }
    }

    /// A cell of text with a name.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value.as_bytes());
        self.end_cell(start, middle, CellKind::Text);
    }

    /// Is there a cell of this name already? `name` is the end of the bytes.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        let name = |cell: &Cell| self.bytes.get(place(cell.name.0)..place(cell.name.1));
        self.cells.iter().filter_map(name)
    }

    /// Moves the draft into a record, and finds the faults that any format can have.
    pub(super) fn finish(&mut self, row: u32, source: &[u8], record: &mut Record) {
        record.row = row;
        record.source.clear();
        record.source.push_str(&String::from_utf8_lossy(source));
        record.cells.clear();
        record.text.clear();
        match core::str::from_utf8(&self.bytes) {
            Ok(text) => {
                record.text.push_str(text);
                record.cells.append(&mut self.cells);
            }
            Err(_) => self.finish_lossy(record),
        }
        let long = record
            .cells
            .iter()
            .position(|cell| place(cell.value.1 - cell.value.0) > super::CELL_LIMIT);
        let long = long.map(|column| Fault::Cell {
            column,
            why: "is longer than 4096 bytes",
        });
        let wide = self.has_wide.then_some(Fault::TooWide);
        record.fault = self.fault.take().or(wide).or(long);
    }

    /// The rare case: cell by cell, with a mark where bytes are no characters.
    fn finish_lossy(&mut self, record: &mut Record) {
        let bytes = |range: (u32, u32)| self.bytes.get(place(range.0)..place(range.1)).unwrap_or_default();
        for (column, cell) in self.cells.iter().enumerate() {
            let start = short(record.text.len());
            record.text.push_str(&String::from_utf8_lossy(bytes(cell.name)));
            let middle = short(record.text.len());
            record.text.push_str(&String::from_utf8_lossy(bytes(cell.value)));
            let end = short(record.text.len());
            record.cells.push(Cell {
                name: (start, middle),
                value: (middle, end),
                kind: cell.kind,
            });
            let broken = core::str::from_utf8(bytes(cell.name)).is_err()
                || core::str::from_utf8(bytes(cell.value)).is_err();
            if broken && self.fault.is_none() {
                self.fault = Some(Fault::Cell {
                    column,
                    why: "holds bytes that are no characters",
                });
            }
        }
    }
}
