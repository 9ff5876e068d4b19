//! The kinds of authority under a root: each has a use of its own, and keys of its own.

use super::{
    key::PublicKey,
    profile::{Alternative, Excluded, Kind, Purpose},
};
use std::{fmt, str::FromStr, time::Duration};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Life of the root: longer than that of a device, which pins it.
pub(super) const ROOT_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Life of the issuing authorities: half that of the root, so that they can be renewed under it.
const ISSUING_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Life of the certificates that sign something else than certificates.
const SIGNER_LIFE: Duration = Duration::from_secs(2 * 365 * 24 * 3600);
/// How far certificates of the authority are back-dated, so that every leaf lies inside.
pub(super) const BACK_DATED: Duration = DAY;

pub(super) const ROOT_CA: &str = "root CA";

/// What an authority under the root is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthorityKind {
    /// Issues the certificates of devices.
    Devices,
    /// Issues the certificates of operators.
    Operators,
    /// Issues the server's own certificates for TLS.
    Servers,
    /// Signs desired state.
    Config,
    /// Signs checkpoints of the audit log.
    Checkpoint,
}

impl AuthorityKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Devices,
        Self::Operators,
        Self::Servers,
        Self::Config,
        Self::Checkpoint,
    ];

    /// As people write it, and as its directory is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Operators => "operators",
            Self::Servers => "servers",
            Self::Config => "config",
            Self::Checkpoint => "checkpoint",
        }
    }

    /// As it stands in subjects and messages.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Devices => "device CA",
            Self::Operators => "operator CA",
            Self::Servers => "server CA",
            Self::Config => "config signer",
            Self::Checkpoint => "checkpoint signer",
        }
    }

    /// What its certificate looks like.
    pub(super) const fn profile(self) -> Kind {
        match self {
            Self::Devices => Kind::Issuing(Purpose::Client, Excluded::Hosts),
            Self::Operators => Kind::Issuing(Purpose::Client, Excluded::Addresses),
            Self::Servers => Kind::Issuing(Purpose::Server, Excluded::Nothing),
            Self::Config => Kind::Leaf(Purpose::ConfigSigning, Alternative::Nothing),
            Self::Checkpoint => Kind::Leaf(Purpose::CheckpointSigning, Alternative::Nothing),
        }
    }

    /// How long its certificate holds, inside the life of the root.
    pub(super) const fn life(self) -> Duration {
        match self {
            Self::Devices | Self::Operators | Self::Servers => ISSUING_LIFE,
            Self::Config | Self::Checkpoint => SIGNER_LIFE,
        }
    }
}

impl fmt::Display for AuthorityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AuthorityKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is none of {known}")
        })
    }
}

/// Common name of a certificate of the authority. `mark` tells authorities of one organisation apart, for people and for
/// software that looks up by name.
pub(super) fn authority_name(what: &str, mark: &str) -> String {
    format!("Muster {what} {mark}")
}

/// The mark of an authority that was made by a ceremony: the begin of its id.
pub(super) fn mark(key: &PublicKey) -> String {
    let mut id = key.authority_id().to_string();
    id.truncate(8);
    id
}
