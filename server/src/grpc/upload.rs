//! The bytes of a manifest, from a call to its file.

use super::status::{failed, refused};
use crate::service::{import::Upload, stopping};
use muster_domain::{Code, Refusal};
use muster_proto::v1::{
    UploadEnd, UploadManifestRequest, UploadManifestResponse, upload_manifest_request::Message,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// Largest chunk of a manifest, in bytes.
const CHUNK_LIMIT: usize = 1 << 20;
/// Answers made and not yet sent.
pub(super) const ANSWERS_AHEAD: usize = 8;

pub(super) type Answers = mpsc::Sender<Result<UploadManifestResponse, Status>>;

const fn answer(received_bytes: u64) -> UploadManifestResponse {
    UploadManifestResponse { received_bytes }
}

/// How a call ends.
enum End {
    /// The file is whole.
    Whole(UploadEnd),
    /// The next call goes on.
    Cut,
    /// We end it, for this reason.
    Refused(Refusal),
}

fn end(refusal: Refusal) -> Option<End> {
    Some(End::Refused(refusal))
}

/// Moves chunks from the call to the file until one of them ends. Whatever came is durable then.
pub(super) async fn pump(
    mut upload: Upload,
    mut stream: Streaming<UploadManifestRequest>,
    answers: Answers,
    stop: CancellationToken,
) {
    let ended = loop {
        match step(&mut upload, &mut stream, &answers, &stop).await {
            Ok(None) => {}
            Ok(Some(ended)) => break ended,
            Err(status) => {
                drop(answers.send(Err(status)).await);
                return;
            }
        }
    };
    let last = match ended {
        End::Whole(end) => upload.end(end.file_bytes, &end.file_sha256).await.map(answer),
        End::Cut => upload.cut().await.map(answer),
        End::Refused(refusal) => upload.cut().await.and_then(|_| Err(refusal.into())),
    };
    // A caller that is gone asks `GetBatch` when it comes back.
    drop(answers.send(last.map_err(|failure| failed(&failure))).await);
}

/// One message; how the call ends, when it does.
async fn step(
    upload: &mut Upload,
    stream: &mut Streaming<UploadManifestRequest>,
    answers: &Answers,
    stop: &CancellationToken,
) -> Result<Option<End>, Status> {
    let taken_over = upload.taken_over();
    let next = tokio::select! {
        biased;
        () = taken_over.cancelled() => {
            return Ok(end(Refusal::new(Code::UploadOffset, "a newer call goes on with this upload")));
        }
        () = stop.cancelled() => return Ok(end(stopping())),
        next = stream.next() => next,
    };
    let Some(Ok(UploadManifestRequest { message })) = next else {
        return Ok(Some(End::Cut));
    };
    Ok(match message {
        Some(Message::Chunk(chunk)) if chunk.len() <= CHUNK_LIMIT => {
            let news = upload.push(chunk).await.map_err(|failure| failed(&failure))?;
            if let Some(durable) = news {
                // Only news: whoever does not read them misses nothing.
                drop(answers.try_send(Ok(answer(durable))));
            }
            None
        }
        Some(Message::Chunk(_)) => {
            end(Refusal::new(Code::TooLarge, format!("a chunk is over {CHUNK_LIMIT} bytes")).at("chunk"))
        }
        Some(Message::End(whole)) => Some(End::Whole(whole)),
        Some(Message::Start(_)) | None => end(Refusal::new(
            Code::RequestInvalid,
            "only chunks and the end may follow the start",
        )
        .at("message")),
    })
}

/// What a stream begins with: the batch, and where its first chunk goes.
pub(super) async fn start(stream: &mut Streaming<UploadManifestRequest>) -> Result<(String, u64), Status> {
    match stream.message().await?.and_then(|first| first.message) {
        Some(Message::Start(start)) => Ok((start.batch, start.offset)),
        Some(Message::Chunk(_) | Message::End(_)) | None => {
            let why = "the first message must be the start";
            Err(refused(&Refusal::new(Code::RequestInvalid, why).at("start")))
        }
    }
}
