//! What an evaluation says. `explain.rs` puts it into sentences.
//!
//! These types travel in reports, and postcard numbers variants by position: new ones go to the end.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::rollout::Percentage;
use crate::time::Timestamp;
use crate::version::FirmwareVersion;

/// What a policy says of one device at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Whether the device may run what it runs now.
    pub standing: Standing,
    /// What is to be done.
    pub decision: Decision,
    /// Why, in the order in which it was found: selection, standing, route, then what holds back or overrides, then
    /// what is not trusted.
    pub reasons: Vec<Reason>,
}

impl Evaluation {
    /// Whether the policy has no objection to what the device runs now. It has none either if it does not
    /// cover the device or does not know what it runs; [`Standing`] tells these apart.
    pub fn may_run(&self) -> bool {
        self.standing != Standing::Forbidden
    }
}

/// Whether a device may run what it runs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The policy is not for this device and says nothing of it.
    NotCovered,
    /// The running version is not known, so it cannot be judged.
    Unknown,
    /// The running version may stay.
    Permitted,
    /// The running version must not stay: blocked, below the minimum, or outside the range.
    Forbidden,
}

/// What a device is to do about its firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Nothing: the policy is not for this device.
    NotApplicable,
    /// Nothing: the running version is permitted, and the policy wants no other.
    Compliant,
    /// Install now.
    Install(Install),
    /// There is something to install, but not yet.
    Wait(Wait),
    /// The policy is not met, and the device cannot get there by itself: a person must act.
    Stuck,
}

/// An installation to begin now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// The image to install, of the target or of a stepping stone.
    pub artifact: Artifact,
    /// The versions that follow this one, the target last; empty if this one is the target.
    pub then: Vec<FirmwareVersion>,
    /// How pressing it is.
    pub urgency: Urgency,
    /// When the open install window closes: the device must not begin to disturb its user after this.
    /// `None` if no window limits it.
    pub window_closes: Option<Timestamp>,
}

impl Install {
    /// Whether the image is a stepping stone on the way and not yet the target.
    pub fn is_stepping_stone(&self) -> bool {
        !self.then.is_empty()
    }
}

/// How pressing an installation is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// The running version is permitted; the policy wants another.
    Routine,
    /// The deadline has passed.
    Overdue,
    /// The running version must not stay.
    Forbidden,
}

/// An installation that must not begin yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The version that will be installed, of the target or of a stepping stone.
    pub version: FirmwareVersion,
    /// When to evaluate again at the latest: the earliest moment at which time alone may change the
    /// decision. `None` if only another policy or other facts can.
    pub until: Option<Timestamp>,
}

/// Why an evaluation came out as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Selection: the policy is for other models.
    ModelNotSelected {
        /// The device's model.
        model: String,
    },
    /// Selection: the policy is for other hardware revisions.
    HardwareRevisionNotSelected {
        /// The device's hardware revision.
        revision: String,
    },
    /// Selection: the policy is for certain hardware revisions, and the device's is not known.
    HardwareRevisionUnknown,
    /// Selection: the policy is for devices with another value of this label.
    LabelNotSelected {
        /// The label.
        label: String,
        /// The device's value, if it carries the label.
        value: Option<String>,
    },
    /// Standing: the device has not said what it runs.
    VersionNotReported,
    /// Standing: the device runs something that is not a semantic version.
    VersionUnreadable {
        /// What the device said.
        text: String,
    },
    /// Standing: the running version is blocked.
    Blocked {
        /// The running version.
        version: FirmwareVersion,
        /// Why it is blocked, in the operator's words.
        because: Option<String>,
    },
    /// Standing: the running version is below the minimum.
    BelowMinimum {
        /// The running version.
        version: FirmwareVersion,
        /// The lowest version that may run.
        minimum: FirmwareVersion,
    },
    /// Standing: the running version is outside the permitted range.
    OutsideRange {
        /// The running version.
        version: FirmwareVersion,
        /// The permitted range.
        range: String,
    },
    /// Standing: the running version is a pre-release, and the policy does not permit it.
    PrereleaseNotPermitted {
        /// The running version.
        version: FirmwareVersion,
    },
    /// Route: the policy has no update, it only says what may run.
    NoTarget,
    /// Route: the device runs the target.
    OnTarget {
        /// The running version.
        version: FirmwareVersion,
    },
    /// Route: the device runs something newer than the target, which may stay.
    AheadOfTarget {
        /// The running version.
        version: FirmwareVersion,
        /// The policy's target.
        target: FirmwareVersion,
    },
    /// Route: the device must go back to reach the target, and the policy does not allow that.
    DowngradeNotAllowed {
        /// The running version.
        version: FirmwareVersion,
        /// The policy's target.
        target: FirmwareVersion,
    },
    /// Route: the device goes back to reach the target, as the policy allows.
    Downgrade {
        /// The running version.
        version: FirmwareVersion,
        /// The policy's target.
        target: FirmwareVersion,
    },
    /// Route: the device runs something older than the target.
    BehindTarget {
        /// The running version.
        version: FirmwareVersion,
        /// The policy's target.
        target: FirmwareVersion,
    },
    /// Route: the device runs the target's version in another build.
    OtherBuild {
        /// The running version.
        version: FirmwareVersion,
        /// The policy's target.
        target: FirmwareVersion,
    },
    /// Route: the unreadable version is taken to be older than any other, as the policy says.
    TakenAsOldest {
        /// The policy's target.
        target: FirmwareVersion,
    },
    /// Route: on the way to `below` or above the device must first install this.
    SteppingStone {
        /// The boundary that the device is to cross.
        below: FirmwareVersion,
        /// The version that it must install first.
        through: FirmwareVersion,
    },
    /// Hold: the rollout is at 0 %, which stops everything.
    RolloutStopped,
    /// Hold: the rollout has not reached the device.
    NotInRollout {
        /// The percentage at which the device's turn comes.
        turn: Percentage,
        /// How far the rollout is.
        rollout: Percentage,
    },
    /// Hold: no install window is open.
    OutsideWindow {
        /// When the next one opens.
        opens: Timestamp,
    },
    /// Hold: there are install windows, and the device's local time is not known.
    LocalTimeUnknown,
    /// Override: the deadline has passed, so that neither rollout nor windows hold back.
    DeadlinePassed {
        /// The deadline.
        deadline: Timestamp,
    },
    /// Override: the running version must be left at once, so that neither rollout nor windows hold back.
    LeavesAtOnce,
    /// Trust: the device installs only what its author signed, and this image has no signature.
    ImageUnsigned {
        /// The version of the image.
        version: FirmwareVersion,
    },
    /// Trust: the device installs only what its author signed, and this image's signature is by no key that the device
    /// has, or over other bytes.
    SignatureWrong {
        /// The version of the image.
        version: FirmwareVersion,
    },
}

impl Reason {
    /// A stable word for programs, such as `below_minimum`; the same as in JSON.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ModelNotSelected { .. } => "model_not_selected",
            Self::HardwareRevisionNotSelected { .. } => "hardware_revision_not_selected",
            Self::HardwareRevisionUnknown => "hardware_revision_unknown",
            Self::LabelNotSelected { .. } => "label_not_selected",
            Self::VersionNotReported => "version_not_reported",
            Self::VersionUnreadable { .. } => "version_unreadable",
            Self::Blocked { .. } => "blocked",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::OutsideRange { .. } => "outside_range",
            Self::PrereleaseNotPermitted { .. } => "prerelease_not_permitted",
            Self::NoTarget => "no_target",
            Self::OnTarget { .. } => "on_target",
            Self::AheadOfTarget { .. } => "ahead_of_target",
            Self::DowngradeNotAllowed { .. } => "downgrade_not_allowed",
            Self::Downgrade { .. } => "downgrade",
            Self::BehindTarget { .. } => "behind_target",
            Self::OtherBuild { .. } => "other_build",
            Self::TakenAsOldest { .. } => "taken_as_oldest",
            Self::SteppingStone { .. } => "stepping_stone",
            Self::RolloutStopped => "rollout_stopped",
            Self::NotInRollout { .. } => "not_in_rollout",
            Self::OutsideWindow { .. } => "outside_window",
            Self::LocalTimeUnknown => "local_time_unknown",
            Self::DeadlinePassed { .. } => "deadline_passed",
            Self::LeavesAtOnce => "leaves_at_once",
            Self::ImageUnsigned { .. } => "image_unsigned",
            Self::SignatureWrong { .. } => "signature_wrong",
        }
    }
}
