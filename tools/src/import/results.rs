//! The results file: the user's own file, and how each row ended.

use super::{
    answers::{of_refused, of_result},
    ours::{CREDENTIAL_COLUMNS, REFUSED_COLUMNS, prefix},
    recipient::Recipient,
    rows::{Row, Style, TextForm},
    write::{Book, CsvWriter, JsonForm, JsonWriter, SheetWriter, Sink, Writer, XmlWriter},
};
use crate::failure::Failure;
use muster_proto::v1::RowResult;
use std::{
    io,
    path::{Path, PathBuf},
};

pub(super) use super::answers::place_and_message;
/// The columns that are added, in order: those that the server knows as ours when a results file comes back. Where the
/// user has one of them, all get the prefix `muster_`.
pub use muster_domain::manifest::RESULT_COLUMNS;

/// What is written beside the user's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// How each row ended.
    WithAnswers {
        /// A column for certificates.
        certificates: bool,
        /// A column for keys that the server made.
        keys: bool,
    },
    /// Batch, row and reason, for refused rows that are to be mended and sent again.
    OfRefused,
}

impl Columns {
    /// Answers without certificates and keys.
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self::WithAnswers {
        certificates: false,
        keys: false,
    };

    fn has(self, name: &str) -> bool {
        match self {
            Self::WithAnswers { certificates, keys } => {
                RESULT_COLUMNS.contains(&name)
                    || (certificates && name == CREDENTIAL_COLUMNS[0])
                    || (keys && name == CREDENTIAL_COLUMNS[1])
            }
            Self::OfRefused => REFUSED_COLUMNS.contains(&name),
        }
    }

    /// With the columns that the file has from an earlier import: what they hold is kept.
    const fn and(self, style: &Style) -> Self {
        match (self, style) {
            (
                Self::WithAnswers { certificates, keys },
                Style::Csv { table, .. } | Style::Sheet { table, .. },
            ) => Self::WithAnswers {
                certificates: certificates || table.has_certificates,
                keys: keys || table.has_keys,
            },
            (columns, _) => columns,
        }
    }

    /// The headings, beside the user's own.
    fn names(self, own: &[String]) -> Vec<String> {
        let all = RESULT_COLUMNS
            .iter()
            .chain(&CREDENTIAL_COLUMNS)
            .chain(&REFUSED_COLUMNS);
        let prefix = match self {
            Self::WithAnswers { .. } => prefix(own.iter().map(String::as_str)),
            Self::OfRefused => "",
        };
        all.filter(|name| self.has(name))
            .map(|name| format!("{prefix}{name}"))
            .collect()
    }
}

/// How a file is kept.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keeping<'a> {
    /// A file that is there already may be replaced. It may hold the only copy of codes.
    pub(super) replace: bool,
    /// Encrypted to this recipient before it leaves the process, under its name with `.age` behind.
    pub(super) recipient: Option<&'a Recipient>,
}

/// The ending that the results of a manifest have beside it: its own, unless they are written in another format.
pub(crate) fn results_ending(manifest: &Path) -> String {
    let ending = manifest.extension().unwrap_or_default().to_string_lossy();
    match ending.to_ascii_lowercase().as_str() {
        _ if manifest.is_dir() => "csv".to_owned(),
        "" | "zip" => "csv".to_owned(),
        "xls" | "xlsm" => "xlsx".to_owned(),
        _ => ending.into_owned(),
    }
}

/// A file of rows that appears under its name whole, or not at all; readable by its owner only, since it may hold
/// activation codes.
pub(super) struct ResultsFile {
    writer: Writer,
    path: PathBuf,
    temporary: PathBuf,
    columns: Columns,
    is_table: bool,
    /// Rows are looked up in the user's document, by their numbers.
    is_document: bool,
    pub(super) written: u64,
    /// False: what the answers say would be done, nothing was.
    pub(super) is_applied: bool,
    /// The batch that refused rows belong to, as soon as it is known.
    pub(super) batch: String,
}

impl ResultsFile {
    /// Begins the file beside its later place, so that a full disk or a missing directory is found before
    /// anything is sent.
    pub(super) fn begin(
        path: &Path,
        keeping: Keeping<'_>,
        (style, form): (&Style, TextForm),
        columns: Columns,
    ) -> Result<Self, Failure> {
        let columns = columns.and(style);
        let sink = Sink::begin(&style.named(path), keeping.replace, keeping.recipient)?;
        let (path, temporary) = (sink.path().to_owned(), sink.temporary().to_owned());
        let writer =
            open(sink, style, form, columns).map_err(|error| Failure::file("write", &path, &error))?;
        Ok(Self {
            writer,
            path,
            temporary,
            columns,
            is_table: matches!(style, Style::Csv { .. } | Style::Sheet { .. }),
            is_document: matches!(style, Style::Xml { .. }),
            written: 0,
            is_applied: true,
            batch: String::new(),
        })
    }

    /// Adds a row; without an answer where none came.
    pub(super) fn push(&mut self, row: &Row, result: Option<&RowResult>) -> Result<(), Failure> {
        // A row that could not be taken apart has no cells of its own to be known by.
        let is_nameless = row.cells.is_empty() && row.source.is_empty() && !self.is_document;
        let mut added = match self.columns {
            Columns::WithAnswers { .. } => of_result(&row.earlier, is_nameless, result, self.is_applied),
            Columns::OfRefused => of_refused(&row.earlier, row.number, result, &self.batch),
        };
        // Objects have what they need.
        added.retain(|(name, value)| self.columns.has(name) || (!self.is_table && !value.is_empty()));
        self.written += 1;
        self.writer
            .push(row, &added)
            .map_err(|error| Failure::file("write", &self.path, &error))
    }

    /// Where it is until it gets its name.
    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Brings what was pushed to the file, still under its temporary name: codes survive the end of this process,
    /// where the format is one of lines and nothing is encrypted.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.writer
            .flush()
            .map_err(|error| Failure::file("write", &self.path, &error))
    }

    /// Makes the file durable and gives it its name, which is returned.
    pub(super) fn finish(self) -> Result<PathBuf, Failure> {
        self.writer
            .finish()
            .map_err(|error| Failure::file("write", &self.path, &error))
    }
}

/// The writer for a file of this style.
fn open(sink: Sink, style: &Style, form: TextForm, columns: Columns) -> io::Result<Writer> {
    let json = |sink, kind| Writer::Json(JsonWriter::begin(sink, kind, form.has_returns));
    Ok(match style {
        Style::Csv { delimiter, table } => Writer::Csv(CsvWriter::begin(
            sink,
            (table, *delimiter, form),
            &columns.names(&table.header),
        )?),
        Style::Ndjson => json(sink, JsonForm::Lines),
        Style::Json => json(sink, JsonForm::List),
        Style::Microchip => json(sink, JsonForm::Nested),
        Style::Sheet { is_ods, name, table } => {
            let book = if *is_ods { Book::Ods } else { Book::Xlsx };
            let names = columns.names(&table.header);
            let sheet = SheetWriter::begin(sink, (table, book, name), &names)?;
            Writer::Sheet(match columns {
                Columns::OfRefused => sheet.dense(),
                Columns::WithAnswers { .. } => sheet,
            })
        }
        Style::Xml {
            path,
            record,
            encoding,
        } => Writer::Xml(Box::new(XmlWriter::begin(
            sink,
            path,
            (record, *encoding),
            columns == Columns::OfRefused,
        )?)),
    })
}

#[cfg(test)]
mod sheets;
#[cfg(test)]
mod tests;
