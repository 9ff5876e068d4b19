//! What works by itself, without a caller.

mod batches;
mod revocation;

pub(crate) use batches::batches;
pub(crate) use revocation::revocation;
