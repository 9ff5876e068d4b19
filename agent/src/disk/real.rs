//! The operating system's files.

use super::{Disk, Place};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, symlink},
    path::{Path, PathBuf},
};

/// Files below a directory.
#[derive(Debug)]
pub(crate) struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// Opens the directory; makes it, for its owner alone, when it is not there.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        // Absolute, so that a hook with another working directory finds it, and real, so that a link is followed
        // once and not at each use.
        Ok(Self {
            root: root.canonicalize()?,
        })
    }
}

fn or_absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl Disk for RealDisk {
    fn read(&self, place: &Place, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(place);
        let Some(seen) = or_absent(fs::symlink_metadata(&path))? else {
            return Ok(None);
        };
        if !seen.is_file() {
            return Err(invalid("not a regular file"));
        }
        let file = File::open(&path)?;
        // What was opened is what was looked at: a link put there in between is not followed.
        let opened = file.metadata()?;
        if (opened.dev(), opened.ino()) != (seen.dev(), seen.ino()) {
            return Err(invalid("was replaced while it was opened"));
        }
        let mut bytes = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX);
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            Err(invalid("is larger than it can be"))
        } else {
            Ok(Some(bytes))
        }
    }

    fn write_new(&self, place: &Place, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.path(place))?;
        file.write_all(bytes)
    }

    fn link(&self, place: &Place, target: &str) -> io::Result<()> {
        symlink(target, self.path(place))
    }

    fn link_target(&self, place: &Place) -> io::Result<Option<String>> {
        let path = self.path(place);
        match or_absent(fs::symlink_metadata(&path))? {
            Some(seen) if seen.is_symlink() => Ok(fs::read_link(&path)?.into_os_string().into_string().ok()),
            _ => Ok(None),
        }
    }

    fn make_directory(&self, place: &Place) -> io::Result<()> {
        let path = self.path(place);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::symlink_metadata(&path)?.is_dir() {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            other => other,
        }
    }

    fn remove(&self, place: &Place) -> io::Result<()> {
        let path = self.path(place);
        let Some(seen) = or_absent(fs::symlink_metadata(&path))? else {
            return Ok(());
        };
        let removed = if seen.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        or_absent(removed).map(|_| ())
    }

    fn rename(&self, from: &Place, to: &Place) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn sync(&self, place: &Place) -> io::Result<()> {
        File::open(self.path(place))?.sync_all()
    }

    fn path(&self, place: &Place) -> PathBuf {
        self.root.join(place.as_str())
    }
}

#[cfg(test)]
mod tests;
