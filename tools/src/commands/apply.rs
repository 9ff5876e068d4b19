//! `muster apply`, and the `apply` of each kind.

use crate::{
    apply::{ApplyOptions, FILES_HELP, FileFormat, Kind, read_path, send},
    cli::Session,
    failure::Failure,
    output::{Format, Listing},
    records::Outcome,
};
use clap::Args;
use std::path::PathBuf;

/// Apply files of resources: create what is new, change what differs, leave the rest.
#[derive(Debug, Args)]
#[command(after_long_help = FILES_HELP)]
pub(crate) struct Apply {
    /// Files to apply; a directory stands for its files, `-` for standard input.
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// What the files are written in; without it, the ending of each name decides.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FileFormat>,
    /// Check everything, change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Why, for the history of profiles, firmware policies and mappings that bring no message.
    #[arg(
        short,
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    message: String,
}

impl Apply {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        self.run_for(Kind::Any, session).await
    }

    pub(crate) async fn run_for(self, kind: Kind, session: &mut Session<'_>) -> Result<(), Failure> {
        let mut resources = Vec::new();
        for file in &self.files {
            resources.extend(read_path(file, kind, self.format)?);
        }
        let options = ApplyOptions {
            dry_run: self.dry_run,
            message: self.message,
        };
        let outcomes = send(&session.client().await?, resources, &options).await?;
        let mut listing = Listing::of::<Outcome>(session.out, session.format, &[])?;
        for outcome in outcomes {
            listing.push(&Outcome::from(outcome))?;
        }
        listing.finish()?;
        if self.dry_run && session.format == Format::Table {
            session.note("dry run: nothing was changed");
        }
        Ok(())
    }
}
