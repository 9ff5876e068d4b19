//! Changes of many devices: made, planned, performed.
//!
//! Whatever moves a target goes through [`Book`]: the row of the target, the count of its stage, the holder of its device and the
//! time at which it is due move together. Devices are changed in the transaction that moves their targets.

mod advance;
mod begin;
mod book;
mod codes;
mod create;
mod due;
mod hear;
mod join;
mod list;
mod listing;
mod plan;
mod reserve;
mod revert;
mod sheaf;
mod step;
mod turn;
mod zoned;

pub use step::RETRY_PART;
pub use turn::{Seen, Turn};
pub(super) use {
    book::{due, facet_key, standing_key},
    hear::{forget, heard, promoted},
    step::void_approvals,
};

/// Targets that a transaction moves where no device changes: some tenths of a second, in which nobody else writes.
const PART: usize = 20_000;
