//! Importing a manifest: the file goes up as it is, answers come back row by row, and the user gets their own file with
//! answers beside it.

mod answers;
mod cause;
mod directory;
mod members;
mod ours;
mod pair;
mod problems;
mod recipient;
mod results;
#[cfg(test)]
mod round_trip;
mod rows;
mod run;
mod upload;
mod write;

pub use cause::Cause;
pub use directory::zip_directory;
pub use problems::ProblemsFile;
pub use recipient::Recipient;
pub use results::RESULT_COLUMNS;
pub(crate) use results::results_ending;
pub use run::{run, run_until};
pub(crate) use write::Sink;

use muster_proto::v1::{ManifestFormat, MappedColumn, RowResult, import_progress::Phase};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What the added columns begin with where the user has one of them already.
const OWN_PREFIX: &str = "muster_";

/// What to import, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// The manifest.
    pub file: PathBuf,
    /// What it is written in; `None`: the server decides by name and content.
    pub format: Option<ManifestFormat>,
    /// Check everything, change nothing.
    pub dry_run: bool,
    /// The model of rows that name none: a name such as `GW-200`.
    pub model: Option<String>,
    /// How long activation codes last; `None`: until used.
    pub code_ttl: Option<Duration>,
    /// Apply nothing when one row is refused.
    pub all_or_nothing: bool,
    /// Where the results go. `None`: nowhere, and **the activation codes are lost**, except to the caller's own
    /// event handler.
    pub results: Option<PathBuf>,
    /// Where refused rows go, in the user's own columns, to be mended and sent again.
    pub failed: Option<PathBuf>,
    /// Whether files that are there already may be replaced. They may hold the only copy of codes.
    pub replace: bool,
}

impl ImportOptions {
    /// A plain import of a file.
    pub fn of(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            ..Self::default()
        }
    }
}

/// What happens while an import runs.
#[derive(Debug, Clone, PartialEq)]
pub enum ImportEvent<'a> {
    /// How the columns were understood.
    Mapping(&'a [MappedColumn]),
    /// How far it is: bytes received, or rows done; `total` is 0 where it is not known.
    Progress {
        /// What the server is at.
        phase: Phase,
        /// Done in this phase.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// The whole file is sent: from here on the server may apply it, in parts.
    Sent,
    /// Answers to the next rows, in the order of the file. The rows are applied and durable.
    Results(&'a [RowResult]),
    /// The import broke off; the answers that came are kept in this file.
    Partial(&'a Path),
}

/// How an import ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportSummary {
    /// `batches/{id}`; empty when nothing was applied: in a dry run, or when one row of an all-or-nothing import was
    /// refused.
    pub batch: String,
    /// Was it a dry run?
    pub dry_run: bool,
    /// Rows that made a device, or would.
    pub created: u64,
    /// Rows that changed one.
    pub updated: u64,
    /// Rows that said the same already.
    pub unchanged: u64,
    /// Rows that were refused.
    pub refused: u64,
    /// SHA-256 of the file.
    pub file_sha256: Vec<u8>,
    /// Why rows were refused, the most frequent first.
    pub causes: Vec<Cause>,
    /// Where the results are.
    pub results: Option<PathBuf>,
    /// Where the refused rows are.
    pub failed: Option<PathBuf>,
}
