//! The agent over real sockets, against a small registry of the tests' own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests say what they expect with unwrap and expect"
)]

#[path = "../../src/testing.rs"]
#[expect(dead_code, reason = "the unit tests use the rest")]
mod pki;

mod cut;
mod journey;
mod process;
mod registry;
