//! What the names of sets mean, for fields of [`Kind::Set`](super::Kind::Set).

use super::checked::CheckedFilter;

/// What one name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set<'a, F> {
    /// Records say themselves that they are in it: as a label whose key, and whose value, is its name.
    Listed,
    /// Whatever matches is in it.
    Ruled(&'a CheckedFilter<F>),
}

/// The sets that there are.
pub trait Sets<F> {
    /// The set of that name; `None` when there is none.
    fn find(&self, field: F, name: &str) -> Option<Set<'_, F>>;

    /// The names that there are, for whoever mistyped one.
    fn names(&self, field: F) -> Vec<&str>;
}

/// Takes every name for a listed set: enough to see whether a filter is well made where nobody knows the sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct AllListed;

impl<F> Sets<F> for AllListed {
    fn find(&self, _: F, _: &str) -> Option<Set<'_, F>> {
        Some(Set::Listed)
    }

    fn names(&self, _: F) -> Vec<&str> {
        Vec::new()
    }
}
