//! How far targets are, as that is counted.

use core::fmt;
use serde::{Deserialize, Serialize};

/// How far a target is, without what is known of it: what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants of `TargetState`")]
pub enum Standing {
    Waiting,
    Sent,
    Proved,
    Done,
    Failed,
    TimedOut,
    Skipped,
    Reverting,
    Reverted,
}

impl Standing {
    /// All of them, in the order of a target's way.
    pub const ALL: [Self; 9] = [
        Self::Waiting,
        Self::Sent,
        Self::Proved,
        Self::Done,
        Self::Failed,
        Self::TimedOut,
        Self::Skipped,
        Self::Reverting,
        Self::Reverted,
    ];

    /// Whether its change goes on with it, which ends where another change takes the device: what falls back is to be repaired also
    /// by a change that is done.
    pub const fn goes_on(self) -> bool {
        matches!(self, Self::Waiting | Self::Sent | Self::Proved | Self::Reverting)
    }

    /// As an operator calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Sent => "SENT",
            Self::Proved => "PROVED",
            Self::Done => "DONE",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Skipped => "SKIPPED",
            Self::Reverting => "REVERTING",
            Self::Reverted => "REVERTED",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
