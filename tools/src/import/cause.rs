//! Refused rows, grouped by why.

use muster_proto::v1::RowResult;
use serde::Serialize;
use std::{cmp::Reverse, collections::BTreeMap};

/// How many rows of a cause are named.
const NAMED: usize = 5;

/// Rows that were refused for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The number of the refusal.
    pub code: u32,
    /// Its stable name.
    pub reason: String,
    /// How many rows.
    pub rows: u64,
    /// The first of them.
    pub first_rows: Vec<u32>,
    /// Why, in the case of the first.
    pub example: String,
    /// What to do.
    pub help: String,
}

#[derive(Debug, Default)]
pub(super) struct Causes(BTreeMap<u32, Cause>);

impl Causes {
    pub(super) fn add(&mut self, row: &RowResult) {
        for (place, refusal) in row.refusals.iter().enumerate() {
            // A row with the same refusal in two cells is one row.
            if row.refusals[..place]
                .iter()
                .any(|earlier| earlier.code == refusal.code)
            {
                continue;
            }
            let cause = self.0.entry(refusal.code).or_insert_with(|| Cause {
                code: refusal.code,
                reason: refusal.reason.clone(),
                rows: 0,
                first_rows: Vec::new(),
                example: super::results::place_and_message(refusal),
                help: refusal.help.clone(),
            });
            cause.rows += 1;
            if cause.first_rows.len() < NAMED {
                cause.first_rows.push(row.row);
            }
        }
    }

    pub(super) fn sorted(self) -> Vec<Cause> {
        let mut causes: Vec<_> = self.0.into_values().collect();
        causes.sort_by_key(|cause| (Reverse(cause.rows), cause.code));
        causes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::v1::Refusal;

    #[test]
    fn causes_count_rows_and_name_the_first() {
        let refusal = |code, row| Refusal {
            code,
            reason: format!("R{code}"),
            field: format!("rows[{row}].mac"),
            message: format!("is wrong in {row}"),
            help: "Mend it.".into(),
            ..Refusal::default()
        };
        let mut causes = Causes::default();
        for row in 2..10 {
            causes.add(&RowResult {
                row,
                refusals: vec![refusal(2111, row), refusal(2111, row)],
                ..RowResult::default()
            });
        }
        causes.add(&RowResult {
            row: 10,
            refusals: vec![refusal(2101, 10)],
            ..RowResult::default()
        });
        causes.add(&RowResult {
            row: 11,
            ..RowResult::default()
        });
        let causes = causes.sorted();
        assert_eq!(
            causes
                .iter()
                .map(|cause| (cause.code, cause.rows))
                .collect::<Vec<_>>(),
            [(2111, 8), (2101, 1)]
        );
        assert_eq!(causes[0].first_rows, [2, 3, 4, 5, 6]);
        assert_eq!(causes[0].example, "mac: is wrong in 2");
    }
}
