//! What the user wants, as the server is told.

use super::{ImportOptions, rows};
use muster_domain::manifest::ReadOptions;
use muster_proto::v1::{BatchSpec, CreateBatchRequest};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// The request that makes the batch, without its id.
pub(super) fn request(options: &ImportOptions, retry_of: Option<String>) -> CreateBatchRequest {
    CreateBatchRequest {
        request_id: String::new(),
        spec: Some(spec(options)),
        retry_of: retry_of.unwrap_or_default(),
    }
}

fn spec(options: &ImportOptions) -> BatchSpec {
    let name = options.file.file_name().unwrap_or_default();
    BatchSpec {
        file_name: name.to_string_lossy().into_owned(),
        format: options.format.unwrap_or_default().into(),
        sheet: options.sheet.clone().unwrap_or_default(),
        header_row: options.header_row.unwrap_or_default(),
        record_path: options.record_path.clone().unwrap_or_default(),
        signers: options.signers.clone(),
        mapping: options.mapping.clone().unwrap_or_default(),
        save_mapping: options.save_mapping.clone().unwrap_or_default(),
        default_model: options
            .model
            .as_ref()
            .map(|model| format!("models/{model}"))
            .unwrap_or_default(),
        validate_only: options.dry_run,
        plan_hash: options.plan.clone().unwrap_or_default(),
        all_or_nothing: options.all_or_nothing,
        writes: options.writes.into(),
        update_mask: (!options.update_mask.is_empty()).then(|| prost_types::FieldMask {
            paths: options.update_mask.clone(),
        }),
        credential: options.credential.into(),
        code_ttl_seconds: options.code_ttl.map(|ttl| ttl.as_secs()).unwrap_or_default(),
        key_format: options.key_format.into(),
        key_recipient: options.key_recipient.clone().unwrap_or_default(),
    }
}

/// Tells requests apart: a run goes on only with what it began.
pub(super) fn digest(request: &CreateBatchRequest) -> Vec<u8> {
    Sha256::digest(request.encode_to_vec()).to_vec()
}

/// How the file is read on this side.
pub(super) fn read_options(options: &ImportOptions) -> ReadOptions {
    let name = options.file.file_name().unwrap_or_default();
    ReadOptions {
        file_name: name.to_string_lossy().into_owned(),
        format: options.format.and_then(rows::format),
        sheet: options.sheet.clone(),
        header_row: options.header_row,
        record_path: options.record_path.clone(),
        signers: options.signers.clone(),
    }
}
