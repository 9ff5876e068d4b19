//! What is wrong, or odd, with a row: enough for a person to find the cell and to mend it.

use super::{DeviceRow, RowClaim};
use crate::Refusal;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Most characters of a cell that a problem repeats: enough to recognise it, too few to fill a report.
pub const VALUE_LIMIT: usize = 200;

/// A refusal or a warning of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which, at which field such as `rows[17].mac`, and why.
    pub refusal: Refusal,
    /// The column as the file names it; empty where the row as a whole is meant, or a value that no column holds.
    pub column: String,
    /// What the cell holds, cut to [`VALUE_LIMIT`] characters; never a secret.
    pub value: String,
    /// The rule that it breaks, such as a pattern, the blocks of a model or the name of a naming rule; or empty.
    pub rule: String,
}

impl Problem {
    /// Of the row as a whole.
    pub const fn new(refusal: Refusal) -> Self {
        Self {
            refusal,
            column: String::new(),
            value: String::new(),
            rule: String::new(),
        }
    }

    /// The same problem, in a column.
    #[must_use]
    pub fn in_column(mut self, column: impl Into<String>) -> Self {
        self.column = column.into();
        self
    }

    /// The same problem, with the value that has it.
    #[must_use]
    pub fn with_value(mut self, value: &str) -> Self {
        self.value = value.chars().take(VALUE_LIMIT).collect();
        self
    }

    /// The same problem, with the rule that is broken.
    #[must_use]
    pub fn with_rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = rule.into();
        self
    }

    /// The same problem, in the column that fills its field, as [`Mapping::columns`](super::Mapping::columns) tells:
    /// for problems that are found where nobody knows the file.
    #[must_use]
    pub fn find_column(self, columns: &[(String, String)]) -> Self {
        let field = self.field();
        let found = columns
            .iter()
            .find(|(_, fills)| field.is_some_and(|field| fills.split(", ").any(|filled| filled == field)));
        match found {
            Some((column, _)) if self.column.is_empty() => self.in_column(column.clone()),
            Some(_) | None => self,
        }
    }

    /// The same problem, with the value that the row has in its field: for problems that are found where nobody knows the
    /// file. A credential is not repeated.
    #[must_use]
    pub fn find_value(self, row: &DeviceRow) -> Self {
        let value = match self.field() {
            Some("serial") => Some(row.serial.to_string()),
            Some("mac") => row.mac.map(|mac| mac.to_string()),
            Some("model") => Some(row.model.to_string()),
            Some("site") => row.site.as_ref().map(ToString::to_string),
            Some(RowClaim::KEY) => super::terms::key(row.claim.as_deref()).map(|key| key.to_string()),
            Some(_) | None => None,
        };
        match value {
            Some(value) if self.value.is_empty() => self.with_value(&value),
            Some(_) | None => self,
        }
    }

    /// The field of its row.
    fn field(&self) -> Option<&str> {
        let path = self.refusal.field.as_str();
        let field = path.split_once("].").map_or(path, |(_, field)| field);
        Some(field).filter(|field| !field.is_empty())
    }

    /// The same problem, at its field of a row: `mac` becomes `rows[17].mac`.
    #[must_use]
    pub fn in_row(mut self, row: u32) -> Self {
        self.refusal = super::intake::in_row(row, self.refusal);
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn long_values_are_cut_between_characters() {
        let problem = Problem::new(Refusal::new(Code::CellMalformed, "x").at("mac"))
            .with_value(&"ü".repeat(300))
            .in_row(7);
        assert_eq!(problem.value.chars().count(), VALUE_LIMIT);
        assert_eq!(problem.refusal.field, "rows[7].mac");
        let columns = [("MAC Address".to_owned(), "mac".to_owned())];
        assert_eq!(problem.find_column(&columns).column, "MAC Address");
    }
}
