//! The life of a device: `registered -> claimed -> active <-> suspended -> retired`.
//!
//! A transition takes the old state by value and returns the new one or a refusal.

use crate::{
    Code, Refusal, Timestamp,
    activation::CodeHash,
    certificate::{CertificateSerial, SpkiDigest},
};
use core::fmt;
use serde::{Deserialize, Serialize};

/// What was decided before signing. Recorded first, so that a crash between record and signature is finished
/// by the claim's repetition with the same serial, key and validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimIntent {
    /// The key the code is bound to from now on.
    pub spki: SpkiDigest,
    /// The serial of the certificate to come.
    pub certificate: CertificateSerial,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
}

/// How a registered device may earn its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// With the activation code on its label.
    Code {
        /// What we keep of the code.
        hash: CodeHash,
        /// No claim from then on.
        expires: Option<Timestamp>,
        /// Set by the first claim.
        intent: Option<ClaimIntent>,
    },
    /// With the key that its maker put into it; it needs no code, since its certificate request proves that it holds the key.
    Pinned {
        /// Which.
        key: PinnedKey,
        /// Set by the first claim.
        intent: Option<ClaimIntent>,
    },
}

/// A key that was made where nobody can take it out: a secure element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedKey {
    /// The public key.
    pub spki: SpkiDigest,
    /// SHA-256 of the maker's certificate for it (DER), if there is one.
    pub certificate: Option<[u8; 32]>,
}

impl Credential {
    /// What a claim that began will get.
    pub const fn intent(&self) -> Option<&ClaimIntent> {
        match self {
            Self::Code { intent, .. } | Self::Pinned { intent, .. } => intent.as_ref(),
        }
    }

    /// The key that only this device may use.
    pub fn key(&self) -> Option<SpkiDigest> {
        match self {
            Self::Code { intent, .. } => intent.map(|intent| intent.spki),
            Self::Pinned { key, .. } => Some(key.spki),
        }
    }

    /// The same, with the intent of its first claim, which stays.
    fn intended(self, fresh: ClaimIntent) -> Self {
        match self {
            Self::Code {
                hash,
                expires,
                intent,
            } => Self::Code {
                hash,
                expires,
                intent: Some(intent.unwrap_or(fresh)),
            },
            Self::Pinned { key, intent } => Self::Pinned {
                key,
                intent: Some(intent.unwrap_or(fresh)),
            },
        }
    }

    const fn spent(&self) -> Option<CodeHash> {
        match self {
            Self::Code { hash, .. } => Some(*hash),
            Self::Pinned { .. } => None,
        }
    }
}

/// The identity a device has earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its current certificate (I3).
    pub certificate: CertificateSerial,
    /// The certified key.
    pub spki: SpkiDigest,
    /// When the certificate ends.
    pub not_after: Timestamp,
    /// The code it was claimed with: answers a lost answer again, recognises a clone. `None` when it needed none: its key was
    /// pinned, or its certificate came with the import.
    pub spent: Option<CodeHash>,
}

/// The state before a suspension, to return to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It had claimed, not yet reported.
    Claimed(Identity),
    /// It was active.
    Active(Identity),
    /// It had not claimed.
    Registered(Credential),
}

/// Where a device stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifecycle {
    /// A manifest row was accepted; a claim is expected.
    Registered {
        /// How it may claim.
        credential: Credential,
    },
    /// A certificate is on record; the first report is expected.
    Claimed {
        /// What it earned.
        identity: Identity,
    },
    /// Its first report was verified.
    Active {
        /// What it earned.
        identity: Identity,
    },
    /// Shut out for now.
    Suspended {
        /// Since when.
        since: Timestamp,
        /// Why, in the operator's words.
        reason: String,
        /// Where it returns to.
        was: Standing,
    },
    /// Out for ever (I9).
    Retired {
        /// Since when.
        since: Timestamp,
        /// Why, in the operator's words.
        reason: String,
        /// The certificate it had.
        last: Option<CertificateSerial>,
    },
}

/// The bare name of a state, for indexes, filters and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LifecycleState {
    /// See [`Lifecycle::Registered`].
    Registered,
    /// See [`Lifecycle::Claimed`].
    Claimed,
    /// See [`Lifecycle::Active`].
    Active,
    /// See [`Lifecycle::Suspended`].
    Suspended,
    /// See [`Lifecycle::Retired`].
    Retired,
}

impl LifecycleState {
    /// All of them, in order of life.
    pub const ALL: [Self; 5] = [
        Self::Registered,
        Self::Claimed,
        Self::Active,
        Self::Suspended,
        Self::Retired,
    ];

    /// As in filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "REGISTERED",
            Self::Claimed => "CLAIMED",
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Retired => "RETIRED",
        }
    }
}

impl fmt::Display for LifecycleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operator, a claim or a report can do to a device's standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// A claim was permitted: bind the code to a key before signing.
    Intend(ClaimIntent),
    /// The certificate is signed and checked.
    Certify,
    /// A report was verified.
    Activate,
    /// Shut out, with a reason.
    Suspend(String),
    /// Let in again.
    Resume,
    /// Out for ever, with a reason.
    Retire(String),
    /// A new code for a device that has not claimed.
    Reissue {
        /// What we keep of it.
        hash: CodeHash,
        /// When it ends.
        expires: Option<Timestamp>,
    },
}

impl Transition {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Intend(_) => "claimed",
            Self::Certify => "certified",
            Self::Activate => "activated",
            Self::Suspend(_) => "suspended",
            Self::Resume => "resumed",
            Self::Retire(_) => "retired",
            Self::Reissue { .. } => "given a new code",
        }
    }
}

impl Lifecycle {
    /// The bare name.
    pub const fn state(&self) -> LifecycleState {
        match self {
            Self::Registered { .. } => LifecycleState::Registered,
            Self::Claimed { .. } => LifecycleState::Claimed,
            Self::Active { .. } => LifecycleState::Active,
            Self::Suspended { .. } => LifecycleState::Suspended,
            Self::Retired { .. } => LifecycleState::Retired,
        }
    }

    /// The identity with which the device may connect now.
    pub const fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Claimed { identity } | Self::Active { identity } => Some(identity),
            Self::Registered { .. } | Self::Suspended { .. } | Self::Retired { .. } => None,
        }
    }

    /// The certificate the device last had, whatever its standing.
    pub const fn certificate(&self) -> Option<CertificateSerial> {
        match self {
            Self::Claimed { identity } | Self::Active { identity } => Some(identity.certificate),
            Self::Suspended {
                was: Standing::Claimed(identity) | Standing::Active(identity),
                ..
            } => Some(identity.certificate),
            Self::Retired { last, .. } => *last,
            Self::Registered { .. }
            | Self::Suspended {
                was: Standing::Registered(_),
                ..
            } => None,
        }
    }

    /// The key that no other device may use.
    pub fn key(&self) -> Option<SpkiDigest> {
        match self {
            Self::Registered { credential }
            | Self::Suspended {
                was: Standing::Registered(credential),
                ..
            } => credential.key(),
            Self::Claimed { identity }
            | Self::Active { identity }
            | Self::Suspended {
                was: Standing::Claimed(identity) | Standing::Active(identity),
                ..
            } => Some(identity.spki),
            Self::Retired { .. } => None,
        }
    }

    /// The next state, or why not.
    pub fn step(self, transition: Transition, now: Timestamp) -> Result<Self, Refusal> {
        use Transition::{Activate, Certify, Intend, Reissue, Resume, Retire, Suspend};
        match (self, transition) {
            (Self::Registered { credential }, Intend(fresh)) => Ok(Self::Registered {
                credential: credential.intended(fresh),
            }),
            (
                Self::Registered {
                    credential:
                        ref credential @ (Credential::Code {
                            intent: Some(intent), ..
                        }
                        | Credential::Pinned {
                            intent: Some(intent), ..
                        }),
                },
                Certify,
            ) => Ok(Self::Claimed {
                identity: Identity {
                    certificate: intent.certificate,
                    spki: intent.spki,
                    not_after: intent.not_after,
                    spent: credential.spent(),
                },
            }),
            (Self::Registered { .. }, Reissue { hash, expires }) => Ok(Self::Registered {
                credential: Credential::Code {
                    hash,
                    expires,
                    intent: None,
                },
            }),
            (Self::Claimed { identity } | Self::Active { identity }, Activate) => {
                Ok(Self::Active { identity })
            }
            (Self::Registered { credential }, Suspend(reason)) => Ok(Self::Suspended {
                since: now,
                reason,
                was: Standing::Registered(credential),
            }),
            (Self::Claimed { identity }, Suspend(reason)) => Ok(Self::Suspended {
                since: now,
                reason,
                was: Standing::Claimed(identity),
            }),
            (Self::Active { identity }, Suspend(reason)) => Ok(Self::Suspended {
                since: now,
                reason,
                was: Standing::Active(identity),
            }),
            (Self::Suspended { was, .. }, Resume) => Ok(match was {
                Standing::Claimed(identity) => Self::Claimed { identity },
                Standing::Active(identity) => Self::Active { identity },
                Standing::Registered(credential) => Self::Registered { credential },
            }),
            (
                state @ (Self::Registered { .. }
                | Self::Claimed { .. }
                | Self::Active { .. }
                | Self::Suspended { .. }),
                Retire(reason),
            ) => Ok(Self::Retired {
                since: now,
                reason,
                last: state.certificate(),
            }),
            (state, transition) => Err(Refusal::new(
                Code::TransitionForbidden,
                format!(
                    "a device in state {} cannot be {}",
                    state.state(),
                    transition.verb()
                ),
            )),
        }
    }
}
