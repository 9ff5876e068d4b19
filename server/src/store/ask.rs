//! What operations take and give.

use muster_domain::{
    Refusal, Timestamp,
    audit::Actor,
    certificate::CertificateRecord,
    claim::{ClaimPermit, Presented},
    device::{ClaimIntent, Device, LifecycleState, Transition, VerificationState},
    filter::{CheckedFilter, Record},
    ids::{BatchId, DeviceId},
    manifest::{Fresh, Intake, ValidRow},
    names::{ModelName, SiteCode},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// What the registry knows of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryInfo {
    /// As its makers call it.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The format of the store; [`FORMAT`](super::FORMAT) when it is made now.
    pub format: u32,
}

/// Rows of a manifest that are committed together.
#[derive(Debug)]
pub struct ImportPart {
    /// The import.
    pub batch: BatchId,
    /// From 0; equals [`Batch::parts`](muster_domain::batch::Batch), so that no part is committed twice.
    pub number: u32,
    /// Decides about each row.
    pub intake: Arc<Intake>,
    /// Valid rows, each with what a new device would get.
    pub rows: Vec<(ValidRow, Fresh)>,
    /// Rows that were refused before they came here, for the batch's tally.
    pub refused: u64,
    /// Write nothing at all when one of its rows is refused.
    pub whole: bool,
    /// Who imports.
    pub actor: Actor,
    /// When.
    pub now: Timestamp,
}

/// A claim that arrived.
#[derive(Debug, Clone)]
pub struct ClaimStart {
    /// As given; may be of no device.
    pub serial: String,
    /// The code's hash and the key.
    pub presented: Presented,
    /// What to sign, if this is the first claim with this code.
    pub fresh: ClaimIntent,
    /// When.
    pub now: Timestamp,
    /// The peer's address, for the audit log.
    pub source: String,
}

/// How a claim goes on.
#[derive(Debug)]
pub enum ClaimBegun {
    /// Sign this; the intent is durable.
    Issue {
        /// What to sign.
        permit: ClaimPermit,
        /// For whom.
        device: Box<Device>,
    },
    /// The same key claimed before: this is its certificate.
    Repeat {
        /// Whose.
        device: Box<Device>,
        /// As recorded.
        certificate: CertificateRecord,
    },
    /// No.
    Refused(Refusal),
}

/// A claim that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedClaim {
    /// As it is now.
    pub device: Device,
    /// The certificate on record: of two that raced, the first.
    pub certificate: CertificateRecord,
}

/// Which devices to list.
#[derive(Debug, Clone)]
pub struct DeviceQuery {
    /// Only those that match.
    pub filter: Option<CheckedFilter<<Device as Record>::Field>>,
    /// Only those behind this one.
    pub after: Option<DeviceId>,
    /// Most devices of the page.
    pub limit: usize,
    /// Most devices looked at for the page.
    pub scan_limit: usize,
}

/// Devices in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePage {
    /// What was found.
    pub devices: Vec<Device>,
    /// Where the next page begins (behind this id); `None` when all were looked at.
    pub next: Option<DeviceId>,
}

/// A step in the life of a device, as an operator asks for it.
#[derive(Debug, Clone)]
pub struct DeviceChange {
    /// Which. `Intend`, `Certify` and `Activate` belong to claims and reports and are refused here.
    pub transition: Transition,
    /// Only if the device has this revision.
    pub expected_revision: Option<u64>,
    /// Who asks.
    pub actor: Actor,
    /// When.
    pub now: Timestamp,
}

/// How many devices there are, by what they are. Kinds without a device have no entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// All, retired ones included.
    pub devices: u64,
    /// By standing.
    pub states: BTreeMap<LifecycleState, u64>,
    /// By verdict.
    pub verifications: BTreeMap<VerificationState, u64>,
    /// By hardware kind.
    pub models: BTreeMap<ModelName, u64>,
    /// By site.
    pub sites: BTreeMap<SiteCode, u64>,
}
