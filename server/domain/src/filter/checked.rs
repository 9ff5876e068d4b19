//! A filter that is known to make sense for one listing.

use super::predicate::Predicate;
use super::record::{Record, Value};

/// A filter checked against a [`Schema`](super::Schema): fields exist, operators apply, values
/// are converted. Nothing about it can fail any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFilter<F> {
    /// `None` matches everything.
    pub(super) root: Option<Node<F>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node<F> {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Test(Target<F>, Predicate),
}

/// What a comparison looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<F> {
    /// The field itself.
    Field(F),
    /// One label in a label map: the field, and the label's key.
    Label(F, String),
}

/// Whether `record` matches `filter`.
///
/// Logic has two values. A comparison with a missing value is false, so its negation is true:
/// `model != "A"`, `NOT model = "A"` and `-model:*` all match a record without a model.
pub fn evaluate<R: Record>(filter: &CheckedFilter<R::Field>, record: &R) -> bool {
    filter.root.as_ref().is_none_or(|root| root.holds(record))
}

impl<F> CheckedFilter<F> {
    /// How many comparisons it makes of one record, at most.
    pub(super) fn comparisons(&self) -> usize {
        self.root.as_ref().map_or(0, Node::comparisons)
    }

    /// Whether it asks any of these fields.
    pub fn asks(&self, mut is_one: impl FnMut(&F) -> bool) -> bool {
        self.root.as_ref().is_some_and(|root| root.asks(&mut is_one))
    }
}

impl<F> Node<F> {
    fn comparisons(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::comparisons).sum(),
            Self::Not(inner) => inner.comparisons(),
            Self::Test(..) => 1,
        }
    }

    fn asks(&self, is_one: &mut impl FnMut(&F) -> bool) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.asks(is_one)),
            Self::Not(inner) => inner.asks(is_one),
            Self::Test(Target::Field(field) | Target::Label(field, _), _) => is_one(field),
        }
    }
}

impl<F: Copy> Node<F> {
    /// The recursion is bounded by the depth that the parser allows, once more for the rule of a set.
    fn holds<R: Record<Field = F>>(&self, record: &R) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(record)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(record)),
            Self::Not(inner) => !inner.holds(record),
            Self::Test(target, predicate) => target.value(record).is_some_and(|value| predicate.holds(value)),
        }
    }
}

impl<F: Copy> Target<F> {
    /// What `record` has there.
    pub fn value<'r, R: Record<Field = F>>(&self, record: &'r R) -> Option<Value<'r>> {
        match self {
            Self::Field(field) => record.value(*field),
            Self::Label(field, key) => record.label(*field, key).map(Value::Text),
        }
    }
}
