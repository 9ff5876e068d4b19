//! Batches: their states, their plans, their undo.

mod plans;
mod states;
mod support;
mod undo;
