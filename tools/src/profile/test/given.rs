//! What is known of a device in a test.

use crate::{failure::Failure, render::Subject};
use muster_domain::catalog::{Profile, SiteSource};
use muster_proto::v1;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Given {
    device: Device,
    site: Option<SiteSource>,
    /// The sites that its own is a part of, the nearest first.
    above: Vec<String>,
    /// The groups that it is in, the lowest rank first.
    groups: Vec<String>,
    variables: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Device {
    serial: String,
    mac: String,
    model: String,
    hardware: String,
    firmware: String,
    position: String,
    labels: BTreeMap<String, String>,
}

impl Given {
    /// What all cases have, and what one says otherwise, value by value.
    pub(super) fn read(common: &toml::Table, own: &toml::Table) -> Result<Self, String> {
        let mut merged = common.clone();
        merge(&mut merged, own);
        let read = Self::deserialize(toml::Value::Table(merged));
        read.map_err(|error| format!("given: {}", error.to_string().trim_end()))
    }

    pub(super) fn subject(self, profile: &Profile) -> Result<Subject, String> {
        if let Some(key) = self
            .variables
            .keys()
            .find(|key| !profile.parameters.contains_key(*key))
        {
            return Err(format!(
                "given.variables.{key}: the profile has no such parameter"
            ));
        }
        let device = v1::Device {
            serial: self.device.serial,
            mac: self.device.mac,
            model: self.device.model,
            hardware: self.device.hardware,
            factory_firmware: self.device.firmware,
            position: self.device.position,
            labels: self.device.labels.into_iter().collect(),
            variables: self
                .variables
                .into_iter()
                .map(|(key, value)| (key, text(&value)))
                .collect(),
            ..v1::Device::default()
        };
        let mut subject = Subject::at(device, self.site);
        let told = |failure: Failure| format!("given: {}", failure.to_string().trim_start_matches("error: "));
        subject.is_within(&self.above).map_err(told)?;
        self.groups
            .iter()
            .try_for_each(|name| subject.joins(name))
            .map_err(told)?;
        Ok(subject)
    }
}

/// A variable is a text; a number or truth value means its own.
fn text(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn merge(into: &mut toml::Table, own: &toml::Table) {
    for (key, value) in own {
        match (into.get_mut(key), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(own)) => merge(into, own),
            _ => drop(into.insert(key.clone(), value.clone())),
        }
    }
}
