//! Manifests: files of devices from a factory, row by row.
//!
//! A [`Reader`] turns any byte stream into [`Record`]s with bounded memory: the user's own cells, in order. A
//! [`Mapping`] says what the columns mean. A [`Checker`] makes a [`ValidRow`] of each record, or every reason why
//! not. [`Intake::decide`] sets a valid row against the registry. The dry run and the import take the same way.
//!
//! `detect` says what a file is, by what is in it. Text comes through `input` and `encoding` to `lines` (CSV, NDJSON),
//! `list` (JSON) and `xml`; archives through `archive` and `part` to `sheet` (XLSX, ODS), and old Excel to `sheet` at
//! once. `markup` is the XML of all of them. Where a row names the columns, `header` finds it.

mod archive;
mod carried;
mod cell;
mod cells;
mod certificates;
mod checker;
mod credential;
mod csv;
mod damage;
mod detect;
mod encoding;
mod format;
mod header;
mod input;
mod intake;
mod json;
mod limits;
mod lines;
mod list;
mod lookalike;
mod mapping;
mod markup;
mod microchip;
mod part;
mod presets;
mod problem;
mod reader;
mod record;
mod row;
mod rows;
mod seen;
mod sheet;
mod siphash;
mod terms;
mod xml;

pub use checker::{Checker, Finisher, Looked, RowCheck};
pub use credential::{CREDENTIAL_LIMIT, KeyKind, RowCredential};
pub use encoding::Encoding;
pub use format::{Format, ReadError, ReadOptions};
pub use intake::{DESIRED_STATE, Fresh, FreshCredential, Holders, Intake, RowOutcome};
pub use limits::{Limits, UpdateMask, Writes};
pub use mapping::{
    ALIAS_LIMIT, COLUMN_NAME_LIMIT, CREDENTIAL_COLUMNS, CheckedMapping, Field, FieldSource, KEY_LIMIT,
    LOOKUP_LIMIT, LetterCase, MAPPED_FIELD_LIMIT, MAPPING_SOURCE_LIMIT, MODEL_LIMIT, Mapping, MappingSource,
    NoField, Otherwise, PAD_LIMIT, PATTERN_COUNT_LIMIT, RESULT_COLUMNS, RETRY_BATCH_COLUMN, RETRY_ROW_COLUMN,
    Retry, SAMPLE_LIMIT, STEP_LIMIT, STEP_PATTERN_LIMIT, STEP_TEXT_LIMIT, Step, Survey, Unmapped,
    suggested_name,
};
pub use presets::{Preset, presets};
pub use problem::{Problem, VALUE_LIMIT};
pub use reader::Reader;
pub use record::{CellKind, Fault, Record};
pub use row::{DeviceRow, Rendered, RowClaim, ValidRow};

/// Most bytes of a manifest as sent: ten million rows of 200 bytes.
pub const FILE_LIMIT: u64 = 2 << 30;
/// Most rows, the header and empty ones included.
pub const ROW_COUNT_LIMIT: u32 = 10_000_000;
/// Most columns, or keys of an object.
pub const COLUMN_LIMIT: usize = 256;
/// Most bytes of a cell, as UTF-8.
pub const CELL_LIMIT: usize = 4 << 10;
/// Most bytes of a row, as UTF-8.
pub const ROW_LIMIT: usize = 64 << 10;
