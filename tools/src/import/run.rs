//! One import from the first byte to the summary.

use super::{
    ImportEvent, ImportOptions, ImportSummary,
    pair::Pairing,
    rows::{self, Rows},
    upload::{self, Upload},
};
use crate::{client::Client, failure::Failure};
use muster_domain::manifest::ReadOptions;
use muster_proto::v1::{
    self, ImportHeader, ImportManifestResponse, import_manifest_response::Message, import_progress::Phase,
};
use std::future::{Future, pending};
use tokio::sync::oneshot;
use tonic::Streaming;

/// Imports a manifest and writes the results file. Refused rows are in the summary; they are no failure.
pub async fn run(
    client: &Client,
    options: ImportOptions,
    on_event: impl FnMut(ImportEvent<'_>),
) -> Result<ImportSummary, Failure> {
    run_until(client, options, on_event, pending()).await
}

/// The same, broken off when `stop` is ready: the server stops at the next part, and the answers that came are
/// kept.
pub async fn run_until(
    client: &Client,
    options: ImportOptions,
    mut on_event: impl FnMut(ImportEvent<'_>),
    stop: impl Future<Output = ()>,
) -> Result<ImportSummary, Failure> {
    // 1. What can go wrong here is found before anything is sent.
    let read = ReadOptions {
        format: options.format.and_then(rows::format),
        ..ReadOptions::default()
    };
    let rows = Rows::open(&options.file, read)?;
    let mut pairing = Pairing::begin(rows, &options)?;
    // 2. The file goes up while answers come down.
    let (messages, upload) = upload::start(options.file.clone(), header(&options));
    let exchange = exchange(client, messages, upload, &mut pairing, &mut on_event);
    let ended = tokio::select! {
        ended = exchange => ended,
        () = stop => Err(Failure::usage("interrupted", "Import the same file again to finish: what is done stays done. A row that then is unchanged and has no code needs `muster device reissue-code`.")),
    };
    // 3. Whatever happened, codes that came are kept.
    match ended {
        Ok((summary, sent)) => summarise(summary, &sent, pairing, &options),
        Err(failure) => {
            if let Some(path) = pairing.abandon() {
                on_event(ImportEvent::Partial(&path));
            }
            Err(failure)
        }
    }
}

fn header(options: &ImportOptions) -> ImportHeader {
    let name = options.file.file_name().unwrap_or_default();
    ImportHeader {
        file_name: name.to_string_lossy().into_owned(),
        format: options.format.unwrap_or_default().into(),
        validate_only: options.dry_run,
        default_model: options
            .model
            .as_ref()
            .map(|model| format!("models/{model}"))
            .unwrap_or_default(),
        code_ttl_seconds: options.code_ttl.map(|ttl| ttl.as_secs()).unwrap_or_default(),
        all_or_nothing: options.all_or_nothing,
    }
}

/// The call: gives the server's summary and the hash of what was sent.
async fn exchange(
    client: &Client,
    messages: tokio_stream::wrappers::ReceiverStream<v1::ImportManifestRequest>,
    mut upload: oneshot::Receiver<Upload>,
    pairing: &mut Pairing,
    on_event: &mut impl FnMut(ImportEvent<'_>),
) -> Result<(v1::ImportSummary, Vec<u8>), Failure> {
    let mut service = client.manifests.clone();
    let mut answers = service.import_manifest(messages).await?.into_inner();
    let mut sent = None;
    let mut summary = None;
    loop {
        tokio::select! {
            // Answers first: they may hold codes.
            biased;
            answer = answers.message() => match answer? {
                None => break,
                Some(ImportManifestResponse { message: None }) => {}
                Some(ImportManifestResponse { message: Some(message) }) => match message {
                    Message::Mapping(mapping) => on_event(ImportEvent::Mapping(&mapping.columns)),
                    Message::Progress(progress) => on_event(ImportEvent::Progress {
                        phase: Phase::try_from(progress.phase).unwrap_or_default(),
                        done: progress.done,
                        total: progress.total,
                    }),
                    Message::Results(results) => {
                        pairing.take(&results.rows)?;
                        on_event(ImportEvent::Results(&results.rows));
                    }
                    Message::Summary(last) => summary = Some(last),
                },
            },
            ended = &mut upload, if sent.is_none() => match ended {
                Ok(Upload::Sent(hash)) => {
                    sent = Some(hash);
                    on_event(ImportEvent::Sent);
                }
                Ok(Upload::Broken(error, open)) => return Err(broken(&error, answers, open)),
                // The server closed the upload; its answer says why.
                Err(_) => sent = Some(Vec::new()),
            },
        }
    }
    let summary = summary.ok_or_else(|| anyhow::anyhow!("the server ended the import without a summary"))?;
    // The upload tells its end before it closes the stream, and the server sums up behind that close. So the hash is
    // there, even when all answers came in one go and nobody has looked for it yet.
    if sent.is_none()
        && let Ok(Upload::Sent(hash)) = upload.try_recv()
    {
        sent = Some(hash);
    }
    let sent =
        sent.ok_or_else(|| anyhow::anyhow!("the server summed the import up before it had all of the file"))?;
    Ok((summary, sent))
}

/// The file could not be read on: the call is dropped before its sender, so that the server sees a cut, not an end.
fn broken(
    error: &std::io::Error,
    answers: Streaming<ImportManifestResponse>,
    open: tokio::sync::mpsc::Sender<v1::ImportManifestRequest>,
) -> Failure {
    drop(answers);
    drop(open);
    Failure::usage(
        format!("cannot read the file to its end: {error}"),
        "Nothing was imported.",
    )
}

fn summarise(
    summary: v1::ImportSummary,
    sent: &[u8],
    pairing: Pairing,
    options: &ImportOptions,
) -> Result<ImportSummary, Failure> {
    let (causes, written) = pairing.finish(sent, !summary.batch.is_empty())?;
    if summary.file_sha256 != sent {
        return Err(Failure::Fault(anyhow::anyhow!(
            "the server imported another file than was sent: its SHA-256 is {}",
            crate::records::hex(&summary.file_sha256)
        )));
    }
    Ok(ImportSummary {
        batch: summary.batch,
        dry_run: options.dry_run,
        created: summary.created,
        updated: summary.updated,
        unchanged: summary.unchanged,
        refused: summary.refused,
        file_sha256: summary.file_sha256,
        causes: causes.sorted(),
        results: written.results,
        failed: written.failed,
    })
}
