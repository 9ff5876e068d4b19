//! Rendering a profile here: the registry's own renderer, with values of a device, of the command line, or both.

use crate::{
    apply::{parameter_source, values_source},
    failure::{Answer, Failure},
    records::{RenderedFile, SourcedValue},
};
use muster_domain::{
    Refusal, Timestamp,
    catalog::{Catalog, Facts, Group, GroupSource, Profile, ProfileSource, Site, SiteSource, Stack},
    ids::BatchId,
    mac::Mac,
    names::{GroupName, ModelName, Serial},
};
use muster_proto::v1;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Display,
    str::FromStr,
    sync::Arc,
};

/// A profile as it travels, as it was written.
pub(crate) fn source_of(wire: v1::Profile) -> ProfileSource {
    let parameters = wire.parameters.into_iter();
    ProfileSource {
        name: bare(wire.name),
        message: wire.revision.map(|revision| revision.message).unwrap_or_default(),
        parameters: parameters
            .map(|(key, parameter)| (key, parameter_source(parameter)))
            .collect(),
        values: wire.values.map(values_source).unwrap_or_default(),
        files: wire.files.into_iter().collect(),
        secrets: wire.secrets.into_iter().collect(),
    }
}

/// A profile as it travels, checked as the registry checks it.
pub(crate) fn profile_of(wire: v1::Profile) -> Result<Profile, Failure> {
    source_of(wire).check().map_err(refused)
}

/// A revision that the registry keeps; it may be older than some of the rules.
pub(crate) fn kept_profile_of(wire: v1::Profile) -> Result<Profile, Failure> {
    source_of(wire).restore().map_err(refused)
}

/// `collection/name` without its collection.
pub(crate) fn bare(name: String) -> String {
    match name.split_once('/') {
        Some((_, rest)) => rest.to_owned(),
        None => name,
    }
}

/// Refusals of the domain's own rules: the first decides, all are named.
pub(crate) fn refused(refusals: Vec<Refusal>) -> Failure {
    let Some(first) = refusals.first() else {
        return Failure::Fault(anyhow::anyhow!("refused without a reason"));
    };
    let mut answer = Answer::local(first);
    if refusals.len() > 1 {
        answer.message = format!("{} (and {} more)", answer.message, refusals.len() - 1);
    }
    answer.fields = refusals
        .into_iter()
        .map(|refusal| (refusal.field, refusal.message))
        .collect();
    Failure::Refused(Box::new(answer))
}

/// What a profile is rendered for.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    device: v1::Device,
    site: Option<SiteSource>,
    /// The sites above its own and the groups that there are, as far as they are known.
    around: Catalog,
    /// The static groups that it is in.
    groups: BTreeSet<GroupName>,
}

fn site_source(site: v1::Site) -> SiteSource {
    SiteSource {
        code: bare(site.name),
        name: site.display_name,
        country: site.country,
        parent: bare(site.parent),
        latitude: site.latitude,
        longitude: site.longitude,
        time_zone: site.time_zone,
        maintenance_windows: site.maintenance_windows,
    }
}

impl Subject {
    /// A device and its site.
    pub(crate) fn of(device: v1::Device, site: Option<v1::Site>) -> Self {
        let groups = device.groups.iter().cloned();
        let device = v1::Device {
            model: bare(device.model),
            groups: groups.map(bare).collect(),
            ..device
        };
        Self::at(device, site.map(site_source))
    }

    /// A made-up device at a site.
    pub(crate) fn at(device: v1::Device, site: Option<SiteSource>) -> Self {
        // A name that is none is no group's.
        let groups = device
            .groups
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        Self {
            device,
            site,
            around: Catalog::default(),
            groups,
        }
    }

    /// A site that its own is a part of, as the registry has it.
    pub(crate) fn is_below(&mut self, site: v1::Site) -> Result<(), Failure> {
        let site = site_source(site).check().map_err(refused)?;
        self.around.sites.insert(site.code.clone(), Arc::new(site));
        Ok(())
    }

    /// The sites that its own is a part of, the nearest first.
    pub(crate) fn is_within(&mut self, codes: &[String]) -> Result<(), Failure> {
        let parent = |place: usize| codes.get(place).cloned().unwrap_or_default();
        if let Some(site) = &mut self.site {
            site.parent = parent(0);
        }
        for (place, code) in codes.iter().enumerate() {
            let source = SiteSource {
                code: code.clone(),
                parent: parent(place + 1),
                ..SiteSource::default()
            };
            let site = source.check().map_err(refused)?;
            self.around.sites.insert(site.code.clone(), Arc::new(site));
        }
        Ok(())
    }

    /// A group, as the registry has it.
    pub(crate) fn knows(&mut self, group: v1::Group) -> Result<(), Failure> {
        let source = GroupSource {
            name: bare(group.name),
            description: group.description,
            rank: group.rank,
            filter: group.filter,
        };
        let group = source.check().map_err(refused)?;
        self.around.groups.insert(group.name.clone(), Arc::new(group));
        Ok(())
    }

    /// Is a member of a group, whatever its filter says; one that is not known is above those before it.
    pub(crate) fn joins(&mut self, name: &str) -> Result<(), Failure> {
        let name: GroupName = read("group", name)?;
        let groups = &mut self.around.groups;
        let above = groups.values().map(|group| group.rank.saturating_add(1)).max();
        let known = groups.get(&name).map(|group| group.rank);
        let group = Group {
            name: name.clone(),
            description: String::new(),
            rank: known.or(above).unwrap_or_default(),
            rule: None,
        };
        groups.insert(name.clone(), Arc::new(group));
        self.groups.insert(name);
        Ok(())
    }

    /// Takes `name=value`, where the name is one that templates use.
    pub(crate) fn set(&mut self, text: &str, profile: &Profile) -> Result<(), Failure> {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Failure::usage(
                format!("--set {text:?} has no value"),
                "Write --set NAME=VALUE, such as --set device.serial=GW2-1.",
            )
        })?;
        let text = value.to_owned();
        match name.split_once('.') {
            Some(("device", field)) => match field.split_once('.') {
                Some(("labels", key)) => {
                    self.device.labels.insert(key.to_owned(), text);
                }
                _ => *self.device_field(field).ok_or_else(|| unknown(name, profile))? = text,
            },
            Some(("site", field)) => {
                self.set_site(field, text, name)?
                    .ok_or_else(|| unknown(name, profile))?;
            }
            _ if profile.parameters.contains_key(name) => {
                self.device.variables.insert(name.to_owned(), text);
            }
            _ => return Err(unknown(name, profile)),
        }
        Ok(())
    }

    fn device_field(&mut self, field: &str) -> Option<&mut String> {
        let device = &mut self.device;
        Some(match field {
            "serial" => &mut device.serial,
            "mac" => &mut device.mac,
            "model" => &mut device.model,
            "hardware" => &mut device.hardware,
            "firmware" => &mut device.factory_firmware,
            "position" => &mut device.position,
            _ => return None,
        })
    }

    /// `None` when there is no such field.
    fn set_site(&mut self, field: &str, value: String, name: &str) -> Result<Option<()>, Failure> {
        let site = self.site.get_or_insert_default();
        match field {
            "code" => site.code = value,
            "name" => site.name = value,
            "country" => site.country = value,
            "time_zone" => site.time_zone = value,
            "latitude" => site.latitude = Some(read(name, &value)?),
            "longitude" => site.longitude = Some(read(name, &value)?),
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    /// The files, in order of their keys.
    pub(crate) fn render(&self, profile: &Profile) -> Result<Vec<RenderedFile>, Failure> {
        let renderer = profile.renderer().map_err(|refusal| refused(vec![refusal]))?;
        let files = self
            .with_facts(profile, |facts| renderer.render(facts))?
            .map_err(refused)?;
        Ok(files
            .into_iter()
            .map(|(file, content)| RenderedFile { file, content })
            .collect())
    }

    /// For each parameter its value, and where that comes from.
    pub(crate) fn explain(&self, profile: &Profile) -> Result<Vec<SourcedValue>, Failure> {
        let sourced = self.with_facts(profile, |facts| profile.explain(facts))?;
        Ok(sourced.into_iter().map(SourcedValue::from).collect())
    }

    /// What is known of the device, its layers among it.
    fn with_facts<T>(&self, profile: &Profile, then: impl FnOnce(&Facts<'_>) -> T) -> Result<T, Failure> {
        let device = &self.device;
        for (name, value) in [("device.serial", &device.serial), ("device.model", &device.model)] {
            if value.is_empty() {
                return Err(Failure::usage(
                    format!("there is no {name}"),
                    "Every device has one: give --device, or --set device.serial=... --set device.model=...",
                ));
            }
        }
        let serial: Serial = read("device.serial", &device.serial)?;
        let model: ModelName = read("device.model", &device.model)?;
        let mac: Option<Mac> = read_some("device.mac", &device.mac)?;
        let firmware = read_some("device.firmware", &device.factory_firmware)?;
        let site = self.checked_site()?;
        let mut around = self.around.clone();
        if let Some(site) = &site {
            around.sites.insert(site.code.clone(), Arc::new(site.clone()));
        }
        let sorted = |map: &HashMap<String, String>| -> BTreeMap<String, String> {
            map.iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let facts = Facts {
            serial: &serial,
            mac,
            model: &model,
            hardware: some(&device.hardware),
            firmware: firmware.as_ref(),
            site: site.as_ref(),
            position: some(&device.position),
            labels: &sorted(&device.labels),
            variables: &sorted(&device.variables),
            groups: &self.groups,
            birth: birth(device),
            underlay: None,
        };
        let way = site.iter().flat_map(|site| around.way_up(&site.code));
        let way: Vec<_> = way.map(|site| site.code.clone()).collect();
        let underlay = Stack::new(&around, profile).map(|stack| stack.underlay(&facts, &way));
        Ok(then(&Facts {
            underlay: underlay.as_deref(),
            ..facts
        }))
    }

    fn checked_site(&self) -> Result<Option<Site>, Failure> {
        let site = self.site.as_ref().map(SiteSource::check).transpose();
        site.map_err(|mut refusals| {
            for refusal in &mut refusals {
                refusal.field = format!("site.{}", refusal.field);
            }
            refused(refusals)
        })
    }
}

/// When, and by which import, a device was registered; nothing of a made-up one.
fn birth(device: &v1::Device) -> Option<(BatchId, Timestamp)> {
    let batch = bare(device.batch.clone()).parse().ok()?;
    let at = device.create_time.as_ref()?;
    let seconds = u64::try_from(at.seconds).ok()?;
    let millis = u64::try_from(at.nanos).ok()? / 1_000_000;
    Some((
        batch,
        Timestamp::from_millis(seconds.checked_mul(1000)?.checked_add(millis)?),
    ))
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn read<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|why: T::Err| Failure::usage(format!("{name} {text:?}: {why}"), ""))
}

fn read_some<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<Option<T>, Failure> {
    some(text).map(|text| read(name, text)).transpose()
}

fn unknown(name: &str, profile: &Profile) -> Failure {
    let parameters: Vec<_> = profile.parameters.keys().map(String::as_str).collect();
    let own = match parameters.as_slice() {
        [] => "it has no parameters".to_owned(),
        some => format!("its parameters are {}", some.join(", ")),
    };
    Failure::usage(
        format!("profile {} does not know {name:?}; {own}", profile.name),
        "`muster profile render --help` lists the names of device and site.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::v1::profile::parameter::Type;

    fn profile(template: &str) -> Result<Profile, Failure> {
        let parameter = |kind: Type, default: Option<&str>| v1::profile::Parameter {
            r#type: kind.into(),
            default: default.map(str::to_owned),
            ..Default::default()
        };
        profile_of(v1::Profile {
            name: "profiles/gateway".into(),
            parameters: [
                ("period".to_owned(), parameter(Type::Integer, Some("300"))),
                ("extension".to_owned(), parameter(Type::String, None)),
            ]
            .into(),
            files: [("a.txt".to_owned(), template.to_owned())].into(),
            ..v1::Profile::default()
        })
    }

    /// Renders for what is set on a subject.
    fn rendered(mut subject: Subject, template: &str, values: &[&str]) -> Result<String, String> {
        let mut render = || {
            let profile = profile(template)?;
            for value in values {
                subject.set(value, &profile)?;
            }
            subject.render(&profile)
        };
        let files = render().map_err(|failure: Failure| failure.to_string())?;
        assert_eq!(files.len(), 1);
        Ok(files.into_iter().map(|file| file.content).collect())
    }

    const NAMED: [&str; 3] = ["device.serial=GW2-1", "device.model=GW-200", "extension=21=22"];

    #[test]
    fn values_of_the_command_line_are_enough() {
        let check = |template: &str, more: &[&str], expected: &str| {
            let values: Vec<_> = NAMED.iter().chain(more).copied().collect();
            assert_eq!(rendered(Subject::default(), template, &values).unwrap(), expected);
        };
        check(
            "{{ device.serial }} {{ extension }} {{ period }}",
            &[],
            "GW2-1 21=22 300",
        );
        check("{{ period + 1 }}", &["period=4"], "5");
        check(
            "{{ device.mac }} {{ device.labels.rack }} {{ site.code }} {{ site.latitude }}",
            &[
                "device.mac=001bc5007001",
                "device.labels.rack=7",
                "site.code=MUC-01",
                "site.name=Munich",
                "site.latitude=48.5",
                "site.longitude=11",
            ],
            "00:1B:C5:00:70:01 7 MUC-01 48.5",
        );
    }

    #[test]
    fn a_devices_values_are_used_and_can_be_replaced() {
        let subject = || {
            let device = v1::Device {
                serial: "GW2-7".into(),
                model: "models/GW-200".into(),
                factory_firmware: "2.3.1".into(),
                variables: [("extension".to_owned(), "9".to_owned())].into(),
                ..v1::Device::default()
            };
            let site = v1::Site {
                name: "sites/MUC-01".into(),
                display_name: "Munich".into(),
                parent: "sites/DE".into(),
                ..v1::Site::default()
            };
            Subject::of(device, Some(site))
        };
        let template =
            "{{ device.serial }} {{ device.model }} {{ device.firmware }} {{ site.name }} {{ extension }}";
        assert_eq!(
            rendered(subject(), template, &[]).unwrap(),
            "GW2-7 GW-200 2.3.1 Munich 9"
        );
        assert_eq!(
            rendered(subject(), template, &["extension=8", "site.name=Hall"]).unwrap(),
            "GW2-7 GW-200 2.3.1 Hall 8"
        );
    }

    #[test]
    fn what_cannot_be_rendered_says_why() {
        let check = |template: &str, values: &[&str], expected: &str| {
            let text = rendered(Subject::default(), template, values).unwrap_err();
            assert!(text.contains(expected), "{text}");
        };
        check("x", &[], "there is no device.serial");
        check("x", &["device.serial=GW2-1"], "there is no device.model");
        check("x", &["device.serial"], "has no value");
        check("x", &["device.colour=red"], "does not know \"device.colour\"");
        check("x", &["site.colour=red"], "does not know \"site.colour\"");
        check("x", &["perod=1"], "its parameters are extension, period");
        check("x", &["site.latitude=north"], "site.latitude \"north\"");
        check(
            "x",
            &["device.serial=a b", "device.model=GW-200"],
            "device.serial \"a b\"",
        );
        check("{% if %}", &[], "M3003");
        check("x", &NAMED[..2], "M2151");
        let values: Vec<_> = NAMED.into_iter().chain(["period=soon"]).collect();
        check("x", &values, "variables.period");
        check("{{ device.position }}", &NAMED, "M2152");
    }
}
