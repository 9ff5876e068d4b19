//! Changes: their states, their targets, and a fleet under random events.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod approvals;
mod codes;
#[path = "../device/support.rs"]
mod devices;
mod fleet;
mod four_eyes;
mod plans;
mod sequences;
mod states;
mod support;
mod targets;
