//! The passphrase that seals the keys on disk. It comes from a file or a systemd credential: arguments and
//! environment can be read by others (F4).

use super::CaError;
use std::{
    env, fmt,
    fs::File,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Shortest passphrase, in bytes.
const SHORTEST: usize = 12;
/// Longest passphrase, in bytes.
const LONGEST: usize = 1024;
/// Name of the systemd credential (`LoadCredential=` or `LoadCredentialEncrypted=`).
const CREDENTIAL: &str = "muster-passphrase";
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// A passphrase, wiped from memory when dropped. Shows nothing.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Reads the first line of a file that nobody but its owner may read.
    ///
    /// # Errors
    ///
    /// [`CaError::File`], or [`CaError::PassphraseFile`] when others may read the file, or when the line is shorter
    /// than 12 or longer than 1024 bytes.
    pub fn read(path: &Path) -> Result<Self, CaError> {
        let bad = |why| CaError::PassphraseFile {
            path: path.into(),
            why,
        };
        let file = File::open(path).map_err(CaError::file("open", path))?;
        // Of the opened file, not of the name: the name may point elsewhere by now.
        let metadata = file.metadata().map_err(CaError::file("look at", path))?;
        if metadata.permissions().mode() & OTHERS != 0 {
            return Err(bad("can be read by others; set its mode to 0600"));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 2));
        let limit = u64::try_from(bytes.capacity()).unwrap_or(u64::MAX);
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(CaError::file("read", path))?;
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        Self::new(line.strip_suffix(b"\r").unwrap_or(line)).map_err(bad)
    }

    /// The systemd credential `muster-passphrase`, where the service manager gave one.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn from_credential() -> Result<Option<Self>, CaError> {
        let Some(directory) = env::var_os("CREDENTIALS_DIRECTORY") else {
            return Ok(None);
        };
        let path = PathBuf::from(directory).join(CREDENTIAL);
        if path.exists() {
            Self::read(&path).map(Some)
        } else {
            Ok(None)
        }
    }

    /// From bytes that are in memory already.
    ///
    /// # Errors
    ///
    /// Why the bytes are no passphrase; never the bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, &'static str> {
        match bytes.len() {
            0..SHORTEST => Err("is shorter than 12 bytes"),
            SHORTEST..=LONGEST => Ok(Self(Zeroizing::new(bytes.to_vec()))),
            _ => Err("is longer than 1024 bytes"),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    fn check(content: &[u8], mode: u32, expected: Result<&[u8], &str>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        match (Passphrase::read(&path), expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read.bytes(), expected),
            (Err(CaError::PassphraseFile { why, .. }), Err(expected)) => {
                assert!(why.contains(expected), "{why}")
            }
            (read, expected) => panic!("{read:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn the_first_line_counts_and_nobody_else_reads_it() {
        check(b"twelve bytes", 0o600, Ok(b"twelve bytes"));
        check(b"twelve bytes\r\nand more\n", 0o400, Ok(b"twelve bytes"));
        check(&[b'x'; 1024], 0o600, Ok(&[b'x'; 1024]));
        check(b"eleven byte\n", 0o600, Err("shorter"));
        check(b"", 0o600, Err("shorter"));
        check(b"\ntwelve bytes\n", 0o600, Err("shorter"));
        check(&[b'x'; 1025], 0o600, Err("longer"));
        check(&[b'x'; 100_000], 0o600, Err("longer"));
        check(b"twelve bytes", 0o640, Err("read by others"));
        check(b"twelve bytes", 0o604, Err("read by others"));
    }

    #[test]
    fn it_does_not_show() {
        let shown = format!("{:?}", Passphrase::new(b"correct horse battery").unwrap());
        assert_eq!(shown, "Passphrase(..)");
    }
}
