//! Manifests, from bytes to outcomes.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod certificates;
mod claims;
mod credentials;
mod expected;
mod hostile;
mod hostile_bytes;
mod lists;
mod maker;
mod mapping;
mod needs;
mod outcomes;
mod permits;
mod presets;
mod profiles;
mod proposals;
mod published;
mod reading;
mod refusals;
mod rules;
mod sheets;
mod sources;
mod speed;
mod steps;
mod streams;
mod support;
mod vendor;
mod workbook;
