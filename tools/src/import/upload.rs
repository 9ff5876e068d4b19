//! Sending the file as it is, in as many calls as it takes.

use super::{
    away::{Patience, patiently},
    source::Source,
};
use crate::{client::Client, failure::Failure};
use bytes::BytesMut;
use muster_domain::Code;
use muster_proto::v1::{
    Batch, GetBatchRequest, UploadEnd, UploadManifestRequest, UploadStart, batch::State,
    upload_manifest_request::Message,
};
use std::{
    io::{self, SeekFrom},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};
use tokio_stream::Stream;

/// Bytes of one message; the server takes up to 1 MiB.
const CHUNK: usize = 256 << 10;
/// How often the server may name another offset before something is wrong that trying again does not mend.
const OFFSETS: u32 = 16;

/// The batch as it stands.
pub(super) async fn batch(client: &Client, name: &str, patience: Duration) -> Result<Batch, Failure> {
    patiently(patience, async || {
        let request = GetBatchRequest { name: name.into() };
        Ok(client.manifests.clone().get_batch(request).await?.into_inner())
    })
    .await
}

/// Sends what the server does not have yet, until the file is whole there.
pub(super) async fn send(
    client: &Client,
    name: &str,
    source: &Source,
    patience: Duration,
    mut offset: u64,
) -> Result<(), Failure> {
    let mut away = Patience::new(patience);
    let mut offsets = 0;
    loop {
        let (ended, received) = call(client, name, source, offset).await;
        if received > offset {
            away.answered();
        }
        match ended {
            Ok(()) => return Ok(()),
            Err(failure) if failure.is(Code::UploadOffset) && offsets < OFFSETS => offsets += 1,
            Err(failure) => away.wait(failure).await?,
        }
        let batch = batch(client, name, patience).await?;
        if batch.state() != State::Uploading {
            // The end arrived, its answer did not.
            return Ok(());
        }
        offset = batch.received_bytes;
    }
}

/// One call: how it ended, and what the server said that it has.
async fn call(client: &Client, name: &str, source: &Source, offset: u64) -> (Result<(), Failure>, u64) {
    let broken = Arc::new(Mutex::new(None));
    let mut received = offset;
    let ended = async {
        let messages = messages(name, source, offset, Arc::clone(&broken)).await?;
        let mut service = client.manifests.clone();
        let mut answers = service.upload_manifest(messages).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            received = answer.received_bytes;
        }
        Ok(())
    };
    let ended = ended.await;
    // What is wrong with the file comes before what the server makes of a call that ended too early.
    let broken = broken.lock().unwrap_or_else(PoisonError::into_inner).take();
    let ended = match (broken, ended) {
        (Some(error), _) => Err(unreadable(source, &error)),
        (None, Ok(())) if received < source.bytes => Err(cut()),
        (None, ended) => ended,
    };
    (ended, received)
}

/// The server ended a call in peace and does not have all.
fn cut() -> Failure {
    tonic::Status::unavailable("the upload was cut").into()
}

fn unreadable(source: &Source, error: &io::Error) -> Failure {
    Failure::usage(
        format!("cannot read {} to its end: {error}", source.path.display()),
        "Nothing was imported.",
    )
}

/// The messages of a call. A file that cannot be read on ends them without the end of the upload, and says so in
/// `broken`.
async fn messages(
    name: &str,
    source: &Source,
    offset: u64,
    broken: Arc<Mutex<Option<io::Error>>>,
) -> Result<impl Stream<Item = UploadManifestRequest> + use<>, Failure> {
    let opened = async {
        let mut file = File::open(&source.path).await?;
        file.seek(SeekFrom::Start(offset)).await?;
        Ok(file)
    };
    let file = opened.await.map_err(|error| unreadable(source, &error))?;
    let start = Message::Start(UploadStart {
        batch: name.into(),
        offset,
    });
    let end = Message::End(UploadEnd {
        file_bytes: source.bytes,
        file_sha256: source.sha256.clone(),
    });
    let left = source.bytes.saturating_sub(offset);
    let steps = futures_util::stream::unfold(Step::Start(start, file, left, end), move |step| {
        let broken = Arc::clone(&broken);
        async move {
            let (message, next) = match step.next().await {
                Ok(Some(step)) => step,
                Ok(None) => return None,
                Err(error) => {
                    *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return None;
                }
            };
            Some((
                UploadManifestRequest {
                    message: Some(message),
                },
                next,
            ))
        }
    });
    Ok(steps)
}

/// What comes next in a call.
enum Step {
    Start(Message, File, u64, Message),
    Chunk(File, u64, Message),
    Done,
}

impl Step {
    async fn next(self) -> io::Result<Option<(Message, Self)>> {
        match self {
            Self::Start(start, file, left, end) => Ok(Some((start, Self::Chunk(file, left, end)))),
            Self::Chunk(_, 0, end) => Ok(Some((end, Self::Done))),
            Self::Chunk(file, left, end) => {
                let room = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                let mut chunk = BytesMut::with_capacity(room);
                let mut part = file.take(room as u64);
                while chunk.len() < room && part.read_buf(&mut chunk).await? > 0 {}
                if chunk.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter"));
                }
                let left = left.saturating_sub(chunk.len() as u64);
                Ok(Some((
                    Message::Chunk(chunk.freeze()),
                    Self::Chunk(part.into_inner(), left, end),
                )))
            }
            Self::Done => Ok(None),
        }
    }
}
