//! The results file: the user's own columns, and how each row ended.

use super::{
    OWN_PREFIX,
    rows::{Row, Style, TextForm},
};
use crate::{
    failure::Failure,
    output::formula::{neutralise, neutralise_own},
};
use muster_proto::v1::{self, RowResult, RowStatus};
use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// The columns that are added, in order: those that the server knows as ours when a results file comes back. Where the
/// user has one of them, all get the prefix `muster_`.
pub use muster_domain::manifest::RESULT_COLUMNS;

/// Whether answers are written beside the user's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// The user's own and ours.
    WithAnswers,
    /// The user's own only, to be sent again.
    OwnOnly,
}

/// A file of rows that appears under its name whole, or not at all; readable by its owner only, since it may hold
/// activation codes.
pub(super) struct ResultsFile {
    out: BufWriter<NamedTempFile>,
    path: PathBuf,
    replace: bool,
    style: Style,
    form: TextForm,
    columns: Columns,
    pub(super) written: u64,
    /// False: what the answers say would be done, nothing was.
    pub(super) is_applied: bool,
}

/// `rows[5].mac` + `contains 'G'` -> `mac: contains 'G'`: the row is beside it.
pub(super) fn place_and_message(refusal: &v1::Refusal) -> String {
    let in_row = refusal
        .field
        .strip_prefix("rows[")
        .and_then(|rest| rest.split_once(']'));
    let field = in_row.map_or(refusal.field.as_str(), |(_, field)| field.trim_start_matches('.'));
    if field.is_empty() {
        refusal.message.clone()
    } else {
        format!("{field}: {}", refusal.message)
    }
}

/// The added cells of a row. The code of an earlier import stays: a device has one code, and that is it.
fn answers(row: &Row, result: Option<&RowResult>, is_applied: bool) -> [String; 5] {
    let earlier = row.earlier_code.clone();
    let Some(result) = result else {
        return [
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            earlier,
        ];
    };
    let status = match RowStatus::try_from(result.status) {
        Ok(RowStatus::Created) if is_applied => "created",
        Ok(RowStatus::Updated) if is_applied => "updated",
        Ok(RowStatus::Created) => "would be created",
        Ok(RowStatus::Updated) => "would be updated",
        Ok(RowStatus::Unchanged) => "unchanged",
        Ok(RowStatus::Refused) => "refused",
        Ok(RowStatus::Unspecified) | Err(_) => "unknown",
    };
    let joined = |each: fn(&v1::Refusal) -> String| {
        let all: Vec<_> = result.refusals.iter().map(each).collect();
        all.join("; ")
    };
    let device = result.device.strip_prefix("devices/").unwrap_or(&result.device);
    [
        status.to_owned(),
        joined(|refusal| format!("M{}", refusal.code)),
        // A row that could not be taken apart has no cells of its own to be known by.
        if row.cells.is_empty() && row.source.is_empty() && !result.refusals.is_empty() {
            format!("row {}: {}", result.row, joined(place_and_message))
        } else {
            joined(place_and_message)
        },
        device.to_owned(),
        if result.activation_code.is_empty() {
            earlier
        } else {
            result.activation_code.clone()
        },
    ]
}

fn names(style: &Style) -> [String; 5] {
    let taken = |name: &str| match style {
        Style::Csv { header, .. } => header.iter().any(|own| own.trim().eq_ignore_ascii_case(name)),
        // The keys of objects may differ from line to line, so they cannot be compared beforehand.
        Style::Ndjson => false,
    };
    let prefix = if RESULT_COLUMNS.iter().any(|name| taken(name)) {
        OWN_PREFIX
    } else {
        ""
    };
    RESULT_COLUMNS.map(|name| format!("{prefix}{name}"))
}

impl ResultsFile {
    /// Begins the file beside its later place, so that a full disk or a missing directory is found before
    /// anything is sent.
    pub(super) fn begin(
        path: &Path,
        replace: bool,
        (style, form): (&Style, TextForm),
        columns: Columns,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::file("write", path, &error);
        if !replace && path.exists() {
            return Err(Failure::usage(
                format!("{} is there already", path.display()),
                "It may hold activation codes that exist nowhere else. Choose another name, or give --replace.",
            ));
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        if !parent.is_dir() {
            return Err(Failure::usage(
                format!(
                    "cannot write {}: {} is no directory",
                    path.display(),
                    parent.display()
                ),
                "",
            ));
        }
        let temporary = tempfile::Builder::new()
            .prefix(".muster-results-")
            .tempfile_in(parent)
            .map_err(failed)?;
        let names = names(style);
        let mut file = Self {
            out: BufWriter::new(temporary),
            path: path.to_owned(),
            replace,
            style: style.clone(),
            form,
            columns,
            written: 0,
            is_applied: true,
        };
        // Only the header needs the names: in NDJSON each object decides for itself.
        if let Style::Csv { header, .. } = style {
            let ours = match columns {
                Columns::WithAnswers => names.as_slice(),
                Columns::OwnOnly => &[],
            };
            let own: Vec<_> = header.iter().map(String::as_str).collect();
            let ours: Vec<_> = ours.iter().map(String::as_str).collect();
            let mark = if form.has_mark { "\u{feff}" } else { "" };
            file.out.write_all(mark.as_bytes()).map_err(failed)?;
            file.csv(&own, &ours).map_err(failed)?;
        }
        Ok(file)
    }

    /// Adds a row; without an answer where none came.
    pub(super) fn push(&mut self, row: &Row, result: Option<&RowResult>) -> Result<(), Failure> {
        let written = match &self.style {
            Style::Csv { header, .. } => {
                let answers = answers(row, result, self.is_applied);
                let mut own: Vec<_> = row.cells.iter().map(String::as_str).collect();
                let answers: Vec<_> = answers.iter().map(String::as_str).collect();
                match self.columns {
                    Columns::WithAnswers => {
                        // A short row is filled up, or the answers would stand under the user's headings.
                        own.resize(own.len().max(header.len()), "");
                        self.csv(&own, &answers)
                    }
                    Columns::OwnOnly => self.csv(&own, &[]),
                }
            }
            Style::Ndjson => self.json(row, result),
        };
        self.written += 1;
        written.map_err(|error| Failure::file("write", &self.path, &error))
    }

    fn csv(&mut self, own: &[&str], ours: &[&str]) -> io::Result<()> {
        let Style::Csv { delimiter, .. } = self.style else {
            return Ok(());
        };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .terminator(match self.form.has_returns {
                true => csv::Terminator::CRLF,
                false => csv::Terminator::Any(b'\n'),
            })
            .from_writer(&mut self.out);
        let own = own.iter().map(|cell| neutralise_own(cell));
        let ours = ours.iter().map(|cell| neutralise(cell));
        writer
            .write_record(own.chain(ours).map(std::borrow::Cow::into_owned))
            .map_err(io::Error::other)?;
        writer.flush()
    }

    /// The user's object with our fields at its end; a line that is no object stands as text in one.
    fn json(&mut self, row: &Row, result: Option<&RowResult>) -> io::Result<()> {
        let source = row.source.trim();
        let end = if self.form.has_returns { "\r\n" } else { "\n" };
        if self.columns == Columns::OwnOnly {
            return write!(self.out, "{source}{end}");
        }
        let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(source).ok();
        let (own, is_bare, taken) = match &object {
            // An object ends with its brace, whatever it holds.
            Some(map) => {
                let own = source.strip_suffix('}').unwrap_or(source).trim_end();
                let taken = RESULT_COLUMNS.iter().any(|name| map.contains_key(*name));
                (own.to_owned(), map.is_empty(), taken)
            }
            None => (
                format!("{{\"line\": {}", serde_json::to_string(source)?),
                false,
                false,
            ),
        };
        write!(self.out, "{own}")?;
        let prefix = if taken { OWN_PREFIX } else { "" };
        let answers = answers(row, result, self.is_applied);
        for (place, (name, value)) in RESULT_COLUMNS.iter().zip(answers).enumerate() {
            let separator = if is_bare && place == 0 { "" } else { ", " };
            write!(
                self.out,
                "{separator}\"{prefix}{name}\": {}",
                serde_json::to_string(&value)?
            )?;
        }
        write!(self.out, "}}{end}")
    }

    /// Where it is until it gets its name.
    pub(super) fn temporary(&self) -> &Path {
        self.out.get_ref().path()
    }

    /// Where it will be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Brings what was pushed to the file, still under its temporary name: codes survive the end of this process.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out
            .flush()
            .map_err(|error| Failure::file("write", &self.path, &error))
    }

    /// Makes the file durable and gives it its name.
    pub(super) fn finish(self) -> Result<PathBuf, Failure> {
        let (path, replace) = (self.path, self.replace);
        let named = self
            .out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|temporary| {
                temporary.as_file().sync_all()?;
                let named = if replace {
                    temporary.persist(&path)
                } else {
                    temporary.persist_noclobber(&path)
                };
                named.map(drop).or_else(|error| {
                    // Better a file with an odd name than codes that nobody has.
                    let (cause, temporary) = (error.error, error.file);
                    let (_, kept) = temporary.keep().map_err(|error| error.error)?;
                    Err(io::Error::new(
                        cause.kind(),
                        format!("{cause}; the results are in {}", kept.display()),
                    ))
                })
            });
        named.map_err(|error| Failure::file("write", &path, &error))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
