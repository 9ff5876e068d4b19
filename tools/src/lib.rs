//! `muster`: the command line of operators and manufacturing lines, and what it is made of.
//!
//! **What this is.** A client of the gRPC API of `musterd`: contexts, a connection, files of resources, imports with
//! results files, and every answer as table, JSON, JSON lines or CSV; and a listener to its feeds over MQTT. The parts are a library, so that the demo,
//! the benchmarks and the tests do what a user does.
//!
//! **What it must not know.** How server and agent work: both appear as libraries in `demo`, `fleet` and `bench` only, behind
//! the feature `embedded`.
//!
//! **Where to start.** [`cli`] lists the commands, `commands` has a file for each noun. [`client`] connects,
//! [`apply`] and [`import`] are the two journeys, [`output`] prints, [`failure`] and [`exit`] say how it ends.
#![warn(missing_docs)]

pub mod apply;
#[cfg(feature = "embedded")]
mod bench;
pub mod cli;
pub mod client;
mod commands;
pub mod context;
#[cfg(feature = "embedded")]
mod demo;
pub mod exit;
pub mod failure;
#[cfg(feature = "embedded")]
mod fleet;
pub mod import;
mod logs;
mod mqtt;
pub mod output;
mod profile;
pub mod records;
mod render;
pub mod template;
pub mod unreachable;

pub use client::Client;
pub use context::Context;
pub use exit::Exit;
pub use failure::Failure;
