//! What operations take and give.

mod changes;

pub use changes::{
    Advance, Began, ChangeOrder, IssuedCode, Joining, KeptRules, ListedRow, ListedTarget, PlanPart,
    PlanTotals, TargetCursor, TargetPage, TargetQuery,
};

use muster_domain::{
    Code, Refusal, Timestamp,
    access::Operator,
    activation::Seed,
    audit::Actor,
    batch::{Batch, PartRecord, RetryFile, RowDigest, Slot, UndoBlock},
    catalog::RevisionNumber,
    certificate::{AuthorityId, CertificateField, CertificateRecord, CertificateSerial, RevocationReason},
    claim::{ClaimPermit, Presented},
    device::{ClaimIntent, Device, LifecycleState, Membership, Transition, VerificationState},
    filter::{CheckedFilter, Record},
    ids::{BatchId, DeviceId},
    manifest::{Fresh, Intake, Limits, Problem, RowOutcome, ValidRow},
    names::{GroupName, ModelName, OperatorName, SecretName, Serial, SiteCode},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

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

/// An operator to be registered.
#[derive(Debug, Clone)]
pub struct NewOperator {
    /// Who.
    pub operator: Operator,
    /// Their certificate, signed: its serial is that of [`Operator::certificate`].
    pub certificate: CertificateRecord,
}

/// The next revision of a secret.
pub struct NewSecret {
    /// Which.
    pub name: SecretName,
    /// The number that its value is sealed for.
    pub number: RevisionNumber,
    /// Who.
    pub author: OperatorName,
    /// Why.
    pub message: String,
    /// As [`Secret::is_tame`](muster_domain::catalog::Secret::is_tame).
    pub is_tame: bool,
    /// The value, sealed.
    pub sealed: Vec<u8>,
    /// When.
    pub now: Timestamp,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret")
            .field("name", &self.name)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// A revision of a secret whose value is to be erased.
#[derive(Debug, Clone)]
pub struct SecretRetirement {
    /// Which.
    pub name: SecretName,
    /// Of its revisions.
    pub number: RevisionNumber,
    /// Even where something needs it.
    pub is_forced: bool,
    /// How many devices have it, for the record.
    pub devices: u64,
    /// Who.
    pub actor: Actor,
    /// When.
    pub now: Timestamp,
}

/// Who has a revision of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretUse {
    /// Devices that are not retired and whose profile revision pins it.
    pub devices: u64,
}

/// Rows of a manifest that are committed together.
#[derive(Debug)]
pub struct ImportPart {
    /// The import.
    pub batch: BatchId,
    /// From 0; equals [`Batch::parts`], so that no part is committed twice.
    pub number: u32,
    /// Equals [`Batch::attempt`].
    pub attempt: u32,
    /// Decides about each row.
    pub intake: Arc<Intake>,
    /// What rows may do.
    pub limits: Limits,
    /// The columns as the file calls them, each with the fields it fills: problems that are found here name them.
    pub columns: Arc<[(String, String)]>,
    /// The ids of new devices count up from here.
    pub first: DeviceId,
    /// Valid rows, in the order of the file.
    pub rows: Vec<PartRow>,
    /// Rows whose outcome was known before they came here, refused most of them: each with its place among all rows of the part,
    /// in ascending order.
    pub settled: Vec<(usize, Slot)>,
    /// Write nothing at all when one of its rows is refused.
    pub whole: bool,
    /// The seed of the part behind it.
    pub next_seed: Seed,
    /// Who imports.
    pub actor: Actor,
    /// When.
    pub now: Timestamp,
}

/// A valid row, and what a new device would get.
#[derive(Debug)]
pub struct PartRow {
    /// What it says.
    pub row: ValidRow,
    /// For a new device. Its id counts up from [`ImportPart::first`]; its origin's row is as the first file of the batch counts.
    pub fresh: Fresh,
    /// What is odd about it, for the record.
    pub warnings: Vec<Problem>,
    /// What was planned for it: where that differs now, the row is refused as moved.
    pub expected: Option<RowDigest>,
    /// The certificate of a new device with [`FreshCredential::Certified`](muster_domain::manifest::FreshCredential).
    pub certificate: Option<CertificateRecord>,
    /// A key that the server made, encrypted to its recipient; kept until the results are acknowledged.
    pub key: Option<Vec<u8>>,
}

/// A part as it was committed.
#[derive(Debug)]
pub struct CommittedPart {
    /// As it is now.
    pub batch: Batch,
    /// False when a whole part has a refused row: nothing was written, the part is still due.
    pub written: bool,
    /// One a row of [`ImportPart::rows`].
    pub outcomes: Vec<RowOutcome>,
}

/// What a commit of a part would do.
#[derive(Debug, PartialEq, Eq)]
pub struct PreviewedPart {
    /// One a row of [`ImportPart::rows`].
    pub outcomes: Vec<RowOutcome>,
    /// Of each outcome, for a plan.
    pub digests: Vec<RowDigest>,
}

/// A part on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPart {
    /// Its rows.
    pub record: PartRecord,
    /// What its codes follow from; `None` once the results are acknowledged.
    pub seed: Option<Seed>,
    /// Keys that the server made, encrypted, by row; none once the results are acknowledged.
    pub keys: BTreeMap<u32, Vec<u8>>,
    /// Certificates with which devices were created, DER, by row.
    pub certificates: BTreeMap<u32, Vec<u8>>,
    /// Serials of the devices with these certificates, by row.
    pub serials: BTreeMap<u32, Serial>,
}

/// Mended rows of a batch, sent as another file.
#[derive(Debug, Clone)]
pub struct Retry {
    /// Of which batch.
    pub batch: BatchId,
    /// Chosen by the caller; empty: not repeatable.
    pub request_id: String,
    /// What is sent.
    pub file: RetryFile,
    /// Who.
    pub author: OperatorName,
    /// When.
    pub now: Timestamp,
}

/// The answer to a request to take a batch back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoAnswer {
    /// As it is now.
    pub batch: Batch,
    /// What stands in the way, at most [`UNDO_BLOCK_LIMIT`]; nothing was changed then.
    pub blocks: Vec<UndoBlock>,
    /// All of them.
    pub blocked: u64,
}

/// Most devices named that stand in the way of an undo: nobody reads more.
pub const UNDO_BLOCK_LIMIT: usize = 1000;

/// A claim that arrived.
#[derive(Debug, Clone)]
pub struct ClaimStart {
    /// As given; may be of no device.
    pub serial: String,
    /// The code's hash and the key.
    pub presented: Presented,
    /// What to sign, if this is the first claim with this code.
    pub fresh: ClaimIntent,
    /// Start and end of validity, should the device be a gateway: only the registry knows.
    pub gateway: (Timestamp, Timestamp),
    /// When.
    pub now: Timestamp,
    /// The peer's address, for the audit log and a clone alarm.
    pub source: IpAddr,
}

/// A renewal that arrived, of a device that showed a certificate of its own.
#[derive(Debug, Clone)]
pub struct RenewalStart {
    /// Who asks.
    pub device: DeviceId,
    /// What to sign, if it did not ask for this key before.
    pub fresh: ClaimIntent,
    /// When.
    pub now: Timestamp,
    /// The peer's address, for the audit log.
    pub source: IpAddr,
}

/// Who holds a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The device, which is neither suspended nor retired.
    pub device: DeviceId,
    /// Its hardware kind.
    pub model: ModelName,
    /// Of the certificate.
    pub serial: CertificateSerial,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// It is the one that a renewal gave, and was not seen before.
    pub is_successor: bool,
}

/// How a claim or a renewal goes on.
#[derive(Debug)]
pub enum ClaimBegun {
    /// Sign this; the intent is durable.
    Issue {
        /// What to sign.
        permit: ClaimPermit,
        /// For whom.
        device: Box<Device>,
    },
    /// The same key asked before: this is its certificate.
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

/// What the writer did since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Transactions made durable.
    pub commits: u64,
    /// Commands in them.
    pub commands: u64,
    /// How long that took.
    pub busy: Duration,
}

/// Connected devices that have not confirmed their desired state, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnconfirmedPage {
    /// Each with the generation that it lacks.
    pub devices: Vec<(DeviceId, u64)>,
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

/// How a caller names a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceName {
    /// By the id that the registry assigned.
    Id(DeviceId),
    /// By the manufacturer's serial.
    Serial(String),
}

impl DeviceName {
    /// Nothing is registered under it.
    pub fn missing(&self) -> Refusal {
        let why = match self {
            Self::Id(id) => format!("no device has the id {id}"),
            Self::Serial(serial) => format!("no device has the serial {serial:?}"),
        };
        Refusal::new(Code::NotFound, why)
    }
}

/// What becomes of devices in a static group.
#[derive(Debug, Clone)]
pub struct GroupUpdate {
    /// Which group.
    pub group: GroupName,
    /// What.
    pub membership: Membership,
    /// Of which devices.
    pub devices: Vec<DeviceName>,
    /// Who asks.
    pub actor: Actor,
    /// When.
    pub now: Timestamp,
}

/// What became of one device in a group: as it is now, `None` where it was so already; or why it cannot be.
pub type GroupOutcome = Result<Option<Device>, Refusal>;

/// Operators have looked into a possible clone.
#[derive(Debug, Clone)]
pub struct AlarmChange {
    /// What they found, in their words.
    pub reason: String,
    /// Only if the device has this revision.
    pub expected_revision: Option<u64>,
    /// Who asks.
    pub actor: Actor,
    /// When.
    pub now: Timestamp,
}

/// A certificate is to be accepted no longer.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Which.
    pub serial: CertificateSerial,
    /// Why.
    pub reason: RevocationReason,
    /// More of why, in the operator's words.
    pub comment: String,
    /// Who asks.
    pub actor: Actor,
    /// When.
    pub now: Timestamp,
}

/// What a revocation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// As it is now.
    pub certificate: CertificateRecord,
    /// Devices that lost a certificate by it: their sessions end.
    pub devices: Vec<DeviceId>,
}

/// Which certificates to list.
#[derive(Debug, Clone)]
pub struct CertificateQuery {
    /// Only those that match.
    pub filter: Option<CheckedFilter<CertificateField>>,
    /// Only those behind this one.
    pub after: Option<CertificateSerial>,
    /// Most certificates of the page.
    pub limit: usize,
    /// Most certificates looked at for the page.
    pub scan_limit: usize,
    /// When: it decides what has expired.
    pub now: Timestamp,
}

/// Certificates in the order of their serials: the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePage {
    /// What was found.
    pub certificates: Vec<CertificateRecord>,
    /// Where the next page begins (behind this serial); `None` when all were looked at.
    pub next: Option<CertificateSerial>,
}

/// A certificate with what it can be held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCertificate {
    /// What it stands under.
    pub key: CertificateSerial,
    /// The record.
    pub record: CertificateRecord,
    /// The serial of the device whose it is; `None` of an operator's, and when the device is gone.
    pub device_serial: Option<Serial>,
}

/// One revoked certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListEntry {
    /// Which.
    pub serial: CertificateSerial,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// What a revocation list that is due has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListDraft {
    /// Whose list.
    pub authority: AuthorityId,
    /// Which of them.
    pub shard: u8,
    /// One more than that of the last.
    pub number: u64,
    /// In ascending order.
    pub entries: Vec<ListEntry>,
    /// Certificates that ended before the last list was made: they need not stand on one any more.
    pub over: Vec<CertificateSerial>,
    /// What made it due, as far as that was known.
    pub mark: Option<u64>,
}

/// What is known of a published revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListInfo {
    /// Whose list.
    pub authority: AuthorityId,
    /// Which of them.
    pub shard: u8,
    /// Grows by one with each.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next will be there at the latest.
    pub next_update: Timestamp,
}

/// A published revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedList {
    /// What is known of it.
    pub info: ListInfo,
    /// As it was signed.
    pub der: Vec<u8>,
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
    /// By static group.
    pub groups: BTreeMap<GroupName, u64>,
}

impl Counts {
    /// Devices that are not retired.
    pub fn in_service(&self) -> u64 {
        let retired = self.states.get(&LifecycleState::Retired).copied();
        self.devices.saturating_sub(retired.unwrap_or_default())
    }
}
