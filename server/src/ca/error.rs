//! What can go wrong in the certificate authority. All of it is ours or the operator's to mend: a device sees none of it.

use super::AuthorityKind;
use crate::random::NoRandom;
use muster_domain::{
    Code, Refusal, Timestamp, catalog::RevisionNumber, certificate::AuthorityId, names::SecretName,
};
use std::{io, path::PathBuf};

/// A fault of the certificate authority.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// `init` found a certificate authority.
    #[error("{0} exists: this directory has a certificate authority already")]
    Exists(PathBuf),
    /// A root key was to be written where something is.
    #[error(
        "{0} is not empty: it may belong to another certificate authority; name another directory, or move it away"
    )]
    OfflineExists(PathBuf),
    /// There is no root key where one was to be opened.
    #[error("{path} does not exist: mount the storage with the root key, and name its directory", path = .0.display())]
    NoRootKey(PathBuf),
    /// An older program made the authority, without this key.
    #[error("there is no {what}; make one with `musterd authority rotate {0}`", what = .0.what())]
    Kind(AuthorityKind),
    /// A step of a ceremony cannot be done; the text says why, and what to do.
    #[error("{0}")]
    Ceremony(String),
    /// `open` found none.
    #[error("{0} does not exist: make a certificate authority first")]
    Missing(PathBuf),
    /// An option of `init` cannot be used.
    #[error("{option} {why}")]
    Option {
        /// Which.
        option: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {doing} {path}", path = path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The passphrase opens no key of this authority.
    #[error("the passphrase does not open {path}", path = .0.display())]
    Passphrase(PathBuf),
    /// The passphrase itself cannot be used.
    #[error("the passphrase in {path} {why}", path = path.display())]
    PassphraseFile {
        /// Where it was read.
        path: PathBuf,
        /// What is wrong with it; never the passphrase.
        why: &'static str,
    },
    /// A file of the authority is not what it should be.
    #[error("{path} {why}", path = path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The machine gave no random bytes.
    #[error("no random bytes")]
    Random,
    /// A key could not be put into the form in which it is handed over.
    #[error("cannot seal a device's key for handover: {0}")]
    Handover(String),
    /// A certificate could not be put together.
    #[error("cannot build a certificate")]
    Build(#[from] rcgen::Error),
    /// A key could not be used.
    #[error("cannot use a key")]
    Key(#[source] rustls::Error),
    /// A key could not be sealed.
    #[error("cannot seal a key")]
    Seal(#[source] pkcs8::Error),
    /// A finished certificate differs from its profile: it must not leave.
    #[error("a certificate does not follow its profile")]
    Lint(#[from] super::lint::Defect),
    /// The built-in profiles are wrong: a mistake of this build.
    #[error("wrong profiles: {}", .0.join("; "))]
    Profiles(Vec<String>),
    /// No issuing authority of this registry has this name.
    #[error("there is no authority {0}")]
    Foreign(AuthorityId),
    /// A revocation list cannot be made as ordered: a mistake of the caller.
    #[error("a revocation list {0}")]
    List(&'static str),
    /// The clock is behind what this authority issued before (H4).
    #[error("the clock says {now}, {behind} s behind the newest certificate; nothing is issued", now = now.seconds())]
    ClockBehind {
        /// What the clock says.
        now: Timestamp,
        /// How far it is behind, in seconds.
        behind: u64,
    },
    /// The clock cannot be right.
    #[error("the clock says {}, which cannot be; set it first", .0.seconds())]
    Clock(Timestamp),
    /// The issuing certificate has ended.
    #[error("the {0} ended; it must be renewed with the root key")]
    Expired(&'static str),
    /// The permit is for another device, key, profile or issuer: a mistake of the caller.
    #[error("the permit is not for this device, key, profile and issuer")]
    Permit,
    /// The value of a secret cannot be sealed, or what is kept does not open.
    #[error("secrets/{0}@{1} does not open with the key of secrets")]
    Secret(SecretName, RevisionNumber),
    /// A value cannot be sealed to a device.
    #[error("cannot seal a secret to a device")]
    SealToDevice(#[source] rustls::Error),
    /// Bytes that should be a certificate are not.
    #[error("not a certificate")]
    NotACertificate,
}

/// The provider's error says nothing and is no `std::error::Error`.
impl From<NoRandom> for CaError {
    fn from(_: NoRandom) -> Self {
        Self::Random
    }
}

impl CaError {
    /// The public answer to this fault, where there is one: a device may be told to come back when the clock is right.
    pub fn refusal(&self) -> Option<Refusal> {
        matches!(self, Self::ClockBehind { .. } | Self::Clock(_))
            .then(|| Refusal::new(Code::ClockBehind, "the clock of the server went back"))
    }

    pub(super) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    pub(super) fn damaged(path: impl Into<PathBuf>, why: &'static str) -> Self {
        Self::Damaged {
            path: path.into(),
            why,
        }
    }
}
