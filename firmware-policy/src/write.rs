//! Checked policy to written policy: the canonical text of every part.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::artifact::Artifact;
use crate::policy::{FirmwarePolicy, SteppingStone, Update};
use crate::rule::{Blocked, VersionRules};
use crate::selector::Selector;
use crate::source::{
    ArtifactSource, BlockedSource, PermitSource, PolicySource, SelectorSource, SteppingStoneSource,
    UpdateSource,
};

impl From<FirmwarePolicy> for PolicySource {
    fn from(policy: FirmwarePolicy) -> Self {
        Self::from(&policy)
    }
}

impl From<&FirmwarePolicy> for PolicySource {
    fn from(policy: &FirmwarePolicy) -> Self {
        Self {
            name: policy.name.clone(),
            applies_to: (&policy.applies_to).into(),
            permit: (&policy.permit).into(),
            update: policy.update.as_ref().map(Into::into),
        }
    }
}

impl From<&Selector> for SelectorSource {
    fn from(selector: &Selector) -> Self {
        Self {
            models: texts(&selector.models),
            hardware_revisions: texts(&selector.hardware_revisions),
            labels: selector
                .labels
                .iter()
                .map(|(label, values)| (label.clone(), texts(values)))
                .collect(),
        }
    }
}

impl From<&VersionRules> for PermitSource {
    fn from(rules: &VersionRules) -> Self {
        Self {
            range: Some(rules.range.to_string()),
            prereleases: rules.prereleases,
            minimum: rules.minimum.as_ref().map(ToString::to_string),
            blocked: rules.blocked.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Blocked> for BlockedSource {
    fn from(blocked: &Blocked) -> Self {
        Self {
            version: blocked.version.to_string(),
            because: blocked.because.clone(),
        }
    }
}

impl From<&Update> for UpdateSource {
    fn from(update: &Update) -> Self {
        Self {
            allow_downgrade: update.allow_downgrade,
            unreadable_version: update.unreadable_version,
            when_forbidden: update.when_forbidden,
            windows: texts(&update.windows),
            rollout: Some(update.rollout.to_string()),
            // Written out, so that a policy which is copied under another name keeps its order.
            rollout_salt: Some(update.rollout_salt.clone()),
            deadline: update.deadline.map(|deadline| deadline.to_string()),
            target: (&update.target).into(),
            stepping_stones: update.stepping_stones.iter().map(Into::into).collect(),
        }
    }
}

impl From<&SteppingStone> for SteppingStoneSource {
    fn from(stone: &SteppingStone) -> Self {
        Self {
            below: stone.below.to_string(),
            through: (&stone.through).into(),
        }
    }
}

impl From<&Artifact> for ArtifactSource {
    fn from(artifact: &Artifact) -> Self {
        Self {
            version: artifact.version.to_string(),
            url: artifact.url.to_string(),
            sha256: artifact.sha256.to_string(),
            size: artifact.size.get(),
            signature: artifact.signature.map(|signature| signature.to_string()),
        }
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
