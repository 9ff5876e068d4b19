//! Making a certificate authority. It appears whole or not at all: everything is written aside, and one rename of
//! the `ca` directory makes it real. The root key goes elsewhere from the start.

use super::{
    AuthorityKind, Ca, CaError, OperatorCredential, Passphrase,
    ceremony::appear,
    files::{self, certificate_pem},
    hierarchy::{CERTIFICATE, PRIVATE_KEY, ROOTS},
    key::PrivateKey,
    offline::Offline,
    sealed,
    secret_key::SecretKey,
};
use crate::random;
use muster_domain::{Timestamp, names::OperatorName};
use std::path::{Path, PathBuf};

/// 2020-01-01: no clock is right that says less.
const EARLIEST: Timestamp = Timestamp::from_seconds(1_577_836_800);
/// Longest organisation, in characters (RFC 5280, ub-organization-name).
const ORGANISATION_LIMIT: usize = 64;

/// What a new authority is made from.
#[derive(Debug)]
pub struct InitOptions<'a> {
    /// Whose it is: O of every subject. 1 to 64 characters, no control characters.
    pub organisation: String,
    /// Seals all keys.
    pub passphrase: &'a Passphrase,
    /// The time.
    pub now: Timestamp,
    /// The first operator.
    pub operator: OperatorName,
}

/// A new authority.
#[derive(Debug)]
pub struct Initialised {
    /// Opened already.
    pub ca: Ca,
    /// The first operator's key and certificate: the caller must store them, nothing keeps a copy.
    pub operator: OperatorCredential,
}

fn option(option: &'static str, why: impl Into<String>) -> CaError {
    CaError::Option {
        option,
        why: why.into(),
    }
}

fn check_organisation(name: &str) -> Result<(), CaError> {
    let why = if name.trim().is_empty() {
        "is empty"
    } else if name.chars().count() > ORGANISATION_LIMIT {
        "is longer than 64 characters"
    } else if name.chars().any(char::is_control) {
        "contains a control character"
    } else {
        return Ok(());
    };
    Err(option("organisation", why))
}

/// Makes a certificate authority in `directory`: issuing authorities, signers, code key, and the first operator; and its root
/// in `offline`, an existing, empty directory.
///
/// What an earlier attempt left half-finished in `directory` is removed first.
///
/// # Errors
///
/// [`CaError::Exists`] when there is one, [`CaError::OfflineExists`] when there is another's root key,
/// [`CaError::Option`], or a fault.
pub fn init(directory: &Path, offline: &Path, options: InitOptions<'_>) -> Result<Initialised, CaError> {
    // 1. Nothing is touched before the options are known to be good.
    let InitOptions {
        organisation,
        passphrase,
        now,
        operator,
    } = options;
    check_organisation(&organisation)?;
    if now < EARLIEST {
        return Err(CaError::Clock(now));
    }
    // 2. One authority a directory.
    if !files::names(offline)?.is_empty() {
        return Err(CaError::OfflineExists(offline.to_owned()));
    }
    let staging = prepare(directory)?;
    // 3. Everything is written aside.
    let mark: String = random::bytes::<4>()?
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let root = Offline::make(offline, &organisation, Some(&mark), passphrase, now)?;
    make(&staging, &root, &mark, passphrase, now)?;
    // 4. And made real.
    files::rename(&staging, &directory.join(files::AUTHORITY))?;
    files::sync_directory(directory)?;
    // 5. Opening it again proves that what is on the disk can be used.
    let ca = Ca::open(directory, passphrase)?;
    let operator = ca.new_operator(&operator, now)?;
    Ok(Initialised { ca, operator })
}

/// Checks that there is none yet, removes what a crash left, and makes the directory to work in.
fn prepare(directory: &Path) -> Result<PathBuf, CaError> {
    let [authority, staging] = [files::AUTHORITY, files::STAGING].map(|name| directory.join(name));
    if authority.exists() {
        return Err(CaError::Exists(authority));
    }
    files::remove_directory(&staging)?;
    files::make_directory(&staging.join(files::KEYS))?;
    Ok(staging)
}

/// Writes certificates and keys into the directory that becomes the authority.
fn make(
    directory: &Path,
    root: &Offline,
    mark: &str,
    passphrase: &Passphrase,
    now: Timestamp,
) -> Result<(), CaError> {
    let certificate = root.certificate();
    let pem = certificate_pem(&certificate.bytes);
    appear(
        &directory.join(ROOTS),
        &certificate.id().to_string(),
        &[(CERTIFICATE, pem.as_str())],
    )?;
    for kind in AuthorityKind::ALL {
        let (key, document) = PrivateKey::generate()?;
        let pem = certificate_pem(&root.certify(kind, mark, key.public(), now)?);
        let sealed = sealed::seal(&document, passphrase)?;
        appear(
            &directory.join(kind.as_str()),
            &key.public().authority_id().to_string(),
            &[(PRIVATE_KEY, sealed.as_str()), (CERTIFICATE, pem.as_str())],
        )?;
    }
    let codes = sealed::generate_code_key(passphrase)?;
    files::write_new(&directory.join(files::CODES_KEY), codes.as_bytes())?;
    SecretKey::make(directory, passphrase)?;
    files::sync_directory(directory)
}
