//! The agent over real sockets, against a small registry of the tests' own.

#[path = "../../src/testing.rs"]
#[expect(dead_code, reason = "the unit tests use the rest")]
mod pki;

mod cut;
mod journey;
mod registry;
