//! What a device says of itself, and what the registry makes of it.

use crate::Timestamp;
use core::fmt;
use semver::Version;
use serde::{Deserialize, Serialize};

/// A part of the desired state that is applied and proven on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Facet {
    /// Rendered configuration files.
    Config,
    /// Site and position.
    Location,
    /// The firmware policy.
    Firmware,
}

impl Facet {
    /// The written name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Location => "location",
            Self::Firmware => "firmware",
        }
    }
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a facet went on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FacetState {
    /// As desired, read back and compared.
    Applied,
    /// Could not be applied; the device runs what it had.
    Failed(String),
    /// Was as desired, and no longer is.
    Drifted(String),
    /// Not yet, with the reason (an install window, a rollout).
    Waiting(String),
}

/// One facet of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacetStatus {
    /// Which.
    pub facet: Facet,
    /// How it went.
    pub state: FacetState,
}

/// What a device says when it connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The generation it has; 0 for none.
    pub generation: u64,
    /// Digest of that generation's content; zeros for none.
    pub digest: [u8; 32],
    /// The agent's version.
    pub agent_version: String,
    /// The firmware it runs, if it knows.
    pub firmware: Option<Version>,
    /// Random, new at each boot.
    pub boot_id: u64,
}

/// What a device says after it applied a desired state, or noticed a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The generation it speaks of.
    pub generation: u64,
    /// Digest of the content that it applied.
    pub digest: [u8; 32],
    /// Facet by facet.
    pub facets: Vec<FacetStatus>,
    /// The firmware it runs, if it knows.
    pub firmware: Option<Version>,
}

/// The last word of a device, kept on its record. Device-asserted: a device can lie about itself (B3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// When it reached us.
    pub at: Timestamp,
    /// The generation it has.
    pub generation: u64,
    /// The agent's version.
    pub agent_version: String,
    /// The firmware it runs.
    pub firmware: Option<Version>,
    /// Its boot.
    pub boot_id: u64,
    /// Facet by facet, from its last report.
    pub facets: Vec<FacetStatus>,
}

/// The verdict: desired and reported, compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verification {
    /// No report on the current generation yet.
    Pending,
    /// Every facet of the current generation is applied.
    Verified {
        /// Since when.
        at: Timestamp,
    },
    /// A facet failed.
    Failed {
        /// Which.
        facet: Facet,
        /// Why, in the device's words.
        reason: String,
    },
    /// A facet changed on the device after it was verified.
    Drifted {
        /// Which.
        facet: Facet,
        /// How, in the device's words.
        reason: String,
    },
    /// Nothing heard for too long.
    Stale {
        /// Since when.
        since: Timestamp,
    },
}

/// The bare name of a verification state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VerificationState {
    /// See [`Verification::Pending`].
    Pending,
    /// See [`Verification::Verified`].
    Verified,
    /// See [`Verification::Failed`].
    Failed,
    /// See [`Verification::Drifted`].
    Drifted,
    /// See [`Verification::Stale`].
    Stale,
}

impl VerificationState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Verified,
        Self::Failed,
        Self::Drifted,
        Self::Stale,
    ];

    /// As in filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Verified => "VERIFIED",
            Self::Failed => "FAILED",
            Self::Drifted => "DRIFTED",
            Self::Stale => "STALE",
        }
    }
}

impl fmt::Display for VerificationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Verification {
    /// The bare name.
    pub const fn state(&self) -> VerificationState {
        match self {
            Self::Pending => VerificationState::Pending,
            Self::Verified { .. } => VerificationState::Verified,
            Self::Failed { .. } => VerificationState::Failed,
            Self::Drifted { .. } => VerificationState::Drifted,
            Self::Stale { .. } => VerificationState::Stale,
        }
    }
}
