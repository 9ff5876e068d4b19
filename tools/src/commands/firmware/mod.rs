//! `muster firmware`: what other kinds have, what shows what a policy does before it does it, and signatures of images.

mod image;
mod sign;
mod simulate;
mod verify;

use super::{
    catalog::{self, FirmwarePolicies, Noun as _},
    resource,
};
use crate::{
    apply::{Kind, read_path},
    cli::Session,
    exit::Exit,
    failure::Failure,
};
use clap::Subcommand;
use muster_proto::v1::{self, resource::Resource};
use std::path::Path;

/// What can be done with firmware policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Catalog(catalog::Command<FirmwarePolicies>),
    Simulate(simulate::Simulate),
    Sign(sign::Sign),
    Verify(verify::Verify),
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Catalog(command) => command.run(session).await?,
            Self::Simulate(simulate) => simulate.run(session).await?,
            Self::Sign(sign) => sign.run(session)?,
            Self::Verify(verify) => return verify.run(session).await,
        }
        Ok(Exit::Done)
    }
}

/// The policies of a file, or the one of that name in it; never none.
fn of_file(file: &Path, name: Option<&str>) -> Result<Vec<v1::FirmwarePolicy>, Failure> {
    // A file of several kinds will do; if it cannot be read as such, the first error says why.
    let resources = read_path(file, Kind::FirmwarePolicies, None)
        .or_else(|first| read_path(file, Kind::Any, None).map_err(|_| first))?;
    let wanted = name.map(|name| resource(FirmwarePolicies::COLLECTION, name));
    let found: Vec<_> = resources
        .into_iter()
        .filter_map(|read| match read.wire.resource {
            Some(Resource::FirmwarePolicy(policy)) => Some(policy),
            _ => None,
        })
        .filter(|policy| wanted.as_ref().is_none_or(|name| policy.name == *name))
        .collect();
    if found.is_empty() {
        let message = format!("{} holds no such firmware policy", file.display());
        return Err(Failure::usage(message, ""));
    }
    Ok(found)
}
