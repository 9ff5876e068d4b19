//! The life of a device: `registered -> claimed -> active <-> suspended -> retired`.
//!
//! A transition takes the old state by value and returns the new one or a refusal.

use super::{ClaimTerms, KeyChoice};
use crate::{
    Code, Refusal, Timestamp,
    activation::CodeHash,
    certificate::{AuthorityId, CertificateProfile, CertificateSerial, RevocationReason, SpkiDigest},
};
use core::{fmt, net::IpAddr};
use serde::{Deserialize, Serialize};

/// What was decided before signing. Recorded first, so that a crash between record and signature is finished
/// by the claim's repetition with the same serial, key and validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimIntent {
    /// The key the code is bound to from now on.
    pub spki: SpkiDigest,
    /// The serial of the certificate to come.
    pub certificate: CertificateSerial,
    /// The form of the certificate to come.
    pub profile: CertificateProfile,
    /// The authority that is to sign it; `None` in records of older programs.
    pub issuer: Option<AuthorityId>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Where the request came from, for whoever looks into a clone; `None` in records of older programs, and of an import.
    pub source: Option<IpAddr>,
}

/// When a claim may begin. One that began in time is finished at any time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimWindow {
    /// No claim before, such as the day of shipping.
    pub opens: Option<Timestamp>,
    /// No claim from then on.
    pub closes: Option<Timestamp>,
}

impl ClaimWindow {
    /// Open at any time.
    pub const ALWAYS: Self = Self::until(None);

    /// Open at once, until `closes`.
    pub const fn until(closes: Option<Timestamp>) -> Self {
        Self { opens: None, closes }
    }

    /// Is there a time at which a claim may begin?
    pub fn is_real(&self) -> bool {
        match (self.opens, self.closes) {
            (Some(opens), Some(closes)) => opens < closes,
            (Some(_) | None, _) => true,
        }
    }

    /// May a claim begin?
    pub fn admits(&self, now: Timestamp) -> bool {
        self.opens.is_none_or(|opens| opens <= now) && !self.is_over(now)
    }

    /// No claim can begin any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.closes.is_some_and(|closes| closes <= now)
    }
}

/// How a registered device may earn its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// With the activation code on its label.
    Code {
        /// What we keep of the code.
        hash: CodeHash,
        /// When.
        window: ClaimWindow,
        /// With this key only; `None`: with any.
        bound: Option<SpkiDigest>,
        /// Set by the first claim.
        intent: Option<ClaimIntent>,
    },
    /// With the key that its maker put into it; it needs no code, since its certificate request proves that it holds the key.
    Pinned {
        /// Which.
        key: PinnedKey,
        /// When.
        window: ClaimWindow,
        /// Set by the first claim.
        intent: Option<ClaimIntent>,
    },
    /// Not at all: its certificate was revoked. A new code opens the next way in, and nothing else does; what it claimed
    /// with before is spent.
    Withdrawn {
        /// Since when.
        since: Timestamp,
        /// Why the certificate was revoked.
        reason: RevocationReason,
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
    /// A code that anybody's key may come with, at any time.
    pub const fn code(hash: CodeHash) -> Self {
        Self::Code {
            hash,
            window: ClaimWindow::ALWAYS,
            bound: None,
            intent: None,
        }
    }

    /// What a claim that began will get.
    pub const fn intent(&self) -> Option<&ClaimIntent> {
        match self {
            Self::Code { intent, .. } | Self::Pinned { intent, .. } => intent.as_ref(),
            Self::Withdrawn { .. } => None,
        }
    }

    /// When a claim may begin.
    pub const fn window(&self) -> ClaimWindow {
        match self {
            Self::Code { window, .. } | Self::Pinned { window, .. } => *window,
            Self::Withdrawn { since, .. } => ClaimWindow::until(Some(*since)),
        }
    }

    /// The key that only this device may use.
    pub fn key(&self) -> Option<SpkiDigest> {
        match self {
            Self::Code { bound, intent, .. } => intent.map(|intent| intent.spki).or(*bound),
            Self::Pinned { key, .. } => Some(key.spki),
            Self::Withdrawn { .. } => None,
        }
    }

    /// The same, with the intent of its first claim, which stays.
    fn intended(mut self, fresh: ClaimIntent) -> Self {
        match &mut self {
            Self::Code { intent, .. } | Self::Pinned { intent, .. } => {
                intent.get_or_insert(fresh);
            }
            Self::Withdrawn { .. } => {}
        }
        self
    }

    const fn spent(&self) -> Option<CodeHash> {
        match self {
            Self::Code { hash, .. } => Some(*hash),
            Self::Pinned { .. } | Self::Withdrawn { .. } => None,
        }
    }

    /// The key that a code instead of this one is bound to, where nobody says otherwise: whoever lost a label has the key yet.
    const fn inherited(&self) -> Option<SpkiDigest> {
        match self {
            Self::Code { bound, .. } => *bound,
            Self::Pinned { .. } | Self::Withdrawn { .. } => None,
        }
    }
}

/// The certificate that is to take the place of a device's own: decided, and not seen on a connection yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// What is signed for it.
    pub intent: ClaimIntent,
    /// It is signed and on record. Until then it is finished by the repetition of the renewal.
    pub issued: bool,
}

/// A certificate that a device has or is about to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldCertificate {
    /// Its serial.
    pub serial: CertificateSerial,
    /// Its key.
    pub spki: SpkiDigest,
    /// It is on record with its bytes; else only intended.
    pub is_signed: bool,
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
    /// Where the claim came from; `None` in records of older programs, and where there was no claim.
    pub source: Option<IpAddr>,
    /// The renewal under way. The certificate above is good until the device comes with the new one (I3).
    pub successor: Option<Successor>,
}

impl Identity {
    /// The first identity of a device: what was intended, now signed.
    pub const fn first(intent: &ClaimIntent, spent: Option<CodeHash>) -> Self {
        Self {
            certificate: intent.certificate,
            spki: intent.spki,
            not_after: intent.not_after,
            spent,
            source: intent.source,
            successor: None,
        }
    }

    /// The identity after the device came with its new certificate.
    fn renewed(self) -> Option<Self> {
        let Successor { intent, issued } = self.successor?;
        issued.then_some(Self {
            certificate: intent.certificate,
            spki: intent.spki,
            not_after: intent.not_after,
            successor: None,
            ..self
        })
    }

    /// What is left of it without a certificate that was revoked. Its own takes everything with it: a successor was asked
    /// for with it. A successor goes alone, unless its key is the key of both and can no longer be trusted.
    fn without(self, revoked: CertificateSerial, reason: RevocationReason) -> Option<Self> {
        let is_shared = self.successor.is_some_and(|next| next.intent.spki == self.spki);
        let stays = self.certificate != revoked && !(is_shared && reason == RevocationReason::KeyCompromise);
        stays.then_some(Self {
            successor: None,
            ..self
        })
    }
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

impl Standing {
    /// The same without a certificate that was revoked.
    fn without(self, revoked: CertificateSerial, reason: RevocationReason, since: Timestamp) -> Self {
        let withdrawn = Self::Registered(Credential::Withdrawn { since, reason });
        match self {
            Self::Registered(_) => withdrawn,
            Self::Claimed(identity) => identity.without(revoked, reason).map_or(withdrawn, Self::Claimed),
            Self::Active(identity) => identity.without(revoked, reason).map_or(withdrawn, Self::Active),
        }
    }
}

impl From<Standing> for Lifecycle {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Claimed(identity) => Self::Claimed { identity },
            Standing::Active(identity) => Self::Active { identity },
            Standing::Registered(credential) => Self::Registered { credential },
        }
    }
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
    /// A renewal was permitted: what will be signed. It replaces a successor that was never seen.
    Renew(ClaimIntent),
    /// The renewed certificate is signed and checked.
    CertifyRenewal,
    /// The device came with its renewed certificate.
    Promote,
    /// A report was verified.
    Activate,
    /// Shut out, with a reason.
    Suspend(String),
    /// Let in again.
    Resume,
    /// Out for ever, with a reason.
    Retire(String),
    /// A new code. A device that has an identity loses it and claims anew.
    Reissue {
        /// What we keep of it.
        hash: CodeHash,
        /// When it can be claimed with.
        window: ClaimWindow,
        /// With which key. Of a device that had claimed, none is kept.
        key: KeyChoice,
    },
    /// Other terms for a claim that has not begun.
    Arm {
        /// When it may begin; `None`: as it is.
        window: Option<ClaimWindow>,
        /// With which key; one that is pinned stays.
        key: KeyChoice,
    },
    /// A certificate that it has or is about to get was revoked. Without its own it is registered with no way in
    /// ([`Credential::Withdrawn`]); without the one of a renewal that it never came with it is what it was.
    Revoke {
        /// Which.
        certificate: CertificateSerial,
        /// Why.
        reason: RevocationReason,
    },
}

impl Transition {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Intend(_) => "claimed",
            Self::Certify => "certified",
            Self::Renew(_) => "renewed",
            Self::CertifyRenewal | Self::Promote => "moved to a renewed certificate",
            Self::Activate => "activated",
            Self::Suspend(_) => "suspended",
            Self::Resume => "resumed",
            Self::Retire(_) => "retired",
            Self::Reissue { .. } => "given a new code",
            Self::Arm { .. } => "given other terms for its claim",
            Self::Revoke { .. } => "rid of that certificate",
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
    pub fn certificate(&self) -> Option<CertificateSerial> {
        match self {
            Self::Retired { last, .. } => *last,
            Self::Registered { .. } | Self::Claimed { .. } | Self::Active { .. } | Self::Suspended { .. } => {
                self.kept_identity().map(|identity| identity.certificate)
            }
        }
    }

    /// When the certificate of a device ends that has one and is not retired.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.kept_identity().map(|identity| identity.not_after)
    }

    /// The certificate that is to take the place of its own.
    pub fn successor(&self) -> Option<Successor> {
        self.kept_identity().and_then(|identity| identity.successor)
    }

    /// The identity of a device that has one, whether or not it may connect.
    const fn kept_identity(&self) -> Option<&Identity> {
        match self {
            Self::Claimed { identity }
            | Self::Active { identity }
            | Self::Suspended {
                was: Standing::Claimed(identity) | Standing::Active(identity),
                ..
            } => Some(identity),
            Self::Registered { .. }
            | Self::Suspended {
                was: Standing::Registered(_),
                ..
            }
            | Self::Retired { .. } => None,
        }
    }

    /// How a device that has no identity yet may earn one.
    pub(super) const fn credential(&self) -> Option<&Credential> {
        match self {
            Self::Registered { credential }
            | Self::Suspended {
                was: Standing::Registered(credential),
                ..
            } => Some(credential),
            Self::Claimed { .. }
            | Self::Active { .. }
            | Self::Suspended {
                was: Standing::Claimed(_) | Standing::Active(_),
                ..
            }
            | Self::Retired { .. } => None,
        }
    }

    /// Where the claim came from that has the identity, or is about to.
    pub fn source(&self) -> Option<IpAddr> {
        let intended = self.credential().and_then(Credential::intent);
        match intended {
            Some(intent) => intent.source,
            None => self.kept_identity().and_then(|identity| identity.source),
        }
    }

    /// The certificates that it has or is about to get: one, or two during a renewal (I3).
    pub fn held(&self) -> impl Iterator<Item = HeldCertificate> + use<> {
        let intended = self
            .credential()
            .and_then(Credential::intent)
            .map(|intent| HeldCertificate {
                serial: intent.certificate,
                spki: intent.spki,
                is_signed: false,
            });
        let current = self.kept_identity().map(|identity| HeldCertificate {
            serial: identity.certificate,
            spki: identity.spki,
            is_signed: true,
        });
        let successor = self.kept_identity().and_then(|identity| identity.successor);
        let next = successor.map(|successor| HeldCertificate {
            serial: successor.intent.certificate,
            spki: successor.intent.spki,
            is_signed: successor.issued,
        });
        [intended, current, next].into_iter().flatten()
    }

    /// The keys that no other device may use: one, or two during a renewal.
    pub fn keys(&self) -> impl Iterator<Item = SpkiDigest> + use<> {
        let first = self.key();
        let next = self.kept_identity().and_then(|identity| identity.successor);
        let next = next.map(|successor| successor.intent.spki);
        // A renewal may keep the key.
        first.into_iter().chain(next.filter(|next| Some(*next) != first))
    }

    /// The key that no other device may use; that of a renewal under way comes beside it.
    pub fn key(&self) -> Option<SpkiDigest> {
        let pinned = self.credential().and_then(Credential::key);
        pinned.or_else(|| self.kept_identity().map(|identity| identity.spki))
    }

    /// The same standing with another identity.
    fn with_identity(self, change: impl FnOnce(Identity) -> Identity) -> Self {
        match self {
            Self::Claimed { identity } => Self::Claimed {
                identity: change(identity),
            },
            Self::Active { identity } => Self::Active {
                identity: change(identity),
            },
            Self::Registered { .. } | Self::Suspended { .. } | Self::Retired { .. } => self,
        }
    }

    /// The same without a certificate that was revoked.
    fn without(self, revoked: CertificateSerial, reason: RevocationReason, now: Timestamp) -> Self {
        let standing = match self {
            Self::Registered { credential } => Standing::Registered(credential),
            Self::Claimed { identity } => Standing::Claimed(identity),
            Self::Active { identity } => Standing::Active(identity),
            Self::Suspended {
                since,
                reason: why,
                was,
            } => {
                return Self::Suspended {
                    since,
                    reason: why,
                    was: was.without(revoked, reason, now),
                };
            }
            Self::Retired { .. } => return self,
        };
        standing.without(revoked, reason, now).into()
    }

    /// The next state, or why not.
    pub fn step(self, transition: Transition, now: Timestamp) -> Result<Self, Refusal> {
        use Transition::{
            Activate, Arm, Certify, CertifyRenewal, Intend, Promote, Reissue, Renew, Resume, Retire, Revoke,
            Suspend,
        };
        match (self, transition) {
            (
                Self::Registered {
                    credential: credential @ (Credential::Code { .. } | Credential::Pinned { .. }),
                },
                Intend(fresh),
            ) => Ok(Self::Registered {
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
                identity: Identity::first(&intent, credential.spent()),
            }),
            (
                state @ (Self::Registered { .. } | Self::Claimed { .. } | Self::Active { .. }),
                Reissue { hash, window, key },
            ) => {
                let key = key.after(state.credential().and_then(Credential::inherited));
                Ok(Self::Registered {
                    credential: Credential::code(hash).on(ClaimTerms { window, key }),
                })
            }
            (
                Self::Registered {
                    credential: credential @ Credential::Code { intent: None, .. },
                },
                Arm { window, key },
            ) => Ok(Self::Registered {
                credential: credential.rearmed(window, key),
            }),
            (
                Self::Registered {
                    credential: credential @ Credential::Pinned { intent: None, .. },
                },
                Arm {
                    window,
                    key: KeyChoice::Kept,
                },
            ) => Ok(Self::Registered {
                credential: credential.rearmed(window, KeyChoice::Kept),
            }),
            (
                Self::Registered {
                    credential: Credential::Pinned { intent: None, .. },
                },
                Arm {
                    key: KeyChoice::Any | KeyChoice::Only(_),
                    ..
                },
            ) => Err(Refusal::new(
                Code::TransitionForbidden,
                "a device whose key is pinned claims with that key and no other; a new code takes its place",
            )),
            (Self::Claimed { identity } | Self::Active { identity }, Activate) => {
                Ok(Self::Active { identity })
            }
            (state @ (Self::Claimed { .. } | Self::Active { .. }), Renew(intent)) => {
                let issued = false;
                Ok(state.with_identity(|identity| Identity {
                    successor: Some(Successor { intent, issued }),
                    ..identity
                }))
            }
            (
                state @ (Self::Claimed {
                    identity:
                        Identity {
                            successor: Some(successor),
                            ..
                        },
                }
                | Self::Active {
                    identity:
                        Identity {
                            successor: Some(successor),
                            ..
                        },
                }),
                CertifyRenewal,
            ) => Ok(state.with_identity(|identity| Identity {
                successor: Some(Successor {
                    issued: true,
                    ..successor
                }),
                ..identity
            })),
            (state @ (Self::Claimed { identity } | Self::Active { identity }), Promote)
                if identity.renewed().is_some() =>
            {
                Ok(state.with_identity(|identity| identity.renewed().unwrap_or(identity)))
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
            (Self::Suspended { was, .. }, Resume) => Ok(was.into()),
            (state, Revoke { certificate, reason })
                if state.held().any(|held| held.serial == certificate) =>
            {
                Ok(state.without(certificate, reason, now))
            }
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
