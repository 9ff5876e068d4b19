//! The contract, held to `README.md` and to the vectors in `tests/fixtures/proto`.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

#[cfg(feature = "grpc")]
mod descriptor;
mod envelope;
mod firmware;
mod fixture;
mod flips;
mod messages;
mod properties;
mod readme;
mod shown;
mod strict;
mod trust;
mod trust_versions;
mod vectors;
