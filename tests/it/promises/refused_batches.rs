//! The "no"s of batches, each provoked where a third party would meet it.

use super::{
    refusals::{Reached, Stage},
    upload::Upload,
};
use muster_domain::Code;
use muster_proto::v1::{
    self, BatchSpec, CreateBatchRequest, UploadEnd, UploadManifestRequest, UploadStart,
    resource::Resource as Wire, upload_manifest_request::Message,
};
use muster_tests::{fixture, grpc};
use muster_tools::import::ImportOptions;
use std::fs;
use tonic::Status;

/// Everything about batches.
pub(super) async fn batches(stage: &Stage, reached: &mut Reached) {
    files(stage, reached).await;
    uploads(stage, reached).await;
    states(stage, reached).await;
    values(stage, reached).await;
    undo(stage, reached).await;
}

fn created(request_id: &str, spec: BatchSpec) -> CreateBatchRequest {
    CreateBatchRequest {
        request_id: request_id.into(),
        spec: Some(spec),
        ..CreateBatchRequest::default()
    }
}

/// Files that cannot be read as they are asked to be.
async fn files(stage: &Stage, reached: &mut Reached) {
    let sheet = BatchSpec {
        file_name: "cameras.xlsx".into(),
        sheet: "Nowhere".into(),
        ..BatchSpec::default()
    };
    let cameras = fs::read(fixture::manifest("cameras.xlsx")).unwrap();
    let unasked = BatchSpec::default();
    for (code, spec, file) in [
        (Code::SheetUnknown, sheet, cameras),
        (
            Code::MappingUnusable,
            unasked,
            b"serial,model,credential\nGW2-1,GW-200,x\n".to_vec(),
        ),
    ] {
        let mut upload = Upload::of(&stage.world, spec).await.unwrap();
        upload.send(file).await;
        upload.end().await;
        reached.status::<()>(code, Err(upload.refused().await));
    }
}

/// Uploads that are not what was said.
async fn uploads(stage: &Stage, reached: &mut Reached) {
    let mut manifests = stage.world.client.manifests.clone();
    let spec = BatchSpec {
        file_name: "a.csv".into(),
        ..BatchSpec::default()
    };
    let made = manifests
        .create_batch(created("one", spec.clone()))
        .await
        .unwrap()
        .into_inner();
    let again = manifests.create_batch(created("one", spec)).await.unwrap();
    assert_eq!(
        again.into_inner().name,
        made.name,
        "the same request, the same batch"
    );
    let other = created("one", BatchSpec::default());
    reached.status(Code::RequestIdReused, manifests.create_batch(other).await);
    let start = |offset| {
        Message::Start(UploadStart {
            batch: made.name.clone(),
            offset,
        })
    };
    let mut send = async |messages: Vec<Message>| -> Result<(), Status> {
        let messages = messages.into_iter().map(|message| UploadManifestRequest {
            message: Some(message),
        });
        let sent: Vec<_> = messages.collect();
        let mut answers = manifests
            .upload_manifest(tokio_stream::iter(sent))
            .await?
            .into_inner();
        while answers.message().await?.is_some() {}
        Ok(())
    };
    reached.status(Code::UploadOffset, send(vec![start(5)]).await);
    let end = Message::End(UploadEnd {
        file_bytes: 4,
        file_sha256: vec![7; 32],
    });
    let chunk = Message::Chunk(b"a,b\n".to_vec().into());
    reached.status(Code::UploadMismatch, send(vec![start(0), chunk, end]).await);
}

/// Calls that come at the wrong time.
async fn states(stage: &Stage, reached: &mut Reached) {
    let file = stage.world.path("planned.csv");
    fs::write(&file, "serial,model\nGW2-4000001,GW-200\n").unwrap();
    let planned = ImportOptions {
        dry_run: true,
        ..ImportOptions::of(&file)
    };
    let name = stage.world.import_with(planned).await.summary.name;
    let mut manifests = stage.world.client.manifests.clone();
    let apply = v1::ApplyBatchRequest {
        name: name.clone(),
        plan_hash: vec![7; 32],
    };
    reached.status(Code::PlanMoved, manifests.apply_batch(apply).await);
    let cancel = v1::CancelBatchRequest { name };
    manifests.cancel_batch(cancel.clone()).await.unwrap();
    reached.status(Code::BatchState, manifests.cancel_batch(cancel).await);
}

/// Values that a mapping cannot make sense of.
async fn values(stage: &Stage, reached: &mut Reached) {
    let source = r#"{"name": "strict", "fields": [{"field": "serial", "columns": ["SN"], "steps": [{"capture": "SN:(.+)"}]}]}"#;
    let mapping = v1::Mapping {
        name: "mappings/strict".into(),
        source_json: source.into(),
        revision: None,
    };
    let apply = v1::ApplyRequest {
        resources: vec![v1::Resource {
            resource: Some(Wire::Mapping(mapping)),
        }],
        validate_only: false,
    };
    stage.world.client.catalog.clone().apply(apply).await.unwrap();
    let file = stage.world.path("strict.csv");
    fs::write(&file, "SN\nGW2-4000002\n").unwrap();
    let options = ImportOptions {
        mapping: Some("mappings/strict".into()),
        model: Some("GW-200".into()),
        ..ImportOptions::of(&file)
    };
    let imported = stage.world.import_with(options).await;
    let numbers: Vec<_> = imported.rows[0]
        .refusals
        .iter()
        .map(|refusal| refusal.code)
        .collect();
    assert_eq!(numbers, [u32::from(Code::ValueUnmapped.number())], "{imported:?}");
    reached.row(Code::ValueUnmapped);
}

/// A device of the batch has claimed.
async fn undo(stage: &Stage, reached: &mut Reached) {
    let batch = stage.world.device(&stage.claimed.0).await.batch;
    let undo = v1::UndoBatchRequest {
        name: batch,
        validate_only: false,
    };
    let mut manifests = stage.world.client.manifests.clone();
    let answer = manifests.undo_batch(undo).await.unwrap().into_inner();
    let refusal = answer.blocks[0].refusal.as_ref().unwrap();
    assert_eq!((refusal.code, answer.blocked), (2012, 1), "{answer:?}");
    assert!(answer.blocks[0].row > 1 && answer.blocks[0].device.starts_with("devices/"));
    reached.row(Code::UndoBlocked);
    let code = grpc::refusal(
        &manifests
            .get_batch(v1::GetBatchRequest::default())
            .await
            .unwrap_err(),
    );
    assert_eq!(code, Some(Code::RequestInvalid));
}
