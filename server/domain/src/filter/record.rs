//! What is filtered.

use semver::Version;

use crate::Timestamp;

/// Something a filter can be evaluated on. Answers borrow; evaluation allocates nothing.
pub trait Record {
    /// The fields, as in the [`Schema`](super::Schema) that the filter was checked against.
    type Field: Copy;

    /// The value of a field; `None` if it has none. Empty text is a value: answer `None` for it if
    /// users should see it as absent. Not asked for label maps.
    fn value(&self, field: Self::Field) -> Option<Value<'_>>;

    /// The label `key` of a label map. Asked for fields of [`Kind::Labels`](super::Kind::Labels)
    /// only.
    fn label(&self, field: Self::Field, key: &str) -> Option<&str>;
}

/// A field's value. Its variant fits the field's [`Kind`](super::Kind); where it does not, every
/// comparison but presence is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// For [`Kind::Text`](super::Kind::Text), and for a label.
    Text(&'a str),
    /// For [`Kind::Enum`](super::Kind::Enum): one of its names.
    Enum(&'a str),
    /// For [`Kind::Bool`](super::Kind::Bool).
    Bool(bool),
    /// For [`Kind::Int`](super::Kind::Int).
    Int(i64),
    /// For [`Kind::Timestamp`](super::Kind::Timestamp).
    Timestamp(Timestamp),
    /// For [`Kind::Version`](super::Kind::Version).
    Version(&'a Version),
}
