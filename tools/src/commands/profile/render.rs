//! `muster profile render`.

use super::{from_file, of_device, of_server};
use crate::{
    cli::Session,
    commands::device::Named,
    failure::{Answer, Failure},
    output::{Format, Listing},
    records::RenderedFile,
    render::{Subject, kept_profile_of, profile_of},
};
use clap::Args;
use muster_domain::catalog::Profile;
use std::path::PathBuf;

/// Show the files that a device gets of a profile; nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Values are named as templates name them: device.serial, device.mac, device.model, device.hardware, device.firmware,
device.position, device.labels.KEY, site.code, site.name, site.country, site.latitude, site.longitude, site.time_zone,
and the profile's own parameters. With -f and without --device, no server is needed.

Examples:
  muster profile render gateway --device serial:GW2-7000001
  muster profile render -f gateway.toml --device serial:GW2-7000001 --set report_seconds=30
  muster profile render -f gateway.toml --set device.serial=GW2-1 --set device.model=GW-200 --set site.code=MUC-01")]
pub(crate) struct Render {
    #[command(flatten)]
    rendered: Rendered,
    /// Only this file, as it is.
    #[arg(long, value_name = "KEY")]
    only: Option<String>,
}

/// Which profile, and for what.
#[derive(Debug, Args)]
pub(crate) struct Rendered {
    /// Its name; NAME@N for an older revision. With a file that holds one profile, it may be left out.
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// Take it from this file of resources, as `muster apply` reads it, before it is applied.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The device whose values, site, groups and labels are used: its id, or serial:SERIAL.
    #[arg(long, value_name = "ID|serial:SERIAL")]
    device: Option<String>,
    /// A value instead of the device's, or where there is no device; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    values: Vec<String>,
    /// As if it were in this group, too; may be given several times.
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
}

impl Rendered {
    pub(super) async fn read(&self, session: &Session<'_>) -> Result<(Profile, Subject), Failure> {
        let profile = match &self.file {
            Some(file) => profile_of(from_file(file, self.name.as_deref())?)?,
            None => kept_profile_of(of_server(session, self.name.as_deref().unwrap_or_default()).await?)?,
        };
        let mut subject = match &self.device {
            Some(device) => of_device(session, Named::of(device.clone())).await?,
            None => Subject::default(),
        };
        for value in &self.values {
            subject.set(value, &profile)?;
        }
        for group in &self.groups {
            subject.joins(group)?;
        }
        Ok((profile, subject))
    }
}

impl Render {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let (profile, subject) = self.rendered.read(session).await?;
        let mut files = subject.render(&profile)?;
        if let Some(only) = &self.only {
            files.retain(|file| file.file == *only);
            if files.is_empty() {
                let message = format!("profile {} has no file {only:?}", profile.name);
                return Err(Failure::Refused(Box::new(Answer::missing(message, ""))));
            }
        }
        print(session, &files, self.only.is_some())
    }
}

fn print(session: &mut Session<'_>, files: &[RenderedFile], is_only: bool) -> Result<(), Failure> {
    if session.format != Format::Table {
        let mut listing = Listing::of::<RenderedFile>(session.out, session.format, &[])?;
        for file in files {
            listing.push(file)?;
        }
        return listing.finish();
    }
    for (place, file) in files.iter().enumerate() {
        // One file alone goes to a pipe or a file, byte by byte; several are for people.
        if is_only {
            session.out.write_all(file.content.as_bytes())?;
            break;
        }
        let gap = if place == 0 { "" } else { "\n" };
        writeln!(
            session.out,
            "{gap}==> {} <==",
            crate::output::text::line(&file.file)
        )?;
        let text = crate::output::text::clean(&file.content);
        writeln!(session.out, "{}", text.strip_suffix('\n').unwrap_or(&text))?;
    }
    Ok(())
}
