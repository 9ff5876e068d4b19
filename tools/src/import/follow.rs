//! A batch that is at the server already: its progress, and its answers as a file.

use super::{
    ImportEvent, ImportOptions, ImportSummary, Recipient,
    directory::zip_directory,
    pair::{Own, Pairing},
    rows::{self, Rows},
    run::{acknowledge, is_applied, summarise},
    source::Source,
    watch::Watch,
};
use crate::{client::Client, failure::Failure};
use muster_domain::manifest::ReadOptions;
use muster_proto::v1::{self, batch::State, import_progress::Phase, watch_batch_response::Message};
use std::{path::PathBuf, time::Duration};
use tempfile::NamedTempFile;

/// What to do with the answers of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowOptions {
    /// The file that was sent. `None`: the results have the numbers of its rows instead of its columns.
    pub file: Option<PathBuf>,
    /// Where the results go. `None`: nowhere, and nothing is acknowledged.
    pub results: Option<PathBuf>,
    /// Where refused rows go, in the user's own columns; needs the file.
    pub failed: Option<PathBuf>,
    /// Where everything that is wrong or odd goes.
    pub problems: Option<PathBuf>,
    /// A directory for the sealed keys of new devices.
    pub keys: Option<PathBuf>,
    /// A directory for the certificates of new devices.
    pub certificates: Option<PathBuf>,
    /// To whom the results are encrypted.
    pub recipient: Option<Recipient>,
    /// Whether files that are there already may be replaced.
    pub replace: bool,
    /// Leave the codes at the server, so that they can be fetched again until they expire.
    pub keep: bool,
    /// How long to try again while the server does not answer.
    pub patience: Duration,
}

/// Watches a batch from its beginning until it ends, and writes its results.
pub async fn follow(
    client: &Client,
    batch: &v1::Batch,
    options: FollowOptions,
    mut on_event: impl FnMut(ImportEvent<'_>),
) -> Result<ImportSummary, Failure> {
    let (own, sha256) = own(batch, &options).await?;
    let spec = batch.spec.clone().unwrap_or_default();
    let writes = ImportOptions {
        dry_run: is_plan(batch),
        all_or_nothing: spec.all_or_nothing,
        results: options.results.clone(),
        failed: options.failed.clone(),
        problems: options.problems.clone(),
        recipient: options.recipient.clone(),
        credential: spec.credential(),
        keys: options.keys.clone(),
        certificates: options.certificates.clone(),
        key_format: spec.key_format(),
        replace: options.replace,
        ..ImportOptions::default()
    };
    let mut pairing = Pairing::begin(own, &writes, |_| false)?;
    pairing.belongs_to(&batch.name);
    if batch.attempt > 0 {
        pairing.sent_again();
    }
    let mut watch = Watch::new(client, &batch.name, options.patience);
    let summary = loop {
        match watch.next().await? {
            Message::Mapping(mapping) => on_event(ImportEvent::Mapping(&mapping)),
            Message::Progress(progress) => on_event(ImportEvent::Progress {
                phase: Phase::try_from(progress.phase).unwrap_or_default(),
                done: progress.done,
                total: progress.total,
            }),
            Message::Results(results) => on_event(ImportEvent::Results(pairing.take(&results)?)),
            Message::Summary(summary) => break summary,
        }
    };
    let is_applied = is_applied(&summary);
    let (causes, warnings, written) = pairing.finish(&sha256, is_applied)?;
    if is_applied && written.results.is_some() && !options.keep {
        acknowledge(client, &batch.name, watch.token(), options.patience).await?;
    }
    Ok(summarise(
        summary,
        (batch.name.clone(), watch.token().to_owned()),
        (causes, warnings),
        written,
    ))
}

/// Is it planned only, so that its answers say what would be done?
pub fn is_plan(batch: &v1::Batch) -> bool {
    let is_asked = batch.spec.as_ref().is_some_and(|spec| spec.validate_only);
    match batch.state() {
        State::Planned | State::Uploading | State::Checking => is_asked,
        State::Unspecified
        | State::Applying
        | State::Done
        | State::Cancelled
        | State::Failed
        | State::Undoing
        | State::Undone => false,
    }
}

/// What stands beside the answers, and the hash of the file.
async fn own(batch: &v1::Batch, options: &FollowOptions) -> Result<(Own, Vec<u8>), Failure> {
    let Some(file) = &options.file else {
        if options.failed.is_some() {
            return Err(Failure::usage(
                "the refused rows can be written only from the file that was sent",
                "Give it with --file.",
            ));
        }
        return Ok((Own::Numbers, Vec::new()));
    };
    let packed = file.is_dir().then(|| zip_directory(file)).transpose()?;
    let file = packed.as_ref().map_or(file.as_path(), NamedTempFile::path);
    let source = Source::measure(file).await?;
    if source.sha256 != batch.file_sha256 {
        return Err(Failure::usage(
            format!("{} is not the file of {}", file.display(), batch.name),
            format!(
                "That was {}, SHA-256 {}. Without --file, the results have the numbers of its rows.",
                batch.file_name,
                crate::records::hex(&batch.file_sha256)
            ),
        ));
    }
    let spec = batch.spec.clone().unwrap_or_default();
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let read = ReadOptions {
        format: rows::format(batch.format()),
        sheet: text(batch.sheet.clone()),
        header_row: Some(spec.header_row).filter(|&row| row > 0),
        record_path: text(spec.record_path),
        signers: spec.signers,
        ..ReadOptions::default()
    };
    let rows = Rows::open(file, read)?;
    Ok((Own::File(Box::new(rows)), source.sha256))
}
