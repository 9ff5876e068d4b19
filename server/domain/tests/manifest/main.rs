//! Manifests, from bytes to outcomes.

mod expected;
mod support;
