use super::super::record::PolicyText;
use muster_domain::catalog::{ChannelsSource, Revision};
use muster_firmware_policy::{
    ArtifactSource, PermitSource, SelectorSource, SteppingStoneSource, UnreadableVersion, UpdateSource,
    WhenForbidden,
};
use serde::Deserialize;

/// Without channels, with images that nobody signed, field by field.
#[derive(Deserialize)]
pub(in crate::store::embedded) struct PolicyV1(Revision<Source>);

#[derive(Deserialize)]
struct Source {
    name: String,
    applies_to: SelectorSource,
    permit: PermitSource,
    update: Option<Update>,
}

#[derive(Deserialize)]
struct Update {
    allow_downgrade: bool,
    unreadable_version: UnreadableVersion,
    when_forbidden: WhenForbidden,
    windows: Vec<String>,
    rollout: Option<String>,
    rollout_salt: Option<String>,
    deadline: Option<String>,
    target: Artifact,
    stepping_stones: Vec<SteppingStone>,
}

#[derive(Deserialize)]
struct SteppingStone {
    below: String,
    through: Artifact,
}

#[derive(Deserialize)]
struct Artifact {
    version: String,
    url: String,
    sha256: String,
    size: u64,
}

impl From<PolicyV1> for Revision<PolicyText> {
    fn from(PolicyV1(former): PolicyV1) -> Self {
        let Source {
            name,
            applies_to,
            permit,
            update,
        } = former.content;
        let source = ChannelsSource {
            name,
            applies_to,
            permit,
            update: update.map(Into::into),
            ..ChannelsSource::default()
        };
        Self {
            number: former.number,
            author: former.author,
            created: former.created,
            message: former.message,
            content: PolicyText::of(&source),
        }
    }
}

impl From<Update> for UpdateSource {
    fn from(former: Update) -> Self {
        Self {
            allow_downgrade: former.allow_downgrade,
            unreadable_version: former.unreadable_version,
            when_forbidden: former.when_forbidden,
            windows: former.windows,
            rollout: former.rollout,
            rollout_salt: former.rollout_salt,
            deadline: former.deadline,
            target: former.target.into(),
            stepping_stones: former.stepping_stones.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<SteppingStone> for SteppingStoneSource {
    fn from(former: SteppingStone) -> Self {
        Self {
            below: former.below,
            through: former.through.into(),
        }
    }
}

impl From<Artifact> for ArtifactSource {
    fn from(former: Artifact) -> Self {
        Self {
            version: former.version,
            url: former.url,
            sha256: former.sha256,
            size: former.size,
            signature: None,
        }
    }
}
