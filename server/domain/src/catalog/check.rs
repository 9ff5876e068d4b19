//! The mistakes of one source, collected.

use crate::{Code, Refusal};
use core::fmt;

/// Every mistake found so far, all of one code.
#[derive(Debug)]
pub(crate) struct Problems {
    code: Code,
    found: Vec<Refusal>,
}

impl Problems {
    /// None yet.
    pub(crate) const fn new(code: Code) -> Self {
        Self {
            code,
            found: Vec::new(),
        }
    }

    /// One more.
    pub(crate) fn add(&mut self, field: &str, why: impl Into<String>) {
        self.found.push(Refusal::new(self.code, why).at(field));
    }

    /// The value, or one more mistake.
    pub(crate) fn take<T, E: fmt::Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|why| self.add(field, why.to_string())).ok()
    }

    /// Mistakes that another check found.
    pub(crate) fn extend(&mut self, found: Vec<Refusal>) {
        self.found.extend(found);
    }

    /// The value if there was no mistake at all.
    pub(crate) fn none_or<T>(self, value: T) -> Result<T, Vec<Refusal>> {
        if self.found.is_empty() {
            Ok(value)
        } else {
            Err(self.found)
        }
    }
}

impl From<Problems> for Vec<Refusal> {
    fn from(problems: Problems) -> Self {
        problems.found
    }
}
