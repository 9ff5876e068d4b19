//! A device's life: claims, reports, transitions, and what filters see of it.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod channelled;
mod claims;
mod explained;
mod filters;
mod forecast;
mod layered;
mod lives;
mod presence;
mod reports;
mod support;
