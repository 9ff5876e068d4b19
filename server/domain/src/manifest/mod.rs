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
mod checker;
mod csv;
mod detect;
mod encoding;
mod format;
mod header;
mod input;
mod intake;
mod json;
mod lines;
mod list;
mod mapping;
mod markup;
mod part;
mod reader;
mod record;
mod row;
mod rows;
mod seen;
mod sheet;
mod siphash;
mod xml;

pub use checker::Checker;
pub use encoding::Encoding;
pub use format::{Format, ReadError, ReadOptions};
pub use intake::{Fresh, Holders, Intake, RowOutcome};
pub use mapping::{Field, Mapping, RESULT_COLUMNS};
pub use reader::Reader;
pub use record::{CellKind, Fault, Record};
pub use row::{DeviceRow, ValidRow};

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
