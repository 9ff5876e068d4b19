//! Batches: a file arrives -> every row is checked -> a plan, or parts committed one after the other -> answers.
//!
//! The file is kept as it was sent, and rows are checked while it arrives; nothing has changed before it is whole and
//! checked. Each step is on record before the next begins, so a batch outlives its caller and the server. One task
//! works at a batch (`drive`); callers send bytes (`upload`) and watch (`watch`), as many and as often as they
//! like.

mod apply;
mod blocks;
mod check;
mod credentials;
mod desk;
mod drive;
mod files;
mod growing;
mod issue;
mod life;
mod part;
mod plan;
mod retry;
mod spool;
mod sweep;
mod token;
mod typed;
mod understand;
mod undo;
mod upload;
mod watch;

pub(super) use desk::Desk;
pub use files::Files;
pub use life::Created;
pub use muster_domain::manifest::FILE_LIMIT;
pub use typed::{TYPED_NAME, Typed, TypedAnswer};
pub use understand::{Understood, UsedMapping};
pub use upload::Upload;
pub use watch::{Event, Telling, Told};

use super::{Service, actor, operator};
use muster_domain::{activation::ActivationCode, ids::DeviceId, manifest::Problem, names::Serial};

/// What a batch is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Bytes arrive, and rows are checked as they do.
    Receiving,
    /// Rows are checked.
    Checking,
    /// Rows are committed, or planned.
    Applying,
}

/// How a row ended, or would end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowStatus {
    /// A new device.
    Created,
    /// A device changed.
    Updated,
    /// A device said the same already.
    Unchanged,
    /// No.
    Refused,
}

/// The answer to one row.
#[derive(Debug, Clone)]
pub struct RowLine {
    /// As the file counts; of mended rows, as the first file of the batch counts.
    pub row: u32,
    /// How it ended.
    pub status: RowStatus,
    /// Why not; every reason.
    pub refusals: Vec<Problem>,
    /// What is odd about it all the same.
    pub warnings: Vec<Problem>,
    /// The device, when there is one.
    pub device: Option<DeviceId>,
    /// The code of a new device, until the caller has kept it.
    pub code: Option<ActivationCode>,
    /// The fields that an update changes.
    pub changes: Vec<String>,
    /// The certificate that was issued or pinned, DER.
    pub certificate: Vec<u8>,
    /// Key and certificate, encrypted to the station.
    pub key: Vec<u8>,
    /// The serial of a new device that has a certificate.
    pub serial: Option<Serial>,
}

/// Answers to some rows.
#[derive(Debug)]
pub struct Lines {
    /// In the order of the file.
    pub rows: Vec<RowLine>,
    /// What stands above certificates that were issued, DER, nearest first; empty where none are.
    pub issuers: Vec<Vec<u8>>,
}
