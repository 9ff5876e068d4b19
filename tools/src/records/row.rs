//! Rows of an import, for programs.

use muster_proto::v1::{Refusal, RowResult, RowStatus};
use serde::Serialize;

/// How a row ended, or would end. Never holds an activation code: those are in the results file only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowReport {
    /// As the file counts: the header is row 1.
    pub row: u32,
    /// In a dry run `create`, `update`, `unchanged` or `refused`; else `created`, `updated`, `unchanged` or `refused`.
    pub status: &'static str,
    /// The number of the first problem.
    pub code: Option<u32>,
    /// The column of the first problem, as the file names it.
    pub column: Option<String>,
    /// What the first problem is.
    pub message: Option<String>,
    /// Every problem.
    pub problems: Vec<RowProblem>,
    /// What is odd and did not keep the row from being accepted.
    pub warnings: Vec<RowProblem>,
    /// `devices/{id}`, when there is one.
    pub device: Option<String>,
    /// What an update changes.
    pub changes: Vec<String>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowProblem {
    /// The number of the refusal.
    pub code: u32,
    /// Its stable name.
    pub reason: String,
    /// The column, as the file names it; null where the whole row is meant.
    pub column: Option<String>,
    /// What the cell holds, cut to 200 characters.
    pub value: String,
    /// The rule that it breaks, where there is one.
    pub rule: Option<String>,
    /// Why, in this case.
    pub message: String,
    /// What to do.
    pub fix: String,
}

fn present(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl From<&Refusal> for RowProblem {
    fn from(wire: &Refusal) -> Self {
        Self {
            code: wire.code,
            reason: wire.reason.clone(),
            column: present(&wire.column),
            value: wire.value.clone(),
            rule: present(&wire.rule),
            message: wire.message.clone(),
            fix: wire.help.clone(),
        }
    }
}

impl RowReport {
    /// The report of an answer; `is_applied` says whether it was done, or would be.
    pub fn new(wire: &RowResult, is_applied: bool) -> Self {
        let first = wire.refusals.first();
        Self {
            row: wire.row,
            status: match (wire.status(), is_applied) {
                (RowStatus::Created, true) => "created",
                (RowStatus::Created, false) => "create",
                (RowStatus::Updated, true) => "updated",
                (RowStatus::Updated, false) => "update",
                (RowStatus::Unchanged, _) => "unchanged",
                (RowStatus::Refused, _) => "refused",
                (RowStatus::Unspecified, _) => "unknown",
            },
            code: first.map(|first| first.code),
            column: first.and_then(|first| present(&first.column)),
            message: first.map(|first| first.message.clone()),
            problems: wire.refusals.iter().map(RowProblem::from).collect(),
            warnings: wire.warnings.iter().map(RowProblem::from).collect(),
            device: present(&wire.device),
            changes: wire.changes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_object_without_its_code() {
        let wire = RowResult {
            row: 5,
            status: RowStatus::Refused.into(),
            refusals: vec![Refusal {
                code: 2111,
                reason: "MAC_MALFORMED".into(),
                message: "contains 'G'".into(),
                help: "Write 12 digits.".into(),
                column: "MAC".into(),
                value: "G".into(),
                ..Refusal::default()
            }],
            ..RowResult::default()
        };
        assert_eq!(
            serde_json::to_string(&RowReport::new(&wire, false)).unwrap(),
            "{\"row\":5,\"status\":\"refused\",\"code\":2111,\"column\":\"MAC\",\"message\":\"contains 'G'\",\
             \"problems\":[{\"code\":2111,\"reason\":\"MAC_MALFORMED\",\"column\":\"MAC\",\"value\":\"G\",\"rule\":null,\
             \"message\":\"contains 'G'\",\"fix\":\"Write 12 digits.\"}],\"warnings\":[],\"device\":null,\"changes\":[]}"
        );
        let wire = RowResult {
            row: 2,
            status: RowStatus::Created.into(),
            device: "devices/d".into(),
            activation_code: "SECRET".into(),
            ..RowResult::default()
        };
        for (is_applied, status) in [(true, "created"), (false, "create")] {
            let report = RowReport::new(&wire, is_applied);
            assert_eq!((report.status, report.code), (status, None));
            assert!(!serde_json::to_string(&report).unwrap().contains("SECRET"));
        }
    }
}
