//! Batches, and the report of an import.

use super::{hex, state, time};
use crate::{
    import::{Cause, ImportSummary},
    output::{Column, Look, Record},
};
use muster_proto::v1;
use serde::Serialize;
use std::path::PathBuf;

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
    /// `UPLOADING`, `CHECKING`, `PLANNED`, `APPLYING`, `DONE`, `CANCELLED`, `FAILED`, `UNDOING` or `UNDONE`.
    pub state: String,
    /// Rows that made a device.
    pub created: u64,
    /// Rows that changed one.
    pub updated: u64,
    /// Rows that said the same already.
    pub unchanged: u64,
    /// Rows that were refused.
    pub refused: u64,
    /// Rows of the file, once it is checked.
    pub rows: u64,
    /// Bytes of the file that the server has.
    pub received_bytes: u64,
    /// 0 for the first file; counts the files of refused rows sent again.
    pub attempt: u32,
    /// `mappings/{name}/revisions/{number}`; empty when it was not kept.
    pub mapping: String,
    /// The sheet of a spreadsheet.
    pub sheet: String,
    /// What the file is written in, such as `CSV`.
    pub format: String,
    /// Names what was planned or applied.
    pub plan_hash: String,
    /// When a plan is forgotten, or answers that were not fetched lose their codes and keys.
    pub expire_time: Option<String>,
    /// Why it failed: the number of the refusal.
    pub refusal_code: Option<u32>,
    /// Why it failed, in this case.
    pub refusal_message: Option<String>,
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
            rows: wire.rows,
            received_bytes: wire.received_bytes,
            attempt: wire.attempt,
            mapping: wire.mapping,
            sheet: wire.sheet,
            format: state(wire.format, v1::ManifestFormat::as_str_name, "MANIFEST_FORMAT_"),
            plan_hash: hex(&wire.plan_hash),
            expire_time: time(wire.expire_time.as_ref()),
            refusal_code: wire.refusal.as_ref().map(|refusal| refusal.code),
            refusal_message: wire.refusal.map(|refusal| refusal.message),
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
        Column::extra("rows", Look::Number),
        Column::extra("received_bytes", Look::Number),
        Column::extra("attempt", Look::Number),
        Column::extra("mapping", Look::Name),
        Column::extra("sheet", Look::Plain),
        Column::extra("format", Look::Plain),
        Column::extra("plan_hash", Look::Plain),
        Column::extra("expire_time", Look::Time),
        Column::extra("refusal_code", Look::Number),
        Column::extra("refusal_message", Look::Plain),
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
    /// Where all problems are.
    pub problems: Option<String>,
    /// Refusals, the most frequent first.
    pub causes: Vec<Cause>,
    /// What is odd about rows that were accepted, the most frequent first.
    pub warnings: Vec<Cause>,
    /// The state in which the batch ended, such as `DONE` or `PLANNED`.
    pub state: String,
    /// Names what was planned or applied; `--plan` takes it.
    pub plan_hash: String,
    /// Of a dry run: `batches/{id}`, which can be applied until it expires.
    pub planned_batch: Option<String>,
    /// `mappings/{name}/revisions/{number}`, as used; null when it was not kept.
    pub mapping: Option<String>,
    /// How the columns were understood.
    pub columns: Vec<ReportColumn>,
}

/// A column, and what it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportColumn {
    /// As the file names it.
    pub column: String,
    /// The field; `kept` for a column that is kept as it is, `ignored` for one that is not.
    pub field: String,
}

impl ImportReport {
    /// The report of a summary; `mapping` is what the server said of the columns.
    pub fn new(summary: &ImportSummary, dry_run: bool, mapping: Option<&v1::ImportMapping>) -> Self {
        let path = |path: &PathBuf| path.display().to_string();
        let columns = mapping
            .map(|mapping| mapping.columns.as_slice())
            .unwrap_or_default();
        Self {
            batch: summary.batch.clone(),
            dry_run,
            created: summary.created,
            updated: summary.updated,
            unchanged: summary.unchanged,
            refused: summary.refused,
            file_sha256: hex(&summary.file_sha256),
            results: summary.results.as_ref().map(path),
            failed: summary.failed.as_ref().map(path),
            problems: summary.problems.as_ref().map(path),
            causes: summary.causes.clone(),
            warnings: summary.warnings.clone(),
            state: state(summary.state.into(), v1::batch::State::as_str_name, "STATE_"),
            plan_hash: hex(&summary.plan_hash),
            planned_batch: dry_run.then(|| summary.name.clone()),
            mapping: Some(summary.mapping.clone()).filter(|name| !name.is_empty()),
            columns: columns
                .iter()
                .map(|one| ReportColumn {
                    column: one.column.clone(),
                    field: one.field.clone(),
                })
                .collect(),
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
        Column::extra("problems", Look::Plain),
        Column::extra("warnings", Look::Plain),
        Column::extra("state", Look::Plain),
        Column::extra("plan_hash", Look::Plain),
        Column::extra("planned_batch", Look::Name),
        Column::extra("mapping", Look::Name),
        Column::extra("columns", Look::Plain),
    ];
}

/// What keeps a batch from being taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UndoBlock {
    /// `devices/{id}`
    pub device: String,
    /// The row that made or changed it.
    pub row: u32,
    /// The number of the refusal.
    pub code: u32,
    /// Its stable name.
    pub reason: String,
    /// Why, in this case.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl From<v1::UndoBlock> for UndoBlock {
    fn from(wire: v1::UndoBlock) -> Self {
        let refusal = wire.refusal.unwrap_or_default();
        Self {
            device: wire.device,
            row: wire.row,
            code: refusal.code,
            reason: refusal.reason,
            message: refusal.message,
            help: refusal.help,
        }
    }
}

impl Record for UndoBlock {
    const COLUMNS: &'static [Column] = &[
        Column::shown("device", "DEVICE", Look::Name),
        Column::shown("row", "ROW", Look::Number),
        Column::shown("code", "CODE", Look::Number),
        Column::shown("message", "WHY", Look::Plain),
        Column::extra("reason", Look::Plain),
        Column::extra("help", Look::Plain),
    ];
}
