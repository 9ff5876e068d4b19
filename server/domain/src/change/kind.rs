//! The kinds of actions, by which rules tell changes apart.

use super::Action;
use core::fmt;
use serde::{Deserialize, Serialize};

/// What a change does, without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants of `Action`")]
pub enum ActionKind {
    Profile,
    FirmwarePolicy,
    Move,
    Suspend,
    Resume,
    Retire,
    RotateCertificate,
    Relabel,
    Place,
    ReissueCodes,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Profile,
        Self::FirmwarePolicy,
        Self::Move,
        Self::Suspend,
        Self::Resume,
        Self::Retire,
        Self::RotateCertificate,
        Self::Relabel,
        Self::Place,
        Self::ReissueCodes,
    ];

    /// The written name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::FirmwarePolicy => "firmware_policy",
            Self::Move => "move",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Retire => "retire",
            Self::RotateCertificate => "rotate_certificate",
            Self::Relabel => "relabel",
            Self::Place => "place",
            Self::ReissueCodes => "reissue_codes",
        }
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Action {
    /// Its kind.
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Profile(..) => ActionKind::Profile,
            Self::FirmwarePolicy(..) => ActionKind::FirmwarePolicy,
            Self::Move(_) => ActionKind::Move,
            Self::Suspend(_) => ActionKind::Suspend,
            Self::Resume => ActionKind::Resume,
            Self::Retire(_) => ActionKind::Retire,
            Self::RotateCertificate => ActionKind::RotateCertificate,
            Self::Relabel(_) => ActionKind::Relabel,
            Self::Place(_) => ActionKind::Place,
            Self::ReissueCodes { .. } => ActionKind::ReissueCodes,
        }
    }
}
