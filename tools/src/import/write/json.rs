//! Results of JSON: the user's objects as they were written, with members of ours at their ends.

use super::{Added, Sink};
use crate::import::members;
use std::io::{self, Write};

/// How objects follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::import) enum JsonForm {
    /// One a line.
    Lines,
    /// In a list.
    List,
    /// In a list, with all of ours in one member of each: entries of Microchip.
    Nested,
}

/// Objects with our members.
pub(in crate::import) struct JsonWriter {
    out: Sink,
    form: JsonForm,
    end: &'static str,
    is_empty: bool,
}

impl JsonWriter {
    pub(in crate::import) const fn begin(out: Sink, form: JsonForm, has_returns: bool) -> Self {
        Self {
            out,
            form,
            end: if has_returns { "\r\n" } else { "\n" },
            is_empty: true,
        }
    }

    pub(super) fn push(&mut self, source: &str, added: &Added<'_>) -> io::Result<()> {
        let source = source.trim();
        let (object, before) = match self.form {
            JsonForm::Lines => (members::add(source, added), ""),
            JsonForm::List => (members::add(source, added), self.separator()),
            JsonForm::Nested => (members::add_nested(source, added), self.separator()),
        };
        let after = match self.form {
            JsonForm::Lines => self.end,
            JsonForm::List | JsonForm::Nested => "",
        };
        let indent = if before.is_empty() { "" } else { self.end };
        self.is_empty = false;
        write!(self.out, "{before}{indent}{object}{after}")
    }

    const fn separator(&self) -> &'static str {
        if self.is_empty { "[" } else { "," }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(super) fn finish(mut self) -> io::Result<Sink> {
        match (self.form, self.is_empty) {
            (JsonForm::Lines, _) => {}
            (JsonForm::List | JsonForm::Nested, true) => write!(self.out, "[]{}", self.end)?,
            (JsonForm::List | JsonForm::Nested, false) => write!(self.out, "{0}]{0}", self.end)?,
        }
        Ok(self.out)
    }
}
