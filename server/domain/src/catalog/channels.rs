//! A firmware policy in all its channels: whom it is for, and what may run, is said once; which version is wanted, once a channel.
//! A label of a device says which channel it follows.
//!
//! Channels end here. A device is told a plain policy, of the channel that it follows, so neither the wire nor what decides on the
//! device knows of them; and a device that is labelled otherwise becomes something else, as with any other change of its content.

mod source;

pub use source::{ChannelSource, ChannelsSource};

use crate::names::ChannelName;
use muster_firmware_policy::{Artifact, FirmwarePolicy};
use std::collections::BTreeMap;

/// The label that says which channel a device follows, unless the policy names another.
const LABEL: &str = "channel";

/// A checked policy in all its channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    /// What devices follow that choose none of the others.
    base: Box<FirmwarePolicy>,
    label: String,
    others: BTreeMap<ChannelName, FirmwarePolicy>,
}

impl Channels {
    /// The name of the policy.
    pub fn name(&self) -> &str {
        self.base.name()
    }

    /// The channel that a device with these labels follows; `None` for one that has no such label, or follows one that is not here.
    pub fn followed(&self, labels: &BTreeMap<String, String>) -> Option<&ChannelName> {
        let wanted = labels.get(&self.label)?;
        let (name, _) = self.others.get_key_value(wanted.as_str())?;
        Some(name)
    }

    /// What a device gets that follows this channel.
    pub fn policy(&self, channel: Option<&ChannelName>) -> &FirmwarePolicy {
        channel
            .and_then(|name| self.others.get(name))
            .unwrap_or(&*self.base)
    }

    /// The images of all channels, each with its place, such as `channels.beta.update.target`.
    pub fn images(&self) -> impl Iterator<Item = (String, &Artifact)> {
        let channels = self.others.iter().flat_map(|(name, policy)| {
            let images = policy.images();
            images.map(move |(path, image)| (format!("channels.{name}.{path}"), image))
        });
        self.base.images().chain(channels)
    }

    /// The channels that can be followed.
    pub fn names(&self) -> impl Iterator<Item = &ChannelName> {
        self.others.keys()
    }
}

impl From<FirmwarePolicy> for Channels {
    fn from(base: FirmwarePolicy) -> Self {
        Self {
            base: Box::new(base),
            label: LABEL.to_owned(),
            others: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests;
