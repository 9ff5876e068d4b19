//! Manifests, from bytes to outcomes.

mod expected;
mod mapping;
mod outcomes;
mod profiles;
mod reading;
mod refusals;
mod speed;
mod streams;
mod support;
