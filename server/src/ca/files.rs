//! Where the authority keeps its files, and how they get there: written whole, synced, renamed into place.

use super::{CaError, der, key::PublicKey};
use pkcs8::der::pem;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// The directory of the authority, inside that of the server. Once it is there, the authority is complete.
pub(super) const AUTHORITY: &str = "ca";
/// The directory with the root key, to be moved away.
pub(super) const OFFLINE: &str = "offline";
/// Where `init` works until all is there.
pub(super) const STAGING: &str = ".ca-init";

/// Certificates, inside [`AUTHORITY`].
pub(super) const ROOT: &str = "root.pem";
pub(super) const DEVICES: &str = "devices.pem";
pub(super) const OPERATORS: &str = "operators.pem";
pub(super) const SERVERS: &str = "servers.pem";
pub(super) const CONFIG: &str = "config.pem";
/// Sealed keys, inside [`AUTHORITY`].
pub(super) const KEYS: &str = "keys";
pub(super) const DEVICES_KEY: &str = "keys/devices.key";
pub(super) const OPERATORS_KEY: &str = "keys/operators.key";
pub(super) const SERVERS_KEY: &str = "keys/servers.key";
pub(super) const CONFIG_KEY: &str = "keys/config.key";
pub(super) const CODES_KEY: &str = "keys/codes.key";
/// Inside [`OFFLINE`].
pub(super) const ROOT_KEY: &str = "root.key";
pub(super) const ROOT_README: &str = "README.txt";

/// Longest file read, in bytes: none of ours has more than 2 KiB.
const FILE_LIMIT: u64 = 64 << 10;

/// Makes a directory that nobody else may look into; parents as well.
pub(super) fn make_directory(path: &Path) -> Result<(), CaError> {
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(CaError::file("make", path))
}

/// Makes names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), CaError> {
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
    let passing = path.with_extension("new");
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
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), CaError> {
    fs::rename(from, to).map_err(CaError::file("rename to", to))
}

/// Removes a directory and all in it.
pub(super) fn remove_directory(path: &Path) -> Result<(), CaError> {
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
    /// Seconds since 1970.
    pub(super) not_before: u64,
    /// Seconds since 1970.
    pub(super) not_after: u64,
}

impl Stored {
    /// Reads a file with one certificate.
    pub(super) fn read(path: PathBuf) -> Result<Self, CaError> {
        let text = read(&path)?;
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
        let name = subject.as_raw().to_vec();
        Ok(Self {
            path,
            name,
            organisation,
            common_name,
            key,
            not_before,
            not_after,
            bytes,
        })
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
