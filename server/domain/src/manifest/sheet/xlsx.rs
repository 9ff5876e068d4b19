//! XLSX (ECMA-376): the rows of a sheet as they are unpacked; only the shared texts are held.

use super::{
    choose,
    date::Epoch,
    line::{Line, add},
    number,
    strings::{Strings, unescape},
    styles::Styles,
    workbook::{Workbook, buffered},
};
use crate::manifest::{
    ROW_COUNT_LIMIT, ReadError, ReadOptions,
    archive::Archive,
    carried::{damaged, too_large},
    header,
    markup::{Markup, Tag, Token},
    part::Part,
    record::{CellKind, Record},
};
use std::{
    borrow::Cow,
    io::{BufRead, BufReader, Read, Seek},
};

/// What the cells of all sheets refer to.
#[derive(Debug)]
struct Book {
    epoch: Epoch,
    strings: Strings,
    styles: Styles,
}

/// A sheet of a workbook that is being read.
#[derive(Debug)]
pub(in crate::manifest) struct Xlsx<R> {
    book: Book,
    sheet: Sheet<BufReader<Part<R>>>,
    name: String,
    length: u64,
}

impl<R: Read + Seek> Xlsx<R> {
    pub(in crate::manifest) fn open(
        mut archive: Archive<R>,
        options: &ReadOptions,
    ) -> Result<Self, ReadError> {
        let workbook = Workbook::read(&mut archive)?;
        let book = Book {
            epoch: workbook.epoch,
            strings: match &workbook.strings {
                Some(entry) => Strings::read(buffered(archive.part(entry)?))?,
                None => Strings::default(),
            },
            styles: match &workbook.styles {
                Some(entry) => Styles::read(buffered(archive.part(entry)?))?,
                None => Styles::default(),
            },
        };
        let lost = || damaged("lacks one of its sheets");
        let place = choose(&workbook.sheets, options, |place| {
            let entry = workbook.parts.get(place).ok_or_else(lost)?;
            let mut sheet = Sheet::new(buffered(archive.part(entry)?));
            header::look(|record| sheet.read(&book, record), options.header_row)
        })?;
        let entry = workbook.parts.get(place).ok_or_else(lost)?;
        let listed = workbook.sheets.get(place).ok_or_else(lost)?;
        let length = archive.length();
        Ok(Self {
            book,
            sheet: Sheet::new(buffered(archive.into_part(entry)?)),
            name: listed.name.clone(),
            length,
        })
    }

    pub(in crate::manifest) fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        self.sheet.read(&self.book, record)
    }
}

impl<R> Xlsx<R> {
    pub(in crate::manifest) const fn sheet(&self) -> &str {
        self.name.as_str()
    }

    pub(in crate::manifest) const fn length(&self) -> u64 {
        self.length
    }
}

/// The rows of a sheet.
#[derive(Debug)]
struct Sheet<B> {
    markup: Markup<B>,
    line: Line,
    cell: Cell,
    row: u32,
    is_data: bool,
}

/// How the value of a cell is to be understood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Type {
    #[default]
    Number,
    Shared,
    Text,
    Boolean,
    Error,
    Date,
}

/// One cell, as written. Keeps its memory.
#[derive(Debug, Default)]
struct Cell {
    column: usize,
    style: usize,
    kind: Type,
    value: String,
    formula: Option<String>,
}

/// Within which element of a cell text counts.
#[derive(Debug, Clone, Copy)]
enum Place {
    Nowhere,
    Value,
    Formula,
}

impl<B: BufRead> Sheet<B> {
    fn new(source: B) -> Self {
        Self {
            markup: Markup::new(source),
            line: Line::default(),
            cell: Cell::default(),
            row: 0,
            is_data: false,
        }
    }

    /// The next row that is written down, be it empty. Behind the last one the part is read to its end, which shows
    /// whether it is whole.
    fn read(&mut self, book: &Book, record: &mut Record) -> Result<bool, ReadError> {
        loop {
            match self.markup.next()? {
                Token::Open(tag) => match tag.name() {
                    "worksheet" => {}
                    "sheetData" => self.is_data = true,
                    "row" if self.is_data => {
                        let number = tag.attribute("r")?.map(|number| number.parse());
                        self.row = next_row(self.row, number)?;
                        self.line.begin();
                        self.read_cells(book)?;
                        self.line.end(self.row, record)?;
                        return Ok(true);
                    }
                    _ => self.markup.skip()?,
                },
                Token::Close(tag) => self.is_data &= tag.name() != "sheetData",
                Token::Text(_) => {}
                Token::End => return Ok(false),
            }
        }
    }

    fn read_cells(&mut self, book: &Book) -> Result<(), ReadError> {
        let mut next = 0;
        loop {
            match self.markup.next()? {
                Token::Open(tag) if tag.name() == "c" => {
                    self.cell.begin(&tag, next)?;
                    next = self.cell.column + 1;
                    self.read_cell()?;
                    let (text, kind) = self.cell.render(book)?;
                    self.line.put(self.cell.column, &text, kind);
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
        let mut place = Place::Nowhere;
        loop {
            match self.markup.next()? {
                Token::Open(tag) => match tag.name() {
                    "v" | "t" => place = Place::Value,
                    "f" => {
                        place = Place::Formula;
                        self.cell.formula = Some(String::new());
                    }
                    "is" | "r" => {}
                    _ => self.markup.skip()?,
                },
                Token::Text(text) => match place {
                    Place::Nowhere => {}
                    Place::Value => add(&mut self.cell.value, &text),
                    Place::Formula => add(self.cell.formula.get_or_insert_default(), &text),
                },
                Token::Close(_) => place = Place::Nowhere,
                Token::End => return Ok(()),
            }
            if self.markup.depth() <= outside {
                return Ok(());
            }
        }
    }
}

/// The number of a row: the one it has, or else the next.
fn next_row<E>(last: u32, number: Option<Result<u32, E>>) -> Result<u32, ReadError> {
    let row = match number {
        Some(Ok(row)) => row,
        Some(Err(_)) => return Err(damaged("has a row without a number").into()),
        None => last + 1,
    };
    if row <= last {
        return Err(damaged(&format!("has row {row} behind row {last}")).into());
    }
    if row > ROW_COUNT_LIMIT {
        return Err(too_large(format!("has more than {ROW_COUNT_LIMIT} rows")).into());
    }
    Ok(row)
}

/// The column of a reference such as `AB12`, from 0.
fn column(reference: &str) -> Option<usize> {
    /// `XFD`, the last column of a sheet.
    const LAST: usize = 16_384;
    let letters = reference.bytes().take_while(u8::is_ascii_alphabetic);
    let column = letters.take(4).fold(0, |column, letter| {
        column * 26 + usize::from(letter.to_ascii_uppercase() - b'A') + 1
    });
    (1..=LAST).contains(&column).then(|| column - 1)
}

impl Cell {
    /// Starts over with the attributes of a cell, which is at `next` unless it says more.
    fn begin(&mut self, tag: &Tag<'_>, next: usize) -> Result<(), ReadError> {
        self.value.clear();
        (self.column, self.style, self.kind, self.formula) = (next, 0, Type::Number, None);
        for attribute in tag.attributes() {
            let (name, value) = attribute?;
            match name {
                "r" => self.column = column(&value).ok_or_else(|| damaged("has a cell that is nowhere"))?,
                "s" => self.style = value.parse().unwrap_or_default(),
                "t" => self.kind = kind(&value),
                _ => {}
            }
        }
        if self.column < next {
            return Err(damaged("has cells out of their order").into());
        }
        Ok(())
    }

    /// The text of the cell, and what it was.
    fn render<'c>(&'c self, book: &'c Book) -> Result<(Cow<'c, str>, CellKind), ReadError> {
        let (text, kind) = match self.kind {
            Type::Number => self.number(book),
            Type::Shared => (self.shared(&book.strings)?.into(), CellKind::Text),
            Type::Text if self.value.contains("_x") => (unescape(&self.value).into(), CellKind::Text),
            Type::Text => (self.value.as_str().into(), CellKind::Text),
            Type::Boolean if self.value == "1" => ("true".into(), CellKind::Boolean),
            Type::Boolean if self.value == "0" => ("false".into(), CellKind::Boolean),
            Type::Boolean => (self.value.as_str().into(), CellKind::Boolean),
            Type::Error => (self.value.as_str().into(), CellKind::Error),
            Type::Date => (self.value.as_str().into(), CellKind::Date),
        };
        Ok(match &self.formula {
            None => (text, kind),
            // No program calculated it, not even to an empty text: what is there is the formula.
            Some(formula) if text.is_empty() && self.kind == Type::Number => {
                (format!("={formula}").into(), CellKind::Formula)
            }
            Some(_) => (text, CellKind::Formula),
        })
    }

    fn number(&self, book: &Book) -> (Cow<'_, str>, CellKind) {
        let number = self
            .value
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite());
        let Some(number) = number else {
            return (self.value.as_str().into(), CellKind::Text);
        };
        let date = book.styles.is_date(self.style).then(|| book.epoch.iso(number));
        match date.flatten() {
            Some(date) => (date.into(), CellKind::Date),
            None => (number::show(number).into(), CellKind::Number),
        }
    }

    fn shared<'b>(&self, strings: &'b Strings) -> Result<&'b str, ReadError> {
        if self.value.is_empty() {
            return Ok("");
        }
        let text = self.value.trim().parse().ok().and_then(|place| strings.at(place));
        text.ok_or_else(|| {
            damaged(&format!(
                "refers to a text that is not among its {}",
                strings.len()
            ))
            .into()
        })
    }
}

fn kind(name: &str) -> Type {
    match name {
        "s" => Type::Shared,
        "str" | "inlineStr" => Type::Text,
        "b" => Type::Boolean,
        "e" => Type::Error,
        "d" => Type::Date,
        _ => Type::Number,
    }
}
