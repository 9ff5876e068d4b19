//! Today's layout for what is not in it: files of programs before, and what ceremonies left that did not end.

use crate::ca::{
    AuthorityKind, CaError,
    files::{self, certificate_pem},
    hierarchy::{self, CERTIFICATE, FORMER_ROOT, Hierarchy, PRIVATE_KEY, ROOTS},
};
use std::path::Path;

/// Puts it in order. A reader finds everything at each moment, once or twice.
pub(super) fn settle(hierarchy: &Hierarchy) -> Result<(), CaError> {
    let directory = &hierarchy.directory;
    let kinds = AuthorityKind::ALL.map(AuthorityKind::as_str);
    for name in kinds.into_iter().chain([ROOTS]) {
        clear(&directory.join(name))?;
    }
    let former_root = directory.join(FORMER_ROOT);
    for root in &hierarchy.roots {
        if root.certificate.path == former_root {
            let pem = certificate_pem(&root.certificate.bytes);
            let id = root.certificate.id().to_string();
            appear(&directory.join(ROOTS), &id, &[(CERTIFICATE, &pem)])?;
        }
    }
    files::remove_file(&former_root)?;
    for kind in AuthorityKind::ALL {
        let (certificate, key) = hierarchy::former(kind);
        let [certificate, key] = [certificate, key].map(|name| directory.join(name));
        for one in hierarchy.of(kind) {
            if one.certificate.path == certificate {
                let pem = certificate_pem(&one.certificate.bytes);
                let sealed = files::read(&key)?;
                let id = one.certificate.id().to_string();
                let content = [(PRIVATE_KEY, sealed.as_str()), (CERTIFICATE, pem.as_str())];
                appear(&directory.join(kind.as_str()), &id, &content)?;
            }
        }
        // The certificate first: a key without one is nothing.
        if certificate.exists() {
            files::remove_file(&certificate)?;
            files::sync_directory(directory)?;
        }
        if key.exists() {
            files::remove_file(&key)?;
        }
    }
    Ok(())
}

/// Removes directories of ceremonies that did not end.
fn clear(directory: &Path) -> Result<(), CaError> {
    for name in files::names(directory)? {
        if name.starts_with('.') {
            files::remove_directory(&directory.join(name))?;
        }
    }
    Ok(())
}

/// A directory with files in it, whole or not at all.
pub(in crate::ca) fn appear(within: &Path, name: &str, content: &[(&str, &str)]) -> Result<(), CaError> {
    let staging = within.join(format!(".{name}"));
    files::make_directory(&staging)?;
    for (name, content) in content {
        files::write_new(&staging.join(name), content.as_bytes())?;
    }
    files::sync_directory(&staging)?;
    files::rename(&staging, &within.join(name))?;
    files::sync_directory(within)
}
