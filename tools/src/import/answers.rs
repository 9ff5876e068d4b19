//! What an answer says, as the texts that are written beside a row.

use super::{
    ours::{CREDENTIAL_COLUMNS, Earlier, REFUSED_COLUMNS},
    results::RESULT_COLUMNS,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use muster_proto::v1::{self, RowResult, RowStatus};

/// The user's name for the cell at fault, and why: the row is beside it.
pub(super) fn place_and_message(refusal: &v1::Refusal) -> String {
    let in_row = refusal
        .field
        .strip_prefix("rows[")
        .and_then(|rest| rest.split_once(']'));
    let field = in_row.map_or(refusal.field.as_str(), |(_, field)| field.trim_start_matches('.'));
    let place = if refusal.column.is_empty() {
        field
    } else {
        &refusal.column
    };
    if place.is_empty() {
        refusal.message.clone()
    } else {
        format!("{place}: {}", refusal.message)
    }
}

fn status(status: i32, is_applied: bool) -> &'static str {
    match RowStatus::try_from(status) {
        Ok(RowStatus::Created) if is_applied => "created",
        Ok(RowStatus::Updated) if is_applied => "updated",
        Ok(RowStatus::Created) => "would be created",
        Ok(RowStatus::Updated) => "would be updated",
        Ok(RowStatus::Unchanged) => "unchanged",
        Ok(RowStatus::Refused) => "refused",
        Ok(RowStatus::Unspecified) | Err(_) => "unknown",
    }
}

fn codes(result: &RowResult) -> String {
    let codes: Vec<_> = result
        .refusals
        .iter()
        .map(|refusal| format!("M{}", refusal.code))
        .collect();
    codes.join("; ")
}

/// Why it was refused, what an update changed, what is odd. A row that shows nothing of its own is named by its number.
fn message(result: &RowResult, is_nameless: bool) -> String {
    let mut parts: Vec<_> = result.refusals.iter().map(place_and_message).collect();
    if !result.changes.is_empty() {
        parts.push(format!("changes {}", result.changes.join(", ")));
    }
    let odd = result.warnings.iter().map(place_and_message);
    parts.extend(odd.map(|warning| format!("note: {warning}")));
    let message = parts.join("; ");
    if is_nameless && !result.refusals.is_empty() {
        format!("row {}: {message}", result.row)
    } else {
        message
    }
}

fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The texts of results, under their names. What an earlier import said stays until there is something newer: a device
/// has one code, and that is it.
pub(super) fn of_result(
    earlier: &Earlier,
    is_nameless: bool,
    result: Option<&RowResult>,
    is_applied: bool,
) -> Vec<(&'static str, String)> {
    let nothing = RowResult::default();
    let answer = result.unwrap_or(&nothing);
    let newest = |new: String, old: &str| if new.is_empty() { old.to_owned() } else { new };
    let device = answer.device.strip_prefix("devices/").unwrap_or(&answer.device);
    let status = result.map_or("", |answer| status(answer.status, is_applied));
    let values = [
        status.to_owned(),
        codes(answer),
        message(answer, is_nameless),
        device.to_owned(),
        newest(answer.activation_code.clone(), &earlier.activation_code),
        newest(base64(&answer.certificate), &earlier.certificate),
        newest(base64(&answer.key), &earlier.key),
    ];
    RESULT_COLUMNS
        .into_iter()
        .chain(CREDENTIAL_COLUMNS)
        .zip(values)
        .collect()
}

/// The texts of a refused row: where it belongs, and why it was refused. One that was refused before keeps the number
/// that it had in the user's own file.
pub(super) fn of_refused(
    earlier: &Earlier,
    number: u32,
    result: Option<&RowResult>,
    batch: &str,
) -> Vec<(&'static str, String)> {
    let nothing = RowResult::default();
    let answer = result.unwrap_or(&nothing);
    let batch = if batch.is_empty() { &earlier.batch } else { batch };
    let row = match earlier.row.as_str() {
        "" => number.to_string(),
        first => first.to_owned(),
    };
    let values = [
        batch.strip_prefix("batches/").unwrap_or(batch).to_owned(),
        row,
        codes(answer),
        message(answer, false),
    ];
    REFUSED_COLUMNS.into_iter().zip(values).collect()
}
