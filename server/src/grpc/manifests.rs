//! The `Manifests` service.

use super::{
    Api,
    convert::{self, batch, rows, spec},
    page,
    peer::{broken, permit},
    status::{failed, refused},
    upload,
};
use crate::service::import::{Created, Told, Typed};
use muster_domain::{Code, Refusal, ids::BatchId};
use muster_proto::v1::{self, manifests_server::Manifests};
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

/// Most rows of one [`ImportRows`](Manifests::import_rows): more are a file.
const ROWS_LIMIT: usize = 5000;
/// Events made and not yet sent: a slow watcher does not grow our memory.
const EVENTS_AHEAD: usize = 8;

const LISTING: &str = "batches";

type Sending<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn batch_id(name: &str, field: &str) -> Result<BatchId, Status> {
    convert::id(name, "batches", field).map_err(|refusal| refused(&refusal))
}

fn invalid(why: impl Into<String>, field: &str) -> Status {
    refused(&Refusal::new(Code::RequestInvalid, why).at(field))
}

/// What is to be made, checked for form.
fn created(asked: v1::CreateBatchRequest) -> Result<(String, Created), Status> {
    let wire = asked.spec.unwrap_or_default();
    let what = if asked.retry_of.is_empty() {
        spec::spec(wire).map(|spec| Created::Fresh(Box::new(spec)))
    } else {
        let id = batch_id(&asked.retry_of, "retry_of")?;
        spec::retry(wire).map(|file| Created::Retry(id, file))
    };
    Ok((asked.request_id, what.map_err(|refusal| refused(&refusal))?))
}

/// Typed rows as a small file.
fn typed(asked: v1::ImportRowsRequest) -> Result<Typed, Status> {
    if asked.rows.is_empty() || asked.rows.len() > ROWS_LIMIT {
        return Err(invalid(format!("must be 1 to {ROWS_LIMIT}"), "rows"));
    }
    let wire = asked.spec.unwrap_or_default();
    let spec = spec::spec(wire)
        .and_then(spec::typed)
        .map_err(|refusal| refused(&refusal))?;
    Ok(Typed {
        request_id: asked.request_id,
        spec,
        manifest: rows::manifest(&asked.rows).into(),
    })
}

#[tonic::async_trait]
impl Manifests for Api {
    type UploadManifestStream = ReceiverStream<Result<v1::UploadManifestResponse, Status>>;
    type WatchBatchStream = Sending<v1::WatchBatchResponse>;

    async fn create_batch(
        &self,
        request: Request<v1::CreateBatchRequest>,
    ) -> Result<Response<v1::Batch>, Status> {
        let permit = permit(&request)?;
        let (request_id, what) = created(request.into_inner())?;
        let made = self.service.create_batch(&permit, request_id, what).await;
        let made = made.map_err(|failure| failed(&failure))?;
        Ok(Response::new(batch::batch(&made)))
    }

    async fn upload_manifest(
        &self,
        request: Request<Streaming<v1::UploadManifestRequest>>,
    ) -> Result<Response<Self::UploadManifestStream>, Status> {
        let permit = permit(&request)?;
        let mut stream = request.into_inner();
        let (name, offset) = upload::start(&mut stream).await?;
        let id = batch_id(&name, "start.batch")?;
        let begun = self.service.upload(&permit, id, offset).await;
        let begun = begun.map_err(|failure| failed(&failure))?;
        let (answers, output) = mpsc::channel(upload::ANSWERS_AHEAD);
        tokio::spawn(upload::pump(
            begun,
            stream,
            answers,
            self.service.stopping.clone(),
        ));
        Ok(Response::new(ReceiverStream::new(output)))
    }

    async fn import_rows(
        &self,
        request: Request<v1::ImportRowsRequest>,
    ) -> Result<Response<v1::ImportRowsResponse>, Status> {
        let permit = permit(&request)?;
        let typed = typed(request.into_inner())?;
        let answer = self.service.import_rows(&permit, typed).await;
        let answer = answer.map_err(|failure| failed(&failure))?;
        Ok(Response::new(batch::typed(answer)))
    }

    async fn watch_batch(
        &self,
        request: Request<v1::WatchBatchRequest>,
    ) -> Result<Response<Self::WatchBatchStream>, Status> {
        permit(&request)?;
        let asked = request.get_ref();
        let id = batch_id(&asked.name, "name")?;
        let (telling, told) = mpsc::channel(EVENTS_AHEAD);
        let watched = self.service.watch_batch(id, &asked.resume_token, telling).await;
        watched.map_err(|failure| failed(&failure))?;
        let rendered = |told: Result<Told, _>| told.map(batch::told).map_err(|failure| failed(&failure));
        Ok(Response::new(Box::pin(ReceiverStream::new(told).map(rendered))))
    }

    async fn acknowledge_results(
        &self,
        request: Request<v1::AcknowledgeResultsRequest>,
    ) -> Result<Response<v1::AcknowledgeResultsResponse>, Status> {
        let permit = permit(&request)?;
        let asked = request.get_ref();
        let id = batch_id(&asked.name, "name")?;
        let kept = self.service.acknowledge_results(&permit, id, &asked.resume_token);
        kept.await.map_err(|failure| failed(&failure))?;
        Ok(Response::new(v1::AcknowledgeResultsResponse {}))
    }

    async fn apply_batch(
        &self,
        request: Request<v1::ApplyBatchRequest>,
    ) -> Result<Response<v1::Batch>, Status> {
        let permit = permit(&request)?;
        let asked = request.get_ref();
        let id = batch_id(&asked.name, "name")?;
        let plan = spec::plan_hash(&asked.plan_hash, "plan_hash").map_err(|refusal| refused(&refusal))?;
        let plan = plan.ok_or_else(|| invalid("is missing: name the plan to apply", "plan_hash"))?;
        let applying = self.service.apply_batch(&permit, id, plan).await;
        let applying = applying.map_err(|failure| failed(&failure))?;
        Ok(Response::new(batch::batch(&applying)))
    }

    async fn cancel_batch(
        &self,
        request: Request<v1::CancelBatchRequest>,
    ) -> Result<Response<v1::Batch>, Status> {
        let permit = permit(&request)?;
        let id = batch_id(&request.get_ref().name, "name")?;
        let cancelled = self.service.cancel_batch(&permit, id).await;
        let cancelled = cancelled.map_err(|failure| failed(&failure))?;
        Ok(Response::new(batch::batch(&cancelled)))
    }

    async fn undo_batch(
        &self,
        request: Request<v1::UndoBatchRequest>,
    ) -> Result<Response<v1::UndoBatchResponse>, Status> {
        let permit = permit(&request)?;
        let asked = request.get_ref();
        let id = batch_id(&asked.name, "name")?;
        let undone = self.service.undo_batch(&permit, id, asked.validate_only).await;
        let undone = undone.map_err(|failure| failed(&failure))?;
        Ok(Response::new(v1::UndoBatchResponse {
            batch: Some(batch::batch(&undone.batch)),
            blocks: undone.blocks.iter().map(batch::block).collect(),
            blocked: undone.blocked,
        }))
    }

    async fn get_batch(&self, request: Request<v1::GetBatchRequest>) -> Result<Response<v1::Batch>, Status> {
        permit(&request)?;
        let name = &request.get_ref().name;
        let id = batch_id(name, "name")?;
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
