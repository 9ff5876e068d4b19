//! Where the authority keeps its files, and how they get there: written whole, synced, renamed into place.

use super::{CaError, der, key::PublicKey};
use muster_domain::{
    Timestamp,
    certificate::{AuthorityId, CertificateSerial},
};
use pkcs8::der::pem;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// The directory of the authority, inside that of the server. Once it is there, the authority is complete.
pub(super) const AUTHORITY: &str = "ca";
/// Where `init` works until all is there.
pub(super) const STAGING: &str = ".ca-init";

/// The key of activation codes, inside [`AUTHORITY`].
pub(super) const CODES_KEY: &str = "keys/codes.key";
/// The key of secrets, inside [`AUTHORITY`].
pub(super) const SECRETS_KEY: &str = "keys/secrets.key";
/// The directory of both.
pub(super) const KEYS: &str = "keys";
/// Inside the directory with the root key.
pub(super) const ROOT_KEY: &str = "root.key";
pub(super) const ROOT_CERTIFICATE: &str = "root.pem";
pub(super) const ROOT_README: &str = "README.txt";
pub(super) const LEDGER: &str = "issued.log";

/// Longest file read, in bytes: none of ours has more than 2 KiB.
const FILE_LIMIT: u64 = 64 << 10;

/// Before each change of the disk: tests let the power fail here.
#[cfg(test)]
fn about_to(doing: &'static str, path: &Path) -> Result<(), CaError> {
    power::is_on().map_err(CaError::file(doing, path))
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "it has the form that it has in tests")]
const fn about_to(_: &'static str, _: &Path) -> Result<(), CaError> {
    Ok(())
}

/// Makes a directory that nobody else may look into; parents as well.
pub(crate) fn make_directory(path: &Path) -> Result<(), CaError> {
    about_to("make", path)?;
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(CaError::file("make", path))
}

/// Makes names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), CaError> {
    about_to("sync", path)?;
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(CaError::file("sync", path))
}

/// Writes a new file for its owner alone, durably: under a passing name first, so that its name never stands for half
/// of it.
pub(super) fn write_new(path: &Path, content: &[u8]) -> Result<(), CaError> {
    if path.exists() {
        return Err(CaError::file("create", path)(ErrorKind::AlreadyExists.into()));
    }
    about_to("write", path)?;
    let passing = path.with_extension("new");
    // What a crash left under the passing name is nobody's.
    remove_file(&passing)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&passing)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .map_err(CaError::file("write", &passing))?;
    rename(&passing, path)
}

/// Renames a file or directory; the parent is not synced yet.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), CaError> {
    about_to("rename to", to)?;
    fs::rename(from, to).map_err(CaError::file("rename to", to))
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> Result<(), CaError> {
    about_to("remove", path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CaError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Adds a line to a file, durably; makes the file if it is not there.
pub(super) fn append(path: &Path, line: &str) -> Result<(), CaError> {
    about_to("write", path)?;
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(CaError::file("write", path))
}

/// The names in a directory; none when it is not there. Those that begin with a dot are of ceremonies that did not end.
pub(super) fn names(path: &Path) -> Result<Vec<String>, CaError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CaError::file("read", path)(error)),
    };
    let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
    let names = names.map_err(CaError::file("read", path))?;
    let mut names: Vec<_> = names
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Removes a directory and all in it.
pub(crate) fn remove_directory(path: &Path) -> Result<(), CaError> {
    about_to("remove", path)?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CaError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Reads a small text file.
pub(super) fn read(path: &Path) -> Result<String, CaError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(CaError::Missing(path.into())),
        Err(error) => Err(CaError::file("read", path)(error)),
    }
}

/// A certificate in PEM, as files and people take it.
pub fn certificate_pem(certificate: &[u8]) -> String {
    // Encoding fails on a bad label or past 4 GiB only.
    pem::encode_string("CERTIFICATE", pem::LineEnding::LF, certificate).unwrap_or_default()
}

/// A certificate of the authority, and what is needed of it.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Its subject, DER.
    pub(super) name: Vec<u8>,
    pub(super) organisation: String,
    pub(super) common_name: String,
    pub(super) key: PublicKey,
    pub(super) serial: CertificateSerial,
    /// Seconds since 1970.
    pub(super) not_before: u64,
    /// Seconds since 1970.
    pub(super) not_after: u64,
}

impl Stored {
    /// Reads a file with one certificate.
    pub(super) fn read(path: PathBuf) -> Result<Self, CaError> {
        let text = read(&path)?;
        Self::from_pem(path, &text)
    }

    /// From a text with one certificate; `path` is for errors.
    pub(super) fn from_pem(path: PathBuf, text: &str) -> Result<Self, CaError> {
        let bytes = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|_| CaError::damaged(&path, "is not a certificate in PEM"))?;
        Self::from_bytes(path, bytes.to_vec())
    }

    /// From DER; `path` is for errors.
    pub(super) fn from_bytes(path: PathBuf, bytes: Vec<u8>) -> Result<Self, CaError> {
        let damaged = || CaError::damaged(&path, "is not a certificate of ours");
        if !der::well_formed(&bytes) {
            return Err(damaged());
        }
        let (_, certificate) = X509Certificate::from_der(&bytes).map_err(|_| damaged())?;
        let subject = certificate.subject();
        let first = |mut parts: Vec<&str>| parts.pop().map(str::to_owned).ok_or_else(damaged);
        let organisation = first(
            subject
                .iter_organization()
                .filter_map(|part| part.as_str().ok())
                .collect(),
        )?;
        let common_name = first(
            subject
                .iter_common_name()
                .filter_map(|part| part.as_str().ok())
                .collect(),
        )?;
        let key = PublicKey::from_spki(certificate.public_key().raw).map_err(|_| damaged())?;
        let seconds =
            |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).map_err(|_| damaged());
        let not_before = seconds(certificate.validity().not_before)?;
        let not_after = seconds(certificate.validity().not_after)?;
        let serial = CertificateSerial::from_bytes(certificate.raw_serial()).ok_or_else(damaged)?;
        let name = subject.as_raw().to_vec();
        Ok(Self {
            path,
            name,
            organisation,
            common_name,
            key,
            serial,
            not_before,
            not_after,
            bytes,
        })
    }

    /// The name of the authority.
    pub(super) fn id(&self) -> AuthorityId {
        self.key.authority_id()
    }

    /// Is `now` within its life?
    pub(super) const fn holds_at(&self, now: Timestamp) -> bool {
        self.not_before <= now.seconds() && now.seconds() < self.not_after
    }

    /// Later ones are greater.
    pub(super) const fn age(&self) -> (u64, u128) {
        (self.not_before, self.serial.as_u128())
    }

    /// Did this key sign this certificate?
    pub(super) fn is_signed_by(&self, issuer: &Self) -> bool {
        X509Certificate::from_der(&self.bytes).is_ok_and(|(_, certificate)| {
            certificate.issuer().as_raw() == issuer.name
                && issuer.key.has_signed(
                    certificate.tbs_certificate.as_ref(),
                    &certificate.signature_value.data,
                )
        })
    }
}

/// Power that fails before a change of the disk, for the thread of a test: from then on nothing changes any more.
#[cfg(test)]
pub(crate) mod power {
    use std::{cell::Cell, io};

    thread_local! {
        static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    pub(super) fn is_on() -> io::Result<()> {
        match LEFT.get() {
            0 => Err(io::Error::other("the power failed")),
            left => {
                LEFT.set(left - 1);
                Ok(())
            }
        }
    }

    /// Runs something that has `changes` before the power fails; gives how many it had left, too.
    pub(crate) fn failing_after<T>(changes: usize, run: impl FnOnce() -> T) -> (T, usize) {
        LEFT.set(changes);
        let ran = run();
        (ran, LEFT.replace(usize::MAX))
    }
}
