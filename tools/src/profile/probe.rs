//! A made-up device for which a profile is rendered before there is a real one.

use crate::template::value;
use muster_domain::{
    Code, Refusal,
    catalog::{Facts, Profile, Site, SiteSource},
    mac::Mac,
};
use std::collections::{BTreeMap, BTreeSet};

/// A text that every format but plain text must quote. It has no letters, so that filters leave it alone.
pub(super) const HOSTILE: &str = "\"\\'";

/// What is known of the device.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) position: String,
    pub(super) site: SiteSource,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) variables: BTreeMap<String, String>,
}

impl Probe {
    /// A device that has everything a template can ask for, and a value for every parameter without default.
    pub(super) fn of(profile: &Profile, labels: &[String]) -> Self {
        let parameters = profile.parameters.iter();
        let variables = parameters.map(|(key, parameter)| (key.clone(), value(parameter.source())));
        Self {
            position: "Hall 1".to_owned(),
            site: SiteSource {
                code: "MUC-01".to_owned(),
                name: "Munich".to_owned(),
                country: "DE".to_owned(),
                parent: String::new(),
                latitude: Some(48.1),
                longitude: Some(11.6),
                time_zone: "Europe/Berlin".to_owned(),
                maintenance_windows: Vec::new(),
            },
            labels: labels
                .iter()
                .map(|key| (key.clone(), "label".to_owned()))
                .collect(),
            variables: variables.collect(),
        }
    }

    fn site(&self) -> Option<Site> {
        self.site.check().ok()
    }

    /// The files of the device.
    pub(super) fn render(
        &self,
        profile: &Profile,
        reading: Reading,
    ) -> Result<BTreeMap<String, String>, Vec<Refusal>> {
        let site = self.site();
        let made_up = |why: &str| vec![Refusal::new(Code::RenderFailed, why)];
        let serial = "GW2-7000001".parse().map_err(|_| made_up("no serial"))?;
        let model = "GW-200".parse().map_err(|_| made_up("no model"))?;
        let firmware = "2.3.1".parse().ok();
        let facts = Facts {
            serial: &serial,
            mac: Some(Mac::Eui48([0, 0, 0x5e, 0, 0x53, 1])),
            model: &model,
            hardware: Some("B0"),
            firmware: firmware.as_ref(),
            site: site.as_ref(),
            position: Some(&self.position),
            labels: &self.labels,
            variables: &self.variables,
            groups: &BTreeSet::new(),
            birth: None,
            underlay: None,
        };
        let renderer = profile.renderer().map_err(|refusal| vec![refusal])?;
        match reading {
            Reading::Strict => renderer.render(&facts),
            Reading::Loose => renderer.render_again(&facts),
        }
    }
}

/// Must the files be what their keys say?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Strict,
    Loose,
}
