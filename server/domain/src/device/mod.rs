//! A device: what it is, where it stands in its life, what it must become, what it says it is.

mod alarm;
mod delivery;
mod explain;
mod groups;
mod hear;
mod lifecycle;
mod presence;
mod record;
mod report;
mod terms;

pub use alarm::CloneAlarm;
pub use delivery::{Delivery, Sending};
pub use explain::{Explanation, Step, StepState, explain};
pub use groups::{GROUPS_LIMIT, Membership};
pub use hear::HelloAnswer;
pub use lifecycle::{
    ClaimIntent, ClaimWindow, Credential, HeldCertificate, Identity, Lifecycle, LifecycleState, PinnedKey,
    Standing, Successor, Transition,
};
pub use presence::{Departure, Presence};
pub use record::{DeviceField, check_filter, lasting_schema, schema};
pub use report::{Facet, FacetState, FacetStatus, Hello, Report, Reported, Verification, VerificationState};
pub use terms::{ClaimTerms, KeyChoice};

use crate::{
    Timestamp,
    desired::Target,
    ids::{BatchId, DeviceId},
    mac::Mac,
    names::{GroupName, ModelName, Serial, SiteCode},
};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where a device came from: file and row, for the auditor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The import that created it.
    pub batch: BatchId,
    /// Its row, as the file counts: the header is row 1.
    pub row: u32,
}

/// A registered device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Assigned by the registry, for ever.
    pub id: DeviceId,
    /// Unique in the registry.
    pub serial: Serial,
    /// Unique in the registry.
    pub mac: Option<Mac>,
    /// Its hardware kind.
    pub model: ModelName,
    /// Its hardware revision, such as `B0`.
    pub hardware: Option<String>,
    /// The firmware it left the factory with.
    pub factory_firmware: Option<Version>,
    /// The site it belongs to.
    pub site: Option<SiteCode>,
    /// Where in the site, such as `Hall 1`.
    pub position: Option<String>,
    /// For grouping and filters.
    pub labels: BTreeMap<String, String>,
    /// Values for its profile.
    pub variables: BTreeMap<String, String>,
    /// Cells of its row that no field has a place for, by column: kept for the auditor, and given back.
    pub kept: BTreeMap<String, String>,
    /// File and row.
    pub origin: Origin,
    /// When it was registered.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Grows with every change; the etag.
    pub revision: u64,
    /// Where it stands in its life.
    pub lifecycle: Lifecycle,
    /// What it must become.
    pub target: Target,
    /// What it last said.
    pub reported: Option<Reported>,
    /// The two compared.
    pub verification: Verification,
    /// Somebody else may have its activation code or a copy of it; until an operator has looked into it.
    pub alarm: Option<CloneAlarm>,
    /// An operator wants its certificate renewed from then on, however much of its life is left.
    pub renew_from: Option<Timestamp>,
    /// The version of the trusted roots that it says it has; 0 for those that it was made with.
    pub trust: u64,
    /// The static groups that operators added it to; at most [`GROUPS_LIMIT`].
    pub groups: BTreeSet<GroupName>,
    /// Is it connected; `None` for one that never was. Kept apart from the record: it changes with each connection, and is
    /// only there on devices that were loaded to be looked at.
    #[serde(skip)]
    pub presence: Option<Presence>,
}

impl Device {
    /// The resource name.
    pub fn name(&self) -> String {
        format!("devices/{}", self.id)
    }

    /// Is it connected, as far as that was loaded?
    pub fn is_online(&self) -> bool {
        self.presence.is_some_and(|presence| presence.is_online())
    }

    /// The same device after a change at `now`.
    #[must_use]
    pub fn touched(mut self, now: Timestamp) -> Self {
        self.revision += 1;
        self.updated = now;
        self
    }
}
