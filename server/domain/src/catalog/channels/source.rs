//! The written form of a policy with channels, and all that can be wrong with it.

use super::{Channels, LABEL};
use crate::{Code, Refusal, catalog::check::Problems, change::is_label_key, names::ChannelName};
use muster_firmware_policy::{
    Defect, FirmwarePolicy, PermitSource, PolicySource, Problem, SelectorSource, UpdateSource,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, btree_map::Entry};

/// Most channels of a policy: people tell a handful apart, and each is kept rendered for whole fleets.
const CHANNEL_LIMIT: usize = 16;

/// A firmware policy as a person writes it. Without channels it is what devices get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelsSource {
    /// See [`PolicySource`].
    pub name: String,
    /// Which devices the policy is for, in every channel.
    pub applies_to: SelectorSource,
    /// Which versions may run, in every channel.
    #[serde(default)]
    pub permit: PermitSource,
    /// Which version is wanted on devices that follow no channel of the policy.
    #[serde(default)]
    pub update: Option<UpdateSource>,
    /// The label by which devices choose; `channel` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_label: Option<String>,
    /// By name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<String, ChannelSource>,
}

/// `[channels.NAME]`: what is wanted on devices whose label says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSource {
    /// Which version is wanted; if left out nothing is installed, as in a policy without one.
    #[serde(default)]
    pub update: Option<UpdateSource>,
}

impl From<&Channels> for ChannelsSource {
    fn from(channels: &Channels) -> Self {
        let PolicySource {
            name,
            applies_to,
            permit,
            update,
        } = channels.base.to_source();
        let written = |policy: &FirmwarePolicy| ChannelSource {
            update: policy.to_source().update,
        };
        let others = channels.others.iter();
        Self {
            name,
            applies_to,
            permit,
            update,
            channel_label: (!channels.others.is_empty()).then(|| channels.label.clone()),
            channels: others
                .map(|(name, policy)| (name.to_string(), written(policy)))
                .collect(),
        }
    }
}

impl ChannelsSource {
    /// Checks all of it: that no channel contradicts what may run, nor another channel.
    ///
    /// # Errors
    /// [`Code::PolicyInvalid`], each at its field, such as `channels.beta.update.target.url`.
    pub fn check(&self) -> Result<Channels, Vec<Refusal>> {
        let mut problems = Problems::new(Code::PolicyInvalid);
        let base = parsed(&mut problems, self.plain(self.update.clone()), "");
        let label = self.label(&mut problems);
        if self.channels.len() > CHANNEL_LIMIT {
            let why = format!("has {} channels, more than {CHANNEL_LIMIT}", self.channels.len());
            problems.add("channels", why);
        }
        let mut others = BTreeMap::new();
        for (name, channel) in self.channels.iter().take(CHANNEL_LIMIT) {
            let at = format!("channels.{name}");
            let name = problems.take(&at, name.parse::<ChannelName>());
            let policy = parsed(
                &mut problems,
                self.plain(channel.update.clone()),
                &format!("{at}."),
            );
            others.extend(name.zip(policy));
        }
        one_image_a_version(&mut problems, base.as_ref(), &others);
        match base {
            Some(base) => problems.none_or(Channels {
                base: Box::new(base),
                label,
                others,
            }),
            None => Err(problems.into()),
        }
    }

    /// The policy with this update alone.
    fn plain(&self, update: Option<UpdateSource>) -> PolicySource {
        PolicySource {
            name: self.name.clone(),
            applies_to: self.applies_to.clone(),
            permit: self.permit.clone(),
            update,
        }
    }

    fn label(&self, problems: &mut Problems) -> String {
        if self.channel_label.is_some() && self.channels.is_empty() {
            problems.add("channel_label", "chooses among channels, and the policy has none");
        }
        let label = self.channel_label.as_deref().unwrap_or(LABEL);
        if !is_label_key(label) {
            problems.add("channel_label", format!("{label:?} is no key of a label"));
        }
        label.to_owned()
    }
}

/// A policy, checked. Of one in a channel only what is wrong with its update is told: the rest is told once.
fn parsed(problems: &mut Problems, source: PolicySource, at: &str) -> Option<FirmwarePolicy> {
    let found = FirmwarePolicy::parse(source);
    let told = |problem: &&Problem| at.is_empty() || problem.path.starts_with("update");
    for Problem { path, defect } in found.as_ref().err().into_iter().flatten().filter(told) {
        problems.add(&format!("{at}{path}"), within(defect, at).to_string());
    }
    found.ok()
}

/// A defect that names another place of the same update, by its path in the whole policy.
fn within(defect: &Defect, channel: &str) -> Defect {
    if let Defect::OtherArtifact(at) = defect {
        return Defect::OtherArtifact(format!("{channel}{at}"));
    }
    if let Defect::SkippedBy { at, landing } = defect {
        let (at, landing) = (format!("{channel}{at}"), landing.clone());
        return Defect::SkippedBy { at, landing };
    }
    defect.clone()
}

/// A device that changes its channel must not find other bytes under the version that it runs.
fn one_image_a_version(
    problems: &mut Problems,
    base: Option<&FirmwarePolicy>,
    others: &BTreeMap<ChannelName, FirmwarePolicy>,
) {
    let channels = others
        .iter()
        .map(|(name, policy)| (format!("channels.{name}."), policy));
    let all = base
        .map(|policy| (String::new(), policy))
        .into_iter()
        .chain(channels);
    let mut known = BTreeMap::new();
    for (at, policy) in all {
        for (path, artifact) in policy.images() {
            let path = format!("{at}{path}");
            match known.entry(artifact.version.to_string()) {
                Entry::Vacant(free) => drop(free.insert((path, artifact))),
                Entry::Occupied(first) => {
                    let (first, other) = first.get();
                    if *other != artifact {
                        problems.add(&path, Defect::OtherArtifact(first.clone()).to_string());
                    }
                }
            }
        }
    }
}
