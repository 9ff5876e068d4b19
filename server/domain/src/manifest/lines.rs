//! Manifests of lines: CSV and NDJSON.

use super::{
    Mapping, ROW_LIMIT, ReadOptions, csv,
    csv::Split,
    format::ReadError,
    header,
    input::Input,
    json,
    record::{Draft, Fault, Record},
    rows::Rows,
};
use std::io::Read;

/// How records are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    /// Cells between delimiters.
    Csv {
        /// What stands between them.
        delimiter: u8,
    },
    /// An object a line.
    Ndjson,
}

/// A text that is read line by line.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: Input<R>,
    cut: Cut,
    rows: Rows,
    draft: Draft,
}

impl<R: Read> Lines<R> {
    /// A file of cells between delimiters: finds the delimiter.
    pub(super) fn csv(mut input: Input<R>, options: &ReadOptions) -> Result<Self, ReadError> {
        let mut rows = Rows::default();
        let delimiter = match declared(input.text()) {
            Some((delimiter, length)) => {
                input.advance(length);
                rows.count()?;
                delimiter
            }
            None => delimiter(input.text(), input.is_whole(), options),
        };
        Ok(Self {
            input,
            cut: Cut::Csv { delimiter },
            rows,
            draft: Draft::default(),
        })
    }

    /// A file of objects, one a line.
    pub(super) fn ndjson(input: Input<R>) -> Self {
        Self {
            input,
            cut: Cut::Ndjson,
            rows: Rows::default(),
            draft: Draft::default(),
        }
    }

    /// The next record, or `false` at the end.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        match self.cut {
            Cut::Csv { delimiter } => self.read_csv(delimiter, record),
            Cut::Ndjson => self.read_object(record),
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
                    self.draft.finish(self.rows.count()?, &[], record);
                    self.input.advance(length);
                    return Ok(true);
                }
                Split::Cut => {
                    self.input.grow()?;
                }
                Split::Endless => {
                    self.draft.finish(self.rows.count()?, &[], record);
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
            let row = self.rows.count()?;
            if !blank {
                let line = self.input.text()[..length].trim_ascii();
                let source = if length > ROW_LIMIT { &[] } else { line };
                self.draft.finish(row, source, record);
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

impl<R> Lines<R> {
    pub(super) const fn cut(&self) -> Cut {
        self.cut
    }

    pub(super) const fn input(&self) -> &Input<R> {
        &self.input
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

/// The delimiter with which the beginning makes most sense: most columns that we know in the first row; where it has
/// none, as a title has none, in any row that can be the header; then most columns in the first row.
fn delimiter(text: &[u8], whole: bool, options: &ReadOptions) -> u8 {
    let tabs = options.file_name.to_ascii_lowercase().ends_with(".tsv");
    let mut best = ((0, 0, 0, false), csv::DELIMITERS[0]);
    // The last of equals wins, so the likely ones come last.
    for delimiter in csv::DELIMITERS.into_iter().rev() {
        let sense = Sense::of(text, delimiter, whole);
        let score = (
            sense.first,
            sense.below,
            sense.columns,
            tabs && delimiter == b'\t',
        );
        if score >= best.0 {
            best = (score, delimiter);
        }
    }
    best.1
}

/// What the beginning of a file means when it is cut at a delimiter.
#[derive(Debug, Default)]
struct Sense {
    /// Names that we know in the first row that holds anything.
    first: usize,
    /// If there are none: the most in one of the rows below it.
    below: usize,
    /// Columns of the first row that holds anything, or of the last one that does not.
    columns: usize,
    is_filled: bool,
}

impl Sense {
    fn of(text: &[u8], delimiter: u8, whole: bool) -> Self {
        let mut sense = Self::default();
        let mut draft = Draft::default();
        let mut record = Record::default();
        let mut rest = text;
        for _ in 0..header::SEARCH {
            let Split::Record(length) = csv::split(rest, delimiter, whole, &mut draft) else {
                break;
            };
            draft.finish(0, &[], &mut record);
            sense.add(&record);
            rest = rest.get(length..).unwrap_or_default();
            if sense.first > 0 || rest.is_empty() {
                break;
            }
        }
        sense
    }

    fn add(&mut self, record: &Record) {
        let known = record.cells().filter(|cell| Mapping::knows(cell)).count();
        if self.is_filled {
            self.below = self.below.max(known);
        } else {
            (self.first, self.columns) = (known, record.len());
            self.is_filled = !record.is_blank();
        }
    }
}
