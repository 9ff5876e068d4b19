//! `muster change`.

mod codes;
pub(crate) mod create;
mod list;
mod rules;
mod show;
mod watch;

use super::{import::PlanHash, list, resource};
use crate::{
    cli::{ListArgs, Session},
    client::pages,
    exit::Exit,
    failure::Failure,
    output::{Format, Listing},
    records::{Change, ChangeTarget},
};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use codes::Codes;
use create::Create;
use list::DeviceFile;
use muster_proto::v1::{self, change_target};
use show::show;
use std::{fs, path::PathBuf};

/// What can be done with changes.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Box<Create>),
    /// List every target anew; approvals of the plan before are void.
    Plan(Step),
    /// List changes, newest first.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show a change: its plan, how far it is, what it waits for.
    #[command(visible_alias = "show")]
    Get(Name),
    /// List the devices that a change found, and how far each is or why it is left out.
    Targets(Targets),
    /// Stand for the plan of somebody else.
    Approve {
        #[command(flatten)]
        name: Name,
        /// The hash of the plan that you looked at.
        #[arg(long, value_name = "HASH")]
        plan: PlanHash,
    },
    Start(Start),
    /// Watch a change until it is done or stopped; exit code 8 when it was stopped.
    Watch(Name),
    /// Begin nothing more. What devices say still counts.
    Pause(Step),
    /// Go on: from a pause, or from a halt, where what failed and what is silent so far is accepted.
    Resume(Step),
    /// End a change. What was sent stays; `rollback` takes it back.
    Abort(Step),
    /// Give every device that was touched back what it had, under a higher generation.
    Rollback(Step),
    /// Try failed and silent targets again.
    Retry(Step),
    Codes(Codes),
    /// What a change waits for, which devices hold it up, and what to do next.
    Explain(Name),
    #[command(subcommand)]
    Rules(rules::Rules),
}

/// Which change.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Its id.
    #[arg(value_name = "ID")]
    change: String,
}

/// A step of a change.
#[derive(Debug, Args)]
pub(crate) struct Step {
    #[command(flatten)]
    name: Name,
    /// Only if the change still has this etag.
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
}

/// Start a change, exactly as it was planned.
#[derive(Debug, Args)]
#[command(after_help = "\
The plan is named by its hash, so that what starts is what was looked at. --yes shows the plan and starts it at once.

Examples:
  muster change start 01h455vb4pex5vsknk084sn02q --plan 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9
  muster change start 01h455vb4pex5vsknk084sn02q --yes")]
pub(crate) struct Start {
    #[command(flatten)]
    name: Name,
    /// The hash of the plan that you looked at.
    #[arg(long, value_name = "HASH", required_unless_present = "yes")]
    plan: Option<PlanHash>,
    /// Whatever its plan is now.
    #[arg(long, conflicts_with = "plan")]
    yes: bool,
    /// Watch it until it is done or stopped.
    #[arg(long)]
    watch: bool,
}

/// States of targets, as people write them.
const STATES: [&str; 10] = [
    "WAITING",
    "SENT",
    "PROVED",
    "DONE",
    "FAILED",
    "TIMED_OUT",
    "SKIPPED",
    "REVERTING",
    "REVERTED",
    "EXCLUDED",
];

/// Which targets.
#[derive(Debug, Args)]
pub(crate) struct Targets {
    #[command(flatten)]
    name: Name,
    /// Only those in one of these states, such as FAILED,TIMED_OUT.
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        ignore_case = true,
        value_parser = PossibleValuesParser::new(STATES)
    )]
    state: Vec<String>,
    /// Only those of this stage, from 1.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    stage: u32,
    /// The file that the change was made from: its rows go to --file-results, each with its state, reason and device.
    #[arg(long, value_name = "CSV", requires = "file_results", conflicts_with_all = ["state", "stage"])]
    file: Option<PathBuf>,
    /// Where they go.
    #[arg(long, value_name = "CSV", requires = "file")]
    file_results: Option<PathBuf>,
    #[command(flatten)]
    list: ListArgs,
}

impl Name {
    fn resource(&self) -> String {
        resource("changes", &self.change)
    }
}

/// The states of the wire behind these names.
fn states(names: &[String]) -> Vec<i32> {
    let states = names.iter().filter_map(|name| {
        let name = name.to_ascii_uppercase();
        change_target::State::from_str_name(&name)
    });
    states.map(Into::into).collect()
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let mut changes = session.client().await?.changes;
        let change = match self {
            Self::Create(create) => create.run(session, &mut changes).await?,
            Self::Plan(Step { name, etag }) => {
                let name = name.resource();
                let request = v1::PlanChangeRequest { name, etag };
                changes.plan_change(request).await?.into_inner()
            }
            Self::List(arguments) => {
                let fetch = async |page_size, page_token| {
                    let request = v1::ListChangesRequest {
                        page_size,
                        page_token,
                    };
                    let page = changes.list_changes(request).await?.into_inner();
                    Ok((page.changes, page.next_page_token))
                };
                list::<_, Change>(session, &arguments, fetch).await?;
                return Ok(Exit::Done);
            }
            Self::Get(name) => get(&mut changes, &name.resource()).await?,
            Self::Targets(targets) => {
                targets.run(session, &mut changes).await?;
                return Ok(Exit::Done);
            }
            Self::Approve { name, plan } => {
                let request = v1::ApproveChangeRequest {
                    name: name.resource(),
                    plan_hash: plan.0,
                };
                changes.approve_change(request).await?.into_inner()
            }
            Self::Start(start) => return start.run(session, &mut changes).await,
            Self::Watch(name) => return watch::watch(session, &mut changes, &name.resource()).await,
            Self::Pause(Step { name, etag }) => {
                let name = name.resource();
                let request = v1::PauseChangeRequest { name, etag };
                changes.pause_change(request).await?.into_inner()
            }
            Self::Resume(Step { name, etag }) => {
                let name = name.resource();
                let request = v1::ResumeChangeRequest { name, etag };
                changes.resume_change(request).await?.into_inner()
            }
            Self::Abort(Step { name, etag }) => {
                let name = name.resource();
                let request = v1::AbortChangeRequest { name, etag };
                changes.abort_change(request).await?.into_inner()
            }
            Self::Rollback(Step { name, etag }) => {
                let name = name.resource();
                let request = v1::RollBackChangeRequest { name, etag };
                changes.roll_back_change(request).await?.into_inner()
            }
            Self::Retry(Step { name, etag }) => {
                let name = name.resource();
                let request = v1::RetryChangeRequest { name, etag };
                let answer = changes.retry_change(request).await?.into_inner();
                session.note(&format!(
                    "note: {} targets wait to be tried again",
                    answer.retried
                ));
                answer.change.unwrap_or_default()
            }
            Self::Codes(codes) => {
                codes.run(session, &mut changes).await?;
                return Ok(Exit::Done);
            }
            Self::Rules(rules) => {
                rules.run(session, &mut changes).await?;
                return Ok(Exit::Done);
            }
            Self::Explain(name) => {
                explain(session, &mut changes, &name.resource()).await?;
                return Ok(Exit::Done);
            }
        };
        show(session, change)?;
        Ok(Exit::Done)
    }
}

/// The service, as commands use it.
type Changes = v1::changes_client::ChangesClient<tonic::transport::Channel>;

async fn get(changes: &mut Changes, name: &str) -> Result<v1::Change, Failure> {
    let request = v1::GetChangeRequest { name: name.into() };
    Ok(changes.get_change(request).await?.into_inner())
}

impl Start {
    async fn run(self, session: &mut Session<'_>, changes: &mut Changes) -> Result<Exit, Failure> {
        let name = self.name.resource();
        let known = get(changes, &name).await?;
        let targets = known.total.map_or(0, |total| total.total);
        let plan_hash = match self.plan {
            Some(PlanHash(hash)) => hash,
            None => known.plan_hash.clone(),
        };
        if self.yes && session.format == Format::Table {
            show(session, known)?;
            writeln!(session.out)?;
        }
        let request = v1::StartChangeRequest {
            name: name.clone(),
            plan_hash,
            targets,
        };
        let started = changes.start_change(request).await?.into_inner();
        if self.watch {
            return watch::watch(session, changes, &name).await;
        }
        show(session, started)?;
        Ok(Exit::Done)
    }
}

impl Targets {
    async fn run(self, session: &mut Session<'_>, changes: &mut Changes) -> Result<(), Failure> {
        let (name, states) = (self.name.resource(), states(&self.state));
        if let (Some(file), Some(out)) = (&self.file, &self.file_results) {
            let (rows, text) = DeviceFile::read(file)?.results(changes, &name, None).await?;
            fs::write(out, text).map_err(|error| Failure::file("write", out, &error))?;
            session.note(&format!("note: {rows} rows are in {}", out.display()));
            return Ok(());
        }
        let fetch = async |page_size, page_token| {
            let request = v1::ListTargetsRequest {
                name: name.clone(),
                page_size,
                page_token,
                states: states.clone(),
                stage: self.stage,
            };
            let page = changes.list_targets(request).await?.into_inner();
            Ok((page.targets, page.next_page_token))
        };
        list::<_, ChangeTarget>(session, &self.list, fetch).await
    }
}

/// Devices named that hold a change up.
const NAMED: u64 = 10;

async fn explain(session: &mut Session<'_>, changes: &mut Changes, name: &str) -> Result<(), Failure> {
    let change = get(changes, name).await?;
    show(session, change)?;
    if session.format != Format::Table {
        return Ok(());
    }
    let mut found = Vec::new();
    let fetch = async |page_size, page_token| {
        let request = v1::ListTargetsRequest {
            name: name.into(),
            page_size,
            page_token,
            states: states(&["FAILED".into(), "TIMED_OUT".into()]),
            stage: 0,
        };
        let page = changes.list_targets(request).await?.into_inner();
        Ok((page.targets, page.next_page_token))
    };
    let keep = |target| {
        found.push(ChangeTarget::from(target));
        Ok(())
    };
    pages(Some(NAMED), fetch, keep).await?;
    if found.is_empty() {
        return Ok(());
    }
    writeln!(session.out, "\nHeld up by:")?;
    let mut listing = Listing::of::<ChangeTarget>(session.out, Format::Table, &[])?;
    for target in &found {
        listing.push(target)?;
    }
    listing.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_target_can_be_asked_for() {
        let all: Vec<_> = STATES.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(states(&all), (1..=10).collect::<Vec<_>>());
    }
}
