//! Evaluations as sentences, for the operator who asks "why".

use alloc::string::{String, ToString};
use core::fmt::{self, Write};

use crate::decision::{Decision, Evaluation, Install, Reason, Urgency, Wait};
use crate::text::MAX_SENTENCE;

impl Evaluation {
    /// The whole evaluation as one paragraph: what is to be done, then why.
    pub fn explain(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decision.fmt(f)?;
        self.reasons.iter().try_for_each(|reason| write!(f, " {reason}"))
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplicable => f.write_str("The policy is not for this device."),
            Self::Compliant => f.write_str("Nothing to do."),
            Self::Install(install) => install.fmt(f),
            Self::Wait(wait) => wait.fmt(f),
            Self::Stuck => f.write_str("The device cannot meet the policy by itself."),
        }
    }
}

impl fmt::Display for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Install {}", self.artifact.version)?;
        self.then
            .iter()
            .try_for_each(|version| write!(f, ", then {version}"))?;
        if let Some(closes) = self.window_closes {
            write!(f, ", before the window closes at {closes}")?;
        }
        match self.urgency {
            Urgency::Routine => f.write_str("."),
            Urgency::Overdue => f.write_str("; it is overdue."),
            Urgency::Forbidden => f.write_str("; the running version must not stay."),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wait with the installation of {}", self.version)?;
        match self.until {
            Some(until) => write!(f, " until {until}."),
            None => f.write_str("."),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModelNotSelected { model } => write!(f, "It is for other models than {}.", Quoted(model)),
            Self::HardwareRevisionNotSelected { revision } => {
                write!(f, "It is for other hardware revisions than {}.", Quoted(revision))
            }
            Self::HardwareRevisionUnknown => {
                f.write_str("It is for certain hardware revisions, and the device's is not known.")
            }
            Self::LabelNotSelected {
                label,
                value: Some(value),
            } => {
                write!(
                    f,
                    "It is for devices with another {} than {}.",
                    Quoted(label),
                    Quoted(value)
                )
            }
            Self::LabelNotSelected { label, value: None } => {
                write!(f, "It is for devices that carry the label {}.", Quoted(label))
            }
            Self::VersionNotReported => f.write_str("The device has not said which firmware it runs."),
            Self::VersionUnreadable { text } => {
                write!(
                    f,
                    "The device runs {}, which is not a semantic version.",
                    Quoted(text)
                )
            }
            Self::Blocked {
                version,
                because: None,
            } => write!(f, "Version {version} is blocked."),
            Self::Blocked {
                version,
                because: Some(because),
            } => {
                write!(f, "Version {version} is blocked: {}.", Quoted(because))
            }
            Self::BelowMinimum { version, minimum } => {
                write!(f, "Version {version} is below the minimum {minimum}.")
            }
            Self::OutsideRange { version, range } => {
                write!(
                    f,
                    "Version {version} is outside the permitted range {}.",
                    Quoted(range)
                )
            }
            Self::PrereleaseNotPermitted { version } => {
                write!(
                    f,
                    "Version {version} is a pre-release, which the policy does not permit."
                )
            }
            Self::NoTarget => f.write_str("The policy has no target version."),
            Self::OnTarget { version } => write!(f, "The device runs the target, {version}."),
            Self::AheadOfTarget { version, target } => {
                write!(
                    f,
                    "The device runs {version}, which is newer than the target {target} and may stay."
                )
            }
            Self::DowngradeNotAllowed { version, target } => write!(
                f,
                "The target {target} is older than {version}, and the policy does not allow downgrades."
            ),
            Self::Downgrade { version, target } => {
                write!(
                    f,
                    "The target {target} is older than {version}, and the policy allows downgrades."
                )
            }
            Self::BehindTarget { version, target } => {
                write!(f, "The device runs {version}, and the target is {target}.")
            }
            Self::OtherBuild { version, target } => {
                write!(
                    f,
                    "The device runs {version}, another build than the target {target}."
                )
            }
            Self::TakenAsOldest { target } => {
                write!(
                    f,
                    "It is taken to be older than any version, and the target is {target}."
                )
            }
            Self::SteppingStone { below, through } => {
                write!(f, "Updates from below {below} must pass through {through} first.")
            }
            Self::RolloutStopped => f.write_str("The rollout is stopped."),
            Self::NotInRollout { turn, rollout } => {
                write!(
                    f,
                    "The rollout is at {rollout}, and the device's turn comes at {turn}."
                )
            }
            Self::OutsideWindow { opens } => write!(f, "The next install window opens at {opens}."),
            Self::LocalTimeUnknown => {
                f.write_str("The policy has install windows, and the device's local time is not known.")
            }
            Self::DeadlinePassed { deadline } => {
                write!(
                    f,
                    "The deadline {deadline} has passed, so rollout and windows no longer count."
                )
            }
            Self::LeavesAtOnce => {
                f.write_str("The running version must be left at once, so rollout and windows do not count.")
            }
            Self::ImageUnsigned { version } => {
                write!(
                    f,
                    "The image of {version} is not signed, and the device installs signed images only."
                )
            }
            Self::SignatureWrong { version } => {
                write!(
                    f,
                    "The signature of {version} is not over this image by a key that the device has."
                )
            }
        }
    }
}

/// Text of unknown origin in quotation marks, escaped and shortened: evaluations come from devices, too, and a
/// device must not write terminal control sequences or pages of text onto an operator's screen.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut budget = MAX_SENTENCE;
        for c in self.0.chars() {
            if budget == 0 {
                f.write_char('…')?;
                break;
            }
            budget -= 1;
            write!(f, "{}", c.escape_debug())?;
        }
        f.write_char('"')
    }
}
