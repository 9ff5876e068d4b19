//! Counting rows.

use super::{ROW_COUNT_LIMIT, format::ReadError};
use crate::{Code, Refusal};

/// Rows passed so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rows(u32);

impl Rows {
    /// How many were passed.
    pub(super) const fn passed(self) -> u32 {
        self.0
    }

    /// One more; its number, from 1.
    pub(super) fn count(&mut self) -> Result<u32, ReadError> {
        if self.0 == ROW_COUNT_LIMIT {
            let why = format!("has more than {ROW_COUNT_LIMIT} rows");
            return Err(Refusal::new(Code::ManifestTooLarge, why).into());
        }
        self.0 += 1;
        Ok(self.0)
    }
}
