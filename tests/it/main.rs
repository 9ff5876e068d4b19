//! Muster from outside: house rules, and journeys over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects by unwrapping"
)]

mod journeys;
mod programs;
mod promises;
mod tidy;
