//! What a device says of itself.

use super::Digest;
use serde::{Deserialize, Serialize};

/// Up on `muster/v1/<id>/hello`, first thing on each connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The generation it has; 0 for none.
    pub generation: u64,
    /// The digest of that generation; zeros for none.
    pub digest: Digest,
    /// The agent's version.
    pub agent_version: String,
    /// The firmware it runs, a semantic version, if it knows.
    pub firmware: Option<String>,
    /// Random, new at each boot.
    pub boot_id: u64,
}

/// Up on `muster/v1/<id>/report`, after applying, and when something changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Must be the id of the connection's certificate: a report is about its sender.
    pub device_id: String,
    /// The generation it speaks of.
    pub generation: u64,
    /// The digest of that generation.
    pub digest: Digest,
    /// Facet by facet.
    pub facets: Vec<FacetStatus>,
    /// The firmware it runs, a semantic version, if it knows.
    pub firmware: Option<String>,
}

/// A part of the desired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facet {
    /// Configuration files.
    Config,
    /// Site and position.
    Location,
    /// The firmware policy.
    Firmware,
}

/// How a facet went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FacetState {
    /// As desired, read back and compared.
    Applied,
    /// Could not be applied; the device runs what it had.
    Failed {
        /// Why.
        reason: String,
    },
    /// Was as desired, and no longer is.
    Drifted {
        /// How.
        reason: String,
    },
    /// Not yet: an install window, a rollout.
    Waiting {
        /// For what.
        reason: String,
    },
}

/// One facet of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FacetStatus {
    /// Which.
    pub facet: Facet,
    /// How it went.
    pub state: FacetState,
}
