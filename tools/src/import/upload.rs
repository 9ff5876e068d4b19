//! Sending the file as it is.

use bytes::BytesMut;
use muster_proto::v1::{ImportHeader, ImportManifestRequest, import_manifest_request::Message};
use sha2::{Digest as _, Sha256};
use std::{io, path::PathBuf};
use tokio::{
    fs::File,
    io::AsyncReadExt as _,
    sync::{mpsc, oneshot},
};
use tokio_stream::wrappers::ReceiverStream;

/// Bytes of one message; the server takes up to 1 MiB.
const CHUNK: usize = 256 << 10;
/// Messages read and not yet sent.
const CHUNKS_AHEAD: usize = 4;

/// How the upload ended.
pub(super) enum Upload {
    /// All of it is sent; its SHA-256.
    Sent(Vec<u8>),
    /// The file could not be read on. The sender is still open: closing it would tell the server that the file ends here.
    Broken(io::Error, mpsc::Sender<ImportManifestRequest>),
}

/// Reads the file into messages. What comes from the receiver is how it ended; nothing comes when the call was dropped
/// first.
pub(super) fn start(
    path: PathBuf,
    header: ImportHeader,
) -> (ReceiverStream<ImportManifestRequest>, oneshot::Receiver<Upload>) {
    let (messages, stream) = mpsc::channel(CHUNKS_AHEAD);
    let (end, ended) = oneshot::channel();
    tokio::spawn(async move {
        let sent = send(path, header, &messages).await;
        let told = match sent {
            Ok(Some(hash)) => end.send(Upload::Sent(hash)),
            Ok(None) => Ok(()),
            Err(error) => end.send(Upload::Broken(error, messages)),
        };
        if told.is_err() {
            tracing::trace!("the import ended before its upload");
        }
    });
    (ReceiverStream::new(stream), ended)
}

/// The hash of what was sent; `None` when nobody takes it any more.
async fn send(
    path: PathBuf,
    header: ImportHeader,
    messages: &mpsc::Sender<ImportManifestRequest>,
) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path).await?;
    let mut hash = Sha256::new();
    let message = |message| ImportManifestRequest {
        message: Some(message),
    };
    if messages.send(message(Message::Header(header))).await.is_err() {
        return Ok(None);
    }
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        while chunk.len() < CHUNK && file.read_buf(&mut chunk).await? > 0 {}
        if chunk.is_empty() {
            return Ok(Some(hash.finalize().to_vec()));
        }
        hash.update(&chunk);
        if messages
            .send(message(Message::Chunk(chunk.freeze())))
            .await
            .is_err()
        {
            return Ok(None);
        }
    }
}
