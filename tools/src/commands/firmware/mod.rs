//! `muster firmware`: what other kinds have, and what shows what a policy does before it does it.

mod simulate;

use super::catalog::{self, FirmwarePolicies};
use crate::{cli::Session, failure::Failure};
use clap::Subcommand;

/// What can be done with firmware policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Catalog(catalog::Command<FirmwarePolicies>),
    Simulate(simulate::Simulate),
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Catalog(command) => command.run(session).await,
            Self::Simulate(simulate) => simulate.run(session).await,
        }
    }
}
