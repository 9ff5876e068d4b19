//! What is wrong with rows, grouped by why.

use muster_proto::v1::Refusal;
use serde::Serialize;
use std::{cmp::Reverse, collections::BTreeMap};

/// How many rows of a cause are named.
const NAMED: usize = 5;
/// How many causes are told apart by column and rule. What comes behind them is counted by its number alone: a hostile
/// file could give each row a rule of its own.
const CAUSES: usize = 1000;

/// Rows that were refused for the same reason, or of which the same is odd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
    /// The column, as the file names it; empty where the whole row is meant.
    pub column: String,
    /// What its cell holds in the first row.
    pub value: String,
    /// The rule that it breaks, where there is one.
    pub rule: String,
}

#[derive(Debug, Default)]
pub(super) struct Causes(BTreeMap<(u32, String, String), Cause>);

impl Causes {
    /// Counts what is wrong with a row.
    pub(super) fn add(&mut self, row: u32, refusals: &[Refusal]) {
        for (place, refusal) in refusals.iter().enumerate() {
            // A row with the same fault in two cells of a column, or of no column, is one row.
            let is_counted = |earlier: &Refusal| {
                (earlier.code, &earlier.column, &earlier.rule)
                    == (refusal.code, &refusal.column, &refusal.rule)
            };
            if !refusals[..place].iter().any(is_counted) {
                self.count(row, refusal);
            }
        }
    }

    fn count(&mut self, row: u32, refusal: &Refusal) {
        let mut key = (refusal.code, refusal.column.clone(), refusal.rule.clone());
        if self.0.len() >= CAUSES && !self.0.contains_key(&key) {
            key = (refusal.code, String::new(), String::new());
        }
        let cause = self.0.entry(key).or_insert_with(|| Cause {
            code: refusal.code,
            reason: refusal.reason.clone(),
            rows: 0,
            first_rows: Vec::new(),
            example: super::results::place_and_message(refusal),
            help: refusal.help.clone(),
            column: refusal.column.clone(),
            value: refusal.value.clone(),
            rule: refusal.rule.clone(),
        });
        cause.rows += 1;
        if cause.first_rows.len() < NAMED {
            cause.first_rows.push(row);
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

    fn refusal(code: u32, row: u32, column: &str, rule: &str) -> Refusal {
        Refusal {
            code,
            reason: format!("R{code}"),
            field: format!("rows[{row}].mac"),
            message: format!("is wrong in {row}"),
            help: "Mend it.".into(),
            column: column.into(),
            value: format!("v{row}"),
            rule: rule.into(),
        }
    }

    #[test]
    fn causes_count_rows_and_name_the_first() {
        let mut causes = Causes::default();
        for row in 2..10 {
            causes.add(
                row,
                &[refusal(2111, row, "MAC", ""), refusal(2111, row, "MAC", "")],
            );
        }
        causes.add(10, &[refusal(2101, 10, "", "")]);
        causes.add(11, &[]);
        causes.add(
            12,
            &[refusal(2113, 12, "MAC", "one"), refusal(2113, 12, "MAC", "two")],
        );
        let causes = causes.sorted();
        assert_eq!(
            causes
                .iter()
                .map(|cause| (cause.code, cause.rows, cause.rule.as_str()))
                .collect::<Vec<_>>(),
            [(2111, 8, ""), (2101, 1, ""), (2113, 1, "one"), (2113, 1, "two")]
        );
        assert_eq!(causes[0].first_rows, [2, 3, 4, 5, 6]);
        assert_eq!(
            (causes[0].example.as_str(), causes[0].value.as_str()),
            ("MAC: is wrong in 2", "v2")
        );
    }

    #[test]
    fn rules_without_end_are_counted_together() {
        let mut causes = Causes::default();
        for row in 0..5000 {
            causes.add(row, &[refusal(2167, row, "c", &row.to_string())]);
        }
        let causes = causes.sorted();
        assert_eq!(causes.len(), CAUSES + 1);
        assert_eq!(causes[0].rows, 4000);
    }
}
