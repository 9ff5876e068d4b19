//! Batches: their states, their plans, their undo.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod plans;
mod states;
mod support;
mod undo;
