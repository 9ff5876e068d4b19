//! An import that goes only as far as a test wants it to.

use muster_proto::v1::{
    ImportHeader, ImportManifestRequest, ImportManifestResponse, import_manifest_request::Message,
};
use muster_tests::{World, within};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// An upload under way.
pub(crate) struct Upload {
    /// `None` when the file is whole.
    sender: Option<mpsc::Sender<ImportManifestRequest>>,
    answers: Streaming<ImportManifestResponse>,
}

impl Upload {
    /// Sends the header and nothing else yet.
    pub(crate) async fn begin(world: &World, file_name: &str) -> Result<Self, Status> {
        let (sender, receiver) = mpsc::channel(4);
        let header = ImportHeader {
            file_name: file_name.into(),
            ..ImportHeader::default()
        };
        sender
            .try_send(ImportManifestRequest {
                message: Some(Message::Header(header)),
            })
            .unwrap();
        let answers = world
            .client
            .manifests
            .clone()
            .import_manifest(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        Ok(Self {
            sender: Some(sender),
            answers,
        })
    }

    /// Sends the next bytes; what the server does not want is no error here.
    pub(crate) async fn send(&mut self, bytes: impl Into<Vec<u8>>) {
        let message = Message::Chunk(bytes.into().into());
        if let Some(sender) = &self.sender {
            drop(
                sender
                    .send(ImportManifestRequest {
                        message: Some(message),
                    })
                    .await,
            );
        }
    }

    /// That was all of the file.
    pub(crate) fn end(&mut self) {
        self.sender = None;
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Result<Option<ImportManifestResponse>, Status> {
        within("an answer to an import", self.answers.message()).await
    }

    /// Reads answers until the server refuses.
    pub(crate) async fn refused(mut self) -> Status {
        loop {
            match self.answer().await {
                Err(status) => return status,
                Ok(Some(_)) => {}
                Ok(None) => panic!("the import ended well"),
            }
        }
    }
}
