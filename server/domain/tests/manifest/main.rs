//! Manifests, from bytes to outcomes.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod expected;
mod hostile;
mod lists;
mod mapping;
mod outcomes;
mod permits;
mod profiles;
mod proposals;
mod reading;
mod refusals;
mod rules;
mod sheets;
mod sources;
mod speed;
mod steps;
mod streams;
mod support;
mod workbook;
