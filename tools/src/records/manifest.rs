//! Batches, and the report of an import.

use super::{hex, state, time};
use crate::{
    import::{Cause, ImportSummary},
    output::{Column, Look, Record},
};
use muster_proto::v1;
use serde::Serialize;

/// One import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// `batches/{id}`
    pub name: String,
    /// As the user called it.
    pub file_name: String,
    /// SHA-256 of the file.
    pub file_sha256: String,
    /// Its size.
    pub file_bytes: u64,
    /// `operators/{name}`
    pub author: String,
    /// When it started.
    pub create_time: Option<String>,
    /// When it was done.
    pub done_time: Option<String>,
    /// `APPLYING` or `DONE`.
    pub state: String,
    /// Rows that made a device.
    pub created: u64,
    /// Rows that changed one.
    pub updated: u64,
    /// Rows that said the same already.
    pub unchanged: u64,
    /// Rows that were refused.
    pub refused: u64,
}

impl From<v1::Batch> for Batch {
    fn from(wire: v1::Batch) -> Self {
        Self {
            state: state(wire.state, v1::batch::State::as_str_name, "STATE_"),
            file_sha256: hex(&wire.file_sha256),
            create_time: time(wire.create_time.as_ref()),
            done_time: time(wire.done_time.as_ref()),
            name: wire.name,
            file_name: wire.file_name,
            file_bytes: wire.file_bytes,
            author: wire.author,
            created: wire.created,
            updated: wire.updated,
            unchanged: wire.unchanged,
            refused: wire.refused,
        }
    }
}

impl Record for Batch {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "ID", Look::Name),
        Column::shown("file_name", "FILE", Look::Plain),
        Column::shown("author", "AUTHOR", Look::Name),
        Column::shown("create_time", "STARTED", Look::Time),
        Column::shown("state", "STATE", Look::Plain),
        Column::shown("created", "CREATED", Look::Number),
        Column::shown("updated", "UPDATED", Look::Number),
        Column::shown("unchanged", "UNCHANGED", Look::Number),
        Column::shown("refused", "REFUSED", Look::Number),
        Column::extra("done_time", Look::Time),
        Column::extra("file_bytes", Look::Number),
        Column::extra("file_sha256", Look::Plain),
    ];
}

/// The report of an import, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// `batches/{id}`; empty when nothing was applied.
    pub batch: String,
    /// True when nothing was changed on purpose.
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
    pub file_sha256: String,
    /// Where the results are.
    pub results: Option<String>,
    /// Where the refused rows are.
    pub failed: Option<String>,
    /// Refusals, the most frequent first.
    pub causes: Vec<Cause>,
}

impl ImportReport {
    /// The report of a summary.
    pub fn new(summary: &ImportSummary) -> Self {
        Self {
            batch: summary.batch.clone(),
            dry_run: summary.dry_run,
            created: summary.created,
            updated: summary.updated,
            unchanged: summary.unchanged,
            refused: summary.refused,
            file_sha256: hex(&summary.file_sha256),
            results: summary.results.as_ref().map(|path| path.display().to_string()),
            failed: summary.failed.as_ref().map(|path| path.display().to_string()),
            causes: summary.causes.clone(),
        }
    }
}

impl Record for ImportReport {
    const COLUMNS: &'static [Column] = &[
        Column::shown("batch", "BATCH", Look::Name),
        Column::shown("dry_run", "DRY RUN", Look::Plain),
        Column::shown("created", "CREATED", Look::Number),
        Column::shown("updated", "UPDATED", Look::Number),
        Column::shown("unchanged", "UNCHANGED", Look::Number),
        Column::shown("refused", "REFUSED", Look::Number),
        Column::shown("file_sha256", "SHA-256", Look::Plain),
        Column::shown("results", "RESULTS", Look::Plain),
        Column::shown("failed", "FAILED", Look::Plain),
        Column::shown("causes", "CAUSES", Look::Plain),
    ];
}
