//! An import: file -> checked rows on a spool -> parts committed one after the other.
//!
//! The whole file is received and checked before the first row is applied, so a cut upload or a file that is no
//! manifest changes nothing. Rows are then applied in parts, each durable before its results are sent; codes for the
//! next part are made while one commits. Sending the same file again after a crash finishes the work.

mod apply;
mod check;
mod spool;
mod upload;

use super::{Service, actor, operator};
use crate::fault::Failure;
use bytes::Bytes;
use muster_domain::{
    Code, Refusal,
    access::Permit,
    activation::ActivationCode,
    batch::Tally,
    ids::{BatchId, DeviceId},
    names::ModelName,
};
use std::time::Duration;
use tokio::sync::mpsc;

pub use muster_domain::manifest::Format;

/// Longest name of a file that we keep, in bytes.
const FILE_NAME_LIMIT: usize = 255;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// As the user calls it; kept for the record, never opened.
    pub file_name: String,
    /// `None`: decide by name and content.
    pub format: Option<Format>,
    /// Check everything, change nothing.
    pub validate_only: bool,
    /// The model of rows that name none.
    pub default_model: Option<ModelName>,
    /// How long codes last; zero: until used.
    pub code_ttl: Duration,
    /// Apply nothing when one row is refused.
    pub all_or_nothing: bool,
}

/// The file, piece by piece.
#[derive(Debug)]
pub enum Input {
    /// The next bytes.
    Chunk(Bytes),
    /// The upload was broken off: nothing will be applied.
    Cut(Refusal),
    /// The file is whole.
    End,
}

/// What an import is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading and checking rows while they arrive.
    Checking,
    /// Committing rows.
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
    /// As the file counts.
    pub row: u32,
    /// How it ended.
    pub status: RowStatus,
    /// Why not; every reason.
    pub refusals: Vec<Refusal>,
    /// The device, when there is one.
    pub device: Option<DeviceId>,
    /// The code of a new device, shown this once.
    pub code: Option<ActivationCode>,
}

/// What the caller hears while the import runs.
#[derive(Debug)]
pub enum Event {
    /// How the columns were understood: column and field.
    Mapping(Vec<(String, String)>),
    /// How far it is. `total` is 0 where it is not known yet.
    Progress {
        /// In which phase.
        phase: Phase,
        /// Rows done.
        done: u64,
        /// Rows in all.
        total: u64,
    },
    /// Answers to the next rows, in the order of the file.
    Results(Vec<RowLine>),
    /// The end.
    Summary {
        /// The batch, unless nothing was applied.
        batch: Option<BatchId>,
        /// How rows ended, or would end.
        tally: Tally,
        /// Of the file.
        file_sha256: [u8; 32],
    },
}

type Events = mpsc::Sender<Result<Event, Failure>>;

/// The caller is gone: it would never see the codes, so the import stops at the next part.
struct Gone;

async fn send(events: &Events, event: Event) -> Result<(), Gone> {
    events.send(Ok(event)).await.map_err(|_| Gone)
}

impl Service {
    /// Starts an import. It reads `input` to its end, answers into `events`, and runs on its own; at most
    /// `IMPORT_LIMIT` at once.
    pub fn import(
        &self,
        permit: &Permit,
        mut request: Request,
        input: mpsc::Receiver<Input>,
        events: mpsc::Sender<Result<Event, Failure>>,
    ) -> Result<(), Failure> {
        let busy = |_| Refusal::new(Code::Busy, "as many imports as the server can hold are running");
        let place = self.imports.clone().try_acquire_owned().map_err(busy)?;
        let author = operator(permit)?.name.clone();
        let actor = actor(permit)?;
        super::session::cut(&mut request.file_name, FILE_NAME_LIMIT);
        let service = self.clone();
        tokio::spawn(async move {
            let run = apply::Import {
                service,
                author,
                actor,
                request,
                events: events.clone(),
            };
            if let Err(failure) = run.run(input).await
                && events.send(Err(failure)).await.is_err()
            {
                tracing::info!("import failed and its caller was gone");
            }
            drop(place);
        });
        Ok(())
    }
}
