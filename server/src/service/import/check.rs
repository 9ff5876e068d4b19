//! The first half of an import: receive, read, map and check every row; spool the outcome.

use super::{
    Event, Events, Phase, Request,
    spool::{Entry, SpoolReader, SpoolWriter},
    upload::{self, Upload},
};
use crate::{
    fault::{Failure, Fault},
    random,
    service::OrFault as _,
};
use muster_domain::{
    Code, Refusal,
    manifest::{Checker, Intake, Mapping, ReadError, ReadOptions, Reader, Record},
};
use std::{path::Path, sync::Arc};

/// Rows between two notes of progress.
const PROGRESS_EVERY: u64 = 20_000;

/// A whole file, checked.
pub(super) struct Checked {
    pub(super) spool: SpoolReader,
    /// Rows in all, and those refused already.
    pub(super) rows: u64,
    pub(super) refused: u64,
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
}

fn failure(error: ReadError) -> Failure {
    match error {
        ReadError::Refused(refusal) => refusal.into(),
        ReadError::Input(error) => match upload::cause(&error) {
            Some(refusal) => refusal.into(),
            None => Fault::log("read an upload", &error).into(),
        },
    }
}

/// Several refusals of a header as one: an import fails for one reason, which names all the columns.
fn together(refusals: Vec<Refusal>) -> Failure {
    let mut refusals = refusals.into_iter();
    let first = refusals
        .next()
        .unwrap_or_else(|| Refusal::new(Code::ManifestUnreadable, "has no usable header"));
    let rest: String = refusals
        .map(|other| format!("; {}: {}", other.field, other.message))
        .collect();
    Refusal {
        message: first.message + &rest,
        ..first
    }
    .into()
}

/// Blocks: on the upload, on the spool, and on a caller who reads slowly. `None` when the caller is gone.
pub(super) fn check(
    mut upload: Upload,
    request: &Request,
    intake: Arc<Intake>,
    directory: &Path,
    events: &Events,
) -> Result<Option<Checked>, Failure> {
    let options = ReadOptions {
        file_name: request.file_name.clone(),
        format: request.format,
        ..ReadOptions::default()
    };
    let mut reader = Reader::new(&mut upload, &options).map_err(failure)?;
    let mapping = Mapping::of(&reader, request.default_model.is_some()).map_err(together)?;
    let seed = random::bytes().or_fault("seed the search for repeated rows")?;
    let mut checker = Checker::new(intake, mapping, request.default_model.clone(), seed)?;
    if events
        .blocking_send(Ok(Event::Mapping(checker.columns())))
        .is_err()
    {
        return Ok(None);
    }
    let mut spool = SpoolWriter::new(directory).or_fault("make a spool")?;
    let (mut rows, mut refused) = (0, 0);
    let mut record = Record::default();
    while reader.read(&mut record).map_err(failure)? {
        let entry = match checker.check(&record).outcome {
            Ok(row) => Entry::Valid(row),
            Err(problems) => {
                refused += 1;
                let refusals = problems.into_iter().map(|problem| problem.refusal);
                Entry::Refused(record.row(), refusals.collect())
            }
        };
        spool.push(&entry).or_fault("write a spool")?;
        rows += 1;
        let progress = Event::Progress {
            phase: Phase::Checking,
            done: rows,
            total: 0,
        };
        if rows % PROGRESS_EVERY == 0 && events.blocking_send(Ok(progress)).is_err() {
            return Ok(None);
        }
    }
    let (bytes, sha256) = upload
        .finish()
        .map_err(|error| failure(ReadError::Input(error)))?;
    let spool = spool.into_reader().or_fault("write a spool")?;
    Ok(Some(Checked {
        spool,
        rows,
        refused,
        bytes,
        sha256,
    }))
}
