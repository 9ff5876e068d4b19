//! What an index can make of a filter.

use super::checked::{CheckedFilter, Node, Target};
use super::pattern::Pattern;
use super::predicate::{Predicate, Relation};
use super::record::Value;
use crate::Timestamp;

/// Something every match must satisfy. A store picks the most selective one it has an index for,
/// walks that, and evaluates the whole filter on what it finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conjunct<'a, F> {
    /// What is bound.
    pub target: &'a Target<F>,
    /// To what.
    pub bound: Bound<'a>,
}

/// The values a [`Conjunct`] leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound<'a> {
    /// This value alone. Never a version: versions of equal precedence may differ in their build
    /// metadata, so an index by exact version would miss some.
    Equal(Value<'a>),
    /// Text that begins like this: one range of a sorted index.
    Prefix(&'a str),
    /// This moment or a later one. (That moment itself may be excluded; the filter says.)
    Since(Timestamp),
    /// This moment or an earlier one, likewise.
    Until(Timestamp),
}

impl<F> CheckedFilter<F> {
    /// The equalities, prefixes and limits of time that every matching record satisfies, in the order written.
    ///
    /// Two conjuncts may contradict each other; then nothing matches. None at all means that the
    /// whole listing has to be walked.
    pub fn conjuncts(&self) -> Vec<Conjunct<'_, F>> {
        let mut found = Vec::new();
        if let Some(root) = &self.root {
            collect(root, true, &mut found);
        }
        found
    }
}

/// Adds what follows from `node` being `truth`. A negated OR binds all of its parts (De Morgan).
fn collect<'a, F>(node: &'a Node<F>, truth: bool, found: &mut Vec<Conjunct<'a, F>>) {
    match (node, truth) {
        (Node::All(parts), true) | (Node::Any(parts), false) => {
            for part in parts {
                collect(part, truth, found);
            }
        }
        (Node::Not(inner), truth) => collect(inner, !truth, found),
        (Node::Test(target, predicate), true) => {
            found.extend(bound(predicate).map(|bound| Conjunct { target, bound }));
        }
        // One part of these suffices, and it is not known which; and a failed test leaves
        // every other value, and none.
        (Node::All(_), false) | (Node::Any(_), true) | (Node::Test(..), false) => {}
    }
}

fn bound(predicate: &Predicate) -> Option<Bound<'_>> {
    match predicate {
        Predicate::Matches(Pattern::Exact(text)) | Predicate::Text(Relation::Equal, text) => {
            Some(Bound::Equal(Value::Text(text)))
        }
        Predicate::Matches(Pattern::Prefix(text)) => Some(Bound::Prefix(text)),
        Predicate::Enum(name) => Some(Bound::Equal(Value::Enum(name))),
        Predicate::Bool(truth) => Some(Bound::Equal(Value::Bool(*truth))),
        Predicate::Int(Relation::Equal, number) => Some(Bound::Equal(Value::Int(*number))),
        Predicate::Timestamp(relation, moment) => Some(match relation {
            Relation::Equal => Bound::Equal(Value::Timestamp(*moment)),
            Relation::Less | Relation::LessOrEqual => Bound::Until(*moment),
            Relation::Greater | Relation::GreaterOrEqual => Bound::Since(*moment),
        }),
        Predicate::Present
        | Predicate::Matches(Pattern::Suffix(_) | Pattern::Infix(_) | Pattern::Any)
        | Predicate::Text(..)
        | Predicate::Int(..)
        | Predicate::Version(..) => None,
    }
}
