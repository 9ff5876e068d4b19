//! Manifests, from bytes to outcomes.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod expected;
mod hostile;
mod hostile_bytes;
mod lists;
mod mapping;
mod outcomes;
mod profiles;
mod reading;
mod refusals;
mod sheets;
mod speed;
mod streams;
mod support;
mod workbook;
