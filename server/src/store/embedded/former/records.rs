//! Records as older programs wrote them, and what they mean now. Never changed.

use muster_domain::{
    Timestamp,
    access::{Operator, Role},
    activation::{CodeHash, Seed},
    batch::{Batch, BatchSpec, BatchState, Tally},
    certificate::{
        CertificateHolder, CertificateProfile, CertificateRecord, CertificateSerial, CertificateState,
        RevocationReason, SpkiDigest,
    },
    desired::Target,
    device::{
        ClaimIntent, ClaimWindow, CloneAlarm, Credential, Device, Identity, Lifecycle, Origin, PinnedKey,
        Reported, Standing, Verification,
    },
    ids::{BatchId, DeviceId},
    mac::Mac,
    names::{ModelName, OperatorName, Serial, SiteCode},
};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Every device had earned its identity with a code, and kept no columns.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store::embedded) struct DeviceV1 {
    id: DeviceId,
    serial: Serial,
    mac: Option<Mac>,
    model: ModelName,
    hardware: Option<String>,
    factory_firmware: Option<Version>,
    site: Option<SiteCode>,
    position: Option<String>,
    labels: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    origin: Origin,
    created: Timestamp,
    updated: Timestamp,
    revision: u64,
    lifecycle: LifecycleV1,
    target: Target,
    reported: Option<Reported>,
    verification: Verification,
}

#[derive(Debug, Serialize, Deserialize)]
struct IdentityV1 {
    certificate: CertificateSerial,
    spki: SpkiDigest,
    not_after: Timestamp,
    spent: CodeHash,
}

#[derive(Debug, Serialize, Deserialize)]
enum StandingV1 {
    Claimed(IdentityV1),
    Active(IdentityV1),
    /// The first variant of a credential is what it was.
    Registered(CredentialV2),
}

#[derive(Debug, Serialize, Deserialize)]
enum LifecycleV1 {
    Registered {
        credential: CredentialV2,
    },
    Claimed {
        identity: IdentityV1,
    },
    Active {
        identity: IdentityV1,
    },
    Suspended {
        since: Timestamp,
        reason: String,
        was: StandingV1,
    },
    Retired {
        since: Timestamp,
        reason: String,
        last: Option<CertificateSerial>,
    },
}

impl From<IdentityV1> for Identity {
    fn from(former: IdentityV1) -> Self {
        Self {
            certificate: former.certificate,
            spki: former.spki,
            not_after: former.not_after,
            spent: Some(former.spent),
            source: None,
            successor: None,
        }
    }
}

impl From<LifecycleV1> for Lifecycle {
    fn from(former: LifecycleV1) -> Self {
        match former {
            LifecycleV1::Registered { credential } => Self::Registered {
                credential: credential.into(),
            },
            LifecycleV1::Claimed { identity } => Self::Claimed {
                identity: identity.into(),
            },
            LifecycleV1::Active { identity } => Self::Active {
                identity: identity.into(),
            },
            LifecycleV1::Suspended { since, reason, was } => Self::Suspended {
                since,
                reason,
                was: match was {
                    StandingV1::Claimed(identity) => Standing::Claimed(identity.into()),
                    StandingV1::Active(identity) => Standing::Active(identity.into()),
                    StandingV1::Registered(credential) => Standing::Registered(credential.into()),
                },
            },
            LifecycleV1::Retired { since, reason, last } => Self::Retired { since, reason, last },
        }
    }
}

impl From<DeviceV1> for Device {
    fn from(former: DeviceV1) -> Self {
        Self {
            id: former.id,
            serial: former.serial,
            mac: former.mac,
            model: former.model,
            hardware: former.hardware,
            factory_firmware: former.factory_firmware,
            site: former.site,
            position: former.position,
            labels: former.labels,
            variables: former.variables,
            kept: BTreeMap::new(),
            origin: former.origin,
            created: former.created,
            updated: former.updated,
            revision: former.revision,
            lifecycle: former.lifecycle.into(),
            target: former.target,
            reported: former.reported,
            verification: former.verification,
            alarm: None,
            renew_from: None,
            trust: 0,
            groups: BTreeSet::new(),
            presence: None,
        }
    }
}

/// A certificate of a device had one form and one authority to sign it.
#[derive(Debug, Serialize, Deserialize)]
struct ClaimIntentV2 {
    spki: SpkiDigest,
    certificate: CertificateSerial,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A code could end, and began at once.
#[derive(Debug, Serialize, Deserialize)]
enum CredentialV2 {
    Code {
        hash: CodeHash,
        expires: Option<Timestamp>,
        intent: Option<ClaimIntentV2>,
    },
    Pinned {
        key: PinnedKey,
        intent: Option<ClaimIntentV2>,
    },
}

impl From<ClaimIntentV2> for ClaimIntent {
    fn from(former: ClaimIntentV2) -> Self {
        Self {
            spki: former.spki,
            certificate: former.certificate,
            profile: CertificateProfile::Device,
            issuer: None,
            not_before: former.not_before,
            not_after: former.not_after,
            source: None,
        }
    }
}

impl From<CredentialV2> for Credential {
    fn from(former: CredentialV2) -> Self {
        match former {
            CredentialV2::Code {
                hash,
                expires,
                intent,
            } => Self::Code {
                hash,
                window: ClaimWindow::until(expires),
                bound: None,
                intent: intent.map(Into::into),
            },
            CredentialV2::Pinned { key, intent } => Self::Pinned {
                key,
                window: ClaimWindow::ALWAYS,
                intent: intent.map(Into::into),
            },
        }
    }
}

/// No certificate was ever renewed.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store::embedded) struct DeviceV2 {
    id: DeviceId,
    serial: Serial,
    mac: Option<Mac>,
    model: ModelName,
    hardware: Option<String>,
    factory_firmware: Option<Version>,
    site: Option<SiteCode>,
    position: Option<String>,
    labels: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    kept: BTreeMap<String, String>,
    origin: Origin,
    created: Timestamp,
    updated: Timestamp,
    revision: u64,
    lifecycle: LifecycleV2,
    target: Target,
    reported: Option<Reported>,
    verification: Verification,
}

#[derive(Debug, Serialize, Deserialize)]
struct IdentityV2 {
    certificate: CertificateSerial,
    spki: SpkiDigest,
    not_after: Timestamp,
    spent: Option<CodeHash>,
}

#[derive(Debug, Serialize, Deserialize)]
enum StandingV2 {
    Claimed(IdentityV2),
    Active(IdentityV2),
    Registered(CredentialV2),
}

#[derive(Debug, Serialize, Deserialize)]
enum LifecycleV2 {
    Registered {
        credential: CredentialV2,
    },
    Claimed {
        identity: IdentityV2,
    },
    Active {
        identity: IdentityV2,
    },
    Suspended {
        since: Timestamp,
        reason: String,
        was: StandingV2,
    },
    Retired {
        since: Timestamp,
        reason: String,
        last: Option<CertificateSerial>,
    },
}

impl From<IdentityV2> for Identity {
    fn from(former: IdentityV2) -> Self {
        Self {
            certificate: former.certificate,
            spki: former.spki,
            not_after: former.not_after,
            spent: former.spent,
            source: None,
            successor: None,
        }
    }
}

impl From<LifecycleV2> for Lifecycle {
    fn from(former: LifecycleV2) -> Self {
        match former {
            LifecycleV2::Registered { credential } => Self::Registered {
                credential: credential.into(),
            },
            LifecycleV2::Claimed { identity } => Self::Claimed {
                identity: identity.into(),
            },
            LifecycleV2::Active { identity } => Self::Active {
                identity: identity.into(),
            },
            LifecycleV2::Suspended { since, reason, was } => Self::Suspended {
                since,
                reason,
                was: match was {
                    StandingV2::Claimed(identity) => Standing::Claimed(identity.into()),
                    StandingV2::Active(identity) => Standing::Active(identity.into()),
                    StandingV2::Registered(credential) => Standing::Registered(credential.into()),
                },
            },
            LifecycleV2::Retired { since, reason, last } => Self::Retired { since, reason, last },
        }
    }
}

impl From<DeviceV2> for Device {
    fn from(former: DeviceV2) -> Self {
        Self {
            id: former.id,
            serial: former.serial,
            mac: former.mac,
            model: former.model,
            hardware: former.hardware,
            factory_firmware: former.factory_firmware,
            site: former.site,
            position: former.position,
            labels: former.labels,
            variables: former.variables,
            kept: former.kept,
            origin: former.origin,
            created: former.created,
            updated: former.updated,
            revision: former.revision,
            lifecycle: former.lifecycle.into(),
            target: former.target,
            reported: former.reported,
            verification: former.verification,
            alarm: None,
            renew_from: None,
            trust: 0,
            groups: BTreeSet::new(),
            presence: None,
        }
    }
}

/// No device had said which roots it trusts.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store::embedded) struct DeviceV3 {
    id: DeviceId,
    serial: Serial,
    mac: Option<Mac>,
    model: ModelName,
    hardware: Option<String>,
    factory_firmware: Option<Version>,
    site: Option<SiteCode>,
    position: Option<String>,
    labels: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    kept: BTreeMap<String, String>,
    origin: Origin,
    created: Timestamp,
    updated: Timestamp,
    revision: u64,
    lifecycle: Lifecycle,
    target: Target,
    reported: Option<Reported>,
    verification: Verification,
    alarm: Option<CloneAlarm>,
    renew_from: Option<Timestamp>,
}

impl From<DeviceV3> for Device {
    fn from(former: DeviceV3) -> Self {
        Self {
            id: former.id,
            serial: former.serial,
            mac: former.mac,
            model: former.model,
            hardware: former.hardware,
            factory_firmware: former.factory_firmware,
            site: former.site,
            position: former.position,
            labels: former.labels,
            variables: former.variables,
            kept: former.kept,
            origin: former.origin,
            created: former.created,
            updated: former.updated,
            revision: former.revision,
            lifecycle: former.lifecycle,
            target: former.target,
            reported: former.reported,
            verification: former.verification,
            alarm: former.alarm,
            renew_from: former.renew_from,
            trust: 0,
            groups: BTreeSet::new(),
            presence: None,
        }
    }
}

/// No device was in a group.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store::embedded) struct DeviceV4 {
    id: DeviceId,
    serial: Serial,
    mac: Option<Mac>,
    model: ModelName,
    hardware: Option<String>,
    factory_firmware: Option<Version>,
    site: Option<SiteCode>,
    position: Option<String>,
    labels: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    kept: BTreeMap<String, String>,
    origin: Origin,
    created: Timestamp,
    updated: Timestamp,
    revision: u64,
    lifecycle: Lifecycle,
    target: Target,
    reported: Option<Reported>,
    verification: Verification,
    alarm: Option<CloneAlarm>,
    renew_from: Option<Timestamp>,
    trust: u64,
}

impl From<DeviceV4> for Device {
    fn from(former: DeviceV4) -> Self {
        Self {
            id: former.id,
            serial: former.serial,
            mac: former.mac,
            model: former.model,
            hardware: former.hardware,
            factory_firmware: former.factory_firmware,
            site: former.site,
            position: former.position,
            labels: former.labels,
            variables: former.variables,
            kept: former.kept,
            origin: former.origin,
            created: former.created,
            updated: former.updated,
            revision: former.revision,
            lifecycle: former.lifecycle,
            target: former.target,
            reported: former.reported,
            verification: former.verification,
            alarm: former.alarm,
            renew_from: former.renew_from,
            trust: former.trust,
            groups: BTreeSet::new(),
            presence: None,
        }
    }
}

/// Only devices had certificates on record, and a revocation had no reason.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store::embedded) struct CertificateV1 {
    serial: CertificateSerial,
    device: DeviceId,
    spki: SpkiDigest,
    not_before: Timestamp,
    not_after: Timestamp,
    state: CertificateStateV1,
    der: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
enum CertificateStateV1 {
    Intended,
    Current,
    Revoked(Timestamp),
}

impl From<CertificateV1> for CertificateRecord {
    fn from(former: CertificateV1) -> Self {
        Self {
            serial: former.serial,
            holder: CertificateHolder::Device(former.device),
            profile: CertificateProfile::Device,
            issuer: None,
            spki: former.spki,
            not_before: former.not_before,
            not_after: former.not_after,
            state: match former.state {
                CertificateStateV1::Intended => CertificateState::Intended,
                CertificateStateV1::Current => CertificateState::Current,
                CertificateStateV1::Revoked(at) => CertificateState::Revoked {
                    at,
                    reason: RevocationReason::Unspecified,
                },
            },
            der: former.der,
        }
    }
}

/// Certificates of operators were not on record.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store::embedded) struct OperatorV1 {
    name: OperatorName,
    role: Role,
    key: SpkiDigest,
    enabled: bool,
}

impl From<OperatorV1> for Operator {
    fn from(former: OperatorV1) -> Self {
        Self {
            name: former.name,
            role: former.role,
            key: former.key,
            enabled: former.enabled,
            certificate: None,
        }
    }
}

/// A batch lived as long as the call that sent it, and kept nothing of its rows.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store::embedded) struct BatchV1 {
    id: BatchId,
    file_name: String,
    file_sha256: [u8; 32],
    file_bytes: u64,
    author: OperatorName,
    created: Timestamp,
    state: BatchStateV1,
    tally: Tally,
    parts: u32,
}

#[derive(Debug, Serialize, Deserialize)]
enum BatchStateV1 {
    Applying,
    Done(Timestamp),
}

impl From<BatchV1> for Batch {
    fn from(former: BatchV1) -> Self {
        let spec = BatchSpec {
            file_name: former.file_name,
            ..BatchSpec::default()
        };
        // No part of it was ever made from a seed, and none will be.
        let seed = Seed::from_bytes([0; 16]);
        let (state, changed) = match former.state {
            // It was cut, and its file is not here: what was applied stays, the file can be sent again.
            BatchStateV1::Applying => (BatchState::Cancelled(former.created), former.created),
            BatchStateV1::Done(at) => (BatchState::Done(at), at),
        };
        Self {
            state,
            changed,
            received: former.file_bytes,
            file_bytes: former.file_bytes,
            file_sha256: Some(former.file_sha256),
            rows: former.tally.rows(),
            tally: former.tally,
            parts: former.parts,
            acknowledged: former.parts,
            unrecorded: former.parts,
            ..Self::new(
                former.id,
                String::new(),
                spec,
                former.author,
                seed,
                former.created,
            )
        }
    }
}
