//! `muster bench import`.

use super::{host::Host, postgres, rows};
use crate::{
    apply::{self, ApplyOptions},
    demo::catalog,
};
use clap::Args;
use muster_proto::v1::{
    self, import_manifest_request as asked, import_manifest_response as answered, import_progress::Phase,
};
use serde::Serialize;
use std::{path::Path, time::Instant};
use tokio::io::AsyncReadExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// Generated rows with serial, address, model, site; codes are issued, every index and the audit log are kept, and each
/// part is durable before it is answered.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Rows to import.
    #[arg(long, default_value_t = 100_000)]
    rows: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
    /// Leave the comparison with PostgreSQL out.
    #[arg(long)]
    no_peer: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    rows: u64,
    file_bytes: u64,
    seconds: f64,
    rows_per_s: f64,
    /// Until the whole file was received and checked.
    check_seconds: f64,
    server_cpu_seconds: f64,
    server_peak_rss_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres_copy_rows_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres_ratio: Option<f64>,
}

const CHUNK: usize = 1 << 18;

/// What was seen of the import.
struct Watch {
    start: Instant,
    /// When the whole file was checked and applying began.
    checked: Option<f64>,
    /// Rows answered.
    answered: u64,
}

async fn send(host: &Host, path: &Path) -> anyhow::Result<(Watch, v1::ImportSummary)> {
    let (requests, stream) = tokio::sync::mpsc::channel(8);
    let mut watch = Watch {
        start: Instant::now(),
        checked: None,
        answered: 0,
    };
    let mut file = tokio::fs::File::open(path).await?;
    tokio::spawn(async move {
        let header = v1::ImportHeader {
            file_name: "bench.csv".to_owned(),
            ..v1::ImportHeader::default()
        };
        let mut message = asked::Message::Header(header);
        // Ends with the file, or when nobody listens any more.
        while requests
            .send(v1::ImportManifestRequest {
                message: Some(message),
            })
            .await
            .is_ok()
        {
            let mut chunk = Vec::with_capacity(CHUNK);
            match (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await {
                Ok(read) if read > 0 => message = asked::Message::Chunk(chunk.into()),
                Ok(_) | Err(_) => return,
            }
        }
    });
    let mut answers = host
        .client
        .manifests
        .clone()
        .import_manifest(ReceiverStream::new(stream))
        .await?
        .into_inner();
    while let Some(answer) = answers.message().await? {
        match answer.message {
            Some(answered::Message::Results(results)) => {
                watch.answered += results.rows.len() as u64;
            }
            Some(answered::Message::Summary(summary)) => return Ok((watch, summary)),
            Some(answered::Message::Progress(progress)) if progress.phase() == Phase::Applying => {
                let at = watch.start.elapsed().as_secs_f64();
                watch.checked.get_or_insert(at);
            }
            Some(answered::Message::Mapping(_) | answered::Message::Progress(_)) | None => {}
        }
    }
    anyhow::bail!("the import ended without a summary")
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows as rates")]
fn rate(rows: u64, seconds: f64) -> f64 {
    rows as f64 / seconds
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Figures> {
    let scratch = tempfile::tempdir()?;
    let manifest = scratch.path().join("rows.csv");
    let file_bytes = rows::write(&manifest, options.rows)?;
    let host = Host::start(scratch.path(), |settings| settings).await?;
    apply::send(&host.client, catalog::resources()?, &ApplyOptions::default()).await?;
    let (watch, summary) = send(&host, &manifest).await?;
    let seconds = watch.start.elapsed().as_secs_f64();
    anyhow::ensure!(
        summary.created == options.rows,
        "{} of {} rows were created",
        summary.created,
        options.rows
    );
    anyhow::ensure!(
        watch.answered == options.rows,
        "{} of {} rows were answered",
        watch.answered,
        options.rows
    );
    let usage = host.usage()?;
    drop(host);
    let peer = if options.no_peer {
        None
    } else {
        postgres::copy_rows_per_s(&manifest, options.rows, scratch.path())?
    };
    let rows_per_s = rate(options.rows, seconds);
    Ok(Figures {
        rows: options.rows,
        file_bytes,
        seconds,
        rows_per_s,
        check_seconds: watch.checked.unwrap_or(seconds),
        server_cpu_seconds: usage.cpu_seconds,
        server_peak_rss_bytes: usage.peak_rss_bytes,
        postgres_copy_rows_per_s: peer,
        postgres_ratio: peer.map(|peer| rows_per_s / peer),
    })
}
