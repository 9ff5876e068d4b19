//! A batch: one import of a manifest, with a life of its own.
//!
//! The file arrives in pieces, is checked, perhaps planned, and applied part after part. Each step is durable before
//! the next begins, so a batch outlives its client and the server: whoever comes back finds it where it was. A [`Batch`] is stepped by
//! [`Batch::step`]; a [`PartRecord`] keeps what became of each row; a [`PlanHash`] names what would.

mod part;
mod plan;
mod record;
mod spec;
mod state;
mod tally;
mod undo;

pub use part::{PartRecord, Slot, SlotOutcome};
pub(crate) use plan::Fields;
pub use plan::{PlanHash, PlanHasher, RowDigest};
pub use record::{Batch, SentFile};
pub use spec::{BatchSpec, CredentialKind, KeyFormat, RetryFile};
pub use state::{BatchState, BatchStep, CheckedFile, Ending};
pub use tally::Tally;
pub use undo::{Reach, UndoBlock, ValuesDigest, reverted, undo_created, undo_updated};

use std::time::Duration;

/// Longest request id, in bytes.
pub const REQUEST_ID_LIMIT: usize = 64;
/// How long results wait to be acknowledged before their codes and keys are erased: a line that stood still over a holiday still finds
/// them.
pub const RESULTS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a file that is not whole waits for the rest.
pub const UPLOAD_KEPT: Duration = RESULTS_KEPT;
/// How long a plan can be applied: by the next day somebody should look again.
pub const PLAN_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Most files of refused rows that are sent again within one batch: each leaves a line in its record.
pub const ATTEMPT_LIMIT: u32 = 1000;
