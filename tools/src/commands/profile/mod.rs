//! `muster profile`: what other kinds have, and what shows what a profile does before it does it.

mod diff;
mod explain;
mod history;
mod lint;
mod render;
mod test;

use super::{
    catalog::{self, Noun as _, Profiles},
    device::Named,
    resource,
};
use crate::{
    apply::{Kind, read_path},
    cli::Session,
    client::Client,
    exit::Exit,
    failure::Failure,
    render::Subject,
};
use clap::Subcommand;
use muster_proto::v1;
use std::path::Path;

/// What can be done with profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Catalog(catalog::Command<Profiles>),
    History(history::History),
    Diff(diff::Diff),
    Render(render::Render),
    Explain(explain::Explain),
    Lint(lint::Lints),
    Test(test::Test),
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Catalog(command) => command.run(session).await?,
            Self::History(history) => history.run(session).await?,
            Self::Render(render) => render.run(session).await?,
            Self::Explain(explain) => explain.run(session).await?,
            Self::Diff(diff) => return diff.run(session).await,
            Self::Lint(lint) => return lint.run(session).await,
            Self::Test(test) => return test.run(session),
        }
        Ok(Exit::Done)
    }
}

/// A revision that the registry has: NAME, NAME@N or NAME/revisions/N.
async fn of_server(session: &Session<'_>, name: &str) -> Result<v1::Profile, Failure> {
    let name = catalog::revision(Profiles::COLLECTION, name);
    Ok(Profiles::get(&mut session.client().await?, name).await?)
}

/// The profiles of a file: those of that name, or all.
fn all_of_file(file: &Path, name: Option<&str>) -> Result<Vec<v1::Profile>, Failure> {
    // A file of several kinds will do; if it cannot be read as such, the first error says why.
    let resources = read_path(file, Kind::Profiles, None)
        .or_else(|first| read_path(file, Kind::Any, None).map_err(|_| first))?;
    let profiles = resources
        .into_iter()
        .filter_map(|resource| match resource.wire.resource {
            Some(v1::resource::Resource::Profile(profile)) => Some(profile),
            _ => None,
        });
    let wanted = name.map(|name| resource(Profiles::COLLECTION, name));
    let found: Vec<_> = profiles
        .filter(|profile| wanted.as_ref().is_none_or(|name| profile.name == *name))
        .collect();
    if found.is_empty() {
        let which = name.map_or_else(String::new, |name| format!(" {name:?}"));
        let message = format!("{} holds no profile{which}", file.display());
        return Err(Failure::usage(message, ""));
    }
    Ok(found)
}

/// The profile of a file: the one of that name, or the only one.
fn from_file(file: &Path, name: Option<&str>) -> Result<v1::Profile, Failure> {
    let mut found = all_of_file(file, name)?;
    match (found.pop(), found.is_empty()) {
        (Some(profile), true) => Ok(profile),
        (Some(_) | None, _) => Err(Failure::usage(
            format!("{} holds several profiles", file.display()),
            "Name one of them.",
        )),
    }
}

/// A device with all that its layers depend on: its site and those above, and the groups that there are.
async fn of_device(session: &Session<'_>, device: Named) -> Result<Subject, Failure> {
    let mut client = session.client().await?;
    let name = device.resource();
    let device = client.devices.get_device(v1::GetDeviceRequest { name }).await?;
    let device = device.into_inner();
    let mut way = way_up(&mut client, device.site.clone()).await?.into_iter();
    let mut subject = Subject::of(device, way.next());
    way.try_for_each(|site| subject.is_below(site))?;
    let mut page_token = String::new();
    loop {
        let request = v1::ListGroupsRequest {
            page_size: 1000,
            page_token,
        };
        let page = client.catalog.list_groups(request).await?.into_inner();
        page.groups
            .into_iter()
            .try_for_each(|group| subject.knows(group))?;
        if page.next_page_token.is_empty() {
            return Ok(subject);
        }
        page_token = page.next_page_token;
    }
}

/// A site and those that it is a part of.
async fn way_up(client: &mut Client, mut name: String) -> Result<Vec<v1::Site>, Failure> {
    let mut way: Vec<v1::Site> = Vec::new();
    while !name.is_empty() && way.iter().all(|site| site.name != name) {
        let site = client
            .catalog
            .get_site(v1::GetSiteRequest { name })
            .await?
            .into_inner();
        name = site.parent.clone();
        way.push(site);
    }
    Ok(way)
}
