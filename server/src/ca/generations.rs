//! Several generations of one authority: one works, all are trusted.

use super::{AuthorityKind, CaError, files::Stored, hierarchy::Hierarchy};
use muster_domain::{Timestamp, certificate::AuthorityId};

/// Something that has a certificate of the authority.
pub(super) trait Held {
    /// The certificate.
    fn certificate(&self) -> &Stored;
}

/// The generations of a kind; never none.
#[derive(Debug)]
pub(super) struct Generations<T> {
    /// In the order in which they are to work.
    first: T,
    others: Vec<T>,
}

impl<T: Held> Generations<T> {
    /// Opens every generation of a kind; `None` when there is none.
    pub(super) fn open(
        hierarchy: &Hierarchy,
        kind: AuthorityKind,
        open: impl FnMut(&super::hierarchy::Generation) -> Result<T, CaError>,
    ) -> Result<Option<Self>, CaError> {
        let all: Result<Vec<_>, _> = hierarchy.in_order(kind).into_iter().map(open).collect();
        let mut all = all?.into_iter();
        Ok(all.next().map(|first| Self {
            first,
            others: all.collect(),
        }))
    }

    /// All, in the order in which they are to work.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The one that works at `now`. When none holds any more, the first: what it is asked for then says that it ended.
    pub(super) fn working(&self, now: Timestamp) -> &T {
        self.all()
            .find(|one| one.certificate().holds_at(now))
            .unwrap_or(&self.first)
    }

    /// The one that is called so.
    pub(super) fn by_id(&self, id: AuthorityId) -> Option<&T> {
        self.all().find(|one| one.certificate().id() == id)
    }
}
