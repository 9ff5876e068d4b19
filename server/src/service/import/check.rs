//! The first half of a batch: read, map and check every row while the file arrives; spool the outcome.

use super::{
    Phase,
    blocks::Blocks,
    credentials::RowKey,
    desk::Running,
    files::{Files, Kind},
    growing::{Growing, Stalled, stalled},
    retry::Numbers,
    spool::{Spool, SpoolWriter},
    understand::{Given, Meaning, Understood, given, options, understand},
};
use crate::{
    fault::{Failure, Fault},
    random,
    service::OrFault as _,
};
use muster_domain::{
    Refusal, Timestamp,
    batch::BatchSpec,
    ids::BatchId,
    manifest::{Checker, Intake, Problem, ReadError, Reader, Record, ValidRow},
};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Read, Seek, Write as _},
    path::Path,
    sync::Arc,
    thread,
};

/// Rows between two notes of progress.
const PROGRESS_EVERY: u64 = 20_000;
/// Most bytes of what is kept of the columns: 256 names of at most a cell each, and a mapping.
const COLUMNS_LIMIT: u64 = 8 << 20;

/// One row of the file, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// As the first file of the batch counts.
    pub(super) row: u32,
    pub(super) outcome: Result<ValidRow, Vec<Problem>>,
    pub(super) warnings: Vec<Problem>,
    /// What it brings for the identity of its device.
    pub(super) key: Option<RowKey>,
}

impl Entry {
    /// One more thing that is wrong with it.
    pub(super) fn refuse(&mut self, problem: Problem) {
        match &mut self.outcome {
            Err(problems) => problems.push(problem),
            Ok(_) => self.outcome = Err(vec![problem]),
        }
    }
}

/// A whole file, checked.
pub(super) struct Checked {
    pub(super) spool: Spool<Entry>,
    /// Rows in all.
    pub(super) rows: u64,
    pub(super) understood: Arc<Understood>,
    /// What is used to read the columns, in full, for the plan's hash.
    pub(super) mapping: Vec<u8>,
}

/// What there is to check.
pub(super) struct Job {
    pub(super) running: Arc<Running>,
    pub(super) spec: BatchSpec,
    pub(super) intake: Arc<Intake>,
    pub(super) files: Files,
    /// Where files without names go.
    pub(super) spool: Arc<Path>,
    pub(super) now: Timestamp,
}

/// Why a file could not be checked to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The upload pauses: to be begun anew when the file is whole.
    Silent,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

fn unread(error: ReadError) -> Stop {
    match error {
        ReadError::Refused(refusal) => refusal.into(),
        ReadError::Input(error) => match stalled(&error) {
            Some(Stalled::Silent) => Stop::Silent,
            Some(Stalled::Broken(refusal)) => refusal.into(),
            None => Fault::log("read a manifest", &error).into(),
        },
    }
}

/// Blocks: on the upload, and on the spool.
pub(super) fn check(job: &Job) -> Result<Checked, Stop> {
    let Job { running, spec, .. } = job;
    let file = job
        .files
        .read(running.id, running.attempt, Kind::Manifest)
        .or_fault("open a manifest")?;
    let growing = Growing::new(file, Arc::clone(&running.arrival));
    let catalog = job.intake.catalog();
    let given = given(catalog, spec)?;
    let how = options(spec, given.as_ref().map(Given::content));
    let mut reader = Reader::new(growing, &how).map_err(unread)?;
    let meaning = understand(&mut reader, spec, catalog, given, unread)?;
    let seed = random::bytes().or_fault("seed the search for repeated rows")?;
    let Meaning {
        mapping,
        used,
        sample,
    } = meaning;
    let numbers = Numbers::of(running.attempt, &mapping);
    let checker = Checker::new(Arc::clone(&job.intake), mapping, spec.default_model.clone(), seed)?;
    let mut checker = checker.expecting(spec.credential)?;
    let mapping = used.content();
    let understood = Arc::new(Understood {
        columns: checker.columns(),
        mapping: used,
        format: reader.format(),
        sheet: reader.sheet().map(str::to_owned),
        header_row: reader.header_row(),
    });
    keep(&job.files, running, &understood)?;
    running
        .notes
        .send_modify(|notes| notes.understood = Some(Arc::clone(&understood)));
    let spool = SpoolWriter::nameless(&job.spool).or_fault("make a spool")?;
    let rows = Rows {
        running,
        numbers,
        sample: &sample,
    };
    let (spool, rows) = thread::scope(|scope| {
        let blocks = Blocks::new(scope, spool, job.now);
        rows.check(&mut reader, &mut checker, blocks)
    })?;
    Ok(Checked {
        spool,
        rows,
        understood,
        mapping,
    })
}

/// The rows of a file.
struct Rows<'a> {
    running: &'a Running,
    numbers: Numbers,
    /// Those that were read already.
    sample: &'a [Record],
}

impl Rows<'_> {
    /// Checks all of them; on the spool they lie in the order of the file.
    fn check<R: Read + Seek>(
        &self,
        reader: &mut Reader<R>,
        checker: &mut Checker,
        mut blocks: Blocks<'_, '_>,
    ) -> Result<(Spool<Entry>, u64), Stop> {
        for record in self.sample {
            self.look(reader.columns(), checker, &mut blocks, record)?;
        }
        let mut rows = self.sample.len() as u64;
        let mut record = Record::default();
        while reader.read(&mut record).map_err(unread)? {
            self.look(reader.columns(), checker, &mut blocks, &record)?;
            rows += 1;
            if rows.is_multiple_of(PROGRESS_EVERY) {
                self.progress(rows)?;
            }
        }
        Ok((blocks.finish(checker)?, rows))
    }

    fn look(
        &self,
        columns: &[String],
        checker: &mut Checker,
        blocks: &mut Blocks<'_, '_>,
        record: &Record,
    ) -> Result<(), Fault> {
        let looked = (checker.look(record), record.bytes());
        let number = self.numbers.number(columns, record);
        blocks.push(checker, looked, (record.row(), number))
    }

    fn progress(&self, rows: u64) -> Result<(), Refusal> {
        if let Some(why) = self.running.arrival.broken() {
            return Err(why);
        }
        // Until the file is whole, its bytes are the better measure.
        if self.running.whole.is_cancelled() {
            self.running.progress(Phase::Checking, rows, 0);
        }
        Ok(())
    }
}

/// Keeps how the columns were understood for those who watch later.
fn keep(files: &Files, running: &Running, understood: &Understood) -> Result<(), Fault> {
    let bytes = postcard::to_allocvec(understood).or_fault("keep the columns")?;
    files
        .write(running.id, running.attempt, Kind::Columns)
        .and_then(|mut file| file.write_all(&bytes))
        .or_fault("keep the columns")
}

/// How the columns of a file were understood, as far as that is still there. Blocks.
pub(super) fn understood(files: &Files, (id, attempt): (BatchId, u32)) -> Option<Understood> {
    let mut bytes = Vec::new();
    let file = files.read(id, attempt, Kind::Columns);
    let read: io::Result<usize> = file.and_then(|file| file.take(COLUMNS_LIMIT).read_to_end(&mut bytes));
    read.ok()?;
    postcard::from_bytes(&bytes).ok()
}
