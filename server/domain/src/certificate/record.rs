//! The record of one certificate.

use super::{AuthorityId, CertificateSerial, RevocationReason, SpkiDigest};
use crate::{Timestamp, device::ClaimIntent, ids::DeviceId, names::OperatorName};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Whose a certificate is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertificateHolder {
    /// A device's.
    Device(DeviceId),
    /// A person's or machine's that operates the registry.
    Operator(OperatorName),
}

impl CertificateHolder {
    /// The device, if it is one.
    pub const fn device(&self) -> Option<DeviceId> {
        match self {
            Self::Device(id) => Some(*id),
            Self::Operator(_) => None,
        }
    }
}

impl fmt::Display for CertificateHolder {
    /// The resource name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id) => write!(f, "devices/{id}"),
            Self::Operator(name) => write!(f, "operators/{name}"),
        }
    }
}

/// The form that a certificate was made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CertificateProfile {
    /// A device's own.
    Device,
    /// A device's that speaks for others.
    Gateway,
    /// A person's, for gRPC.
    Operator,
    /// A manufacturing line's.
    Line,
    /// A machine's that listens to the fleet.
    Integrator,
    /// The registry's own, for TLS.
    Server,
}

impl CertificateProfile {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Device,
        Self::Gateway,
        Self::Operator,
        Self::Line,
        Self::Integrator,
        Self::Server,
    ];

    /// As people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
            Self::Line => "line",
            Self::Integrator => "integrator",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for CertificateProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertificateState {
    /// Recorded before signing: a crash here is finished by the repetition of what asked for it.
    Intended,
    /// Signed, recorded, handed out.
    Current,
    /// No longer accepted.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
}

/// The record of one certificate. Stored before it is signed (I1) and again with its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// Unique (I2).
    pub serial: CertificateSerial,
    /// Whose.
    pub holder: CertificateHolder,
    /// The form that it was made by.
    pub profile: CertificateProfile,
    /// Which authority of ours signed it, or will; `None` where its maker pinned one of another authority, and of records
    /// that are older than this field. Only what has an issuer stands on revocation lists.
    pub issuer: Option<AuthorityId>,
    /// The certified key.
    pub spki: SpkiDigest,
    /// Start of validity, back-dated for slow clocks.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// How it stands.
    pub state: CertificateState,
    /// The certificate, DER; empty while intended.
    pub der: Vec<u8>,
}

impl CertificateRecord {
    /// Of what is to be signed for a device.
    pub const fn intended(device: DeviceId, intent: &ClaimIntent) -> Self {
        Self {
            serial: intent.certificate,
            holder: CertificateHolder::Device(device),
            profile: intent.profile,
            issuer: intent.issuer,
            spki: intent.spki,
            not_before: intent.not_before,
            not_after: intent.not_after,
            state: CertificateState::Intended,
            der: Vec::new(),
        }
    }

    /// An operator's, signed: it opens nothing before it is on record, so it needs no intent.
    pub const fn of_operator(
        operator: OperatorName,
        serial: CertificateSerial,
        issuer: AuthorityId,
        spki: SpkiDigest,
        validity: (Timestamp, Timestamp),
        der: Vec<u8>,
    ) -> Self {
        Self {
            serial,
            holder: CertificateHolder::Operator(operator),
            profile: CertificateProfile::Operator,
            issuer: Some(issuer),
            spki,
            not_before: validity.0,
            not_after: validity.1,
            state: CertificateState::Current,
            der,
        }
    }

    /// The same, signed.
    #[must_use]
    pub fn signed(self, der: Vec<u8>) -> Self {
        Self {
            state: CertificateState::Current,
            der,
            ..self
        }
    }

    /// The same, no longer accepted. What was revoked before keeps its instant and reason.
    #[must_use]
    pub fn revoked(self, at: Timestamp, reason: RevocationReason) -> Self {
        let state = match self.state {
            CertificateState::Intended | CertificateState::Current => {
                CertificateState::Revoked { at, reason }
            }
            CertificateState::Revoked { .. } => self.state,
        };
        Self { state, ..self }
    }

    /// The resource name.
    pub fn name(&self) -> String {
        format!("certificates/{}", self.serial)
    }
}
