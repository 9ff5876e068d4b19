//! Typed rows in one call, for manufacturing systems: a small file of ours that takes the same way as any other.

use super::{Created, Event, Lines, Service, Told};
use crate::fault::{Failure, Fault};
use bytes::Bytes;
use muster_domain::{
    Code, Refusal,
    access::Permit,
    batch::{Batch, BatchSpec, BatchState},
    manifest::Format,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

/// Messages made and not yet gathered.
const EVENTS_AHEAD: usize = 4;

/// What the file of typed rows is called on record.
pub const TYPED_NAME: &str = "(typed rows)";

/// Are these rows that were typed, not a file that was sent?
pub(super) fn is_typed(spec: &BatchSpec) -> bool {
    spec.file_name == TYPED_NAME && spec.format == Some(Format::Ndjson)
}

/// Rows to import.
#[derive(Debug)]
pub struct Typed {
    /// Chosen by the caller.
    pub request_id: String,
    /// How to treat them.
    pub spec: BatchSpec,
    /// One JSON object a line.
    pub manifest: Bytes,
}

/// What became of them.
#[derive(Debug)]
pub struct TypedAnswer {
    /// One a row, in their order.
    pub lines: Lines,
    /// The batch as it ended.
    pub batch: Batch,
    /// For the acknowledgement.
    pub token: String,
}

impl Service {
    /// Imports rows and waits for the end. The same request again gives the same answer, until it is acknowledged with
    /// its codes. A caller that goes away ends nothing.
    ///
    /// # Errors
    /// [`Code::RequestIdReused`] when the request id stands for other rows.
    pub async fn import_rows(&self, permit: &Permit, typed: Typed) -> Result<TypedAnswer, Failure> {
        let spec = BatchSpec {
            file_name: TYPED_NAME.to_owned(),
            format: Some(Format::Ndjson),
            ..typed.spec
        };
        let created = Created::Fresh(Box::new(spec));
        let batch = self.create_batch(permit, typed.request_id, created).await?;
        let sha256: [u8; 32] = Sha256::digest(&typed.manifest).into();
        if let BatchState::Uploading = batch.state {
            self.send_typed(permit, &batch, typed.manifest, sha256).await?;
        } else if batch.file_sha256.is_some_and(|known| known != sha256) {
            return Err(reused().into());
        }
        let (telling, told) = mpsc::channel(EVENTS_AHEAD);
        self.watch_batch(batch.id, "", telling).await?;
        gather(told).await
    }

    async fn send_typed(
        &self,
        permit: &Permit,
        batch: &Batch,
        manifest: Bytes,
        sha256: [u8; 32],
    ) -> Result<(), Failure> {
        let bytes = manifest.len() as u64;
        // What an earlier call sent is the same, or the hash will tell.
        let sent = usize::try_from(batch.received)
            .unwrap_or(usize::MAX)
            .min(manifest.len());
        let mut upload = self.upload(permit, batch.id, batch.received).await?;
        upload.push(manifest.slice(sent..)).await?;
        match upload.end(bytes, &sha256).await {
            Err(Failure::Refused(refusal)) if refusal.code == Code::UploadMismatch => Err(reused().into()),
            other => other.map(drop),
        }
    }
}

fn reused() -> Refusal {
    Refusal::new(Code::RequestIdReused, "stands for other rows").at("request_id")
}

async fn gather(mut told: mpsc::Receiver<Result<Told, Failure>>) -> Result<TypedAnswer, Failure> {
    let mut lines = Lines {
        rows: Vec::new(),
        issuers: Vec::new(),
    };
    while let Some(next) = told.recv().await {
        let Told { event, token } = next?;
        match event {
            Event::Mapping(_) | Event::Progress { .. } => {}
            Event::Results(more) => {
                lines.rows.extend(more.rows);
                for issuer in more.issuers {
                    if !lines.issuers.contains(&issuer) {
                        lines.issuers.push(issuer);
                    }
                }
            }
            Event::Summary(batch) => {
                let batch = *batch;
                return Ok(TypedAnswer { lines, batch, token });
            }
        }
    }
    let ended = std::io::Error::other("a watch ended without a summary");
    Err(Fault::log("watch a batch", &ended).into())
}
