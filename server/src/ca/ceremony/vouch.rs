//! The next version of trust: what devices are to trust from then on, drawn up on the server, signed by a root, installed.

use super::Session;
use crate::ca::{
    CaError, files,
    hierarchy::Hierarchy,
    trust::{self, DRAFT, Draft, ListedTrust},
};
use muster_proto::{
    payload::{Binary, TrustBundle},
    trust::digest,
};
use std::path::Path;

fn refuse(why: impl Into<String>) -> CaError {
    CaError::Ceremony(format!("{}; nothing was changed", why.into()))
}

/// The next version, to be signed: the roots that are here, all of them. Changes nothing.
///
/// # Errors
///
/// [`CaError::Ceremony`] when devices trust these roots already, or a fault.
pub fn draft_trust(server: &Path) -> Result<String, CaError> {
    let Session { hierarchy, _lock } = Session::open(server)?;
    if hierarchy.trust.is_of(&hierarchy.roots) {
        return Err(refuse(format!(
            "version {} names the roots that are here, and no others: there is no next version to make",
            hierarchy.trust.next() - 1
        )));
    }
    trust::text(&Draft {
        sign: DRAFT.to_owned(),
        version: hierarchy.trust.next(),
        roots: hierarchy
            .roots
            .iter()
            .map(|root| Binary(root.certificate.bytes.clone()))
            .collect(),
    })
}

/// Installs a version that a root signed; gives its number.
pub(super) fn install(hierarchy: &Hierarchy, text: &str) -> Result<u64, CaError> {
    let bundle: TrustBundle = serde_json::from_str(text).map_err(|_| {
        refuse("the file is no version of trust; install what `musterd authority sign --kind trust` wrote")
    })?;
    let version = hierarchy.trust.next();
    let known = hierarchy.trust.newest();
    if known.is_some_and(|known| bundle.versions.first() == Some(known)) {
        return Ok(version - 1);
    }
    // Of later ones the version before says who may sign.
    let signer = bundle.versions.first().map(|version| version.signer);
    let mut roots = hierarchy.roots.iter();
    let by_ours = roots.any(|root| Some(digest(&root.certificate.bytes)) == signer);
    if known.is_none() && !by_ours {
        return Err(refuse("the version is not signed by a root that is here"));
    }
    let history = hierarchy
        .trust
        .clone()
        .with(bundle)
        .map_err(|why| refuse(format!("the file {why}; the next is version {version}")))?;
    if !history.is_of(&hierarchy.roots) {
        return Err(refuse(
            "the version names other roots than those that are here; draw it up anew, with `musterd authority request trust`",
        ));
    }
    let within = hierarchy.directory.join(trust::TRUST);
    files::make_directory(&within)?;
    files::write_new(&trust::file(&hierarchy.directory, version), text.as_bytes())?;
    files::sync_directory(&within)?;
    files::sync_directory(&hierarchy.directory)?;
    Ok(version)
}

/// Every version of trust, the oldest first.
///
/// # Errors
///
/// [`CaError::Missing`], [`CaError::Damaged`] or [`CaError::File`].
pub fn list_trust(server: &Path) -> Result<Vec<ListedTrust>, CaError> {
    Ok(Hierarchy::read(server)?.trust.listed())
}

/// What devices should know of the roots here, and do not: with one root and no version they pinned what there is.
pub(super) fn warning(hierarchy: &Hierarchy) -> Option<String> {
    let is_plain = hierarchy.trust.newest().is_none() && hierarchy.roots.len() == 1;
    (!is_plain && !hierarchy.trust.is_of(&hierarchy.roots)).then(|| {
        "the roots here are others than devices were told to trust: see `musterd authority request trust`"
            .to_owned()
    })
}
