//! The file of a new store.

use super::{builder, prepare};
use crate::store::StoreError;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// Makes an empty store at `path`. It is made beside its place and moved there whole: a crash while a database
/// file is made leaves one that cannot be opened.
pub(super) fn make(path: &Path) -> Result<(), StoreError> {
    let mut beside: OsString = path.into();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // What a crash left there was never a store.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    private(&beside)?;
    let database = builder().create(&beside)?;
    prepare(&database)?;
    database.close()?;
    // A link, other than a rename, never replaces a store that somebody made meanwhile.
    match fs::hard_link(&beside, path) {
        Ok(()) => fs::remove_file(&beside)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(&beside)?,
        // Not every file system has links.
        Err(_) => fs::rename(&beside, path)?,
    }
    sync_directory(path)
}

/// A file for its owner only (F2).
fn private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Makes the name durable, not only what it names.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        let directory = path
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty());
        File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
