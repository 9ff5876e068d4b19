//! `muster profile explain`.

use super::render::Rendered;
use crate::{cli::Session, failure::Failure, output::Listing, records::SourcedValue};
use clap::Args;

/// Show for each parameter the value that a device has, and the layer that gives it; nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Layers, each above the one before: default, organisation, models/NAME, sites/CODE from the root of the tree down to the
device's own, groups/NAME from the lowest rank up (of equal ranks by name), device.

Examples:
  muster profile explain gateway --device serial:GW2-7000001
  muster profile explain -f gateway.toml --device serial:GW2-7000001 --group canary")]
pub(crate) struct Explain {
    #[command(flatten)]
    rendered: Rendered,
}

impl Explain {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let (profile, subject) = self.rendered.read(session).await?;
        let mut listing = Listing::of::<SourcedValue>(session.out, session.format, &[])?;
        for value in subject.explain(&profile)? {
            listing.push(&value)?;
        }
        listing.finish()
    }
}
