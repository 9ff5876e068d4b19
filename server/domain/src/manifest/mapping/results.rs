//! Columns of our own: those that a results file, or a file of refused rows, has behind the user's.

use super::Field;

/// Columns that a results file has behind the user's own. Where the code's column is there, a file is one of ours that
/// comes back, and these are not the user's data; the code is a secret and must never become a variable.
pub const RESULT_COLUMNS: [&str; 5] = ["status", "code", "message", "device", "activation_code"];
/// Columns that a results file has behind those where devices got certificates or keys.
pub const CREDENTIAL_COLUMNS: [&str; 2] = ["certificate", "key"];
/// The column of a file of refused rows that names the batch they belong to.
pub const RETRY_BATCH_COLUMN: &str = "muster_batch";
/// The column of a file of refused rows that has each row's number in the first file.
pub const RETRY_ROW_COLUMN: &str = "muster_row";

const CODE_COLUMN: &str = "activation_code";
/// What our columns' names begin with: this, where the user has a column of such a name, or else nothing.
const OWN_PREFIX: &str = "muster_";
const PREFIXES: [&str; 2] = [OWN_PREFIX, ""];

/// Is this our results' column `name`, under this prefix?
fn is_named(column: &str, prefix: &str, name: &str) -> bool {
    column.trim().strip_prefix(prefix) == Some(name)
}

/// The prefix of our results among these columns: known by the code, which no user's file has of its own.
pub(super) fn prefix<'c>(columns: impl Iterator<Item = &'c str> + Clone) -> Option<&'static str> {
    let holds = |prefix: &&str| {
        columns
            .clone()
            .any(|column| is_named(column, prefix, CODE_COLUMN))
    };
    PREFIXES.into_iter().find(holds)
}

/// What a column of ours means; `None` for the user's. `found` is the prefix of the file's results.
pub(super) fn field(column: &str, found: Option<&str>) -> Option<Field> {
    match column.trim() {
        RETRY_BATCH_COLUMN => return Some(Field::RetryBatch),
        RETRY_ROW_COLUMN => return Some(Field::RetryRow),
        _ => {}
    }
    let is_code = PREFIXES
        .iter()
        .any(|prefix| is_named(column, prefix, CODE_COLUMN));
    let is_ours = |prefix: &str| {
        let mut names = RESULT_COLUMNS.iter().chain(&CREDENTIAL_COLUMNS);
        names.any(|name| is_named(column, prefix, name))
    };
    // With the prefix they can be nobody else's, so they need no code beside them.
    (is_code || is_ours(OWN_PREFIX) || found.is_some_and(is_ours)).then_some(Field::Ignored)
}
