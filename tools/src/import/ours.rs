//! What is ours in a file that comes back: the columns of a results file, and those of a file of refused rows.

use super::{OWN_PREFIX, results::RESULT_COLUMNS};
/// Columns of results that are there when an import has something to put into them: the certificate (DER) and the
/// encrypted key of a device, both in base64.
pub(super) use muster_domain::manifest::CREDENTIAL_COLUMNS;
use muster_domain::manifest::{RETRY_BATCH_COLUMN, RETRY_ROW_COLUMN};

/// Columns of a file of refused rows: which batch and row they are of, and why they were refused.
pub(super) const REFUSED_COLUMNS: [&str; 4] = [
    RETRY_BATCH_COLUMN,
    RETRY_ROW_COLUMN,
    "muster_code",
    "muster_message",
];
/// The column that tells results from files of other people, who have none of this name.
const CODE_COLUMN: &str = "activation_code";

/// A column of ours, as far as its value counts later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    ActivationCode,
    Certificate,
    Key,
    Batch,
    Row,
    /// What the next import says anew.
    Passing,
}

/// What an earlier import said of a row.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Earlier {
    pub(super) activation_code: String,
    pub(super) certificate: String,
    pub(super) key: String,
    /// The batch that refused the row, as its resource name or the last part of it.
    pub(super) batch: String,
    /// Its number in the file that was refused first.
    pub(super) row: String,
}

impl Earlier {
    /// Keeps the value of a column of ours.
    pub(super) fn keep(&mut self, mark: Mark, value: &str) {
        let slot = match mark {
            Mark::ActivationCode => &mut self.activation_code,
            Mark::Certificate => &mut self.certificate,
            Mark::Key => &mut self.key,
            Mark::Batch => &mut self.batch,
            Mark::Row => &mut self.row,
            Mark::Passing => return,
        };
        value.clone_into(slot);
    }
}

fn mark(name: &str) -> Mark {
    match name {
        CODE_COLUMN => Mark::ActivationCode,
        "certificate" => Mark::Certificate,
        "key" => Mark::Key,
        RETRY_BATCH_COLUMN => Mark::Batch,
        RETRY_ROW_COLUMN => Mark::Row,
        _ => Mark::Passing,
    }
}

/// Which of these names are ours, as the server knows them: those with our prefix, and beside the code, those without.
pub(super) fn marks(names: &[&str]) -> Vec<Option<Mark>> {
    let has = |wanted: &str| names.iter().any(|name| name.trim() == wanted);
    let is_bare = has(CODE_COLUMN) && !has(&format!("{OWN_PREFIX}{CODE_COLUMN}"));
    let find = |name: &&str| {
        let name = name.trim();
        if REFUSED_COLUMNS.contains(&name) {
            return Some(mark(name));
        }
        let (bare, is_prefixed) = match name.strip_prefix(OWN_PREFIX) {
            Some(bare) => (bare, true),
            None => (name, false),
        };
        let is_answer = RESULT_COLUMNS.contains(&bare) || CREDENTIAL_COLUMNS.contains(&bare);
        (is_answer && (is_prefixed || is_bare || bare == CODE_COLUMN)).then(|| mark(bare))
    };
    names.iter().map(find).collect()
}

/// What our columns' names begin with beside the user's own: nothing, unless the user has one of them. All that may
/// ever be ours count, so that the file is understood when it comes back.
pub(super) fn prefix<'n>(mut own: impl Iterator<Item = &'n str>) -> &'static str {
    let is_ours = |name: &str| {
        let mut ours = RESULT_COLUMNS.iter().chain(&CREDENTIAL_COLUMNS);
        ours.any(|ours| name.trim().eq_ignore_ascii_case(ours))
    };
    if own.any(is_ours) { OWN_PREFIX } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_known_wherever_they_stand() {
        let check = |names: &str, expected: &str| {
            let names: Vec<_> = names.split(' ').collect();
            let own: Vec<_> = marks(&names)
                .iter()
                .zip(&names)
                .filter_map(|(mark, name)| mark.is_none().then_some(*name))
                .collect();
            assert_eq!(own.join(" "), expected, "{names:?}");
        };
        check("a b", "a b");
        check("a status code message device activation_code", "a");
        check("activation_code a status code message device b", "a b");
        check(
            "a status code message device activation_code certificate key",
            "a",
        );
        check("a status code message device", "a status code message device");
        check(
            "key status muster_status muster_code muster_message muster_device muster_activation_code muster_key",
            "key status",
        );
        check("muster_batch muster_row muster_code muster_message a", "a");
        check("muster_batch a muster_row row", "a row");
        check("a certificate key", "a certificate key");
    }

    #[test]
    fn our_names_step_aside_for_the_users() {
        let check =
            |own: &[&str], expected: &str| assert_eq!(prefix(own.iter().copied()), expected, "{own:?}");
        check(&["serial", "mac"], "");
        check(&["serial", "Status "], "muster_");
        check(&["serial", "KEY"], "muster_");
    }
}
