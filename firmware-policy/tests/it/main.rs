//! What the crate promises, at its public boundary.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod builder;
mod evaluate;
mod explain;
mod parse;
mod properties;
mod trust;
mod wire;
