//! The end of a generation that must not be trusted any more.

use super::Session;
use crate::ca::{
    AuthorityKind, CaError, files,
    hierarchy::{Generation, Hierarchy, ROOTS},
};
use muster_domain::{Timestamp, certificate::AuthorityId};
use std::path::Path;

/// Fewest digits of an id that name it.
const ID_DIGITS: usize = 8;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// A generation.
    Authority(AuthorityKind, AuthorityId),
    /// A key that waited for its certificate.
    Pending(AuthorityKind, AuthorityId),
    /// A root.
    Root(AuthorityId),
}

fn refuse(why: impl Into<String>) -> CaError {
    CaError::Ceremony(format!("{}; nothing was changed", why.into()))
}

/// Removes the generation, waiting key or root that `name` names: its id, or the first eight digits of it or more.
///
/// `valid` says how many certificates of a generation are valid still. Where the authority is not to be trusted any more and
/// its certificates are to end, the answer is none.
///
/// # Errors
///
/// [`CaError::Ceremony`] when there is no such one, or when it is the only one of its kind, or in use; or a fault.
pub fn remove(
    server: &Path,
    name: &str,
    now: Timestamp,
    valid: impl FnOnce(AuthorityKind, AuthorityId) -> Result<u64, CaError>,
) -> Result<Removed, CaError> {
    let Session { hierarchy, _lock } = Session::open(server)?;
    let is_named = |id: AuthorityId| name.len() >= ID_DIGITS && id.to_string().starts_with(name);
    if let Some(pending) = hierarchy.pending.iter().find(|one| is_named(one.id)) {
        end(&hierarchy, pending.kind.as_str(), pending.id)?;
        return Ok(Removed::Pending(pending.kind, pending.id));
    }
    if let Some((kind, one)) = hierarchy
        .generations()
        .find(|(_, one)| is_named(one.certificate.id()))
    {
        let id = one.certificate.id();
        // One that ended may go, unless it is the last: without any, the server does not start.
        let others = || {
            hierarchy
                .of(kind)
                .iter()
                .filter(|other| other.certificate.id() != id)
        };
        let works = others().any(|other| other.certificate.holds_at(now));
        if !works && (one.certificate.holds_at(now) || others().next().is_none()) {
            return Err(refuse(format!(
                "{id} is the only one of kind {kind} that works; make another first, with `musterd authority rotate {kind}`"
            )));
        }
        let valid = valid(kind, id)?;
        if valid > 0 {
            return Err(refuse(format!(
                "{id} has {valid} certificates that are valid still: they would be turned away; wait until they are renewed, \
                 or say --force"
            )));
        }
        end(&hierarchy, kind.as_str(), id)?;
        return Ok(Removed::Authority(kind, id));
    }
    let roots = &hierarchy.roots;
    let Some(place) = roots.iter().position(|root| is_named(root.certificate.id())) else {
        return Err(refuse(format!(
            "{name:?} names nothing here; `musterd authority list` shows each id, of which {ID_DIGITS} digits are enough"
        )));
    };
    let id = roots[place].certificate.id();
    if roots.len() == 1 {
        return Err(refuse(format!("{id} is the only root")));
    }
    let under = |(_, one): &(AuthorityKind, &Generation)| one.root == place;
    if let Some((kind, one)) = hierarchy.generations().find(under) {
        return Err(refuse(format!(
            "{} of kind {kind} stands under root {id}; rotate {kind} under the new root and remove the old one first",
            one.certificate.id()
        )));
    }
    end(&hierarchy, ROOTS, id)?;
    Ok(Removed::Root(id))
}

/// One rename, and it is gone; what is left of it is nobody's.
fn end(hierarchy: &Hierarchy, kind: &str, id: AuthorityId) -> Result<(), CaError> {
    let within = hierarchy.directory.join(kind);
    let gone = within.join(format!(".{id}.removed"));
    files::rename(&within.join(id.to_string()), &gone)?;
    files::sync_directory(&within)?;
    files::remove_directory(&gone)
}
