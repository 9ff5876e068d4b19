//! An import that goes only as far as a test wants it to.

use muster_proto::v1::{
    Batch, BatchSpec, CreateBatchRequest, GetBatchRequest, UploadEnd, UploadManifestRequest,
    UploadManifestResponse, UploadStart, WatchBatchRequest, batch::State, upload_manifest_request::Message,
};
use muster_tests::{World, within};
use sha2::{Digest as _, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// So that no two batches of a test are the same.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// An upload under way.
pub(crate) struct Upload<'a> {
    world: &'a World,
    pub(crate) batch: Batch,
    hash: Sha256,
    bytes: u64,
    /// `None` when the file is whole.
    sender: Option<mpsc::Sender<UploadManifestRequest>>,
    answers: Streaming<UploadManifestResponse>,
}

impl<'a> Upload<'a> {
    /// Makes a batch and begins to send its file.
    pub(crate) async fn begin(world: &'a World, file_name: &str) -> Result<Self, Status> {
        let spec = BatchSpec {
            file_name: file_name.into(),
            ..BatchSpec::default()
        };
        Self::of(world, spec).await
    }

    /// The same, told more of the file.
    pub(crate) async fn of(world: &'a World, spec: BatchSpec) -> Result<Self, Status> {
        let request = CreateBatchRequest {
            request_id: format!("upload-{}", REQUESTS.fetch_add(1, Ordering::Relaxed)),
            spec: Some(spec),
            ..CreateBatchRequest::default()
        };
        let mut manifests = world.client.manifests.clone();
        let batch = manifests.create_batch(request).await?.into_inner();
        let (sender, receiver) = mpsc::channel(4);
        let start = UploadStart {
            batch: batch.name.clone(),
            offset: 0,
        };
        sender.try_send(message(Message::Start(start))).unwrap();
        let answers = manifests.upload_manifest(ReceiverStream::new(receiver)).await?;
        Ok(Self {
            world,
            batch,
            hash: Sha256::new(),
            bytes: 0,
            sender: Some(sender),
            answers: answers.into_inner(),
        })
    }

    /// Sends the next bytes; what the server does not want is no error here.
    pub(crate) async fn send(&mut self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.hash.update(&bytes);
        self.bytes += bytes.len() as u64;
        if let Some(sender) = &self.sender {
            drop(sender.send(message(Message::Chunk(bytes.into()))).await);
        }
    }

    /// That was all of the file.
    pub(crate) async fn end(&mut self) {
        let end = UploadEnd {
            file_bytes: self.bytes,
            file_sha256: self.hash.clone().finalize().to_vec(),
        };
        if let Some(sender) = self.sender.take() {
            drop(sender.send(message(Message::End(end))).await);
        }
    }

    /// Reads answers until the server refuses: the upload, or the batch as a whole.
    pub(crate) async fn refused(mut self) -> Status {
        let ended = loop {
            match within("an answer to an upload", self.answers.message()).await {
                Err(status) => break Err(status),
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
            }
        };
        let mut manifests = self.world.client.manifests.clone();
        let request = GetBatchRequest {
            name: self.batch.name.clone(),
        };
        let is_failed = match manifests.get_batch(request).await {
            Ok(batch) => batch.into_inner().state() == State::Failed,
            Err(_) => false,
        };
        match ended {
            Err(status) if !is_failed => status,
            Err(_) | Ok(()) => self.failed().await,
        }
    }

    /// Why the batch failed.
    async fn failed(self) -> Status {
        let request = WatchBatchRequest {
            name: self.batch.name,
            ..WatchBatchRequest::default()
        };
        let mut manifests = self.world.client.manifests.clone();
        let mut answers = match manifests.watch_batch(request).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return status,
        };
        loop {
            match within("an answer of a batch", answers.message()).await {
                Err(status) => return status,
                Ok(Some(_)) => {}
                Ok(None) => panic!("the import ended well"),
            }
        }
    }
}

const fn message(message: Message) -> UploadManifestRequest {
    UploadManifestRequest {
        message: Some(message),
    }
}
