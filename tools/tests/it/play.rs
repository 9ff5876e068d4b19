//! How the fake plays batches: files that arrive in several calls, answers behind tokens, cuts on command.

use crate::fake::Fake;
use muster_domain::Code;
use muster_proto::v1::{
    self, batch::State, manifests_server, upload_manifest_request::Message as Asked,
    watch_batch_response::Message,
};
use sha2::{Digest as _, Sha256};
use std::{collections::HashMap, future::pending, net::SocketAddr, pin::Pin};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What a batch says, once it has its file.
#[derive(Debug, Clone)]
pub(crate) enum Script {
    /// These, then a summary of the file it got.
    Answer(Vec<Message>),
    /// The same, with a summary that says that nothing was applied.
    Nothing(Vec<Message>),
    /// These, then it fails.
    Break(Vec<Message>),
    /// These, then nothing more.
    Hang(Vec<Message>),
    /// No.
    Refuse(Status),
}

/// Where something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// The batch is made, its name is not said yet.
    Created,
    /// So many bytes of the file are there.
    Received(u64),
    /// The file is whole, and it is not said yet.
    Whole,
    /// So many messages were sent.
    Told(usize),
    /// The results are acknowledged, and it is not said yet.
    Acknowledged,
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The connection breaks.
    Cut,
    /// Nothing goes on, so that the client can be killed.
    Stop,
}

/// The batches, as far as they came.
#[derive(Debug, Default)]
pub(crate) struct Played {
    pub(crate) created: Vec<v1::CreateBatchRequest>,
    names: HashMap<String, String>,
    pub(crate) bytes: Vec<u8>,
    /// Of every upload.
    pub(crate) offsets: Vec<u64>,
    /// Of every watch.
    pub(crate) tokens: Vec<String>,
    pub(crate) acknowledged: Vec<String>,
    pub(crate) cancelled: Vec<String>,
    pub(crate) applied: Vec<v1::ApplyBatchRequest>,
    pub(crate) blocks: Vec<v1::UndoBlock>,
    pub(crate) undone: Vec<v1::UndoBatchRequest>,
}

impl Played {
    pub(crate) fn spec(&self) -> v1::BatchSpec {
        self.created.last().unwrap().spec.clone().unwrap()
    }
}

/// A wire to the fake that breaks on command; where clients connect.
pub(crate) async fn wire(inner: SocketAddr, cuts: &tokio::sync::watch::Sender<u64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cuts = cuts.subscribe();
    tokio::spawn(async move {
        loop {
            let (mut outside, _) = listener.accept().await.unwrap();
            let mut cuts = cuts.clone();
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let mut inside = TcpStream::connect(inner).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut outside, &mut inside) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    });
    address
}

/// A refusal as the server would say it.
pub(crate) fn refusal(code: Code, message: &str) -> Status {
    let number = code.number();
    let metadata = [
        ("code".to_owned(), number.to_string()),
        ("help".to_owned(), code.help().to_owned()),
    ];
    let details = ErrorDetails::with_error_info(code.reason(), "muster", metadata);
    Status::with_error_details(
        tonic::Code::InvalidArgument,
        format!("M{number}: {message}"),
        details,
    )
}

impl Fake {
    /// What happens here, if anything does.
    fn event(&self, is_reached: impl Fn(Point) -> bool) -> Option<Event> {
        let mut plan = self.plan.lock().unwrap();
        let is_next = plan.first().is_some_and(|&(point, _)| is_reached(point));
        is_next.then(|| plan.remove(0).1)
    }

    /// Something may happen here.
    async fn reached(&self, is_reached: impl Fn(Point) -> bool) {
        match self.event(is_reached) {
            Some(Event::Cut) => self.cuts.send_modify(|cuts| *cuts += 1),
            Some(Event::Stop) => self.stopped.notify_one(),
            None => return,
        }
        pending().await
    }

    fn batch(&self) -> v1::Batch {
        let seen = &self.seen.lock().unwrap().batches;
        let is_whole = *self.whole.borrow();
        let spec = seen.created.last().and_then(|made| made.spec.clone());
        v1::Batch {
            name: "batches/b1".into(),
            state: if is_whole { State::Done } else { State::Uploading }.into(),
            received_bytes: seen.bytes.len() as u64,
            file_sha256: Sha256::digest(&seen.bytes).to_vec(),
            spec,
            ..v1::Batch::default()
        }
    }

    /// Everything the batch says, and whether it ends there.
    fn answers(&self) -> (Vec<Message>, Option<Status>, bool) {
        let script = self.script.lock().unwrap().clone();
        let batch = self.batch();
        match script {
            Script::Refuse(status) => (vec![], Some(status), true),
            Script::Break(messages) => (messages, Some(Status::internal("the server failed")), true),
            Script::Hang(messages) => (messages, None, false),
            Script::Answer(mut messages) => {
                messages.push(Message::Summary(summary_of(&messages, &batch, State::Done)));
                (messages, None, true)
            }
            Script::Nothing(mut messages) => {
                messages.push(Message::Summary(summary_of(&messages, &batch, State::Planned)));
                (messages, None, true)
            }
        }
    }
}

fn summary_of(messages: &[Message], batch: &v1::Batch, state: State) -> v1::ImportSummary {
    let rows = messages.iter().flat_map(|message| match message {
        Message::Results(results) => results.rows.as_slice(),
        Message::Mapping(_) | Message::Progress(_) | Message::Summary(_) => &[],
    });
    let mut summary = v1::ImportSummary {
        batch: batch.name.clone(),
        file_sha256: batch.file_sha256.clone(),
        plan_hash: vec![0xab; 32],
        state: state.into(),
        ..v1::ImportSummary::default()
    };
    for row in rows {
        match row.status() {
            v1::RowStatus::Created => summary.created += 1,
            v1::RowStatus::Updated => summary.updated += 1,
            v1::RowStatus::Unchanged => summary.unchanged += 1,
            v1::RowStatus::Refused | v1::RowStatus::Unspecified => summary.refused += 1,
        }
    }
    summary
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl manifests_server::Manifests for Fake {
    type UploadManifestStream = Answers<v1::UploadManifestResponse>;
    type WatchBatchStream = Answers<v1::WatchBatchResponse>;

    async fn create_batch(
        &self,
        request: Request<v1::CreateBatchRequest>,
    ) -> Result<Response<v1::Batch>, Status> {
        let asked = request.into_inner();
        {
            let played = &mut self.seen.lock().unwrap().batches;
            if !played.names.contains_key(&asked.request_id) {
                let name = format!("batches/b{}", played.names.len() + 1);
                played.names.insert(asked.request_id.clone(), name);
                played.bytes.clear();
                self.whole.send_replace(false);
            }
            played.created.push(asked);
        }
        self.reached(|point| point == Point::Created).await;
        Ok(Response::new(self.batch()))
    }

    async fn upload_manifest(
        &self,
        request: Request<Streaming<v1::UploadManifestRequest>>,
    ) -> Result<Response<Self::UploadManifestStream>, Status> {
        let mut stream = request.into_inner();
        while let Some(asked) = stream.message().await? {
            match asked.message.unwrap() {
                Asked::Start(start) => {
                    let played = &mut self.seen.lock().unwrap().batches;
                    played.offsets.push(start.offset);
                    let held = played.bytes.len() as u64;
                    if start.offset != held {
                        return Err(refusal(Code::UploadOffset, &format!("go on at {held}")));
                    }
                }
                Asked::Chunk(chunk) => {
                    let held = {
                        let played = &mut self.seen.lock().unwrap().batches;
                        played.bytes.extend_from_slice(&chunk);
                        played.bytes.len() as u64
                    };
                    self.reached(|point| matches!(point, Point::Received(bytes) if bytes <= held))
                        .await;
                }
                Asked::End(end) => {
                    let batch = self.batch();
                    if (batch.received_bytes, &batch.file_sha256) != (end.file_bytes, &end.file_sha256) {
                        return Err(refusal(Code::UploadMismatch, "the file is another"));
                    }
                    self.whole.send_replace(true);
                    self.reached(|point| point == Point::Whole).await;
                }
            }
        }
        let received_bytes = self.batch().received_bytes;
        let answer = [Ok(v1::UploadManifestResponse { received_bytes })];
        Ok(Response::new(Box::pin(tokio_stream::iter(answer))))
    }

    async fn watch_batch(
        &self,
        request: Request<v1::WatchBatchRequest>,
    ) -> Result<Response<Self::WatchBatchStream>, Status> {
        let token = request.into_inner().resume_token;
        let from: usize = token.parse().unwrap_or(0);
        self.seen.lock().unwrap().batches.tokens.push(token);
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let fake = self.clone();
        tokio::spawn(async move {
            // Nobody may be there any more: that is no matter here.
            let mut whole = fake.whole.subscribe();
            whole.wait_for(|&is_whole| is_whole).await.unwrap();
            let (messages, failure, is_end) = fake.answers();
            for (place, message) in messages.into_iter().enumerate().skip(from) {
                let answer = v1::WatchBatchResponse {
                    message: Some(message),
                    resume_token: (place + 1).to_string(),
                };
                if sender.send(Ok(answer)).await.is_err() {
                    return;
                }
                match fake.event(|point| point == Point::Told(place + 1)) {
                    // What was sent arrives: the call ends behind it, not the connection.
                    Some(Event::Cut) => {
                        drop(sender.send(Err(Status::unavailable("cut"))).await);
                        return;
                    }
                    Some(Event::Stop) => {
                        fake.stopped.notify_one();
                        pending().await
                    }
                    None => {}
                }
            }
            if let Some(status) = failure {
                drop(sender.send(Err(status)).await);
            }
            if !is_end {
                pending::<()>().await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver).fuse())))
    }

    async fn acknowledge_results(
        &self,
        request: Request<v1::AcknowledgeResultsRequest>,
    ) -> Result<Response<v1::AcknowledgeResultsResponse>, Status> {
        let token = request.into_inner().resume_token;
        self.seen.lock().unwrap().batches.acknowledged.push(token);
        self.reached(|point| point == Point::Acknowledged).await;
        Ok(Response::new(v1::AcknowledgeResultsResponse {}))
    }

    async fn import_rows(
        &self,
        _: Request<v1::ImportRowsRequest>,
    ) -> Result<Response<v1::ImportRowsResponse>, Status> {
        Err(Status::unimplemented("import_rows"))
    }

    async fn apply_batch(
        &self,
        request: Request<v1::ApplyBatchRequest>,
    ) -> Result<Response<v1::Batch>, Status> {
        self.seen
            .lock()
            .unwrap()
            .batches
            .applied
            .push(request.into_inner());
        Ok(Response::new(self.batch()))
    }

    async fn cancel_batch(
        &self,
        request: Request<v1::CancelBatchRequest>,
    ) -> Result<Response<v1::Batch>, Status> {
        let name = request.into_inner().name;
        self.seen.lock().unwrap().batches.cancelled.push(name);
        let state = State::Cancelled.into();
        Ok(Response::new(v1::Batch {
            state,
            ..self.batch()
        }))
    }

    async fn undo_batch(
        &self,
        request: Request<v1::UndoBatchRequest>,
    ) -> Result<Response<v1::UndoBatchResponse>, Status> {
        let batch = Some(v1::Batch {
            state: State::Undone.into(),
            ..self.batch()
        });
        let played = &mut self.seen.lock().unwrap().batches;
        played.undone.push(request.into_inner());
        let blocks = played.blocks.clone();
        let blocked = blocks.len() as u64;
        Ok(Response::new(v1::UndoBatchResponse {
            batch,
            blocks,
            blocked,
        }))
    }

    async fn get_batch(&self, request: Request<v1::GetBatchRequest>) -> Result<Response<v1::Batch>, Status> {
        let name = request.into_inner().name;
        let is_known = self
            .seen
            .lock()
            .unwrap()
            .batches
            .names
            .values()
            .any(|known| *known == name);
        match is_known {
            true => Ok(Response::new(self.batch())),
            false => Err(Status::not_found("there is no such batch")),
        }
    }

    async fn list_batches(
        &self,
        _: Request<v1::ListBatchesRequest>,
    ) -> Result<Response<v1::ListBatchesResponse>, Status> {
        Ok(Response::new(v1::ListBatchesResponse::default()))
    }
}
