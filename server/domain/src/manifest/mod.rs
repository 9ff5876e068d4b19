//! Manifests: files of devices from a factory, row by row.

mod intake;
mod row;

pub use intake::{Fresh, Holders, Intake, RowOutcome};
pub use row::{DeviceRow, ValidRow};
