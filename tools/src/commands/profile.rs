//! `muster profile`: what other kinds have, and rendering.

use super::{
    catalog::{self, Profiles},
    device::Named,
    resource,
};
use crate::{
    apply::{Kind, read_path},
    cli::Session,
    failure::{Answer, Failure},
    output::{Format, Listing},
    records::RenderedFile,
    render::{Subject, profile_of},
};
use clap::{Args, Subcommand};
use muster_proto::v1;
use std::path::PathBuf;

/// What can be done with profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Catalog(catalog::Command<Profiles>),
    /// Show the files that a device gets of a profile; nothing is changed.
    Render(Render),
}

/// Which profile, and for whom.
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
    /// Its name; NAME/revisions/N for an older revision. With a file that holds one profile, it may be left out.
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// Take it from this file of resources, as `muster apply` reads it, before it is applied.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The device whose values, site and labels are used: its id, or serial:SERIAL.
    #[arg(long, value_name = "ID|serial:SERIAL")]
    device: Option<String>,
    /// A value instead of the device's, or where there is no device; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    values: Vec<String>,
    /// Only this file, as it is.
    #[arg(long, value_name = "KEY")]
    only: Option<String>,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Catalog(command) => command.run(session).await,
            Self::Render(render) => render.run(session).await,
        }
    }
}

impl Render {
    async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let profile = match &self.file {
            Some(file) => from_file(file, self.name.as_deref())?,
            None => {
                let name = resource("profiles", self.name.as_deref().unwrap_or_default());
                let mut catalog = session.client().await?.catalog;
                catalog
                    .get_profile(v1::GetProfileRequest { name })
                    .await?
                    .into_inner()
            }
        };
        let profile = profile_of(profile)?;
        let mut subject = match &self.device {
            Some(device) => of_device(session, Named::of(device.clone())).await?,
            None => Subject::default(),
        };
        for value in &self.values {
            subject.set(value, &profile)?;
        }
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

/// The profile of a file: the one of that name, or the only one.
fn from_file(file: &std::path::Path, name: Option<&str>) -> Result<v1::Profile, Failure> {
    // A file of several kinds will do; if it cannot be read as such, the first error says why.
    let resources = read_path(file, Kind::Profiles, None)
        .or_else(|first| read_path(file, Kind::Any, None).map_err(|_| first))?;
    let profiles = resources
        .into_iter()
        .filter_map(|resource| match resource.wire.resource {
            Some(v1::resource::Resource::Profile(profile)) => Some(profile),
            _ => None,
        });
    let wanted = name.map(|name| resource("profiles", name));
    let mut found: Vec<_> = profiles
        .filter(|profile| wanted.as_ref().is_none_or(|name| profile.name == *name))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(profile), true) => Ok(profile),
        (Some(_), false) => Err(Failure::usage(
            format!("{} holds several profiles", file.display()),
            "Name one: muster profile render NAME -f FILE.",
        )),
        (None, _) => {
            let which = name.map_or_else(String::new, |name| format!(" {name:?}"));
            Err(Failure::usage(
                format!("{} holds no profile{which}", file.display()),
                "",
            ))
        }
    }
}

async fn of_device(session: &Session<'_>, device: Named) -> Result<Subject, Failure> {
    let mut client = session.client().await?;
    let name = device.resource();
    let device = client
        .devices
        .get_device(v1::GetDeviceRequest { name })
        .await?
        .into_inner();
    let site = match device.site.as_str() {
        "" => None,
        site => {
            let name = site.to_owned();
            Some(
                client
                    .catalog
                    .get_site(v1::GetSiteRequest { name })
                    .await?
                    .into_inner(),
            )
        }
    };
    Ok(Subject::of(device, site))
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
