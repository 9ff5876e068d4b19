//! Changes: their states, their targets, and a fleet under random events.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod fleet;
mod sequences;
mod states;
mod support;
mod targets;
