//! What is found about one row, until it is said.

use super::super::{
    Field, Mapping, Problem,
    cells::{Misfit, Value},
};
use crate::{Code, Refusal};

impl Misfit {
    /// At a field, without a value.
    pub(super) fn new(code: Code, field: &str, why: impl Into<String>) -> Self {
        Self {
            refusal: Refusal::new(code, why).at(field),
            column: None,
            value: String::new(),
            rule: String::new(),
        }
    }

    /// With the value that has it, and its column.
    pub(super) fn of(mut self, value: &Value<'_>) -> Self {
        value.text.as_ref().clone_into(&mut self.value);
        self.column = value.column;
        self
    }

    /// With the rule that is broken.
    pub(super) fn by(mut self, rule: impl Into<String>) -> Self {
        self.rule = rule.into();
        self
    }

    /// As it is shown. A problem without a column of its own is in the one that fills its field.
    pub(super) fn shown(self, mapping: &Mapping) -> Problem {
        let own = self.column.and_then(|place| mapping.column(place));
        let column = match own {
            Some(column) => Some(column.name.as_str()),
            None => {
                let field = self.refusal.field.parse().ok();
                field.and_then(|field: Field| mapping.name_of(&field))
            }
        };
        let column = column.unwrap_or_default().to_owned();
        Problem::new(self.refusal)
            .in_column(column)
            .with_value(&self.value)
            .with_rule(self.rule)
    }
}

/// Refusals and warnings.
#[derive(Debug, Default)]
pub(super) struct Findings {
    refusals: Vec<Misfit>,
    warnings: Vec<Misfit>,
}

impl Findings {
    pub(super) const fn new(refusals: Vec<Misfit>) -> Self {
        Self {
            refusals,
            warnings: Vec::new(),
        }
    }

    pub(super) fn refuse(&mut self, misfit: Misfit) {
        self.refusals.push(misfit);
    }

    pub(super) fn warn(&mut self, misfit: Misfit) {
        self.warnings.push(misfit);
    }

    /// The value, or one more refusal.
    pub(super) fn take<T>(&mut self, result: Result<T, Misfit>) -> Option<T> {
        result.map_err(|misfit| self.refuse(misfit)).ok()
    }

    /// Is nothing refused?
    pub(super) const fn is_sound(&self) -> bool {
        self.refusals.is_empty()
    }

    /// Was a value of this field refused?
    pub(super) fn has(&self, field: &str) -> bool {
        self.refusals.iter().any(|misfit| misfit.refusal.field == field)
    }

    /// As they are shown: refusals, then warnings.
    pub(super) fn shown(self, row: u32, mapping: &Mapping) -> (Vec<Problem>, Vec<Problem>) {
        let all = |found: Vec<Misfit>| {
            let shown = found.into_iter().map(|misfit| misfit.shown(mapping).in_row(row));
            shown.collect()
        };
        (all(self.refusals), all(self.warnings))
    }
}
