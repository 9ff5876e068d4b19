//! Applying desired state: into the slot that is not in use, read back, accepted by the hook, and then switched.
//!
//! ```text
//! config/a/            one slot: a file for each key, and location.json
//! config/b/            the other
//! config/current -> a  what runs; replaced atomically, so that it always names a slot that is whole
//! config/firmware.json what the firmware policy asks for
//! ```

mod firmware;
mod hook;
mod inspect;
mod slot;

pub(crate) use firmware::{assess, reported, withdraw};
pub(crate) use hook::{Hook, HookError};
pub(crate) use inspect::inspect;
pub(crate) use slot::{Staged, commit, stage};

use crate::{machine::Mark, record::StateError, sealed::Lacking};
use muster_proto::payload::Digest;
use serde::{Deserialize, Serialize};
use std::io;

/// What was switched to, as it is kept: enough to notice a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) mark: Mark,
    /// Name and SHA-256 of each file, `location.json` too.
    pub(crate) files: Vec<(String, Digest)>,
}

/// Why desired state is not applied. The device runs what it had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("{0} files, at most {limit} are applied", limit = slot::FILES_LIMIT)]
    TooMany(usize),
    /// The name is left out: it may be hostile to whoever reads it.
    #[error("file {0} has a name that is not plain, or is the agent's own")]
    Name(usize),
    #[error("two files are named {0}")]
    Twice(String),
    #[error("{0} is too large with its secrets")]
    TooLarge(String),
    #[error("location cannot be written as JSON")]
    Location,
    #[error("cannot {0}: {1}")]
    Io(&'static str, io::Error),
    #[error("{0} does not read back as it was written")]
    ReadBack(String),
    #[error(transparent)]
    Secret(#[from] Lacking),
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error("what is held is not believed any more; waiting for the registry to send it again")]
    Unproven,
    #[error(transparent)]
    State(StateError),
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
