//! What works by itself, without a caller.

mod batches;
mod presence;
mod revocation;

pub(crate) use batches::batches;
pub(crate) use presence::presence;
pub(crate) use revocation::revocation;
