//! `muster fleet`.

use crate::{cli::Session, failure::Failure, output::print_one, records::Counts};
use clap::Subcommand;
use muster_proto::v1;

/// The fleet in numbers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Devices by state, verification, model and site.
    Counts,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let Self::Counts = self;
        let counts = session
            .client()
            .await?
            .fleet
            .get_counts(v1::GetCountsRequest {})
            .await?
            .into_inner();
        print_one(session.out, session.format, &Counts::from(counts))
    }
}
