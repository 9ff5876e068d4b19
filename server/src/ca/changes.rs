//! What is other in an authority that was opened again, for whoever reads the log.

use super::{
    AuthorityKind, Ca,
    generations::{Generations, Held},
};
use muster_domain::{Timestamp, certificate::AuthorityId};

/// The generations of a kind, by their names.
struct Names {
    works: AuthorityId,
    all: Vec<AuthorityId>,
}

impl Names {
    fn of<T: Held>(generations: &Generations<T>, now: Timestamp) -> Self {
        Self {
            works: generations.working(now).certificate().id(),
            all: generations.all().map(|one| one.certificate().id()).collect(),
        }
    }
}

/// Members of `all` that `others` lacks.
fn beyond<'a>(all: &'a [AuthorityId], others: &[AuthorityId]) -> impl Iterator<Item = &'a AuthorityId> {
    all.iter().filter(|id| !others.contains(id))
}

impl Ca {
    fn names(&self, kind: AuthorityKind, now: Timestamp) -> Option<Names> {
        match kind {
            AuthorityKind::Devices => Some(Names::of(&self.devices, now)),
            AuthorityKind::Operators => Some(Names::of(&self.operators, now)),
            AuthorityKind::Servers => Some(Names::of(&self.servers, now)),
            AuthorityKind::Config => Some(Names::of(&self.config, now)),
            AuthorityKind::Checkpoint => self.checkpoint.as_ref().map(|all| Names::of(all, now)),
        }
    }

    fn root_names(&self) -> Vec<AuthorityId> {
        self.roots.iter().map(|root| root.id()).collect()
    }

    /// What is other here than in `former`, a line each; nothing, when it is the same.
    pub fn changes_since(&self, former: &Self, now: Timestamp) -> Vec<String> {
        let mut changes = Vec::new();
        let (roots, before) = (self.root_names(), former.root_names());
        changes.extend(beyond(&roots, &before).map(|id| format!("root {id} is new")));
        changes.extend(beyond(&before, &roots).map(|id| format!("root {id} is gone")));
        for kind in AuthorityKind::ALL {
            let (names, before) = (self.names(kind, now), former.names(kind, now));
            let all = |names: &Option<Names>| names.as_ref().map_or(Vec::new(), |names| names.all.clone());
            let works = names.as_ref().map(|names| names.works);
            if let Some(id) = works
                && before.as_ref().map(|names| names.works) != works
            {
                changes.push(format!("{kind} {id} works"));
            }
            let (names, before) = (all(&names), all(&before));
            let waiting = beyond(&names, &before).filter(|id| Some(**id) != works);
            changes.extend(waiting.map(|id| format!("{kind} {id} is trusted")));
            changes.extend(beyond(&before, &names).map(|id| format!("{kind} {id} is gone")));
        }
        if self.trust_version() != former.trust_version() {
            changes.push(format!("version {} of trust", self.trust_version()));
        }
        changes
    }
}
