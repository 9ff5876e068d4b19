//! `muster bench`: what this build does on this machine, beside a peer or a limit measured in the same run.
//!
//! The server runs in a process of its own (this program again, with a hidden command), so that its memory and
//! CPU time can be told from the client's.

mod claim;
mod host;
mod import;
mod postgres;
mod rows;

use clap::{Args, Subcommand};
use serde::Serialize;

pub use host::serve;

/// Measures a part of Muster.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    name: Name,
}

#[derive(Debug, Subcommand)]
enum Name {
    /// Rows a second from a generated manifest to durable devices, over gRPC with TLS.
    Import(import::Options),
    /// Claims a second over MQTT with TLS: handshake, claim, certificate, durable.
    Claim(claim::Options),
}

/// Runs a benchmark.
pub async fn run(bench: Bench) -> anyhow::Result<()> {
    match bench.name {
        Name::Import(options) => import::run(options).await,
        Name::Claim(options) => claim::run(options).await,
    }
}

/// Prints figures: one JSON object, or a line each with the units that the keys name.
fn print<T: Serialize>(figures: &T, json: bool) -> anyhow::Result<()> {
    let value = serde_json::to_value(figures)?;
    if json {
        return Ok(crate::output::line(&value.to_string())?);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        crate::output::line(&format!("{key:<32} {value}"))?;
    }
    Ok(())
}
