//! Claims: device + code + key -> the right to a certificate.
//!
//! The answer to a stranger never tells which of serial and code was wrong (A1). A right code with a second key
//! is a possible clone: refused like any other, and reported to the operators (A2).

use crate::{
    Code, Refusal, Timestamp,
    activation::CodeHash,
    certificate::{CertificateSerial, SpkiDigest},
    device::{ClaimIntent, Credential, Device, Lifecycle},
    ids::DeviceId,
};

/// What a claim presents, already checked for form: the CSR proved possession of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// Hash of the activation code; of any text where the key alone decides.
    pub code: CodeHash,
    /// The key to certify.
    pub spki: SpkiDigest,
}

/// The right to one certificate. Only [`decide`], [`enroll`] and [`renewal::decide`](crate::renewal::decide) make one;
/// signing consumes it.
#[derive(Debug, PartialEq, Eq)]
pub struct ClaimPermit {
    device: DeviceId,
    intent: ClaimIntent,
}

impl ClaimPermit {
    pub(crate) const fn new(device: DeviceId, intent: ClaimIntent) -> Self {
        Self { device, intent }
    }

    /// For whom.
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// What to sign.
    pub const fn intent(&self) -> &ClaimIntent {
        &self.intent
    }
}

/// The right to the certificate with which a manifest's row creates a device: its request stands in the row, or its key
/// was made by the registry. `created` is the device as the row creates it, `intent` what is to be signed; `None` when
/// they are not of each other, or the device is not one that was enrolled so.
pub fn enroll(created: &Device, intent: ClaimIntent) -> Option<ClaimPermit> {
    let Lifecycle::Claimed { identity } = &created.lifecycle else {
        return None;
    };
    let said = (identity.certificate, identity.spki, identity.not_after);
    let fits = said == (intent.certificate, intent.spki, intent.not_after);
    (fits && created.revision == 1).then_some(ClaimPermit {
        device: created.id,
        intent,
    })
}

/// The decision on a claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Record the intent, sign, record the certificate, answer. The intent is the first one ever made for
    /// this claim: a repetition after a crash gets the same serial and validity.
    Issue(ClaimPermit),
    /// The same key claimed before: answer with the certificate on record.
    Repeat(CertificateSerial),
    /// No. `clone_suspected` when the code was right but bound to another key.
    Refuse {
        /// A right code with another key.
        clone_suspected: bool,
    },
}

/// The one answer to wrong serial, wrong code and used code.
pub fn refusal() -> Refusal {
    Refusal::new(
        Code::ClaimRefused,
        "serial and activation code do not open a claim",
    )
}

/// May this device, with what it presents, have a certificate? `fresh` is used if this is the first claim.
pub fn decide(device: &Device, presented: &Presented, fresh: ClaimIntent, now: Timestamp) -> Decision {
    const NO: Decision = Decision::Refuse {
        clone_suspected: false,
    };
    let issue = |intent: &Option<ClaimIntent>| {
        Decision::Issue(ClaimPermit {
            device: device.id,
            intent: intent.unwrap_or(ClaimIntent {
                spki: presented.spki,
                ..fresh
            }),
        })
    };
    match &device.lifecycle {
        Lifecycle::Registered {
            credential:
                Credential::Code {
                    hash,
                    window,
                    bound,
                    intent,
                },
        } => {
            if *hash != presented.code {
                return NO;
            }
            match intent {
                // A claim that began in time is finished, however late its device comes back: I6, and no lost answer.
                None if !window.admits(now) => NO,
                None if bound.is_some_and(|bound| bound != presented.spki) => Decision::Refuse {
                    clone_suspected: true,
                },
                Some(intent) if intent.spki != presented.spki => Decision::Refuse {
                    clone_suspected: true,
                },
                Some(_) | None => issue(intent),
            }
        }
        Lifecycle::Registered {
            credential: Credential::Pinned { key, window, intent },
        } => {
            if key.spki == presented.spki && (intent.is_some() || window.admits(now)) {
                issue(intent)
            } else {
                NO
            }
        }
        Lifecycle::Claimed { identity } | Lifecycle::Active { identity } => {
            // After a renewal was seen, the key of the claim is a second key too: its owner showed that it has the new one.
            let same_key = identity.spki == presented.spki;
            match identity.spent {
                Some(spent) if spent != presented.code => NO,
                Some(_) if !same_key => Decision::Refuse {
                    clone_suspected: true,
                },
                // Without a code the key alone tells who claims: another one is a stranger's.
                None if !same_key => NO,
                Some(_) | None => Decision::Repeat(identity.certificate),
            }
        }
        Lifecycle::Registered {
            credential: Credential::Withdrawn { .. },
        }
        | Lifecycle::Suspended { .. }
        | Lifecycle::Retired { .. } => NO,
    }
}
