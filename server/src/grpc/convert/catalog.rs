//! Models, sites, groups, profiles, firmware policies, naming rules, mappings.

use super::{name, optional_name, timestamp};
use muster_domain::{
    Code, Refusal,
    catalog::{
        Applied, Channels, ChannelsSource, Group, GroupSource, LayerSource, Model, ModelSource, NamingRule,
        NamingRuleSource, ParameterSource, ParameterType, Profile, ProfileSource, Resource, Revision, Site,
        SiteSource, ValuesSource,
    },
    manifest::{CheckedMapping, MAPPING_SOURCE_LIMIT, MappingSource},
    names::PolicyName,
};
use muster_proto::v1;
use std::collections::{BTreeMap, HashMap};
use v1::{apply_response::outcome::Action, profile::parameter::Type, resource::Resource as Wire};

/// A resource of an apply call, and the message of its revision; every mistake at its field.
pub(crate) fn resource(wire: &v1::Resource) -> Result<(Resource, String), Vec<Refusal>> {
    match wire.resource.as_ref() {
        None => Err(vec![Refusal::new(Code::RequestInvalid, "holds no resource")]),
        Some(Wire::Model(model)) => Ok((
            Resource::Model(model_source(model).map_err(one)?.check()?),
            String::new(),
        )),
        Some(Wire::Site(site)) => Ok((
            Resource::Site(site_source(site).map_err(one)?.check()?),
            String::new(),
        )),
        Some(Wire::Group(group)) => Ok((
            Resource::Group(group_source(group).map_err(one)?.check()?),
            String::new(),
        )),
        Some(Wire::Profile(profile)) => {
            let message = profile
                .revision
                .as_ref()
                .map(|revision| revision.message.clone())
                .unwrap_or_default();
            Ok((
                Resource::Profile(profile_source(profile).map_err(one)?.check()?),
                message,
            ))
        }
        Some(Wire::FirmwarePolicy(policy)) => {
            let message = policy
                .revision
                .as_ref()
                .map(|revision| revision.message.clone())
                .unwrap_or_default();
            firmware_policy_resource(policy).map(|resource| (resource, message))
        }
        Some(Wire::NamingRule(rule)) => Ok((
            Resource::NamingRule(naming_rule_source(rule).map_err(one)?.check()?),
            String::new(),
        )),
        Some(Wire::Mapping(mapping)) => {
            let message = mapping
                .revision
                .as_ref()
                .map(|revision| revision.message.clone())
                .unwrap_or_default();
            let source = mapping_source(mapping).map_err(one)?;
            Ok((Resource::Mapping(source.check()?), message))
        }
    }
}

fn one(refusal: Refusal) -> Vec<Refusal> {
    vec![refusal]
}

fn model_source(wire: &v1::Model) -> Result<ModelSource, Refusal> {
    Ok(ModelSource {
        name: name(&wire.name, "models", "name")?.to_owned(),
        description: wire.description.clone(),
        serial_pattern: wire.serial_pattern.clone(),
        ouis: wire.ouis.clone(),
        profile: optional_name(&wire.profile, "profiles", "profile")?.to_owned(),
        firmware_policy: optional_name(&wire.firmware_policy, "firmwarePolicies", "firmware_policy")?
            .to_owned(),
        check_digit: wire.check_digit.clone(),
        allow_local_addresses: wire.allow_local_addresses,
        gateway: wire.gateway,
        renewal_grace_days: wire.renewal_grace_days,
    })
}

pub(crate) fn model(model: &Model) -> v1::Model {
    let source = ModelSource::from(model);
    let named = |collection: &str, name: &str| {
        if name.is_empty() {
            String::new()
        } else {
            format!("{collection}/{name}")
        }
    };
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

fn naming_rule_source(wire: &v1::NamingRule) -> Result<NamingRuleSource, Refusal> {
    Ok(NamingRuleSource {
        name: name(&wire.name, "namingRules", "name")?.to_owned(),
        description: wire.description.clone(),
        field: wire.field.clone(),
        pattern: wire.pattern.clone(),
        example: wire.example.clone(),
        models: wire.models.clone(),
        required: wire.required,
    })
}

pub(crate) fn naming_rule(rule: &NamingRule) -> v1::NamingRule {
    let source = NamingRuleSource::from(rule);
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

fn site_source(wire: &v1::Site) -> Result<SiteSource, Refusal> {
    Ok(SiteSource {
        code: name(&wire.name, "sites", "name")?.to_owned(),
        name: wire.display_name.clone(),
        country: wire.country.clone(),
        parent: optional_name(&wire.parent, "sites", "parent")?.to_owned(),
        latitude: wire.latitude,
        longitude: wire.longitude,
        time_zone: wire.time_zone.clone(),
        maintenance_windows: wire.maintenance_windows.clone(),
    })
}

pub(crate) fn site(site: &Site) -> v1::Site {
    v1::Site {
        name: format!("sites/{}", site.code),
        display_name: site.name.clone(),
        country: site.country.clone(),
        parent: site
            .parent
            .as_ref()
            .map(|parent| format!("sites/{parent}"))
            .unwrap_or_default(),
        latitude: site.coordinates.map(|(latitude, _)| latitude),
        longitude: site.coordinates.map(|(_, longitude)| longitude),
        time_zone: site.time_zone.clone(),
        maintenance_windows: site.maintenance_windows.texts(),
    }
}

fn group_source(wire: &v1::Group) -> Result<GroupSource, Refusal> {
    Ok(GroupSource {
        name: name(&wire.name, "groups", "name")?.to_owned(),
        description: wire.description.clone(),
        rank: wire.rank,
        filter: wire.filter.clone(),
    })
}

pub(crate) fn group(group: &Group) -> v1::Group {
    let source = GroupSource::from(group);
    v1::Group {
        name: format!("groups/{}", source.name),
        description: source.description,
        rank: source.rank,
        filter: source.filter,
    }
}

fn profile_source(wire: &v1::Profile) -> Result<ProfileSource, Refusal> {
    let parameters = wire.parameters.iter().map(|(key, parameter)| {
        let kind = match Type::try_from(parameter.r#type) {
            Ok(Type::String) => ParameterType::String,
            Ok(Type::Integer) => ParameterType::Integer,
            Ok(Type::Number) => ParameterType::Number,
            Ok(Type::Boolean) => ParameterType::Boolean,
            Ok(Type::Unspecified) | Err(_) => {
                return Err(
                    Refusal::new(Code::ProfileInvalid, "names no type").at(format!("parameters.{key}.type"))
                );
            }
        };
        Ok((
            key.clone(),
            ParameterSource {
                kind,
                default: parameter.default.clone(),
                description: parameter.description.clone(),
                choices: parameter.choices.clone(),
                minimum: parameter.minimum.clone(),
                maximum: parameter.maximum.clone(),
                min_length: parameter.min_length,
                max_length: parameter.max_length,
                pattern: parameter.pattern.clone(),
            },
        ))
    });
    Ok(ProfileSource {
        name: name(&wire.name, "profiles", "name")?.to_owned(),
        message: String::new(),
        parameters: parameters.collect::<Result<_, _>>()?,
        values: wire.values.clone().map(values_source).unwrap_or_default(),
        files: wire.files.clone().into_iter().collect(),
        // The registry's to say.
        secrets: BTreeMap::new(),
    })
}

fn values_source(wire: v1::profile::Values) -> ValuesSource {
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

fn values(source: ValuesSource) -> v1::profile::Values {
    let layers = |layers: BTreeMap<String, LayerSource>| {
        let layers = layers.into_iter();
        layers
            .map(|(name, layer)| {
                let values = layer.0.into_iter().collect();
                (name, v1::profile::Layer { values })
            })
            .collect()
    };
    v1::profile::Values {
        organisation: source.organisation.0.into_iter().collect(),
        models: layers(source.models),
        sites: layers(source.sites),
        groups: layers(source.groups),
    }
}

pub(crate) fn revision_info<T>(revision: &Revision<T>) -> v1::RevisionInfo {
    v1::RevisionInfo {
        number: revision.number,
        author: format!("operators/{}", revision.author),
        create_time: Some(timestamp(revision.created)),
        message: revision.message.clone(),
    }
}

pub(crate) fn profile(revision: &Revision<Profile>) -> v1::Profile {
    let source = ProfileSource::from(&revision.content);
    let parameters = source.parameters.into_iter().map(|(key, parameter)| {
        let kind = match parameter.kind {
            ParameterType::String => Type::String,
            ParameterType::Integer => Type::Integer,
            ParameterType::Number => Type::Number,
            ParameterType::Boolean => Type::Boolean,
        };
        (
            key,
            v1::profile::Parameter {
                r#type: kind.into(),
                default: parameter.default,
                description: parameter.description,
                choices: parameter.choices,
                minimum: parameter.minimum,
                maximum: parameter.maximum,
                min_length: parameter.min_length,
                max_length: parameter.max_length,
                pattern: parameter.pattern,
            },
        )
    });
    v1::Profile {
        name: format!("profiles/{}", source.name),
        parameters: parameters.collect(),
        values: (!source.values.is_empty()).then(|| values(source.values)),
        files: source.files.into_iter().collect(),
        secrets: source.secrets.into_iter().collect(),
        revision: Some(revision_info(revision)),
    }
}

pub(crate) fn outcome(name: String, applied: Applied) -> v1::apply_response::Outcome {
    let (action, revision) = match applied {
        Applied::Created(number) => (Action::Created, number),
        Applied::Updated(number) => (Action::Updated, number),
        Applied::Unchanged(number) => (Action::Unchanged, number),
    };
    v1::apply_response::Outcome {
        name,
        action: action.into(),
        revision,
    }
}

fn mapping_source(wire: &v1::Mapping) -> Result<MappingSource, Refusal> {
    let wrong = |why: String| Refusal::new(Code::MappingInvalid, why).at("source_json");
    if wire.source_json.len() > MAPPING_SOURCE_LIMIT {
        return Err(wrong(format!("is longer than {MAPPING_SOURCE_LIMIT} bytes")));
    }
    let name = name(&wire.name, "mappings", "name")?;
    let source: MappingSource = serde_json::from_str(&wire.source_json)
        .map_err(|error| wrong(format!("is not a mapping: {error}")))?;
    if source.name == name {
        Ok(source)
    } else {
        Err(wrong(format!(
            "names the mapping {:?}, the resource {name:?}",
            source.name
        )))
    }
}

pub(crate) fn mapping(revision: &Revision<CheckedMapping>) -> Result<v1::Mapping, serde_json::Error> {
    let mapping = &revision.content;
    Ok(v1::Mapping {
        name: format!("mappings/{}", mapping.name()),
        source_json: serde_json::to_string(mapping.source())?,
        revision: Some(revision_info(revision)),
    })
}

fn firmware_policy_resource(wire: &v1::FirmwarePolicy) -> Result<Resource, Vec<Refusal>> {
    let wrong = |field: &str, why: String| Refusal::new(Code::PolicyInvalid, why).at(field);
    let policy_name: PolicyName = name(&wire.name, "firmwarePolicies", "name")
        .and_then(|text| text.parse().map_err(|why| wrong("name", format!("{why}"))))
        .map_err(one)?;
    let policy = policy_of_json(&wire.source_json)?;
    if policy.name() != policy_name.as_str() {
        return Err(one(wrong(
            "source_json",
            format!("names the policy {:?}, the resource {policy_name}", policy.name()),
        )));
    }
    Ok(Resource::FirmwarePolicy(policy_name, policy))
}

/// A policy from its source; every mistake at its path.
pub(crate) fn policy_of_json(source: &str) -> Result<Channels, Vec<Refusal>> {
    let wrong = |error| {
        let why = format!("is not a policy: {error}");
        Refusal::new(Code::PolicyInvalid, why).at("source_json")
    };
    let source: ChannelsSource = serde_json::from_str(source).map_err(|error| one(wrong(error)))?;
    source.check()
}

pub(crate) fn firmware_policy(
    name: &PolicyName,
    revision: &Revision<Channels>,
) -> Result<v1::FirmwarePolicy, serde_json::Error> {
    let source = ChannelsSource::from(&revision.content);
    Ok(v1::FirmwarePolicy {
        name: format!("firmwarePolicies/{name}"),
        source_json: serde_json::to_string(&source)?,
        revision: Some(revision_info(revision)),
    })
}
