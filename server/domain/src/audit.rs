//! The audit log: numbered entries, each with its RFC 9162 leaf hash.
//!
//! An entry is kept as the exact JSON text that was hashed, so that anyone can check it with a JSON reader and
//! SHA-256, and a Merkle tree of proofs can stand on the leaves.

use crate::{Timestamp, names::OperatorName};
use core::{fmt, str::FromStr};
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer as _, value::StrDeserializer},
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The server itself.
    System,
    /// An operator, by name.
    Operator(OperatorName),
    /// A device, or what says it is one, from this address.
    Device {
        /// Its id, where known; else the serial it gave.
        name: String,
        /// The peer's address.
        source: String,
    },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Operator(name) => write!(f, "operators/{name}"),
            Self::Device { name, .. } => write!(f, "devices/{name}"),
        }
    }
}

/// What happened. The names are part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The registry was made.
    RegistryCreated,
    /// A catalog resource was created or changed.
    CatalogApplied,
    /// A secret got another revision.
    SecretPut,
    /// The value of a revision was erased.
    SecretRetired,
    /// An import started.
    BatchStarted,
    /// Rows of an import were committed.
    BatchPartCommitted,
    /// An import ended.
    BatchFinished,
    /// An import was checked, and what it would do was written down.
    BatchPlanned,
    /// An import began to change the registry.
    BatchApplied,
    /// An import was stopped.
    BatchCancelled,
    /// An import was refused as a whole.
    BatchFailed,
    /// Mended rows of an import were sent again.
    BatchRetried,
    /// The results of an import were kept by the caller: its codes and keys are erased.
    ResultsAcknowledged,
    /// An import is being taken back.
    BatchUndoStarted,
    /// Something stood in the way of an undo after all.
    BatchUndoAbandoned,
    /// An import was taken back.
    BatchUndone,
    /// A certificate was intended: the code is bound to the key.
    ClaimStarted,
    /// The certificate was recorded, then handed out.
    ClaimFinished,
    /// A right code came with another key: possibly a clone.
    CloneSuspected,
    /// A first report was verified.
    DeviceActivated,
    /// A device must become another content, since what its revisions are rendered with changed.
    DeviceRetargeted,
    /// An operator added a device to a group.
    GroupJoined,
    /// An operator removed a device from a group.
    GroupLeft,
    /// A device was suspended.
    DeviceSuspended,
    /// A device was resumed.
    DeviceResumed,
    /// A device was retired.
    DeviceRetired,
    /// A device got a new activation code; the identity that it had is void.
    CodeReissued,
    /// An operator was created.
    OperatorCreated,
    /// An operator was disabled.
    OperatorDisabled,
    /// A device that has not claimed may do so in another window.
    ClaimArmed,
    /// Operators have looked into a possible clone.
    CloneAlarmCleared,
    /// Another certificate for a device was intended.
    RenewalStarted,
    /// It was recorded, then handed out.
    RenewalFinished,
    /// The device came with it; the former one is void.
    RenewalSeen,
    /// An operator wants the certificate of a device renewed.
    RenewalOrdered,
    /// A certificate was revoked.
    CertificateRevoked,
    /// A change of many devices was described.
    ChangeCreated,
    /// All its targets were listed, under a hash.
    ChangePlanned,
    /// Somebody stands for the plan.
    ChangeApproved,
    /// It began.
    ChangeStarted,
    /// Nothing more was begun.
    ChangePaused,
    /// It went on.
    ChangeResumed,
    /// Failed and silent targets were to be tried again.
    ChangeRetried,
    /// A stage passed, and the next one was opened.
    ChangeStageOpened,
    /// Its thresholds stopped it.
    ChangeHalted,
    /// Its last stage passed.
    ChangeFinished,
    /// Devices were to be given back what they had.
    ChangeRollbackStarted,
    /// All that it touched was to be what it was.
    ChangeRolledBack,
    /// Somebody ended it.
    ChangeAborted,
    /// A device has other labels or another position, of which its content says nothing.
    DeviceUpdated,
    /// A device that matched a change only since it was planned joined it.
    ChangeJoined,
    /// Somebody was shown the codes that a change gave out.
    CodesShown,
    /// The codes that a change gave out were kept by the caller, or by nobody in time: they are erased.
    CodesAcknowledged,
    /// An admin replaced the rules that say which changes need approvals.
    ApprovalRulesUpdated,
    /// Somebody who stood for a plan was shut out before it was started: that counts no more.
    ChangeApprovalVoided,
}

/// Reads the written name.
impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(name: &str) -> Result<Self, UnknownAction> {
        let name: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
        Self::deserialize(name).map_err(|_| UnknownAction)
    }
}

/// A text that names no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownAction;

impl fmt::Display for UnknownAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is the name of no action")
    }
}

/// An event before it has its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// Resource name of what it happened to, such as `devices/...`.
    pub subject: String,
    /// Further facts; never a secret.
    pub detail: BTreeMap<String, String>,
}

/// An event as it is written, but for its place in the log: made before the one transaction that knows that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft(String);

#[derive(Serialize)]
struct Leaf<'a> {
    at_millis: u64,
    actor: &'a Actor,
    action: Action,
    subject: &'a str,
    detail: &'a BTreeMap<String, String>,
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Contiguous from 0 (I5).
    pub index: u64,
    /// The JSON text that was hashed.
    pub leaf: String,
    /// SHA-256 of 0x00 and the leaf (RFC 9162, 2.1.1).
    pub hash: [u8; 32],
}

impl Event {
    /// A fresh event without details.
    pub fn new(at: Timestamp, actor: Actor, action: Action, subject: impl Into<String>) -> Self {
        Self {
            at,
            actor,
            action,
            subject: subject.into(),
            detail: BTreeMap::new(),
        }
    }

    /// The same event with one more fact.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.detail.insert(key.to_owned(), value.to_string());
        self
    }

    /// The event in its place in the log.
    pub fn entry(&self, index: u64) -> Entry {
        self.draft().entry(index)
    }

    /// The event as it is written.
    pub fn draft(&self) -> Draft {
        let leaf = Leaf {
            at_millis: self.at.millis(),
            actor: &self.actor,
            action: self.action,
            subject: &self.subject,
            detail: &self.detail,
        };
        #[expect(
            clippy::expect_used,
            reason = "strings, numbers and string maps always serialise"
        )]
        let leaf = serde_json::to_string(&leaf).expect("plain data");
        Draft(leaf)
    }
}

impl Draft {
    /// The event in its place in the log, which comes first in the text.
    pub fn entry(&self, index: u64) -> Entry {
        let members = self.0.strip_prefix('{').unwrap_or(&self.0);
        let leaf = format!("{{\"index\":{index},{members}");
        Entry {
            index,
            hash: leaf_hash(&leaf),
            leaf,
        }
    }
}

#[derive(Deserialize)]
struct Kind {
    action: String,
}

impl Entry {
    /// The name of what happened, which a newer program may have written; `None` when the leaf is no entry.
    pub fn kind(&self) -> Option<String> {
        let kind: Kind = serde_json::from_str(&self.leaf).ok()?;
        Some(kind.action)
    }
}

/// RFC 9162, 2.1.1: the hash of a leaf has a prefix of its own, so that no leaf passes for a node.
pub fn leaf_hash(leaf: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update([0])
        .chain_update(leaf)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_json_with_its_place_and_a_leaf_hash() {
        let event = Event::new(
            Timestamp::from_seconds(1),
            Actor::System,
            Action::RegistryCreated,
            "registry",
        )
        .with("version", 1);
        let entry = event.entry(7);
        assert_eq!(
            entry.leaf,
            r#"{"index":7,"at_millis":1000,"actor":"system","action":"registry_created","subject":"registry","detail":{"version":"1"}}"#
        );
        assert_eq!(entry.hash, leaf_hash(&entry.leaf));
        assert_eq!(entry.kind().as_deref(), Some("registry_created"));
        // SHA-256 of a single zero byte: the hash of an empty leaf (RFC 9162).
        assert_eq!(leaf_hash("")[..4], [0x6e, 0x34, 0x0b, 0x9c]);
    }

    #[test]
    fn an_action_is_read_as_it_is_written() {
        for action in [Action::RegistryCreated, Action::CertificateRevoked] {
            let written = serde_json::to_value(action).unwrap();
            assert_eq!(written.as_str().unwrap().parse(), Ok(action));
        }
        for other in ["", "Registry_created", "registry_created ", "#"] {
            assert_eq!(other.parse::<Action>(), Err(UnknownAction));
        }
    }
}
