//! `muster profile diff`.

use super::{from_file, of_device, of_server};
use crate::{
    cli::Session,
    commands::{device::Named, resource},
    exit::Exit,
    failure::Failure,
    output::{Format, Listing, text},
    profile::{FileDiff, Side},
    render::{Subject, kept_profile_of, source_of},
};
use clap::Args;
use muster_domain::Code;
use muster_proto::v1;
use std::{io::IsTerminal as _, path::PathBuf};

/// Show what changes between two revisions of a profile, or between the newest and a file.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Diff {
    /// The older side: NAME@N, or NAME alone for the revision before the newest. With a file, the profile in it, where there
    /// are several, or NAME@N for another revision than the newest.
    #[arg(required_unless_present = "file", value_name = "NAME[@N]")]
    old: Option<String>,
    /// The newer side, such as @4, or another profile; without it, the newest revision.
    #[arg(conflicts_with = "file", value_name = "[NAME]@N")]
    new: Option<String>,
    /// Compare what the registry has with this file of resources, as `muster apply` would read it.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Compare the files that this device gets instead of the templates: its id, or serial:SERIAL.
    #[arg(long, value_name = "ID|serial:SERIAL")]
    device: Option<String>,
}

const HELP: &str = "\
Exits with 0 when both sides say the same, with 9 when they differ. Parameters and layered values are compared as TOML. A profile of
a file has the revisions of secrets that applying it would pin.

Examples:
  muster profile diff gateway                       what the newest revision changed
  muster profile diff gateway@3 @5
  muster profile diff -f gateway.toml               what applying the file would change
  muster profile diff -f gateway.toml --device serial:GW2-7000001";

/// A profile, and how it is called in headers.
struct Revised {
    label: String,
    profile: v1::Profile,
}

impl Diff {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let (old, new) = self.sides(session).await?;
        let (old, new) = match &self.device {
            None => (old.map(Revised::written), new.written()),
            Some(device) => {
                let subject = of_device(session, Named::of(device.clone())).await?;
                let old = old.map(|old| old.rendered(&subject)).transpose()?;
                (old, new.rendered(&subject)?)
            }
        };
        let diffs = FileDiff::between(&old.unwrap_or_default(), &new);
        print(session, &diffs)?;
        Ok(if diffs.is_empty() { Exit::Done } else { Exit::Found })
    }

    /// Both sides; the older may not be there yet.
    async fn sides(&self, session: &Session<'_>) -> Result<(Option<Revised>, Revised), Failure> {
        if let Some(file) = &self.file {
            let name = self
                .old
                .as_deref()
                .map(|name| name.split('@').next().unwrap_or(name));
            let mut profile = from_file(file, name)?;
            pin(session, &mut profile).await?;
            let label = file.display().to_string();
            let kept = self.old.clone().unwrap_or_else(|| profile.name.clone());
            let old = match of_server(session, &kept).await {
                Ok(old) => Some(Revised::of(old)),
                Err(failure) if failure.is(Code::NotFound) && !kept.contains('@') => None,
                Err(failure) => return Err(failure),
            };
            return Ok((old, Revised { label, profile }));
        }
        let old = self.old.as_deref().unwrap_or_default();
        let name = old.split('@').next().unwrap_or(old);
        let new = match self.new.as_deref() {
            None => name.to_owned(),
            Some(number) if number.starts_with('@') => format!("{name}{number}"),
            Some(other) => other.to_owned(),
        };
        let new = Revised::of(of_server(session, &new).await?);
        if old.contains('@') || self.new.is_some() {
            return Ok((Some(Revised::of(of_server(session, old).await?)), new));
        }
        let number = new
            .profile
            .revision
            .as_ref()
            .map_or(0, |revision| revision.number);
        if number <= 1 {
            return Ok((None, new));
        }
        let before = of_server(session, &format!("{name}@{}", number - 1)).await?;
        Ok((Some(Revised::of(before)), new))
    }
}

impl Revised {
    fn of(profile: v1::Profile) -> Self {
        let number = profile.revision.as_ref().map_or(0, |revision| revision.number);
        let name = profile.name.rsplit('/').next().unwrap_or_default();
        Self {
            label: format!("{name}@{number}"),
            profile,
        }
    }

    fn written(self) -> Side {
        Side::written(self.label, &source_of(self.profile))
    }

    fn rendered(self, subject: &Subject) -> Result<Side, Failure> {
        let files = subject.render(&kept_profile_of(self.profile)?)?;
        Ok(Side::rendered(self.label, files))
    }
}

/// Gives a profile of a file the revisions of secrets that applying it would pin.
async fn pin(session: &Session<'_>, profile: &mut v1::Profile) -> Result<(), Failure> {
    let source = source_of(profile.clone());
    let named = source.secrets_named();
    if named.is_empty() {
        return Ok(());
    }
    let mut secrets = session.client().await?.secrets;
    for name in named {
        let request = v1::ListSecretRevisionsRequest {
            name: resource("secrets", name),
            ..v1::ListSecretRevisionsRequest::default()
        };
        let revisions = match secrets.list_secret_revisions(request).await {
            Ok(answer) => answer.into_inner().secrets,
            // Applying it says so, too.
            Err(status) if status.code() == tonic::Code::NotFound => continue,
            Err(status) => return Err(status.into()),
        };
        if let Some(newest) = revisions.iter().find(|revision| !revision.retired) {
            profile.secrets.insert(name.to_owned(), newest.revision);
        }
    }
    Ok(())
}

fn print(session: &mut Session<'_>, diffs: &[FileDiff]) -> Result<(), Failure> {
    if session.format != Format::Table {
        let mut listing = Listing::of::<FileDiff>(session.out, session.format, &[])?;
        for diff in diffs {
            listing.push(diff)?;
        }
        return listing.finish();
    }
    let is_coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for line in diffs.iter().flat_map(|diff| diff.diff.lines()) {
        let line = text::clean(line);
        match colour(&line).filter(|_| is_coloured) {
            Some(colour) => writeln!(session.out, "\u{1b}[{colour}m{line}\u{1b}[0m")?,
            None => writeln!(session.out, "{line}")?,
        }
    }
    Ok(())
}

/// As git shows them: bold headers, cyan places, red and green lines.
fn colour(line: &str) -> Option<&'static str> {
    match line.as_bytes().first()? {
        b'+' if line.starts_with("+++ ") => Some("1"),
        b'-' if line.starts_with("--- ") => Some("1"),
        b'@' => Some("36"),
        b'+' => Some("32"),
        b'-' => Some("31"),
        _ => None,
    }
}
