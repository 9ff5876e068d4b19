//! The record of a batch.

use super::{BatchSpec, BatchState, PlanHash, RESULTS_KEPT, Tally, UPLOAD_KEPT};
use crate::{
    Timestamp,
    activation::Seed,
    catalog::RevisionNumber,
    ids::BatchId,
    manifest::Format,
    names::{MappingName, OperatorName},
};
use serde::{Deserialize, Serialize};

/// Everything that is known of a batch, but for its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Assigned by the registry.
    pub id: BatchId,
    /// Chosen by the author, unique among theirs: of the newest attempt.
    pub request_id: String,
    /// What is sent, and how to treat it: of the newest attempt.
    pub spec: BatchSpec,
    /// Who sent it.
    pub author: OperatorName,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last stepped.
    pub changed: Timestamp,
    /// 0 for the first file; counts the files of mended rows.
    pub attempt: u32,
    /// Where it is.
    pub state: BatchState,
    /// Durable bytes of the file.
    pub received: u64,
    /// Size of the file; 0 until it is whole.
    pub file_bytes: u64,
    /// SHA-256 of the file, once it is whole.
    pub file_sha256: Option<[u8; 32]>,
    /// What it is written in, once that is known.
    pub format: Option<Format>,
    /// The sheet that is read; empty where there are none.
    pub sheet: String,
    /// The mapping that is used, if it is kept.
    pub mapping: Option<(MappingName, RevisionNumber)>,
    /// What was planned or applied.
    pub plan: Option<PlanHash>,
    /// Rows of the file, once it is checked.
    pub rows: u64,
    /// How rows ended, over all attempts; rows that were refused and are mended since do not count as refused.
    pub tally: Tally,
    /// Parts committed so far, over all attempts; the next part has this number.
    pub parts: u32,
    /// The first part of this attempt.
    pub first_part: u32,
    /// Parts whose results the caller has kept: their seeds and keys are erased.
    pub acknowledged: u32,
    /// Parts that were committed before parts were recorded: their rows cannot be shown, nor their updates taken back.
    pub unrecorded: u32,
    /// The seed of the next part: on record before the part is made, so that a part that is made again has the same codes and serials.
    pub next_seed: Seed,
    /// The files of former attempts, oldest first, for the auditor.
    pub former: Vec<SentFile>,
}

/// A file that was sent, for the auditor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentFile {
    /// As the user called it.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, if it ever was whole.
    pub sha256: Option<[u8; 32]>,
    /// The sheet that was read.
    pub sheet: String,
    /// The mapping that was used, if it is kept.
    pub mapping: Option<(MappingName, RevisionNumber)>,
    /// Its first part.
    pub first_part: u32,
}

impl Batch {
    /// A batch that waits for its file.
    pub fn new(
        id: BatchId,
        request_id: String,
        spec: BatchSpec,
        author: OperatorName,
        seed: Seed,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            request_id,
            spec,
            author,
            created: now,
            changed: now,
            attempt: 0,
            state: BatchState::Uploading,
            received: 0,
            file_bytes: 0,
            file_sha256: None,
            format: None,
            sheet: String::new(),
            mapping: None,
            plan: None,
            rows: 0,
            tally: Tally::default(),
            parts: 0,
            first_part: 0,
            acknowledged: 0,
            unrecorded: 0,
            next_seed: seed,
            former: Vec::new(),
        }
    }

    /// The resource name.
    pub fn name(&self) -> String {
        format!("batches/{}", self.id)
    }

    /// There is something left to do or to erase: it is working, or waits for its caller.
    pub const fn is_open(&self) -> bool {
        match self.state {
            BatchState::Uploading
            | BatchState::Checking
            | BatchState::Planned { .. }
            | BatchState::Applying
            | BatchState::Undoing { .. } => true,
            BatchState::Done(_)
            | BatchState::Cancelled(_)
            | BatchState::Failed { .. }
            | BatchState::Undone(_) => self.acknowledged < self.parts,
        }
    }

    /// When it is forgotten if nobody does anything: a file that is not whole and a plan are cancelled then, results are
    /// acknowledged. `None` while it works, or has nothing left to lose.
    pub fn expires(&self) -> Option<Timestamp> {
        match self.state {
            BatchState::Uploading => Some(self.changed.plus(UPLOAD_KEPT)),
            BatchState::Planned { until, .. } => Some(until),
            BatchState::Checking | BatchState::Applying | BatchState::Undoing { .. } => None,
            BatchState::Done(at)
            | BatchState::Cancelled(at)
            | BatchState::Failed { at, .. }
            | BatchState::Undone(at) => (self.acknowledged < self.parts).then(|| at.plus(RESULTS_KEPT)),
        }
    }
}
