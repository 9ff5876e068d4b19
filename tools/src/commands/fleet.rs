//! `muster fleet`.

#[cfg(feature = "embedded")]
use crate::fleet::Simulate;
use crate::{cli::Session, failure::Failure, output::print_one, records::Counts};
use clap::Subcommand;
use muster_proto::v1;

/// The fleet in numbers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Devices by state, verification, model and site.
    Counts,
    #[cfg(feature = "embedded")]
    Simulate(Box<Simulate>),
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Counts => counts(session).await,
            #[cfg(feature = "embedded")]
            Self::Simulate(simulate) => Ok(simulate.run(session).await?),
        }
    }
}

async fn counts(session: &mut Session<'_>) -> Result<(), Failure> {
    let counts = session
        .client()
        .await?
        .fleet
        .get_counts(v1::GetCountsRequest {})
        .await?
        .into_inner();
    print_one(session.out, session.format, &Counts::from(counts))
}
