//! The file system as the agent sees it: a directory of its own, and the few operations that a power loss may
//! come between.
//!
//! A [`Place`] is made of plain names only, so nothing that comes from outside can point out of the directory.
//! There are two disks: [`RealDisk`], and in tests one that crashes after any operation and forgets what was not
//! synced.

mod real;
#[cfg(test)]
pub(crate) mod simulated;

pub(crate) use real::RealDisk;

use std::{fmt, io, path::PathBuf};

/// Longest name that comes from outside, in bytes; file systems allow 255 and temporary names add a few.
pub(crate) const NAME_LIMIT: usize = 128;

/// A file name that came from outside and is plain: `[a-z0-9._-]`, no leading dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl Name {
    /// `None` when the text is not a plain name. `.` and `..` begin with a dot and so are none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'_' | b'-');
        let fits = (1..=NAME_LIMIT).contains(&text.len()) && !text.starts_with('.');
        (fits && text.bytes().all(plain)).then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A place below the root of a [`Disk`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(String);

impl Place {
    /// The root itself.
    pub(crate) fn root() -> Self {
        Self(String::new())
    }

    /// A place directly below the root, by a name of the agent's own.
    pub(crate) fn fixed(name: &'static str) -> Self {
        Self(name.into())
    }

    /// A file in this directory.
    pub(crate) fn file(&self, name: &Name) -> Self {
        self.below(name.as_str())
    }

    /// The directory it is in; the root is in itself.
    pub(crate) fn parent(&self) -> Self {
        Self(self.0.rsplit_once('/').map_or("", |(parent, _)| parent).into())
    }

    /// Where its next content is written before it takes the place. No [`Name`] begins with a dot, so this
    /// meets no file of somebody else.
    pub(crate) fn draft(&self) -> Self {
        self.parent().below(&format!(".{}.new", self.last()))
    }

    /// The path below the root, `/` between the parts.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn last(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, last)| last)
    }

    fn below(&self, name: &str) -> Self {
        if self.0.is_empty() {
            Self(name.into())
        } else {
            Self(format!("{}/{name}", self.0))
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the agent asks of a file system. Nothing follows a symbolic link.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// The content of a regular file; `None` when there is nothing. More than `limit` bytes, and anything that is
    /// no regular file, are errors.
    fn read(&self, place: &Place, limit: usize) -> io::Result<Option<Vec<u8>>>;
    /// A new file, for its owner alone (0600); an error when the place is taken. Not yet durable.
    fn write_new(&self, place: &Place, bytes: &[u8]) -> io::Result<()>;
    /// A new symbolic link; an error when the place is taken.
    fn link(&self, place: &Place, target: &str) -> io::Result<()>;
    /// Where a symbolic link points; `None` when there is none.
    fn link_target(&self, place: &Place) -> io::Result<Option<String>>;
    /// A new directory, for its owner alone (0700); fine when it is there.
    fn make_directory(&self, place: &Place) -> io::Result<()>;
    /// Removes what is there, a directory with all below it; fine when there is nothing.
    fn remove(&self, place: &Place) -> io::Result<()>;
    /// Moves a file or link over another, atomically, in one directory. Not yet durable.
    fn rename(&self, from: &Place, to: &Place) -> io::Result<()>;
    /// Makes a file's content, or a directory's entries, durable.
    fn sync(&self, place: &Place) -> io::Result<()>;
    /// The place as the operating system names it.
    fn path(&self, place: &Place) -> PathBuf;
}

/// Replaces a file so that a crash leaves the old or the new content, whole; durable on return.
pub(crate) fn replace(disk: &dyn Disk, place: &Place, bytes: &[u8]) -> io::Result<()> {
    let draft = place.draft();
    disk.remove(&draft)?;
    disk.write_new(&draft, bytes)?;
    // The content before the name: after a power loss the name must not stand for an empty file.
    disk.sync(&draft)?;
    disk.rename(&draft, place)?;
    disk.sync(&place.parent())
}

/// The same for a symbolic link.
pub(crate) fn relink(disk: &dyn Disk, place: &Place, target: &str) -> io::Result<()> {
    let draft = place.draft();
    disk.remove(&draft)?;
    disk.link(&draft, target)?;
    disk.rename(&draft, place)?;
    disk.sync(&place.parent())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        let longest = "a".repeat(NAME_LIMIT);
        for name in [
            "a",
            "network.toml",
            "a-b_c.9",
            "0",
            "-",
            "_",
            "a..b",
            "a.",
            longest.as_str(),
        ] {
            assert!(Name::parse(name).is_some(), "{name:?}");
        }
        let long = "a".repeat(NAME_LIMIT + 1);
        for name in [
            "",
            ".",
            "..",
            ".a",
            "a/b",
            "/a",
            "a\\b",
            "A",
            "ä",
            "a b",
            "a\0",
            "a\n",
            long.as_str(),
        ] {
            assert!(Name::parse(name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn drafts_stay_beside_their_place() {
        assert_eq!(Place::fixed("ledger").draft().as_str(), ".ledger.new");
        let file = Place::fixed("a").file(&Name::parse("x.toml").unwrap());
        assert_eq!(file.draft().as_str(), "a/.x.toml.new");
        assert_eq!(file.parent(), Place::fixed("a"));
        assert_eq!(Place::fixed("a").parent(), Place::root());
    }
}
