//! What works by itself, without a caller.

mod batches;
mod changes;
mod delivery;
mod presence;
mod revocation;

pub(crate) use batches::batches;
pub(crate) use changes::changes;
pub(crate) use delivery::delivery;
pub(crate) use presence::presence;
pub(crate) use revocation::revocation;
