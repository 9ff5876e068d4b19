//! The text of a file as resources.

use super::{Kind, Resource, profile::ProfileDocument, wire};
use muster_domain::{
    catalog::{ChannelsSource, GroupSource, ModelSource, NamingRuleSource, SiteSource, Syntax},
    manifest::MappingSource,
};
use muster_proto::v1::resource::Resource as Wire;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::path::Path;

/// The keys of a file that names kinds.
const PLURALS: [&str; 7] = [
    "models",
    "sites",
    "groups",
    "profiles",
    "firmware_policies",
    "naming_rules",
    "mappings",
];

/// A file that names kinds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mixed {
    #[serde(default)]
    models: Vec<ModelSource>,
    #[serde(default)]
    sites: Vec<SiteSource>,
    #[serde(default)]
    groups: Vec<GroupSource>,
    #[serde(default)]
    profiles: Vec<ProfileDocument>,
    #[serde(default)]
    firmware_policies: Vec<ChannelsSource>,
    #[serde(default)]
    naming_rules: Vec<NamingRuleSource>,
    #[serde(default)]
    mappings: Vec<MappingSource>,
}

/// What one file needs to become resources.
pub(super) struct Document<'a> {
    /// For messages.
    pub(super) origin: &'a str,
    /// Where template files are looked for.
    pub(super) base: &'a Path,
    pub(super) kind: Kind,
}

impl Document<'_> {
    fn resource(&self, wire: Wire) -> Resource {
        Resource {
            origin: format!("{}: {}", self.origin, wire::name(&wire)),
            wire: wire::resource(wire),
        }
    }

    fn mixed(&self, mixed: Mixed) -> Result<Vec<Resource>, String> {
        let present = [
            (Kind::Models, PLURALS[0], mixed.models.len()),
            (Kind::Sites, PLURALS[1], mixed.sites.len()),
            (Kind::Groups, PLURALS[2], mixed.groups.len()),
            (Kind::Profiles, PLURALS[3], mixed.profiles.len()),
            (Kind::FirmwarePolicies, PLURALS[4], mixed.firmware_policies.len()),
            (Kind::NamingRules, PLURALS[5], mixed.naming_rules.len()),
            (Kind::Mappings, PLURALS[6], mixed.mappings.len()),
        ];
        let foreign = present
            .iter()
            .find(|(kind, _, count)| *count > 0 && self.kind != Kind::Any && self.kind != *kind);
        if let Some((_, plural, _)) = foreign {
            return Err(format!(
                "holds {plural}, which this command does not take; use `muster apply`"
            ));
        }
        let mut resources = Vec::new();
        resources.extend(
            mixed
                .firmware_policies
                .iter()
                .map(|policy| wire::policy(policy).map(|wire| self.resource(wire))),
        );
        for profile in mixed.profiles {
            resources.push(
                profile
                    .into_wire(self.base)
                    .map(|wire| self.resource(Wire::Profile(wire))),
            );
        }
        resources.extend(
            mixed
                .models
                .into_iter()
                .map(|model| Ok(self.resource(Wire::Model(wire::model(model))))),
        );
        resources.extend(
            mixed
                .sites
                .into_iter()
                .map(|site| Ok(self.resource(Wire::Site(wire::site(site))))),
        );
        resources.extend(
            mixed
                .groups
                .into_iter()
                .map(|group| Ok(self.resource(Wire::Group(wire::group(group))))),
        );
        resources.extend(
            mixed
                .naming_rules
                .into_iter()
                .map(|rule| Ok(self.resource(Wire::NamingRule(wire::naming_rule(rule))))),
        );
        resources.extend(
            mixed
                .mappings
                .iter()
                .map(|mapping| wire::mapping(mapping).map(|wire| self.resource(wire))),
        );
        resources.into_iter().collect()
    }

    /// One resource of the command's kind; `read` makes it from whatever the file is written in.
    fn single(&self, read: impl Reader) -> Result<Resource, String> {
        let wire = match self.kind {
            Kind::Any => {
                let plurals = PLURALS.join("]], [[");
                return Err(format!(
                    "does not say what it holds; begin with one of [[{plurals}]]"
                ));
            }
            Kind::Models => Wire::Model(wire::model(read.read()?)),
            Kind::Sites => Wire::Site(wire::site(read.read()?)),
            Kind::Groups => Wire::Group(wire::group(read.read()?)),
            Kind::Profiles => Wire::Profile(read.read::<ProfileDocument>()?.into_wire(self.base)?),
            Kind::FirmwarePolicies => wire::policy(&read.read::<ChannelsSource>()?)?,
            Kind::NamingRules => Wire::NamingRule(wire::naming_rule(read.read()?)),
            Kind::Mappings => wire::mapping(&read.read::<MappingSource>()?)?,
        };
        Ok(self.resource(wire))
    }

    pub(super) fn toml(&self, text: &str) -> Result<Vec<Resource>, String> {
        let table: toml::Table = toml::from_str(text).map_err(|error| trimmed(&error))?;
        if names_kinds(table.keys()) {
            self.mixed(TomlText(text).read()?)
        } else {
            Ok(vec![self.single(TomlText(text))?])
        }
    }

    /// One document, several after each other, or arrays of them.
    pub(super) fn json(&self, text: &str) -> Result<Vec<Resource>, String> {
        let values = serde_json::Deserializer::from_str(text).into_iter();
        self.values(values.map(|value| value.map_err(|error| error.to_string())))
    }

    /// A mapping, a list of them, or several documents.
    pub(super) fn yaml(&self, text: &str) -> Result<Vec<Resource>, String> {
        let value = Syntax::Yaml.read(text).map_err(|malformed| malformed.to_string());
        self.values([value].into_iter())
    }

    fn values(&self, values: impl Iterator<Item = Result<Value, String>>) -> Result<Vec<Resource>, String> {
        let mut resources = Vec::new();
        for value in values {
            let documents = match value? {
                Value::Array(items) => items,
                other => vec![other],
            };
            for document in documents {
                let place = resources.len() + 1;
                let found = match &document {
                    Value::Object(map) if names_kinds(map.keys()) => self.mixed(JsonValue(document).read()?),
                    _ => self.single(JsonValue(document)).map(|resource| vec![resource]),
                };
                resources.extend(found.map_err(|why| format!("document {place}: {why}"))?);
            }
        }
        Ok(resources)
    }

    /// Sites as a table.
    pub(super) fn csv(&self, text: &str) -> Result<Vec<Resource>, String> {
        if !matches!(self.kind, Kind::Any | Kind::Sites) {
            return Err("is CSV, which is for sites only".into());
        }
        let header = text.lines().next().unwrap_or_default();
        let delimiter = [b',', b';', b'\t', b'|'].into_iter().max_by_key(|delimiter| {
            // The first of equals wins only from the back, so commas are preferred by a second key.
            (
                header.bytes().filter(|byte| byte == delimiter).count(),
                *delimiter == b',',
            )
        });
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter.unwrap_or(b','))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let sites = reader.deserialize::<SiteSource>();
        sites
            .map(|site| {
                site.map(|site| self.resource(Wire::Site(wire::site(site))))
                    .map_err(|error| error.to_string())
            })
            .collect()
    }
}

fn names_kinds<'k>(keys: impl Iterator<Item = &'k String>) -> bool {
    let mut keys = keys.peekable();
    // `profiles` and the like are never fields of a single resource.
    keys.peek().is_some() && keys.all(|key| PLURALS.contains(&key.as_str()))
}

fn trimmed(error: &toml::de::Error) -> String {
    error.to_string().trim_end().to_owned()
}

/// Something one value can be read from.
trait Reader {
    fn read<T: DeserializeOwned>(self) -> Result<T, String>;
}

struct TomlText<'a>(&'a str);
struct JsonValue(Value);

impl Reader for TomlText<'_> {
    fn read<T: DeserializeOwned>(self) -> Result<T, String> {
        toml::from_str(self.0).map_err(|error| trimmed(&error))
    }
}

impl Reader for JsonValue {
    fn read<T: DeserializeOwned>(self) -> Result<T, String> {
        serde_json::from_value(self.0).map_err(|error| error.to_string())
    }
}
