//! A batch: one import of a manifest.

use crate::{Timestamp, ids::BatchId, names::OperatorName};
use serde::{Deserialize, Serialize};

/// How many rows ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// New devices.
    pub created: u64,
    /// Devices whose values changed.
    pub updated: u64,
    /// Devices that said the same already.
    pub unchanged: u64,
    /// Rows refused.
    pub refused: u64,
}

impl Tally {
    /// All rows.
    pub const fn rows(&self) -> u64 {
        self.created + self.updated + self.unchanged + self.refused
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            created: self.created + other.created,
            updated: self.updated + other.updated,
            unchanged: self.unchanged + other.unchanged,
            refused: self.refused + other.refused,
        }
    }
}

/// Where a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchState {
    /// Parts are being committed. A batch that stays here was cut; sending the file again finishes the work.
    Applying,
    /// Every row has its outcome.
    Done(Timestamp),
}

/// The record of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Assigned by the registry.
    pub id: BatchId,
    /// As the user calls it; not a path.
    pub file_name: String,
    /// SHA-256 of the file as sent.
    pub file_sha256: [u8; 32],
    /// Its size.
    pub file_bytes: u64,
    /// Who sent it.
    pub author: OperatorName,
    /// When.
    pub created: Timestamp,
    /// Where it is.
    pub state: BatchState,
    /// Rows so far.
    pub tally: Tally,
    /// Parts committed so far; the next part has this number.
    pub parts: u32,
}
