//! Batches and the progress of an import.

use super::{refusal, timestamp};
use crate::service::import::{Event, Phase, RowLine, RowStatus};
use muster_domain::batch::{Batch, BatchState};
use muster_proto::v1;
use v1::import_manifest_response::Message;

pub(crate) fn batch(batch: &Batch) -> v1::Batch {
    let (state, done) = match batch.state {
        BatchState::Uploading => (v1::batch::State::Uploading, None),
        BatchState::Checking => (v1::batch::State::Checking, None),
        BatchState::Planned { .. } => (v1::batch::State::Planned, None),
        BatchState::Applying => (v1::batch::State::Applying, None),
        BatchState::Done(at) => (v1::batch::State::Done, Some(at)),
        BatchState::Cancelled(at) => (v1::batch::State::Cancelled, Some(at)),
        BatchState::Failed { at, .. } => (v1::batch::State::Failed, Some(at)),
        BatchState::Undoing { .. } => (v1::batch::State::Undoing, None),
        BatchState::Undone(at) => (v1::batch::State::Undone, Some(at)),
    };
    v1::Batch {
        name: format!("batches/{}", batch.id),
        file_name: batch.spec.file_name.clone(),
        file_sha256: batch.file_sha256.map(Vec::from).unwrap_or_default(),
        file_bytes: batch.file_bytes,
        author: format!("operators/{}", batch.author),
        create_time: Some(timestamp(batch.created)),
        done_time: done.map(timestamp),
        state: state.into(),
        created: batch.tally.created,
        updated: batch.tally.updated,
        unchanged: batch.tally.unchanged,
        refused: batch.tally.refused,
        ..v1::Batch::default()
    }
}

fn row(line: RowLine) -> v1::RowResult {
    let status = match line.status {
        RowStatus::Created => v1::RowStatus::Created,
        RowStatus::Updated => v1::RowStatus::Updated,
        RowStatus::Unchanged => v1::RowStatus::Unchanged,
        RowStatus::Refused => v1::RowStatus::Refused,
    };
    v1::RowResult {
        row: line.row,
        status: status.into(),
        refusals: line.refusals.iter().map(refusal).collect(),
        device: line.device.map(|id| format!("devices/{id}")).unwrap_or_default(),
        activation_code: line.code.map(|code| code.reveal()).unwrap_or_default(),
        ..v1::RowResult::default()
    }
}

/// One event of an import as a message of its stream.
pub(crate) fn event(event: Event) -> v1::ImportManifestResponse {
    let message = match event {
        Event::Mapping(columns) => {
            let columns = columns
                .into_iter()
                .map(|(column, field)| v1::MappedColumn { column, field })
                .collect();
            Message::Mapping(v1::ImportMapping {
                columns,
                ..v1::ImportMapping::default()
            })
        }
        Event::Progress { phase, done, total } => {
            use v1::import_progress::Phase as Wire;
            let phase = match phase {
                Phase::Checking => Wire::Checking,
                Phase::Applying => Wire::Applying,
            };
            Message::Progress(v1::ImportProgress {
                phase: phase.into(),
                done,
                total,
            })
        }
        Event::Results(rows) => Message::Results(v1::ImportResults {
            rows: rows.into_iter().map(row).collect(),
        }),
        Event::Summary {
            batch,
            tally,
            file_sha256,
        } => Message::Summary(v1::ImportSummary {
            batch: batch.map(|id| format!("batches/{id}")).unwrap_or_default(),
            created: tally.created,
            updated: tally.updated,
            unchanged: tally.unchanged,
            refused: tally.refused,
            file_sha256: file_sha256.to_vec(),
            ..v1::ImportSummary::default()
        }),
    };
    v1::ImportManifestResponse {
        message: Some(message),
    }
}
