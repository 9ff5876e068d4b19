//! Where a batch is, and every step it can take.

use super::{ATTEMPT_LIMIT, Batch, PlanHash, RetryFile, SentFile, Tally};
use crate::{
    Code, Refusal, Timestamp, activation::Seed, catalog::RevisionNumber, manifest::Format, names::MappingName,
};
use core::mem;
use serde::{Deserialize, Serialize};

/// Where a batch is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchState {
    /// The file is not whole yet.
    Uploading,
    /// The file is whole, and is read.
    Checking,
    /// Checked; nothing changed.
    Planned {
        /// Cannot be applied from then on.
        until: Timestamp,
        /// How rows would end.
        tally: Tally,
    },
    /// Parts are being committed.
    Applying,
    /// Every row has its outcome.
    Done(Timestamp),
    /// Stopped by an operator; what was applied stays.
    Cancelled(Timestamp),
    /// Refused as a whole, or given up; what was applied stays.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        refusal: Refusal,
    },
    /// Being taken back, part after part.
    Undoing {
        /// How it had ended, to return to if something blocks it at the last moment.
        ended: Ending,
        /// Updated devices are what they were, and created ones are going: there is no way back.
        decided: bool,
    },
    /// Taken back.
    Undone(Timestamp),
}

/// How a batch had ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// See [`BatchState::Done`].
    Done(Timestamp),
    /// See [`BatchState::Cancelled`].
    Cancelled(Timestamp),
    /// See [`BatchState::Failed`].
    Failed(Timestamp, Refusal),
}

/// What reading a file told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFile {
    /// What it is written in.
    pub format: Format,
    /// The sheet that is read; empty where there are none.
    pub sheet: String,
    /// The mapping that is used, if it is kept.
    pub mapping: Option<(MappingName, RevisionNumber)>,
    /// Its rows.
    pub rows: u64,
}

/// What can happen to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchStep {
    /// So many bytes of the file are durable. 0 begins it again.
    Received(u64),
    /// The file is whole.
    UploadEnded {
        /// Its size, which is what was received.
        bytes: u64,
        /// Its SHA-256.
        sha256: [u8; 32],
    },
    /// The file was read to its end.
    Checked(CheckedFile),
    /// What would become of its rows is known.
    Planned {
        /// Names it.
        plan: PlanHash,
        /// How rows would end.
        tally: Tally,
        /// How long it can be applied.
        until: Timestamp,
    },
    /// From now on parts are committed.
    ApplyBegun {
        /// What will be done: must be the plan on record, or the one that was asked for, if there is one.
        plan: Option<PlanHash>,
    },
    /// The mapping that the file is read by is kept in the catalog, now that it is used.
    MappingKept(MappingName, RevisionNumber),
    /// A part is committed. Only the store makes this step, with the part.
    PartCommitted {
        /// How its rows ended.
        tally: Tally,
        /// Of its rows, how many were refused in a former attempt and are not any more, or anew.
        sent_again: u64,
        /// Of the part that may follow.
        next_seed: Seed,
    },
    /// Every row has its outcome.
    Finished,
    /// An operator, or the passing of time, stops it.
    Cancelled,
    /// It is refused as a whole.
    Failed(Refusal),
    /// The caller has kept the results of all parts before this one.
    Acknowledged(u32),
    /// Mended rows are sent as another file.
    RetryBegun {
        /// Names the attempt.
        request_id: String,
        /// What it says of itself.
        file: RetryFile,
    },
    /// It is being taken back.
    UndoBegun,
    /// Nothing blocks it: updated devices are what they were.
    UndoDecided,
    /// Something blocked it after all: it is as it was.
    UndoAbandoned,
    /// It is taken back.
    Undone,
}

impl BatchState {
    /// As an operator calls it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Uploading => "UPLOADING",
            Self::Checking => "CHECKING",
            Self::Planned { .. } => "PLANNED",
            Self::Applying => "APPLYING",
            Self::Done(_) => "DONE",
            Self::Cancelled(_) => "CANCELLED",
            Self::Failed { .. } => "FAILED",
            Self::Undoing { .. } => "UNDOING",
            Self::Undone(_) => "UNDONE",
        }
    }

    fn ended(&self) -> Option<Ending> {
        match self {
            Self::Done(at) => Some(Ending::Done(*at)),
            Self::Cancelled(at) => Some(Ending::Cancelled(*at)),
            Self::Failed { at, refusal } => Some(Ending::Failed(*at, refusal.clone())),
            Self::Uploading
            | Self::Checking
            | Self::Planned { .. }
            | Self::Applying
            | Self::Undoing { .. }
            | Self::Undone(_) => None,
        }
    }
}

impl From<Ending> for BatchState {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done(at) => Self::Done(at),
            Ending::Cancelled(at) => Self::Cancelled(at),
            Ending::Failed(at, refusal) => Self::Failed { at, refusal },
        }
    }
}

impl BatchStep {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Received(_) | Self::UploadEnded { .. } => "receive a file",
            Self::Checked(_) => "be checked",
            Self::Planned { .. } => "be planned",
            Self::ApplyBegun { .. } | Self::MappingKept(..) | Self::PartCommitted { .. } => "be applied",
            Self::Finished => "be finished",
            Self::Cancelled => "be cancelled",
            Self::Failed(_) => "fail",
            Self::Acknowledged(_) => "be acknowledged",
            Self::RetryBegun { .. } => "take a file of mended rows",
            Self::UndoBegun | Self::UndoDecided | Self::UndoAbandoned | Self::Undone => "be taken back",
        }
    }
}

impl Batch {
    /// The batch after a step, or why it cannot take it.
    pub fn step(self, step: BatchStep, now: Timestamp) -> Result<Self, Refusal> {
        use BatchState as State;
        let changed = Self { changed: now, ..self };
        let to = |state: State| {
            Ok(Self {
                state,
                ..changed.clone()
            })
        };
        match (&changed.state, step) {
            (State::Uploading, BatchStep::Received(bytes)) => changed.received(bytes),
            (State::Uploading, BatchStep::UploadEnded { bytes, sha256 }) => changed.uploaded(bytes, sha256),
            (State::Checking, BatchStep::Checked(file)) => Ok(changed.checked(file)),
            (State::Checking, BatchStep::Planned { plan, tally, until }) => Ok(Self {
                state: State::Planned { until, tally },
                plan: Some(plan),
                ..changed
            }),
            (State::Checking | State::Planned { .. }, BatchStep::ApplyBegun { plan }) => changed.begun(plan),
            (
                State::Applying,
                BatchStep::PartCommitted {
                    tally,
                    sent_again,
                    next_seed,
                },
            ) => changed.committed(tally, sent_again, next_seed),
            (State::Applying, BatchStep::MappingKept(name, revision)) => Ok(Self {
                mapping: Some((name, revision)),
                ..changed
            }),
            (State::Applying, BatchStep::Finished) => to(State::Done(now)),
            (
                State::Uploading | State::Checking | State::Planned { .. } | State::Applying,
                BatchStep::Cancelled,
            ) => to(State::Cancelled(now)),
            (
                State::Uploading | State::Checking | State::Planned { .. } | State::Applying,
                BatchStep::Failed(refusal),
            ) => to(State::Failed { at: now, refusal }),
            (_, BatchStep::Acknowledged(parts)) => Ok(changed.acknowledged(parts)),
            (State::Done(_) | State::Cancelled(_), BatchStep::RetryBegun { request_id, file }) => {
                changed.retried(request_id, file)
            }
            (State::Done(_) | State::Cancelled(_) | State::Failed { .. }, BatchStep::UndoBegun) => {
                let Some(ended) = changed.state.ended() else {
                    return Err(changed.refusal("be taken back"));
                };
                to(State::Undoing {
                    ended,
                    decided: false,
                })
            }
            (
                State::Undoing {
                    ended,
                    decided: false,
                },
                BatchStep::UndoDecided,
            ) => to(State::Undoing {
                ended: ended.clone(),
                decided: true,
            }),
            (
                State::Undoing {
                    ended,
                    decided: false,
                },
                BatchStep::UndoAbandoned,
            ) => to(ended.clone().into()),
            // Codes and keys of devices that are gone are of no use.
            (State::Undoing { decided: true, .. }, BatchStep::Undone) => Ok(Self {
                state: State::Undone(now),
                acknowledged: changed.parts,
                ..changed
            }),
            (_, step) => Err(changed.refusal(step.verb())),
        }
    }

    /// It cannot do this where it is.
    pub fn refusal(&self, verb: &str) -> Refusal {
        let why = format!("{} is {} and cannot {verb}", self.name(), self.state.as_str());
        Refusal::new(Code::BatchState, why).at("name")
    }

    fn received(self, bytes: u64) -> Result<Self, Refusal> {
        if bytes != 0 && bytes < self.received {
            let why = format!("{} bytes are durable already; go on from there", self.received);
            return Err(Refusal::new(Code::UploadOffset, why).at("start.offset"));
        }
        Ok(Self {
            received: bytes,
            ..self
        })
    }

    fn uploaded(self, bytes: u64, sha256: [u8; 32]) -> Result<Self, Refusal> {
        if bytes != self.received {
            let why = format!("{} bytes arrived, {bytes} were announced", self.received);
            return Err(Refusal::new(Code::UploadMismatch, why).at("end.file_bytes"));
        }
        Ok(Self {
            state: BatchState::Checking,
            file_bytes: bytes,
            file_sha256: Some(sha256),
            ..self
        })
    }

    fn checked(self, file: CheckedFile) -> Self {
        Self {
            format: Some(file.format),
            sheet: file.sheet,
            mapping: file.mapping,
            rows: file.rows,
            ..self
        }
    }

    fn begun(self, plan: Option<PlanHash>) -> Result<Self, Refusal> {
        if let BatchState::Planned { until, .. } = self.state
            && until <= self.changed
        {
            return Err(Refusal::new(Code::PlanMoved, "the plan is too old to be applied"));
        }
        // The plan on record was shown to somebody; the one in the spec was asked for.
        let due = self.plan.or(self.spec.plan_hash);
        if due.is_some() && due != plan {
            let why = "what would be done is not what was planned";
            return Err(Refusal::new(Code::PlanMoved, why).at("plan_hash"));
        }
        Ok(Self {
            state: BatchState::Applying,
            plan,
            ..self
        })
    }

    fn committed(self, tally: Tally, sent_again: u64, next_seed: Seed) -> Result<Self, Refusal> {
        let Some(parts) = self.parts.checked_add(1) else {
            return Err(self.refusal("have more parts"));
        };
        let mut sum = self.tally.plus(tally);
        sum.refused = sum.refused.saturating_sub(sent_again);
        Ok(Self {
            tally: sum,
            parts,
            next_seed,
            ..self
        })
    }

    fn acknowledged(self, parts: u32) -> Self {
        let acknowledged = self.acknowledged.max(parts.min(self.parts));
        Self { acknowledged, ..self }
    }

    fn retried(mut self, request_id: String, file: RetryFile) -> Result<Self, Refusal> {
        if self.unrecorded > 0 {
            let why = format!(
                "nobody knows the rows of {}: it is of an older program",
                self.name()
            );
            return Err(Refusal::new(Code::BatchState, why).at("retry_of"));
        }
        if self.attempt >= ATTEMPT_LIMIT {
            let why = format!("{} has {ATTEMPT_LIMIT} retries already", self.name());
            return Err(Refusal::new(Code::BatchState, why).at("retry_of"));
        }
        self.former.push(SentFile {
            name: mem::take(&mut self.spec.file_name),
            bytes: self.file_bytes,
            sha256: self.file_sha256,
            sheet: mem::take(&mut self.sheet),
            mapping: self.mapping.take(),
            first_part: self.first_part,
        });
        Ok(Self {
            request_id,
            spec: self.spec.retried(file),
            attempt: self.attempt + 1,
            state: BatchState::Uploading,
            received: 0,
            file_bytes: 0,
            file_sha256: None,
            format: None,
            plan: None,
            rows: 0,
            first_part: self.parts,
            ..self
        })
    }
}
