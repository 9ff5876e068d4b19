//! `muster group`: what other kinds have, and who is in a static one.

use super::{
    catalog::{self, Groups},
    device::Named,
    resource, with_caret,
};
use crate::{
    cli::Session,
    client::Client,
    context::read_small,
    exit::Exit,
    failure::Failure,
    output::{Format, Listing},
    records::MemberOutcome,
};
use clap::{Args, Subcommand};
use muster_domain::device::schema;
use muster_proto::v1::{self, update_group_members_request::Step};
use std::path::{Path, PathBuf};

/// Most devices of one call: the server takes no more.
const CALL_LIMIT: usize = 1000;
/// Largest file of serials.
const FILE_LIMIT: u64 = 64 << 20;

/// What can be done with groups.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Catalog(catalog::Command<Groups>),
    /// Add devices to a static group.
    #[command(after_help = MEMBERS_HELP)]
    Add(Members),
    /// Remove devices from a static group.
    #[command(after_help = MEMBERS_HELP)]
    Remove(Members),
}

const MEMBERS_HELP: &str = "\
Each device stands for itself: one that is refused holds up no other. A table names those that failed, other forms all of them.
Exits with 3 when some failed. Devices of a group with a filter join and leave it by themselves.

Examples:
  muster group add canary GW2-7000001 GW2-7000002
  muster group add canary --file serials.csv
  muster group add canary --filter 'site = MUC-01 AND labels.ring = early'             says how many match
  muster group add canary --filter 'site = MUC-01 AND labels.ring = early' --count 37  adds them, if they are so many";

/// Which devices of which group.
#[derive(Debug, Args)]
pub(crate) struct Members {
    /// The group.
    group: String,
    /// Devices: id, serial, or serial:SERIAL.
    #[arg(value_name = "ID|SERIAL", required_unless_present_any = ["filter", "file"])]
    devices: Vec<String>,
    /// All that match, such as 'model = "GW-200"'.
    #[arg(long, value_name = "FILTER", conflicts_with_all = ["devices", "file"])]
    filter: Option<String>,
    /// How many match, as a confirmation; with another number nothing is changed.
    #[arg(long, value_name = "N", requires = "filter")]
    count: Option<usize>,
    /// Those of a file: a table with a column `serial`, or a serial a line.
    #[arg(long, value_name = "FILE", conflicts_with = "devices")]
    file: Option<PathBuf>,
}

/// How many devices ended how.
#[derive(Debug, Default)]
struct Sums {
    updated: usize,
    unchanged: usize,
    failed: usize,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Catalog(command) => command.run(session).await.map(|()| Exit::Done),
            Self::Add(members) => members.run(Step::Add, session).await,
            Self::Remove(members) => members.run(Step::Remove, session).await,
        }
    }
}

impl Members {
    async fn run(self, step: Step, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let client = session.client().await?;
        let devices = self.named(&client).await?;
        let group = resource("groups", &self.group);
        let mut sums = Sums::default();
        let mut listing = Listing::of::<MemberOutcome>(session.out, session.format, &[])?;
        for part in devices.chunks(CALL_LIMIT) {
            let request = v1::UpdateGroupMembersRequest {
                group: group.clone(),
                step: step.into(),
                devices: part.to_vec(),
            };
            let answer = client.devices.clone().update_group_members(request).await?;
            for outcome in answer.into_inner().outcomes {
                let failed = sums.add(&outcome);
                if failed || session.format != Format::Table {
                    listing.push(&MemberOutcome::from(outcome))?;
                }
            }
        }
        let Sums {
            updated,
            unchanged,
            failed,
        } = sums;
        // People are shown those that failed; where none did, the sums say all.
        if failed > 0 || session.format != Format::Table {
            listing.finish()?;
        }
        session.note(&format!(
            "{group}: {updated} updated, {unchanged} unchanged, {failed} failed"
        ));
        Ok(if failed == 0 {
            Exit::Done
        } else {
            Exit::RowsRefused
        })
    }

    /// The devices as requests name them.
    async fn named(&self, client: &Client) -> Result<Vec<String>, Failure> {
        if let Some(filter) = &self.filter {
            let found = matching(client, filter).await;
            let found = found.map_err(|failure| with_caret(failure, filter, schema()))?;
            return confirmed(found, self.count);
        }
        let serials = match &self.file {
            Some(file) => serials(file)?,
            None => self.devices.clone(),
        };
        Ok(serials
            .into_iter()
            .map(|text| Named::of(text).resource())
            .collect())
    }
}

impl Sums {
    /// True for one that failed.
    fn add(&mut self, outcome: &v1::update_group_members_response::Outcome) -> bool {
        use v1::update_group_members_response::outcome::Result as Became;
        let sum = match outcome.result() {
            Became::Updated => &mut self.updated,
            Became::Unchanged => &mut self.unchanged,
            Became::Failed | Became::Unspecified => &mut self.failed,
        };
        *sum += 1;
        outcome.refusal.is_some()
    }
}

/// The devices that match now.
async fn matching(client: &Client, filter: &str) -> Result<Vec<String>, Failure> {
    let mut devices = client.devices.clone();
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListDevicesRequest {
            page_size: 1000,
            page_token,
            filter: filter.to_owned(),
        };
        let page = devices.list_devices(request).await?.into_inner();
        found.extend(page.devices.into_iter().map(|device| device.name));
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        page_token = page.next_page_token;
    }
}

fn confirmed(found: Vec<String>, count: Option<usize>) -> Result<Vec<String>, Failure> {
    let matching = found.len();
    match count {
        Some(count) if count == matching => Ok(found),
        Some(count) => Err(Failure::usage(
            format!("{matching} devices match, not {count}; nothing was changed"),
            "Look at them with `muster device list --filter`.",
        )),
        None => Err(Failure::usage(
            format!("{matching} devices match; nothing was changed"),
            format!("Add --count {matching} if that is what you mean."),
        )),
    }
}

/// The serials of a file: of its column of that name, or else of its first.
fn serials(file: &Path) -> Result<Vec<String>, Failure> {
    let bytes = read_small(file, FILE_LIMIT)?;
    let text = String::from_utf8(bytes);
    let wrong = |why: String| Failure::usage(format!("{}: {why}", file.display()), "");
    let text = text.map_err(|_| wrong("is not UTF-8".to_owned()))?;
    column(text.trim_start_matches('\u{feff}')).map_err(wrong)
}

fn column(text: &str) -> Result<Vec<String>, String> {
    let header = text.lines().next().unwrap_or_default();
    let delimiter = [b';', b'\t', b'|']
        .into_iter()
        .find(|c| header.bytes().any(|byte| byte == *c));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter.unwrap_or(b','))
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut place = None;
    let mut found = Vec::new();
    for line in reader.records() {
        let line = line.map_err(|error| error.to_string())?;
        if place.is_none() {
            let named = line.iter().position(|cell| cell.eq_ignore_ascii_case("serial"));
            place = Some(named.unwrap_or_default());
            if named.is_some() {
                continue;
            }
        }
        let cell = line.get(place.unwrap_or_default()).unwrap_or_default();
        if !cell.is_empty() {
            found.push(format!("serial:{cell}"));
        }
    }
    if found.is_empty() {
        return Err("holds no serial".to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_come_from_their_column_or_the_first() {
        let check = |text: &str, expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|serial| format!("serial:{serial}")).collect();
            assert_eq!(column(text).unwrap_or_default(), expected, "{text:?}");
        };
        check("GW2-1\nGW2-2\n", &["GW2-1", "GW2-2"]);
        check("serial\nGW2-1\n", &["GW2-1"]);
        check(
            "site;Serial\nMUC-01;GW2-1\nBER-02; GW2-2 \n;\n",
            &["GW2-1", "GW2-2"],
        );
        check("GW2-1,MUC-01\n\nGW2-2\n", &["GW2-1", "GW2-2"]);
        check("serial\n", &[]);
        check("", &[]);
    }

    #[test]
    fn a_filter_is_confirmed_by_the_number_of_devices() {
        let found = || vec!["devices/a".to_owned(), "devices/b".to_owned()];
        assert!(confirmed(found(), Some(2)).is_ok());
        for (count, expected) in [(None, "Add --count 2"), (Some(3), "2 devices match, not 3")] {
            let failure = confirmed(found(), count).unwrap_err();
            assert!(failure.to_string().contains(expected), "{failure}");
            assert_eq!(failure.exit(), Exit::Usage);
        }
    }
}
