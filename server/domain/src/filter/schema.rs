//! Which fields a listing can be filtered by, and what they hold.

use super::suggest::closest;

/// The fields of one listing. `F` is the listing's own enum of fields, so that a record answers
/// by an exhaustive match.
#[derive(Debug)]
pub struct Schema<F: 'static> {
    fields: &'static [Field<F>],
}

/// One field that can be filtered by.
#[derive(Debug)]
pub struct Field<F> {
    pub(super) id: F,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a field holds, which decides its operators and how its values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, compared byte by byte. Every operator; `*` at either end of a value after `=`, `!=`
    /// and `:`.
    Text,
    /// A hardware address in any notation, or the beginning of one before `*`. It is compared as
    /// `00:1B:C5:00:70:01`. Every operator.
    Mac,
    /// One of these names, exactly as written here. `=`, `!=`, `:`.
    Enum(&'static [&'static str]),
    /// `true` or `false`. `=`, `!=`, `:`.
    Bool,
    /// A signed 64-bit number. Every operator.
    Int,
    /// A moment, written as RFC 3339, with at most milliseconds. Every operator.
    Timestamp,
    /// A semantic version in precedence order, so build metadata never counts. Every operator.
    Version,
    /// Sets of records, by their names; what one is called, such as `a group`. `=`, `!=`, `:`.
    Set(&'static str),
    /// Text under keys: `labels:KEY`, `labels.KEY = VALUE` and all else that text can do.
    Labels,
}

impl<F> Schema<F> {
    /// A listing with these fields, whose names are unique. A field called `labels.env` would hide
    /// that key of a label map `labels`.
    pub const fn new(fields: &'static [Field<F>]) -> Self {
        Self { fields }
    }

    /// Every field's name, in the order of declaration.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|field| field.name)
    }

    pub(super) fn fields(&self) -> &'static [Field<F>] {
        self.fields
    }

    /// What to tell someone who asked for `name`, or for a member of `first`.
    pub(super) fn suggestion(&self, name: &str, first: &str) -> String {
        let closest = closest(name, self.names()).or_else(|| closest(first, self.names()));
        match closest {
            Some(closest) => format!("did you mean {closest}?"),
            None => format!("there are {}", self.names().collect::<Vec<_>>().join(", ")),
        }
    }
}

impl<F> Field<F> {
    /// A field called `name`, such as `model`, or `certificate.expires` for one inside another.
    pub const fn new(id: F, name: &'static str, kind: Kind) -> Self {
        Self { id, name, kind }
    }
}

impl Kind {
    /// What it holds, in the user's words.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Mac => "a hardware address",
            Self::Enum(_) => "a listed name",
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Timestamp => "a time",
            Self::Version => "a version",
            Self::Set(noun) => noun,
            Self::Labels => "labels",
        }
    }
}
