//! What people do with the authority, by hand and seldom: ask for a new key's certificate, install it, remove an old one.
//!
//! Each step reads what is there, checks all of it, and changes the disk by one rename. A step that was cut off is begun anew.

mod install;
mod list;
mod remove;
mod request;
mod settle;
mod vouch;

pub use install::{Installed, install};
pub use list::{AuthorityState, Listed, ListedCertificate, list, root_key_within, utc, warnings};
pub use remove::{Removed, remove};
pub(super) use request::AuthorityRequest;
pub use request::request;
pub(super) use settle::appear;
pub use vouch::{draft_trust, list_trust};

use super::{
    CaError,
    files::{self, Stored},
    hierarchy::Hierarchy,
};
use std::{fs::File, path::Path};

/// Is the root key in `offline` that of the authority in `server`?
pub(crate) fn is_root_of(offline: &Path, server: &Path) -> bool {
    let root = Stored::read(offline.join(files::ROOT_CERTIFICATE));
    let known = Hierarchy::read(server);
    root.is_ok_and(|root| {
        known.is_ok_and(|known| {
            let mut roots = known.roots.iter();
            roots.any(|known| known.certificate.bytes == root.bytes)
        })
    })
}

/// The authority, for one ceremony at a time.
struct Session {
    hierarchy: Hierarchy,
    /// Held until the session ends.
    _lock: File,
}

impl Session {
    /// Waits for other ceremonies, puts what programs before left into today's layout, and reads all of it.
    fn open(server: &Path) -> Result<Self, CaError> {
        let before = Hierarchy::read(server)?;
        let lock = File::open(&before.directory)
            .and_then(|directory| directory.lock().map(|()| directory))
            .map_err(CaError::file("lock", &before.directory))?;
        settle::settle(&Hierarchy::read(server)?)?;
        Ok(Self {
            hierarchy: Hierarchy::read(server)?,
            _lock: lock,
        })
    }
}
