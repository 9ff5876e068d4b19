//! What works by itself, without a caller.

mod batches;

pub(crate) use batches::batches;
