//! What became of the rows of one part: what a caller is told, as often as it asks.

use crate::{
    ids::{BatchId, DeviceId},
    manifest::Problem,
};
use serde::{Deserialize, Serialize};

/// The record of a part that was committed. A row that made a device costs about eight bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Of which batch.
    pub batch: BatchId,
    /// Its number within the batch, from 0, over all attempts.
    pub number: u32,
    /// Of which attempt.
    pub attempt: u32,
    /// The ids of new devices count up from here.
    pub first: DeviceId,
    /// One a row, in the order of the file.
    pub slots: Vec<Slot>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// As the first file of the batch counts.
    pub row: u32,
    /// How it ended.
    pub outcome: SlotOutcome,
    /// What is odd about it and did not keep it from being accepted.
    pub warnings: Vec<Problem>,
}

/// How a row ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotOutcome {
    /// A new device; see [`PartRecord::device`].
    Created {
        /// From [`PartRecord::first`].
        offset: u32,
    },
    /// A device that changed.
    Updated {
        /// Which.
        device: DeviceId,
        /// The fields that changed.
        changes: Vec<String>,
    },
    /// A device that said the same already.
    Unchanged {
        /// Which.
        device: DeviceId,
    },
    /// No; every reason.
    Refused(Vec<Problem>),
}

impl PartRecord {
    /// The device of a slot; `None` when its row was refused.
    pub const fn device(&self, slot: &Slot) -> Option<DeviceId> {
        match slot.outcome {
            SlotOutcome::Created { offset } => Some(self.first.offset(offset)),
            SlotOutcome::Updated { device, .. } | SlotOutcome::Unchanged { device } => Some(device),
            SlotOutcome::Refused(_) => None,
        }
    }

    /// The row of its first slot, as the file counts.
    pub fn first_row(&self) -> Option<u32> {
        self.slots.first().map(|slot| slot.row)
    }
}
