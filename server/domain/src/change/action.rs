//! What a change does to a device, and how it is taken back.

use super::Relabel;
use crate::{
    catalog::RevisionNumber,
    device::{self, Credential, Device, Lifecycle},
    names::{PolicyName, ProfileName, SiteCode},
};
use core::{fmt, time::Duration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A part of a device that at most one active change may be about (I8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Facet {
    /// Its configuration.
    Config,
    /// Where it is.
    Location,
    /// Which firmware it may run.
    Firmware,
    /// Where it stands in its life.
    Lifecycle,
}

impl Facet {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Config, Self::Location, Self::Firmware, Self::Lifecycle];

    /// The written name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Location => "location",
            Self::Firmware => "firmware",
            Self::Lifecycle => "lifecycle",
        }
    }

    /// What a device reports on; it says nothing of its own life.
    pub const fn reported(self) -> Option<device::Facet> {
        match self {
            Self::Config => Some(device::Facet::Config),
            Self::Location => Some(device::Facet::Location),
            Self::Firmware => Some(device::Facet::Firmware),
            Self::Lifecycle => None,
        }
    }
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What every target of a change becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It is configured by this revision of a profile.
    Profile(ProfileName, RevisionNumber),
    /// It follows this revision of a firmware policy.
    FirmwarePolicy(PolicyName, RevisionNumber),
    /// It belongs to this site.
    Move(SiteCode),
    /// It is shut out until it is let in again, for this reason.
    Suspend(String),
    /// It is let in again.
    Resume,
    /// It is shut out for good, for this reason.
    Retire(String),
    /// It gets another certificate.
    RotateCertificate,
    /// It has these labels.
    Relabel(Relabel),
    /// It is there in its site; `None` for no position.
    Place(Option<String>),
    /// It gets a new activation code, and the one it had is void.
    ReissueCodes {
        /// Also if it has claimed, or begun to: it loses its certificate and claims anew, and one whose certificate was revoked gets a
        /// way in again. Else it is left out.
        claimed: bool,
        /// How long the code lasts; `None`: until it is used.
        ttl: Option<Duration>,
    },
}

impl Action {
    /// What of a device it is about. Labels are about two: templates are rendered with them, and firmware policies select by them.
    pub const fn facets(&self) -> &'static [Facet] {
        match self {
            Self::Profile(..) => &[Facet::Config],
            Self::FirmwarePolicy(..) => &[Facet::Firmware],
            Self::Move(_) | Self::Place(_) => &[Facet::Location],
            Self::Relabel(_) => &[Facet::Config, Facet::Firmware],
            Self::Suspend(_)
            | Self::Resume
            | Self::Retire(_)
            | Self::RotateCertificate
            | Self::ReissueCodes { .. } => &[Facet::Lifecycle],
        }
    }

    /// Whether it can be taken back. A certificate or a code that was replaced is gone, and a retired identity never comes back (I9).
    pub const fn is_reversible(&self) -> bool {
        match self {
            Self::Profile(..)
            | Self::FirmwarePolicy(..)
            | Self::Move(_)
            | Self::Relabel(_)
            | Self::Place(_)
            | Self::Suspend(_)
            | Self::Resume => true,
            Self::Retire(_) | Self::RotateCertificate | Self::ReissueCodes { .. } => false,
        }
    }

    /// Whether it gives devices codes, which somebody has to fetch.
    pub const fn gives_codes(&self) -> bool {
        match self {
            Self::ReissueCodes { .. } => true,
            Self::Profile(..)
            | Self::FirmwarePolicy(..)
            | Self::Move(_)
            | Self::Relabel(_)
            | Self::Place(_)
            | Self::Suspend(_)
            | Self::Resume
            | Self::Retire(_)
            | Self::RotateCertificate => false,
        }
    }

    /// Whether it leaves the device alone, since a new code would void the certificate that it has or is about to get, or let it in
    /// again after that was revoked.
    pub fn spares(&self, device: &Device) -> bool {
        let is_revoked = matches!(
            device.lifecycle,
            Lifecycle::Registered {
                credential: Credential::Withdrawn { .. }
            }
        );
        let has_claimed = is_revoked || device.lifecycle.held().next().is_some();
        matches!(self, Self::ReissueCodes { claimed: false, .. }) && has_claimed
    }

    /// Whether a device has to prove it. What is decided here alone is done when it is on record, and so are labels and a position
    /// of which its content says nothing. A claim proves a new code, but it comes when somebody unpacks the device: no deadline
    /// fits, and nobody could print the codes of a stage that waits for claims with the codes of the stage before it.
    pub const fn wants_proof(&self) -> bool {
        match self {
            Self::Profile(..)
            | Self::FirmwarePolicy(..)
            | Self::Move(_)
            | Self::Relabel(_)
            | Self::Place(_)
            | Self::RotateCertificate => true,
            Self::Suspend(_) | Self::Resume | Self::Retire(_) | Self::ReissueCodes { .. } => false,
        }
    }

    /// What of a device it replaces, as it is now: what a rollback brings back.
    pub fn former(&self, device: &Device) -> Former {
        match self {
            Self::Profile(..) => Former::Profile(device.target.profile.clone()),
            Self::FirmwarePolicy(..) => Former::FirmwarePolicy(device.target.firmware_policy.clone()),
            Self::Move(_) => Former::Site(device.site.clone()),
            Self::Relabel(relabel) => relabel.former(&device.labels),
            Self::Place(_) => Former::Position(device.position.clone()),
            Self::Suspend(_) => Former::Admitted,
            Self::Resume => match &device.lifecycle {
                Lifecycle::Suspended { reason, .. } => Former::Suspended(reason.clone()),
                Lifecycle::Registered { .. }
                | Lifecycle::Claimed { .. }
                | Lifecycle::Active { .. }
                | Lifecycle::Retired { .. } => Former::Admitted,
            },
            Self::Retire(_) | Self::RotateCertificate | Self::ReissueCodes { .. } => Former::Gone,
        }
    }

    /// Whether the device is so already.
    pub fn is_done(&self, device: &Device) -> bool {
        let state = device.lifecycle.state();
        match self {
            Self::Profile(name, number) => {
                let has = device.target.profile.as_ref();
                has.is_some_and(|(known, at)| known == name && at == number)
            }
            Self::FirmwarePolicy(name, number) => {
                let has = device.target.firmware_policy.as_ref();
                has.is_some_and(|(known, at)| known == name && at == number)
            }
            Self::Move(site) => device.site.as_ref() == Some(site),
            Self::Relabel(relabel) => relabel.is_done(&device.labels),
            Self::Place(position) => device.position == *position,
            Self::Suspend(_) => state == device::LifecycleState::Suspended,
            Self::Resume => state != device::LifecycleState::Suspended,
            Self::Retire(_) => state == device::LifecycleState::Retired,
            Self::RotateCertificate | Self::ReissueCodes { .. } => false,
        }
    }
}

/// What a change replaced of one device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Former {
    /// Its profile revision.
    Profile(Option<(ProfileName, RevisionNumber)>),
    /// Its firmware policy revision.
    FirmwarePolicy(Option<(PolicyName, RevisionNumber)>),
    /// Its site.
    Site(Option<SiteCode>),
    /// It was let in.
    Admitted,
    /// It was shut out, for this reason.
    Suspended(String),
    /// What does not come back.
    Gone,
    /// Some of its labels; those that it had not are `None`.
    Labels(BTreeMap<String, Option<String>>),
    /// Its position in its site.
    Position(Option<String>),
}

impl Former {
    /// The labels, as far as they were replaced, as they were.
    pub(super) fn give_labels_back(&self, labels: &mut BTreeMap<String, String>) {
        let Self::Labels(former) = self else { return };
        for (key, value) in former {
            match value {
                Some(value) => drop(labels.insert(key.clone(), value.clone())),
                None => drop(labels.remove(key)),
            }
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(name, number) => write!(f, "profile {name} revision {number}"),
            Self::FirmwarePolicy(name, number) => write!(f, "firmware policy {name} revision {number}"),
            Self::Move(site) => write!(f, "move to {site}"),
            Self::Suspend(_) => f.write_str("suspend"),
            Self::Resume => f.write_str("resume"),
            Self::Retire(_) => f.write_str("retire"),
            Self::RotateCertificate => f.write_str("new certificate"),
            Self::Relabel(relabel) => write!(f, "labels {relabel}"),
            Self::Place(Some(position)) => write!(f, "position {position}"),
            Self::Place(None) => f.write_str("no position"),
            Self::ReissueCodes { claimed: false, .. } => f.write_str("new codes"),
            Self::ReissueCodes { claimed: true, .. } => f.write_str("new codes, claimed devices too"),
        }
    }
}
