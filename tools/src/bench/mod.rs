//! `muster bench`: what this build does on this machine, beside a peer or a limit measured in the same run.
//!
//! The server runs in a process of its own (this program again, with a hidden command), so that its memory and
//! CPU time can be told from the client's.

mod authority;
mod bare;
mod change;
mod claim;
mod crowd;
mod gate;
pub(crate) mod host;
mod import;
mod issue;
mod limit;
mod mosquitto;
mod mqtt;
mod postgres;
pub(crate) mod rows;
mod sheet;
mod stalled;
mod workbook;

use crate::{cli::Session, output::Format};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

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
    /// Targets a second that are planned and sent in a change, and reports a second that move it.
    Change(change::Options),
    /// Claims a second over MQTT with TLS: handshake, claim, certificate, durable.
    Claim(claim::Options),
    /// Connections a second, memory of each, and messages a second to devices' own topics, beside Mosquitto.
    Gate(gate::Options),
    /// Certificates a second from given keys, beside the bare signatures of this machine; and durable.
    Issue(issue::Options),
    /// How soon new devices are served among thousands of sockets that stall, and what these cost the server in memory.
    Stalled(stalled::Options),
    /// Rows a second of a generated workbook, and what it costs client and server in memory.
    Workbook(workbook::Options),
}

impl Bench {
    /// Runs a benchmark.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> anyhow::Result<()> {
        match self.name {
            Name::Import(options) => print(&import::run(&options).await?, options.json, session),
            Name::Change(options) => print(&change::run(&options).await?, options.json, session),
            Name::Claim(options) => print(&claim::run(&options).await?, options.json, session),
            Name::Gate(options) => print(&gate::run(&options).await?, options.json, session),
            Name::Issue(options) => print(&issue::run(&options).await?, options.json, session),
            Name::Stalled(options) => print(&stalled::run(&options).await?, options.json, session),
            Name::Workbook(options) => print(&workbook::run(&options).await?, options.json, session),
        }
    }
}

/// Prints figures: one JSON object, a header and a line of CSV, or a line each. The keys name the units.
fn print<T: Serialize>(figures: &T, json: bool, session: &mut Session<'_>) -> anyhow::Result<()> {
    let value = serde_json::to_value(figures)?;
    let figures = value.as_object().context("figures are an object")?;
    let format = if json { Format::Json } else { session.format };
    match format {
        Format::Json | Format::Jsonl => session.say(&value.to_string())?,
        Format::Csv => {
            let keys: Vec<_> = figures.keys().map(String::as_str).collect();
            let values: Vec<_> = figures.values().map(ToString::to_string).collect();
            session.say(&keys.join(","))?;
            session.say(&values.join(","))?;
        }
        Format::Table => {
            for (key, value) in figures {
                session.say(&format!("{key:<26} {:>14}", person(value)))?;
            }
        }
    }
    Ok(())
}

/// As many digits as a person reads: none behind the point from a hundred on.
fn person(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() && number >= 100.0 => format!("{number:.0}"),
        Some(number) if value.is_f64() => format!("{number:.2}"),
        Some(_) | None => value.to_string(),
    }
}
