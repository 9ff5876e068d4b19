//! One import from the first byte to the summary.

use super::{
    ImportEvent, ImportOptions, ImportSummary,
    away::patiently,
    cause::Causes,
    directory::zip_directory,
    pair::{Own, Pairing, Written},
    refusal, retry,
    rows::Rows,
    source::Source,
    spec,
    ticket::{Errand, Ticket},
    upload,
    watch::Watch,
};
use crate::{client::Client, exit::Exit, failure::Failure};
use muster_domain::Code;
use muster_proto::v1::{
    self, AcknowledgeResultsRequest, CancelBatchRequest, ManifestFormat, batch::State,
    import_progress::Phase, watch_batch_response::Message,
};
use std::future::{Future, pending};
use tempfile::NamedTempFile;

/// Imports a manifest and writes the results file. Refused rows are in the summary; they are no failure.
pub async fn run(
    client: &Client,
    options: ImportOptions,
    on_event: impl FnMut(ImportEvent<'_>),
) -> Result<ImportSummary, Failure> {
    run_until(client, options, on_event, pending()).await
}

/// The same, left when `stop` is ready: what is sent goes on at the server, and its answers stay there.
pub async fn run_until(
    client: &Client,
    options: ImportOptions,
    mut on_event: impl FnMut(ImportEvent<'_>),
    stop: impl Future<Output = ()>,
) -> Result<ImportSummary, Failure> {
    let mut run = Run::begin(client, options).await?;
    let ended = tokio::select! {
        ended = run.exchange(&mut on_event) => ended,
        () = stop => Err(run.interrupted()),
    };
    match ended {
        Ok(Some(summary)) => run.finish(summary).await,
        Ok(None) => Ok(run.left()),
        Err(failure) => Err(run.break_off(failure, &mut on_event)),
    }
}

/// An import under way.
struct Run<'a> {
    client: &'a Client,
    options: ImportOptions,
    /// What is sent of a directory; it goes with the run.
    _packed: Option<NamedTempFile>,
    source: Source,
    request: v1::CreateBatchRequest,
    ticket: Ticket,
    pairing: Pairing,
    /// Files that a run before this one has written to their end.
    written: Option<Written>,
    /// Where an acknowledgement reaches to.
    token: String,
}

impl<'a> Run<'a> {
    /// What can go wrong here is found before anything is sent.
    async fn begin(client: &'a Client, mut options: ImportOptions) -> Result<Self, Failure> {
        let packed = pack(&mut options).await?;
        let file = packed
            .as_ref()
            .map_or(options.file.as_path(), NamedTempFile::path);
        let source = Source::measure(file).await?;
        let rows = Rows::open(file, spec::read_options(&options))?;
        let named = || retry::batch_of(file, &spec::read_options(&options));
        let retry_of = options.retry_of.clone().or_else(named);
        let request = spec::request(&options, retry_of);
        let errand = Errand {
            server: client.server(),
            source: &source,
            request: &spec::digest(&request),
        };
        let mut ticket = Ticket::take(options.ticket.as_deref(), &errand)?;
        let written = ticket.written().cloned();
        if written.is_some() {
            // The server may have forgotten the codes already: the files stay as they are.
            (options.results, options.failed, options.problems) = (None, None, None);
        }
        let begun = Pairing::begin(Own::File(Box::new(rows)), &options, |path| ticket.made(path));
        let mut pairing = match begun {
            Ok(pairing) => pairing,
            Err(failure) => {
                // Of a batch that was made, the ticket must stay.
                if ticket.batch().is_none() {
                    ticket.remove();
                }
                return Err(failure);
            }
        };
        if !request.retry_of.is_empty() {
            pairing.sent_again();
        }
        if written.is_none() {
            ticket.writes(pairing.outputs())?;
        }
        Ok(Self {
            client,
            options,
            _packed: packed,
            source,
            request,
            ticket,
            pairing,
            written,
            token: String::new(),
        })
    }

    /// Makes the batch or finds it again, sends what it lacks, and takes what it says. `None`: it is not to be waited
    /// for.
    async fn exchange(
        &mut self,
        on_event: &mut impl FnMut(ImportEvent<'_>),
    ) -> Result<Option<v1::ImportSummary>, Failure> {
        let patience = self.options.patience;
        let (batch, is_new) = self.batch().await?;
        on_event(ImportEvent::Batch {
            name: &batch.name,
            is_new,
        });
        self.pairing.belongs_to(&batch.name);
        let mut is_sent = batch.state() != State::Uploading;
        if is_sent {
            self.ticket.sent()?;
            on_event(ImportEvent::Sent);
        }
        let source = self.source.clone();
        let mut watch = Watch::new(self.client, &batch.name, patience);
        let sending = upload::send(self.client, &batch.name, &source, patience, batch.received_bytes);
        tokio::pin!(sending);
        loop {
            if is_sent && self.options.no_wait {
                return Ok(None);
            }
            tokio::select! {
                // Answers first: why a batch failed is said here.
                biased;
                message = watch.next(), if !self.options.no_wait => {
                    let summary = self.take(message?, on_event)?;
                    watch.token().clone_into(&mut self.token);
                    if summary.is_some() {
                        return Ok(summary);
                    }
                }
                ended = &mut sending, if !is_sent => {
                    if let Err(failure) = ended {
                        return Err(unsent(self.client, &batch.name, failure).await);
                    }
                    is_sent = true;
                    self.ticket.sent()?;
                    on_event(ImportEvent::Sent);
                }
            }
        }
    }

    async fn batch(&mut self) -> Result<(v1::Batch, bool), Failure> {
        let patience = self.options.patience;
        if let Some(name) = self.ticket.batch() {
            let batch = upload::batch(self.client, name, patience).await?;
            return Ok((batch, false));
        }
        let request = v1::CreateBatchRequest {
            request_id: self.ticket.request_id().to_owned(),
            ..self.request.clone()
        };
        let made = patiently(patience, async || {
            let mut service = self.client.manifests.clone();
            Ok(service.create_batch(request.clone()).await?.into_inner())
        });
        let made = made.await?;
        self.ticket.made_batch(&made.name)?;
        Ok((made, true))
    }

    fn take(
        &mut self,
        message: Message,
        on_event: &mut impl FnMut(ImportEvent<'_>),
    ) -> Result<Option<v1::ImportSummary>, Failure> {
        match message {
            Message::Mapping(mapping) => on_event(ImportEvent::Mapping(&mapping)),
            Message::Progress(progress) => on_event(ImportEvent::Progress {
                phase: Phase::try_from(progress.phase).unwrap_or_default(),
                done: progress.done,
                total: progress.total,
            }),
            Message::Results(results) => {
                let fresh = self.pairing.take(&results)?;
                on_event(ImportEvent::Results(fresh));
            }
            Message::Summary(summary) => return Ok(Some(summary)),
        }
        Ok(None)
    }

    /// Files get their names, which is put on record; then the server may forget the codes, then the ticket goes.
    async fn finish(mut self, summary: v1::ImportSummary) -> Result<ImportSummary, Failure> {
        let is_applied = is_applied(&summary);
        if self.written.is_none() {
            self.ticket.naming()?;
        }
        let (causes, warnings, written) = self.pairing.finish(&self.source.sha256, is_applied)?;
        let written = match self.written {
            Some(written) => written,
            None => {
                self.ticket.wrote(&written)?;
                written
            }
        };
        let batch = self.ticket.batch().unwrap_or_default().to_owned();
        if is_applied && written.results.is_some() {
            acknowledge(self.client, &batch, &self.token, self.options.patience).await?;
        }
        self.ticket.remove();
        if !summary.file_sha256.is_empty() && summary.file_sha256 != self.source.sha256 {
            return Err(Failure::Fault(anyhow::anyhow!(
                "the server imported another file than was sent: its SHA-256 is {}",
                crate::records::hex(&summary.file_sha256)
            )));
        }
        Ok(summarise(
            summary,
            (batch, self.token),
            (causes, warnings),
            written,
        ))
    }

    /// The batch is on its own now.
    fn left(self) -> ImportSummary {
        let summary = v1::ImportSummary {
            file_sha256: self.source.sha256,
            state: State::Checking.into(),
            ..v1::ImportSummary::default()
        };
        let batch = self.ticket.batch().unwrap_or_default().to_owned();
        let nothing = (Causes::default(), Causes::default());
        summarise(summary, (batch, self.token), nothing, Written::default())
    }

    fn interrupted(&self) -> Failure {
        let Some(id) = self
            .ticket
            .batch()
            .map(|name| name.trim_start_matches("batches/"))
        else {
            return Failure::usage("interrupted", "Nothing was imported.");
        };
        let help = match (self.ticket.is_sent(), self.ticket.is_kept()) {
            (true, true) => format!(
                "The import goes on at the server. The same command again fetches its answers; `muster batch cancel {id}` \
                 stops it."
            ),
            (true, false) => format!(
                "The import goes on at the server. `muster batch results {id} --out FILE` fetches its answers; \
                 `muster batch cancel {id}` stops it."
            ),
            (false, true) => format!(
                "Nothing was imported. The same command again goes on sending; `muster batch cancel {id}` gives it up."
            ),
            (false, false) => "Nothing was imported.".to_owned(),
        };
        Failure::usage("interrupted", help)
    }

    /// Codes that came are kept, here or at the server.
    fn break_off(mut self, failure: Failure, on_event: &mut impl FnMut(ImportEvent<'_>)) -> Failure {
        // With a ticket all answers can be had again, so half a file would only be in the way.
        let is_passing = failure.is_passing() || matches!(failure, Failure::Usage(_));
        let goes_on = self.ticket.is_kept() && is_passing;
        let is_answered = self.pairing.is_answered();
        if is_answered && !goes_on {
            match self.ticket.naming().map(|()| self.pairing.abandon()) {
                Ok(Some(path)) => on_event(ImportEvent::Partial(&path)),
                Ok(None) => {}
                Err(failure) => tracing::error!(%failure, "results of a broken import"),
            }
        }
        let is_over = matches!(failure.exit(), Exit::Refused | Exit::NotFound) && !is_answered;
        if is_over || self.ticket.batch().is_none() || failure.is(Code::UploadMismatch) {
            self.ticket.remove();
        }
        failure
    }
}

/// A directory of certificates is sent as an archive.
async fn pack(options: &mut ImportOptions) -> Result<Option<NamedTempFile>, Failure> {
    if !options.file.is_dir() {
        return Ok(None);
    }
    options.format = Some(options.format.unwrap_or(ManifestFormat::Certificates));
    let directory = options.file.clone();
    let packed = tokio::task::spawn_blocking(move || zip_directory(&directory));
    Ok(Some(packed.await.map_err(anyhow::Error::new)??))
}

/// Why the file could not be sent: when the batch failed meanwhile, for the reason that it failed for.
async fn unsent(client: &Client, name: &str, failure: Failure) -> Failure {
    if failure.is_passing() || failure.answer().is_none() {
        return failure;
    }
    let request = v1::GetBatchRequest { name: name.into() };
    if failure.is(Code::UploadMismatch) {
        let request = CancelBatchRequest { name: name.into() };
        if let Err(status) = client.manifests.clone().cancel_batch(request).await {
            tracing::debug!(%status, "a batch that cannot go on stays until it expires");
        }
        return failure;
    }
    match client.manifests.clone().get_batch(request).await {
        Ok(batch) => refusal::failed(&batch.into_inner()).unwrap_or(failure),
        Err(_) => failure,
    }
}

/// Tells the server that all answers up to a token are on disk.
pub(super) async fn acknowledge(
    client: &Client,
    name: &str,
    token: &str,
    patience: std::time::Duration,
) -> Result<(), Failure> {
    let told = patiently(patience, async || {
        let request = AcknowledgeResultsRequest {
            name: name.into(),
            resume_token: token.into(),
        };
        client.manifests.clone().acknowledge_results(request).await?;
        Ok(())
    });
    match told.await {
        Err(failure) if failure.is_passing() => Err(failure),
        Err(failure) => {
            // The answers are on disk; at the server they expire.
            tracing::warn!(%failure, "results were not acknowledged");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Did the batch do what its answers say?
pub(super) fn is_applied(summary: &v1::ImportSummary) -> bool {
    match summary.state() {
        State::Failed | State::Planned => false,
        State::Unspecified
        | State::Applying
        | State::Done
        | State::Uploading
        | State::Checking
        | State::Cancelled
        | State::Undoing
        | State::Undone => !summary.batch.is_empty(),
    }
}

pub(super) fn summarise(
    summary: v1::ImportSummary,
    (name, token): (String, String),
    (causes, warnings): (Causes, Causes),
    written: Written,
) -> ImportSummary {
    let is_applied = is_applied(&summary);
    ImportSummary {
        state: summary.state(),
        batch: if is_applied { name.clone() } else { String::new() },
        name,
        token,
        is_applied,
        created: summary.created,
        updated: summary.updated,
        unchanged: summary.unchanged,
        refused: summary.refused,
        file_sha256: summary.file_sha256,
        plan_hash: summary.plan_hash,
        mapping: summary.mapping,
        causes: causes.sorted(),
        warnings: warnings.sorted(),
        results: written.results,
        failed: written.failed,
        problems: written.problems,
    }
}
