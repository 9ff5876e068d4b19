//! Batches, and what they have to say.

use super::{refusal, spec, timestamp};
use crate::service::import::{Event, Phase, RowLine, RowStatus, Told, TypedAnswer, Understood, UsedMapping};
use muster_domain::{
    batch::{Batch, BatchState, Tally, UndoBlock},
    catalog::RevisionNumber,
    manifest::Problem,
    names::MappingName,
};
use muster_proto::v1;
use v1::watch_batch_response::Message;

fn state(state: &BatchState) -> v1::batch::State {
    match state {
        BatchState::Uploading => v1::batch::State::Uploading,
        BatchState::Checking => v1::batch::State::Checking,
        BatchState::Planned { .. } => v1::batch::State::Planned,
        BatchState::Applying => v1::batch::State::Applying,
        BatchState::Done(_) => v1::batch::State::Done,
        BatchState::Cancelled(_) => v1::batch::State::Cancelled,
        BatchState::Failed { .. } => v1::batch::State::Failed,
        BatchState::Undoing { .. } => v1::batch::State::Undoing,
        BatchState::Undone(_) => v1::batch::State::Undone,
    }
}

fn mapping_name(mapping: Option<&(MappingName, RevisionNumber)>) -> String {
    mapping
        .map(|(name, revision)| format!("mappings/{name}/revisions/{revision}"))
        .unwrap_or_default()
}

/// How rows ended, or would end.
const fn tally(batch: &Batch) -> Tally {
    match batch.state {
        BatchState::Planned { tally, .. } => tally,
        BatchState::Uploading
        | BatchState::Checking
        | BatchState::Applying
        | BatchState::Done(_)
        | BatchState::Cancelled(_)
        | BatchState::Failed { .. }
        | BatchState::Undoing { .. }
        | BatchState::Undone(_) => batch.tally,
    }
}

/// A batch as its callers see it.
pub(crate) fn batch(batch: &Batch) -> v1::Batch {
    let (done, why) = match &batch.state {
        BatchState::Done(at) | BatchState::Cancelled(at) | BatchState::Undone(at) => (Some(*at), None),
        BatchState::Failed { at, refusal: why } => (Some(*at), Some(refusal(why))),
        BatchState::Uploading
        | BatchState::Checking
        | BatchState::Planned { .. }
        | BatchState::Applying
        | BatchState::Undoing { .. } => (None, None),
    };
    let tally = tally(batch);
    v1::Batch {
        name: batch.name(),
        file_name: batch.spec.file_name.clone(),
        file_sha256: batch.file_sha256.map(|hash| hash.to_vec()).unwrap_or_default(),
        file_bytes: batch.file_bytes,
        author: format!("operators/{}", batch.author),
        create_time: Some(timestamp(batch.created)),
        done_time: done.map(timestamp),
        state: state(&batch.state).into(),
        created: tally.created,
        updated: tally.updated,
        unchanged: tally.unchanged,
        refused: tally.refused,
        received_bytes: batch.received,
        rows: batch.rows,
        attempt: batch.attempt,
        mapping: mapping_name(batch.mapping.as_ref()),
        sheet: batch.sheet.clone(),
        format: spec::wire_format(batch.format).into(),
        plan_hash: batch.plan.map(|hash| hash.0.to_vec()).unwrap_or_default(),
        expire_time: batch.expires().map(timestamp),
        refusal: why,
        spec: Some(spec::wire(&batch.spec)),
    }
}

fn problem(problem: &Problem) -> v1::Refusal {
    v1::Refusal {
        column: problem.column.clone(),
        value: problem.value.clone(),
        rule: problem.rule.clone(),
        ..refusal(&problem.refusal)
    }
}

/// The answer to one row.
pub(crate) fn row(line: RowLine) -> v1::RowResult {
    let status = match line.status {
        RowStatus::Created => v1::RowStatus::Created,
        RowStatus::Updated => v1::RowStatus::Updated,
        RowStatus::Unchanged => v1::RowStatus::Unchanged,
        RowStatus::Refused => v1::RowStatus::Refused,
    };
    v1::RowResult {
        row: line.row,
        status: status.into(),
        refusals: line.refusals.iter().map(problem).collect(),
        device: line.device.map(|id| format!("devices/{id}")).unwrap_or_default(),
        activation_code: line.code.map(|code| code.reveal()).unwrap_or_default(),
        warnings: line.warnings.iter().map(problem).collect(),
        certificate: line.certificate,
        key: line.key,
        changes: line.changes,
        serial: line.serial.map(|serial| serial.to_string()).unwrap_or_default(),
    }
}

/// The mapping as a resource; its revision is 0 when it is proposed and not kept yet. Typed rows have none.
fn used(used: &UsedMapping) -> Option<v1::Mapping> {
    let (name, number) = match (&used.kept, &used.keep_as) {
        _ if used.source.is_empty() => return None,
        (Some((name, number)), _) => (format!("mappings/{name}"), *number),
        (None, Some(name)) => (format!("mappings/{name}"), 0),
        (None, None) => (String::new(), 0),
    };
    Some(v1::Mapping {
        name,
        source_json: used.source.clone(),
        revision: Some(v1::RevisionInfo {
            number,
            ..v1::RevisionInfo::default()
        }),
    })
}

fn understood(understood: &Understood) -> v1::ImportMapping {
    let columns = understood.columns.iter().cloned();
    v1::ImportMapping {
        columns: columns
            .map(|(column, field)| v1::MappedColumn { column, field })
            .collect(),
        mapping: used(&understood.mapping),
        format: spec::wire_format(Some(understood.format)).into(),
        sheet: understood.sheet.clone().unwrap_or_default(),
        header_row: understood.header_row,
    }
}

fn summary(batch: &Batch) -> v1::ImportSummary {
    let tally = tally(batch);
    let is_plan = matches!(batch.state, BatchState::Planned { .. });
    v1::ImportSummary {
        batch: if is_plan { String::new() } else { batch.name() },
        created: tally.created,
        updated: tally.updated,
        unchanged: tally.unchanged,
        refused: tally.refused,
        file_sha256: batch.file_sha256.map(|hash| hash.to_vec()).unwrap_or_default(),
        plan_hash: batch.plan.map(|hash| hash.0.to_vec()).unwrap_or_default(),
        mapping: mapping_name(batch.mapping.as_ref()),
        state: state(&batch.state).into(),
    }
}

/// One event of a batch as a message of its stream.
pub(crate) fn told(told: Told) -> v1::WatchBatchResponse {
    let message = match told.event {
        Event::Mapping(columns) => Message::Mapping(understood(&columns)),
        Event::Progress { phase, done, total } => {
            use v1::import_progress::Phase as Wire;
            let phase = match phase {
                Phase::Receiving => Wire::Receiving,
                Phase::Checking => Wire::Checking,
                Phase::Applying => Wire::Applying,
            };
            Message::Progress(v1::ImportProgress {
                phase: phase.into(),
                done,
                total,
            })
        }
        Event::Results(lines) => Message::Results(v1::ImportResults {
            rows: lines.rows.into_iter().map(row).collect(),
            issuers: lines.issuers,
        }),
        Event::Summary(batch) => Message::Summary(summary(&batch)),
    };
    v1::WatchBatchResponse {
        message: Some(message),
        resume_token: told.token,
    }
}

/// What became of typed rows.
pub(crate) fn typed(answer: TypedAnswer) -> v1::ImportRowsResponse {
    v1::ImportRowsResponse {
        summary: Some(summary(&answer.batch)),
        rows: answer.lines.rows.into_iter().map(row).collect(),
        resume_token: answer.token,
        issuers: answer.lines.issuers,
    }
}

/// What stands in the way of an undo.
pub(crate) fn block(block: &UndoBlock) -> v1::UndoBlock {
    v1::UndoBlock {
        device: format!("devices/{}", block.device),
        row: block.row,
        refusal: Some(refusal(&block.refusal)),
    }
}
