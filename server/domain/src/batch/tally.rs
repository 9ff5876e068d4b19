//! How the rows of a batch ended, in numbers.

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
