//! `muster bench`: what this build does on this machine, beside a peer or a limit measured in the same run.
//!
//! The server runs in a process of its own (this program again, with a hidden command), so that its memory and
//! CPU time can be told from the client's.

mod claim;
mod host;
mod import;
mod mqtt;
mod postgres;
mod rows;

use crate::{cli::Session, output::Format};
use clap::{Args, Subcommand};
use serde::Serialize;

pub(crate) use host::Serve;

/// Measures a part of Muster.
#[derive(Debug, Args)]
pub(crate) struct Bench {
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

impl Bench {
    /// Runs a benchmark.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let json = session.format == Format::Json;
        match self.name {
            Name::Import(options) => print(&import::run(&options).await?, json || options.json, session),
            Name::Claim(options) => print(&claim::run(&options).await?, json || options.json, session),
        }
    }
}

/// Prints figures: one JSON object, or a line each with the units that the keys name.
fn print<T: Serialize>(figures: &T, json: bool, session: &mut Session<'_>) -> anyhow::Result<()> {
    let value = serde_json::to_value(figures)?;
    if json {
        return Ok(session.say(&value.to_string())?);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        session.say(&format!("{key:<32} {value}"))?;
    }
    Ok(())
}
