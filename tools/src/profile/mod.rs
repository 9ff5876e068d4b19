//! Profiles before anything moves: compared, looked through for what will go wrong, and tested. Nothing here asks a server.

mod diff;
mod lint;
mod probe;
mod scan;
pub(crate) mod test;

pub(crate) use diff::{FileDiff, Side};
pub(crate) use lint::{Finding, Lint, lint};
