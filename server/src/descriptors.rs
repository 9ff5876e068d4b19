//! File descriptors: a socket takes one, and shells hand out too few.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files, spools, listeners and gRPC connections beside the devices'.
const OTHERS: usize = 1024;

/// Raises the process's soft limit as far as it may go, and warns when that is too little for so many sockets.
pub(crate) fn raise_for(sockets: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum;
    limit.current = hard;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let needed = sockets.saturating_add(OTHERS);
    if hard.is_some_and(|hard| hard < needed as u64) {
        tracing::warn!(
            limit = hard,
            needed,
            "too few open files are allowed for that many connections"
        );
    }
}
