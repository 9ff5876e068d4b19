//! Written resources as messages of the wire.

use muster_domain::{
    catalog::{
        ChannelsSource, GroupSource, LayerSource, ModelSource, NamingRuleSource, ParameterSource,
        ParameterType, SiteSource, ValuesSource,
    },
    manifest::MappingSource,
};
use muster_proto::v1::{self, profile::parameter::Type, resource::Resource as Wire};
use std::collections::{BTreeMap, HashMap};

/// `collection/name`, or empty where nothing is named.
fn named(collection: &str, name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!("{collection}/{name}")
    }
}

pub(super) fn model(source: ModelSource) -> v1::Model {
    v1::Model {
        name: format!("models/{}", source.name),
        description: source.description,
        serial_pattern: source.serial_pattern,
        ouis: source.ouis,
        profile: named("profiles", &source.profile),
        firmware_policy: named("firmwarePolicies", &source.firmware_policy),
        check_digit: source.check_digit,
        allow_local_addresses: source.allow_local_addresses,
        gateway: source.gateway,
        renewal_grace_days: source.renewal_grace_days,
    }
}

pub(super) fn parameter(source: ParameterSource) -> v1::profile::Parameter {
    let kind = match source.kind {
        ParameterType::String => Type::String,
        ParameterType::Integer => Type::Integer,
        ParameterType::Number => Type::Number,
        ParameterType::Boolean => Type::Boolean,
    };
    v1::profile::Parameter {
        r#type: kind.into(),
        default: source.default,
        description: source.description,
        choices: source.choices,
        minimum: source.minimum,
        maximum: source.maximum,
        min_length: source.min_length,
        max_length: source.max_length,
        pattern: source.pattern,
    }
}

/// The way back.
pub(crate) fn parameter_source(wire: v1::profile::Parameter) -> ParameterSource {
    let kind = match wire.r#type() {
        Type::Integer => ParameterType::Integer,
        Type::Number => ParameterType::Number,
        Type::Boolean => ParameterType::Boolean,
        Type::String | Type::Unspecified => ParameterType::String,
    };
    ParameterSource {
        kind,
        default: wire.default,
        description: wire.description,
        choices: wire.choices,
        minimum: wire.minimum,
        maximum: wire.maximum,
        min_length: wire.min_length,
        max_length: wire.max_length,
        pattern: wire.pattern,
    }
}

/// Layers as they travel; `None` where there are none.
pub(super) fn values(source: ValuesSource) -> Option<v1::profile::Values> {
    if source.is_empty() {
        return None;
    }
    let layers = |layers: BTreeMap<String, LayerSource>| {
        let layers = layers.into_iter();
        layers
            .map(|(name, layer)| {
                let values = layer.0.into_iter().collect();
                (name, v1::profile::Layer { values })
            })
            .collect()
    };
    Some(v1::profile::Values {
        organisation: source.organisation.0.into_iter().collect(),
        models: layers(source.models),
        sites: layers(source.sites),
        groups: layers(source.groups),
    })
}

/// The way back.
pub(crate) fn values_source(wire: v1::profile::Values) -> ValuesSource {
    let layers = |wire: HashMap<String, v1::profile::Layer>| {
        let layers = wire.into_iter();
        layers
            .map(|(name, layer)| (name, LayerSource(layer.values.into_iter().collect())))
            .collect()
    };
    ValuesSource {
        organisation: LayerSource(wire.organisation.into_iter().collect()),
        models: layers(wire.models),
        sites: layers(wire.sites),
        groups: layers(wire.groups),
    }
}

pub(super) fn site(source: SiteSource) -> v1::Site {
    v1::Site {
        name: format!("sites/{}", source.code),
        display_name: source.name,
        country: source.country,
        parent: named("sites", &source.parent),
        latitude: source.latitude,
        longitude: source.longitude,
        time_zone: source.time_zone,
        maintenance_windows: source.maintenance_windows,
    }
}

pub(super) fn group(source: GroupSource) -> v1::Group {
    v1::Group {
        name: format!("groups/{}", source.name),
        description: source.description,
        rank: source.rank,
        filter: source.filter,
    }
}

pub(super) fn naming_rule(source: NamingRuleSource) -> v1::NamingRule {
    v1::NamingRule {
        name: format!("namingRules/{}", source.name),
        description: source.description,
        field: source.field,
        pattern: source.pattern,
        example: source.example,
        models: source.models,
        required: source.required,
    }
}

pub(super) fn policy(source: &ChannelsSource) -> Result<Wire, String> {
    let source_json = serde_json::to_string(source).map_err(|error| error.to_string())?;
    let name = format!("firmwarePolicies/{}", source.name);
    Ok(Wire::FirmwarePolicy(v1::FirmwarePolicy {
        name,
        source_json,
        revision: Some(v1::RevisionInfo::default()),
    }))
}

pub(super) fn mapping(source: &MappingSource) -> Result<Wire, String> {
    let source_json = serde_json::to_string(source).map_err(|error| error.to_string())?;
    let name = format!("mappings/{}", source.name);
    Ok(Wire::Mapping(v1::Mapping {
        name,
        source_json,
        revision: Some(v1::RevisionInfo::default()),
    }))
}

pub(super) const fn resource(wire: Wire) -> v1::Resource {
    v1::Resource { resource: Some(wire) }
}

/// The resource name.
pub(super) fn name(wire: &Wire) -> &str {
    match wire {
        Wire::Model(model) => &model.name,
        Wire::Site(site) => &site.name,
        Wire::Group(group) => &group.name,
        Wire::Profile(profile) => &profile.name,
        Wire::FirmwarePolicy(policy) => &policy.name,
        Wire::Mapping(mapping) => &mapping.name,
        Wire::NamingRule(rule) => &rule.name,
    }
}
