//! The `Manifests` service.

use super::{
    Api, convert,
    convert::batch,
    page,
    peer::{broken, permit},
    status::{failed, refused},
};
use crate::{
    fault::Failure,
    service::{
        import::{Event, Format, Input, Request as ImportRequest},
        stopping,
    },
};
use muster_domain::{Code, Refusal, ids::BatchId};
use muster_proto::v1::{self, import_manifest_request::Message, manifests_server::Manifests};
use std::{pin::Pin, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// Largest chunk of a manifest, in bytes.
const CHUNK_LIMIT: usize = 1 << 20;
/// Chunks received and not yet checked.
const CHUNKS_AHEAD: usize = 8;
/// Events made and not yet sent: a slow reader slows the import, it does not grow our memory.
const EVENTS_AHEAD: usize = 8;

const LISTING: &str = "batches";

fn header(header: v1::ImportHeader) -> Result<ImportRequest, Refusal> {
    let format = match v1::ManifestFormat::try_from(header.format) {
        Ok(v1::ManifestFormat::Unspecified) => None,
        Ok(v1::ManifestFormat::Csv) => Some(Format::Csv),
        Ok(v1::ManifestFormat::Ndjson) => Some(Format::Ndjson),
        Ok(v1::ManifestFormat::Json) => Some(Format::Json),
        Ok(v1::ManifestFormat::Xml) => Some(Format::Xml),
        Ok(v1::ManifestFormat::Xlsx) => Some(Format::Xlsx),
        Ok(v1::ManifestFormat::Xls) => Some(Format::Xls),
        Ok(v1::ManifestFormat::Ods) => Some(Format::Ods),
        Ok(v1::ManifestFormat::Microchip) => Some(Format::Microchip),
        Ok(v1::ManifestFormat::Certificates) => Some(Format::Certificates),
        Err(_) => {
            return Err(Refusal::new(Code::RequestInvalid, "is not a format we know").at("header.format"));
        }
    };
    let default_model = match header.default_model.as_str() {
        "" => None,
        name => Some(convert::id(name, "models", "header.default_model")?),
    };
    Ok(ImportRequest {
        file_name: header.file_name,
        format,
        validate_only: header.validate_only,
        default_model,
        code_ttl: Duration::from_secs(header.code_ttl_seconds),
        all_or_nothing: header.all_or_nothing,
    })
}

/// Moves chunks from the call to the import; a cut call ends the file with an error, never early.
async fn pump(
    mut stream: Streaming<v1::ImportManifestRequest>,
    chunks: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    loop {
        let next = stop.run_until_cancelled(stream.next()).await;
        let Some(next) = next else {
            // Nobody waits for the import any more when this fails, so there is nobody to tell.
            drop(chunks.send(Input::Cut(stopping())).await);
            return;
        };
        let input = match next {
            None => Input::End,
            Some(Ok(v1::ImportManifestRequest {
                message: Some(Message::Chunk(chunk)),
            })) if chunk.len() <= CHUNK_LIMIT => Input::Chunk(chunk),
            Some(Ok(v1::ImportManifestRequest {
                message: Some(Message::Chunk(_)),
            })) => Input::Cut(
                Refusal::new(Code::TooLarge, format!("a chunk is over {CHUNK_LIMIT} bytes")).at("chunk"),
            ),
            Some(Ok(_)) => Input::Cut(
                Refusal::new(Code::RequestInvalid, "only chunks may follow the header").at("message"),
            ),
            Some(Err(status)) => Input::Cut(Refusal::new(
                Code::RequestInvalid,
                format!("the upload was cut: {}", status.message()),
            )),
        };
        let last = !matches!(input, Input::Chunk(_));
        if chunks.send(input).await.is_err() || last {
            return;
        }
    }
}

type Events = Pin<Box<dyn Stream<Item = Result<v1::ImportManifestResponse, Status>> + Send>>;

fn rendered(event: Result<Event, Failure>) -> Result<v1::ImportManifestResponse, Status> {
    event.map(batch::event).map_err(|failure| failed(&failure))
}

#[tonic::async_trait]
impl Manifests for Api {
    type ImportManifestStream = Events;
    type UploadManifestStream = ReceiverStream<Result<v1::UploadManifestResponse, Status>>;
    type WatchBatchStream = ReceiverStream<Result<v1::WatchBatchResponse, Status>>;

    async fn import_manifest(
        &self,
        request: Request<Streaming<v1::ImportManifestRequest>>,
    ) -> Result<Response<Events>, Status> {
        let permit = permit(&request)?;
        let mut stream = request.into_inner();
        let first = stream.message().await?.and_then(|first| first.message);
        let Some(Message::Header(first)) = first else {
            return Err(refused(
                &Refusal::new(Code::RequestInvalid, "the first message must be the header").at("header"),
            ));
        };
        let import = header(first).map_err(|refusal| refused(&refusal))?;
        let (chunks, input) = mpsc::channel(CHUNKS_AHEAD);
        let (events, output) = mpsc::channel(EVENTS_AHEAD);
        self.service
            .import(&permit, import, input, events)
            .map_err(|failure| failed(&failure))?;
        tokio::spawn(pump(stream, chunks, self.service.stopping.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(output).map(rendered))))
    }

    async fn create_batch(&self, _: Request<v1::CreateBatchRequest>) -> Result<Response<v1::Batch>, Status> {
        Err(Status::unimplemented("create_batch"))
    }

    async fn import_rows(
        &self,
        _: Request<v1::ImportRowsRequest>,
    ) -> Result<Response<v1::ImportRowsResponse>, Status> {
        Err(Status::unimplemented("import_rows"))
    }

    async fn acknowledge_results(
        &self,
        _: Request<v1::AcknowledgeResultsRequest>,
    ) -> Result<Response<v1::AcknowledgeResultsResponse>, Status> {
        Err(Status::unimplemented("acknowledge_results"))
    }

    async fn apply_batch(&self, _: Request<v1::ApplyBatchRequest>) -> Result<Response<v1::Batch>, Status> {
        Err(Status::unimplemented("apply_batch"))
    }

    async fn cancel_batch(&self, _: Request<v1::CancelBatchRequest>) -> Result<Response<v1::Batch>, Status> {
        Err(Status::unimplemented("cancel_batch"))
    }

    async fn undo_batch(
        &self,
        _: Request<v1::UndoBatchRequest>,
    ) -> Result<Response<v1::UndoBatchResponse>, Status> {
        Err(Status::unimplemented("undo_batch"))
    }

    async fn upload_manifest(
        &self,
        _: Request<Streaming<v1::UploadManifestRequest>>,
    ) -> Result<Response<Self::UploadManifestStream>, Status> {
        Err(Status::unimplemented("upload_manifest"))
    }

    async fn watch_batch(
        &self,
        _: Request<v1::WatchBatchRequest>,
    ) -> Result<Response<Self::WatchBatchStream>, Status> {
        Err(Status::unimplemented("watch_batch"))
    }

    async fn get_batch(&self, request: Request<v1::GetBatchRequest>) -> Result<Response<v1::Batch>, Status> {
        permit(&request)?;
        let name = &request.get_ref().name;
        let id: BatchId = convert::id(name, "batches", "name").map_err(|refusal| refused(&refusal))?;
        let found = self
            .service
            .store()
            .batch(id)
            .await
            .map_err(|error| broken("load a batch", &error))?;
        let found = found.ok_or_else(|| {
            refused(&Refusal::new(Code::NotFound, format!("there is no {name}")).at("name"))
        })?;
        Ok(Response::new(batch::batch(&found)))
    }

    async fn list_batches(
        &self,
        request: Request<v1::ListBatchesRequest>,
    ) -> Result<Response<v1::ListBatchesResponse>, Status> {
        permit(&request)?;
        let asked = request.get_ref();
        let size = page::size(asked.page_size).map_err(|refusal| refused(&refusal))?;
        let before = self
            .pages
            .number(&asked.page_token, LISTING)
            .map_err(|refusal| refused(&refusal))?
            .map(BatchId::from_u128);
        let found = self
            .service
            .store()
            .list_batches(before, size)
            .await
            .map_err(|error| broken("list batches", &error))?;
        let full = found.len() == size;
        let next_page_token = match found.last() {
            Some(last) if full => self.pages.token(&last.id.as_u128().to_be_bytes(), LISTING),
            _ => String::new(),
        };
        Ok(Response::new(v1::ListBatchesResponse {
            batches: found.iter().map(batch::batch).collect(),
            next_page_token,
        }))
    }
}
