//! What a claim that has not begun must meet beside its code: when it may begin, and with which key.

use super::{ClaimWindow, Credential, Lifecycle, Standing};
use crate::certificate::SpkiDigest;

/// What a claim must meet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClaimTerms {
    /// When it may begin.
    pub window: ClaimWindow,
    /// The one key that may come with it; `None`: any.
    pub key: Option<SpkiDigest>,
}

/// What an operator says of the key that a code is bound to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyChoice {
    /// Nothing: it stays as it is.
    #[default]
    Kept,
    /// Any key may come.
    Any,
    /// This one only.
    Only(SpkiDigest),
}

impl KeyChoice {
    /// The key that a code is bound to by it, where it was bound to `before`.
    pub const fn after(self, before: Option<SpkiDigest>) -> Option<SpkiDigest> {
        match self {
            Self::Kept => before,
            Self::Any => None,
            Self::Only(key) => Some(key),
        }
    }
}

impl Credential {
    /// What a claim must meet; `None` once one began, and where none can.
    pub const fn terms(&self) -> Option<ClaimTerms> {
        match self {
            Self::Code {
                window,
                bound,
                intent: None,
                ..
            } => Some(ClaimTerms {
                window: *window,
                key: *bound,
            }),
            Self::Pinned {
                key,
                window,
                intent: None,
            } => Some(ClaimTerms {
                window: *window,
                key: Some(key.spki),
            }),
            Self::Code { intent: Some(_), .. }
            | Self::Pinned { intent: Some(_), .. }
            | Self::Withdrawn { .. } => None,
        }
    }

    /// The same, with what is said of its terms.
    #[must_use]
    pub(super) fn rearmed(self, window: Option<ClaimWindow>, key: KeyChoice) -> Self {
        match self.terms() {
            Some(terms) => self.on(ClaimTerms {
                window: window.unwrap_or(terms.window),
                key: key.after(terms.key),
            }),
            None => self,
        }
    }

    /// The same, to be claimed on other terms. A pinned key stays.
    #[must_use]
    pub(super) fn on(mut self, terms: ClaimTerms) -> Self {
        match &mut self {
            Self::Code { window, bound, .. } => (*window, *bound) = (terms.window, terms.key),
            Self::Pinned { window, .. } => *window = terms.window,
            Self::Withdrawn { .. } => {}
        }
        self
    }
}

impl Lifecycle {
    /// What the claim of a device must meet that has not begun to claim.
    pub fn claim_terms(&self) -> Option<ClaimTerms> {
        self.credential().and_then(Credential::terms)
    }

    /// The same standing, to be claimed on other terms; of a device that has begun to claim, as it is.
    #[must_use]
    pub fn on_terms(self, terms: ClaimTerms) -> Self {
        if self.claim_terms().is_none() {
            return self;
        }
        match self {
            Self::Registered { credential } => Self::Registered {
                credential: credential.on(terms),
            },
            Self::Suspended {
                since,
                reason,
                was: Standing::Registered(credential),
            } => Self::Suspended {
                since,
                reason,
                was: Standing::Registered(credential.on(terms)),
            },
            Self::Claimed { .. } | Self::Active { .. } | Self::Suspended { .. } | Self::Retired { .. } => {
                self
            }
        }
    }
}
