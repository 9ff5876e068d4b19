//! `muster batch`.

use super::{
    import::{PlanHash, Progress, RowPrinter, Ttl, print_summary},
    list, resource,
};
use crate::{
    cli::{ListArgs, Session},
    exit::Exit,
    failure::Failure,
    import::{FollowOptions, ImportEvent, ImportSummary, Recipient, failed, follow, is_plan},
    output::{Format, Listing, print_one},
    records::{Batch, UndoBlock},
};
use clap::{Args, Subcommand};
use muster_proto::v1::{self, ImportMapping, batch::State};
use std::path::PathBuf;

/// Imports, past and under way.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List imports, newest first.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show an import.
    #[command(visible_alias = "get")]
    Show(Name),
    /// Watch an import until it ends.
    Watch(Watch),
    /// Apply what a dry run planned, exactly as planned or not at all.
    Apply {
        #[command(flatten)]
        name: Name,
        /// The hash that the dry run printed.
        #[arg(long, value_name = "HASH")]
        plan: PlanHash,
        #[command(flatten)]
        results: Results,
    },
    /// Stop an import at its next part. What is applied stays; `undo` takes it back.
    Cancel(Name),
    /// Take an import back as one unit: devices that it made go, devices that it changed get their former values.
    ///
    /// Only while none of them has claimed or changed since; else what blocks it is listed, and nothing is changed.
    Undo {
        #[command(flatten)]
        name: Name,
        /// List what blocks it, change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    Results(Fetch),
}

/// Which import.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Its id.
    #[arg(value_name = "ID")]
    batch: String,
}

impl Name {
    fn resource(&self) -> String {
        resource("batches", &self.batch)
    }
}

/// What becomes of the answers.
#[derive(Debug, Args)]
pub(crate) struct Results {
    /// Where the results go, with their activation codes; without it, they stay at the server until they expire.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The file that was sent, so that the results have its columns; without it, they have the numbers of its rows.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Where refused rows go, in their own columns, to be mended and sent again; needs --file.
    #[arg(long, value_name = "FILE", requires = "file")]
    failed: Option<PathBuf>,
    /// Where everything that is wrong or odd goes, a line each: CSV, or by its name .jsonl or .xlsx.
    #[arg(long, value_name = "FILE")]
    problems: Option<PathBuf>,
    /// Where the encrypted keys of new devices go, a file each: SERIAL.pem.age or SERIAL.p12.age.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Where the certificates of new devices go, with those above them, a file each: SERIAL.pem.
    #[arg(long, value_name = "DIR")]
    certificates: Option<PathBuf>,
    /// Encrypt the results to this age recipient; they get the ending .age, and nothing plain is written.
    #[arg(long, value_name = "age1...")]
    encrypt_to: Option<Recipient>,
    /// Replace files that are there already; they may hold the only copy of activation codes.
    #[arg(long)]
    replace: bool,
    /// Leave the codes at the server, so that they can be fetched again until they expire.
    #[arg(long)]
    keep: bool,
    /// How long to try again while the server does not answer.
    #[arg(long, value_name = "TIME", default_value = "10m")]
    retry_for: Ttl,
}

/// Watch an import until it ends.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    results: Results,
}

/// Fetch the results of an import that was sent by somebody else, or broken off.
///
/// With --out they are written there, and the server forgets their codes when the file is durable, unless --keep is
/// given. Results can be fetched until then, or until they expire.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  muster batch results 01h455vb4pex5vsknk084sn02q --out results.csv
  muster batch results 01h455vb4pex5vsknk084sn02q --file gateways.csv --out results.csv --failed failed.csv")]
pub(crate) struct Fetch {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    results: Results,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::List(arguments) => listed(session, &arguments).await?,
            Self::Show(name) => {
                let found = get(session, &name.resource()).await?;
                print_one(session.out, session.format, &Batch::from(found))?;
            }
            Self::Watch(Watch { name, results }) => return results.fetch(session, &name.resource()).await,
            Self::Apply { name, plan, results } => {
                let request = v1::ApplyBatchRequest {
                    name: name.resource(),
                    plan_hash: plan.0,
                };
                session.client().await?.manifests.apply_batch(request).await?;
                return results.fetch(session, &name.resource()).await;
            }
            Self::Cancel(name) => {
                let request = v1::CancelBatchRequest {
                    name: name.resource(),
                };
                let batch = session.client().await?.manifests.cancel_batch(request).await?;
                print_one(session.out, session.format, &Batch::from(batch.into_inner()))?;
            }
            Self::Undo { name, dry_run } => return undo(session, &name.resource(), dry_run).await,
            Self::Results(Fetch { name, results }) => {
                let batch = get(session, &name.resource()).await?;
                if !has_ended(batch.state()) {
                    let state = Batch::from(batch).state;
                    return Err(Failure::usage(
                        format!("the import has not ended, it is {state}"),
                        format!("`muster batch watch {}` waits for its end.", name.batch),
                    ));
                }
                return results.fetch(session, &name.resource()).await;
            }
        }
        Ok(Exit::Done)
    }
}

const fn has_ended(state: State) -> bool {
    match state {
        State::Planned | State::Done | State::Cancelled | State::Failed | State::Undone => true,
        State::Unspecified | State::Uploading | State::Checking | State::Applying | State::Undoing => false,
    }
}

async fn listed(session: &mut Session<'_>, arguments: &ListArgs) -> Result<(), Failure> {
    let mut manifests = session.client().await?.manifests;
    let fetch = async |page_size, page_token| {
        let page = manifests
            .list_batches(v1::ListBatchesRequest {
                page_size,
                page_token,
            })
            .await?;
        let page = page.into_inner();
        Ok((page.batches, page.next_page_token))
    };
    list::<_, Batch>(session, arguments, fetch).await
}

async fn get(session: &Session<'_>, name: &str) -> Result<v1::Batch, Failure> {
    let request = v1::GetBatchRequest { name: name.into() };
    let found = session.client().await?.manifests.get_batch(request).await?;
    Ok(found.into_inner())
}

/// What blocks it as a table; the batch when nothing does.
async fn undo(session: &mut Session<'_>, name: &str, is_dry: bool) -> Result<Exit, Failure> {
    let request = v1::UndoBatchRequest {
        name: name.into(),
        validate_only: is_dry,
    };
    let answer = session.client().await?.manifests.undo_batch(request).await?;
    let answer = answer.into_inner();
    if answer.blocked == 0 {
        if let Some(batch) = answer.batch {
            print_one(session.out, session.format, &Batch::from(batch))?;
        }
        if is_dry {
            session.note("note: nothing blocks it; nothing was changed");
        }
        return Ok(Exit::Done);
    }
    let shown = answer.blocks.len() as u64;
    let mut listing = Listing::of::<UndoBlock>(session.out, session.format, &[])?;
    for block in answer.blocks {
        listing.push(&UndoBlock::from(block))?;
    }
    listing.finish()?;
    let more = match answer.blocked.saturating_sub(shown) {
        0 => String::new(),
        more => format!(", {more} more than are listed"),
    };
    session.note(&format!(
        "note: {} devices block it{more}; nothing was changed",
        answer.blocked
    ));
    Ok(Exit::Refused)
}

impl Results {
    async fn fetch(self, session: &mut Session<'_>, name: &str) -> Result<Exit, Failure> {
        let client = session.client().await?;
        let request = v1::GetBatchRequest { name: name.into() };
        let batch = client.manifests.clone().get_batch(request).await?.into_inner();
        if let Some(failure) = failed(&batch) {
            return Err(failure);
        }
        let spec = batch.spec.clone().unwrap_or_default();
        let is_dry = is_plan(&batch);
        let mut progress = Progress::new();
        let mut mapping: Option<ImportMapping> = None;
        let mut rows = RowPrinter::new(session.format, spec.all_or_nothing, is_dry);
        let on_event = |event: ImportEvent<'_>| match event {
            ImportEvent::Mapping(found) => mapping = Some(found.clone()),
            ImportEvent::Progress { phase, done, total } => progress.show(phase, done, total),
            ImportEvent::Results(found) => progress.hidden(|| rows.take(session.out, found)),
            ImportEvent::Batch { .. } | ImportEvent::Sent | ImportEvent::Partial(_) => {}
        };
        let has_out = self.out.is_some();
        let options = FollowOptions {
            file: self.file,
            results: self.out,
            failed: self.failed,
            problems: self.problems,
            keys: self.keys,
            certificates: self.certificates,
            recipient: self.encrypt_to,
            replace: self.replace,
            keep: self.keep,
            patience: self.retry_for.0,
        };
        let ended = follow(&client, &batch, options, on_event).await;
        progress.clear();
        let summary: ImportSummary = ended?;
        rows.finish(session.out, summary.is_applied)?;
        print_summary(session, &summary, mapping.as_ref(), is_dry)?;
        if !has_out && summary.is_applied && summary.created > 0 && session.format == Format::Table {
            let id = name.trim_start_matches("batches/");
            session.note(&format!(
                "note: its activation codes can be fetched with `muster batch results {id} --out FILE` until they expire"
            ));
        }
        Ok(if summary.refused > 0 {
            Exit::RowsRefused
        } else {
            Exit::Done
        })
    }
}
