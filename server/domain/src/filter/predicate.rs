//! What a checked comparison asks of a value.

use std::cmp::Ordering;

use semver::Version;

use super::pattern::Pattern;
use super::record::Value;
use crate::Timestamp;

/// A question about one value, with everything converted to the field's type beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Predicate {
    /// There is a value at all.
    Present,
    Matches(Pattern),
    /// Text by byte order.
    Text(Relation, String),
    Enum(&'static str),
    Bool(bool),
    Int(Relation, i64),
    Timestamp(Relation, Timestamp),
    Version(Relation, Version),
}

/// How a value stands to the one in the filter. There is no "not equal": that is the negation of
/// `Equal`, so that the two can never both fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Predicate {
    /// The answer for a value that is there. A value of another type answers no.
    pub(super) fn holds(&self, value: Value<'_>) -> bool {
        match self {
            Self::Present => true,
            Self::Matches(want) => value.text().is_some_and(|text| want.matches(text)),
            Self::Text(relation, want) => value
                .text()
                .is_some_and(|text| relation.holds(text.cmp(want.as_str()))),
            Self::Enum(want) => matches!(value, Value::Enum(name) if name == *want),
            Self::Bool(want) => matches!(value, Value::Bool(truth) if truth == *want),
            Self::Int(relation, want) => {
                matches!(value, Value::Int(number) if relation.holds(number.cmp(want)))
            }
            Self::Timestamp(relation, want) => {
                matches!(value, Value::Timestamp(moment) if relation.holds(moment.cmp(want)))
            }
            Self::Version(relation, want) => {
                matches!(value, Value::Version(version)
                    if relation.holds(version.cmp_precedence(want)))
            }
        }
    }
}

impl Relation {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}
