//! Models, sites, groups, profiles, firmware policies, naming rules, mappings, and what
//! applying them did.

use super::{state, time};
use crate::{
    apply::values_source,
    output::{Column, Look, Record},
};
use muster_domain::catalog::{Sourced, ValuesSource};
use muster_proto::v1;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A hardware kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Model {
    /// `models/{name}`
    pub name: String,
    /// For people.
    pub description: String,
    /// A regular expression for whole serials.
    pub serial_pattern: String,
    /// Blocks of hardware addresses.
    pub ouis: Vec<String>,
    /// `profiles/{name}`
    pub profile: String,
    /// `firmwarePolicies/{name}`
    pub firmware_policy: String,
    /// How serials check themselves, such as `luhn`; or empty.
    pub check_digit: String,
    /// Locally administered addresses are no reason for a warning.
    pub allow_local_addresses: bool,
    /// Its devices' certificates are those of gateways.
    pub gateway: bool,
    /// Days for which a device whose certificate ended may renew it; absent: the server's default.
    pub renewal_grace_days: Option<u32>,
}

impl From<v1::Model> for Model {
    fn from(wire: v1::Model) -> Self {
        let v1::Model {
            name,
            description,
            serial_pattern,
            ouis,
            profile,
            firmware_policy,
            check_digit,
            allow_local_addresses,
            gateway,
            renewal_grace_days,
        } = wire;
        Self {
            name,
            description,
            serial_pattern,
            ouis,
            profile,
            firmware_policy,
            check_digit,
            allow_local_addresses,
            gateway,
            renewal_grace_days,
        }
    }
}

impl Record for Model {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "NAME", Look::Name),
        Column::shown("serial_pattern", "SERIALS", Look::Plain),
        Column::shown("ouis", "OUIS", Look::Plain),
        Column::shown("profile", "PROFILE", Look::Name),
        Column::shown("firmware_policy", "FIRMWARE POLICY", Look::Name),
        Column::shown("description", "DESCRIPTION", Look::Plain),
        Column::extra("check_digit", Look::Plain),
        Column::extra("allow_local_addresses", Look::Plain),
    ];
}

/// What values of a field look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamingRule {
    /// `namingRules/{name}`
    pub name: String,
    /// For people.
    pub description: String,
    /// Whose values, such as `labels.floor`.
    pub field: String,
    /// A regular expression for whole values.
    pub pattern: String,
    /// A value that follows the rule.
    pub example: String,
    /// The models it is for; empty: all.
    pub models: Vec<String>,
    /// Every device must have a value.
    pub required: bool,
}

impl From<v1::NamingRule> for NamingRule {
    fn from(wire: v1::NamingRule) -> Self {
        let v1::NamingRule {
            name,
            description,
            field,
            pattern,
            example,
            models,
            required,
        } = wire;
        Self {
            name,
            description,
            field,
            pattern,
            example,
            models,
            required,
        }
    }
}

impl Record for NamingRule {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "NAME", Look::Name),
        Column::shown("field", "FIELD", Look::Plain),
        Column::shown("pattern", "PATTERN", Look::Plain),
        Column::shown("required", "REQUIRED", Look::Plain),
        Column::shown("models", "MODELS", Look::Plain),
        Column::shown("example", "EXAMPLE", Look::Plain),
        Column::shown("description", "DESCRIPTION", Look::Plain),
    ];
}

/// Devices under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// `groups/{name}`
    pub name: String,
    /// For people.
    pub description: String,
    /// Of a device's groups, the values of the one with the highest rank count.
    pub rank: i32,
    /// Which devices are in it; empty: those that were added.
    pub filter: String,
}

impl From<v1::Group> for Group {
    fn from(wire: v1::Group) -> Self {
        let v1::Group {
            name,
            description,
            rank,
            filter,
        } = wire;
        Self {
            name,
            description,
            rank,
            filter,
        }
    }
}

impl Record for Group {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "NAME", Look::Name),
        Column::shown("rank", "RANK", Look::Number),
        Column::shown("filter", "FILTER", Look::Plain),
        Column::shown("description", "DESCRIPTION", Look::Plain),
    ];
}

/// A place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Site {
    /// `sites/{code}`
    pub name: String,
    /// For people.
    pub display_name: String,
    /// ISO 3166-1, two letters.
    pub country: String,
    /// `sites/{code}`
    pub parent: String,
    /// Degrees north, WGS 84.
    pub latitude: Option<f64>,
    /// Degrees east, WGS 84.
    pub longitude: Option<f64>,
    /// IANA name.
    pub time_zone: String,
    /// When changes may begin its devices; none: as the site above it says.
    pub maintenance_windows: Vec<String>,
}

impl From<v1::Site> for Site {
    fn from(wire: v1::Site) -> Self {
        let v1::Site {
            name,
            display_name,
            country,
            parent,
            latitude,
            longitude,
            time_zone,
            maintenance_windows,
        } = wire;
        Self {
            name,
            display_name,
            country,
            parent,
            latitude,
            longitude,
            time_zone,
            maintenance_windows,
        }
    }
}

impl Record for Site {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "CODE", Look::Name),
        Column::shown("display_name", "NAME", Look::Plain),
        Column::shown("country", "COUNTRY", Look::Plain),
        Column::shown("parent", "PARENT", Look::Name),
        Column::shown("latitude", "LATITUDE", Look::Number),
        Column::shown("longitude", "LONGITUDE", Look::Number),
        Column::shown("time_zone", "TIME ZONE", Look::Plain),
        Column::shown("maintenance_windows", "MAINTENANCE", Look::Plain),
    ];
}

/// An immutable revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// From 1.
    pub number: u32,
    /// `operators/{name}`
    pub author: String,
    /// When.
    pub create_time: Option<String>,
    /// Why.
    pub message: String,
}

impl From<v1::RevisionInfo> for Revision {
    fn from(wire: v1::RevisionInfo) -> Self {
        Self {
            number: wire.number,
            author: wire.author,
            create_time: time(wire.create_time.as_ref()),
            message: wire.message,
        }
    }
}

impl Record for Revision {
    const COLUMNS: &'static [Column] = &[
        Column::shown("number", "REVISION", Look::Number),
        Column::shown("create_time", "CREATED", Look::Time),
        Column::shown("author", "AUTHOR", Look::Name),
        Column::shown("message", "MESSAGE", Look::Plain),
    ];
}

/// The value of a parameter that a device has, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourcedValue {
    /// The parameter.
    pub parameter: String,
    /// As it was written; nothing where no layer gives one.
    pub value: Option<String>,
    /// `default`, `organisation`, `models/{name}`, `sites/{code}`, `groups/{name}` or `device`; nothing where there is no value.
    pub layer: Option<String>,
}

impl From<Sourced> for SourcedValue {
    fn from(sourced: Sourced) -> Self {
        let (value, layer) = sourced.value.unzip();
        Self {
            parameter: sourced.parameter,
            value,
            layer: layer.map(|origin| origin.to_string()),
        }
    }
}

impl Record for SourcedValue {
    const COLUMNS: &'static [Column] = &[
        Column::shown("parameter", "PARAMETER", Look::Plain),
        Column::shown("value", "VALUE", Look::Plain),
        Column::shown("layer", "LAYER", Look::Plain),
    ];
}

/// A value that a profile takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// `STRING`, `INTEGER`, `NUMBER` or `BOOLEAN`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Used where the device has no value.
    pub default: Option<String>,
    /// For people.
    pub description: String,
    /// The values there are; empty: all.
    #[serde(rename = "enum")]
    pub choices: Vec<String>,
    /// The least number.
    pub minimum: Option<String>,
    /// The greatest number.
    pub maximum: Option<String>,
    /// Fewest characters.
    pub min_length: Option<u32>,
    /// Most characters.
    pub max_length: Option<u32>,
    /// A regular expression for whole values.
    pub pattern: Option<String>,
}

/// A configuration template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// `profiles/{name}`
    pub name: String,
    /// By variable name.
    pub parameters: BTreeMap<String, Parameter>,
    /// What layers give them.
    #[serde(skip_serializing_if = "ValuesSource::is_empty")]
    pub values: ValuesSource,
    /// File key to template.
    pub files: BTreeMap<String, String>,
    /// Which revision this is.
    pub revision: Option<Revision>,
    /// The revisions of the secrets that it names.
    pub secrets: BTreeMap<String, u32>,
}

impl From<v1::Profile> for Profile {
    fn from(wire: v1::Profile) -> Self {
        use v1::profile::parameter::Type;
        let parameter = |parameter: v1::profile::Parameter| Parameter {
            kind: state(parameter.r#type, Type::as_str_name, "TYPE_"),
            default: parameter.default,
            description: parameter.description,
            choices: parameter.choices,
            minimum: parameter.minimum,
            maximum: parameter.maximum,
            min_length: parameter.min_length,
            max_length: parameter.max_length,
            pattern: parameter.pattern,
        };
        Self {
            name: wire.name,
            parameters: wire
                .parameters
                .into_iter()
                .map(|(key, value)| (key, parameter(value)))
                .collect(),
            values: wire.values.map(values_source).unwrap_or_default(),
            files: wire.files.into_iter().collect(),
            revision: wire.revision.map(Revision::from),
            secrets: wire.secrets.into_iter().collect(),
        }
    }
}

impl Record for Profile {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "NAME", Look::Name),
        Column::shown("revision.number", "REVISION", Look::Number),
        Column::shown("revision.create_time", "CREATED", Look::Time),
        Column::shown("revision.author", "AUTHOR", Look::Name),
        Column::shown("revision.message", "MESSAGE", Look::Plain),
        Column::extra("parameters", Look::Plain),
        Column::extra("files", Look::Plain),
    ];
}

/// What a resource says, as JSON; a text only if it is none.
fn said(json: String) -> Value {
    serde_json::from_str(&json).unwrap_or(Value::String(json))
}

/// A firmware rule set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FirmwarePolicy {
    /// `firmwarePolicies/{name}`
    pub name: String,
    /// The policy; a text only if it is not JSON.
    pub source: Value,
    /// Which revision this is.
    pub revision: Option<Revision>,
}

impl From<v1::FirmwarePolicy> for FirmwarePolicy {
    fn from(wire: v1::FirmwarePolicy) -> Self {
        Self {
            name: wire.name,
            source: said(wire.source_json),
            revision: wire.revision.map(Revision::from),
        }
    }
}

impl Record for FirmwarePolicy {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "NAME", Look::Name),
        Column::shown("source.update.target.version", "TARGET", Look::Plain),
        Column::shown("source.applies_to.models", "MODELS", Look::Plain),
        Column::shown("revision.number", "REVISION", Look::Number),
        Column::shown("revision.create_time", "CREATED", Look::Time),
        Column::shown("revision.author", "AUTHOR", Look::Name),
        Column::shown("revision.message", "MESSAGE", Look::Plain),
        Column::extra("source", Look::Plain),
    ];
}

/// What the columns of a manifest mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mapping {
    /// `mappings/{name}`
    pub name: String,
    /// The mapping; a text only if it is not JSON.
    pub source: Value,
    /// Which revision this is.
    pub revision: Option<Revision>,
}

impl From<v1::Mapping> for Mapping {
    fn from(wire: v1::Mapping) -> Self {
        Self {
            name: wire.name,
            source: said(wire.source_json),
            revision: wire.revision.map(Revision::from),
        }
    }
}

impl Record for Mapping {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "NAME", Look::Name),
        Column::shown("source.models", "MODELS", Look::Plain),
        Column::shown("source.description", "DESCRIPTION", Look::Plain),
        Column::shown("revision.number", "REVISION", Look::Number),
        Column::shown("revision.create_time", "CREATED", Look::Time),
        Column::shown("revision.author", "AUTHOR", Look::Name),
        Column::shown("revision.message", "MESSAGE", Look::Plain),
        Column::extra("source", Look::Plain),
    ];
}

/// What applying one resource did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Resource name.
    pub name: String,
    /// `CREATED`, `UPDATED` or `UNCHANGED`.
    pub action: String,
    /// The newest revision, where the resource has them.
    pub revision: u32,
}

impl From<v1::apply_response::Outcome> for Outcome {
    fn from(wire: v1::apply_response::Outcome) -> Self {
        use v1::apply_response::outcome::Action;
        Self {
            name: wire.name,
            action: state(wire.action, Action::as_str_name, "ACTION_"),
            revision: wire.revision,
        }
    }
}

impl Record for Outcome {
    const COLUMNS: &'static [Column] = &[
        Column::shown("name", "RESOURCE", Look::Plain),
        Column::shown("action", "ACTION", Look::Plain),
        Column::shown("revision", "REVISION", Look::Number),
    ];
}

/// A file as a device gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RenderedFile {
    /// Its key, such as `network.toml`.
    pub file: String,
    /// Its text.
    pub content: String,
}

impl Record for RenderedFile {
    const COLUMNS: &'static [Column] = &[
        Column::shown("file", "FILE", Look::Plain),
        Column::shown("content", "CONTENT", Look::Plain),
    ];
}
