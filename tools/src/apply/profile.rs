//! A profile as a file writes it: templates in place or in files, defaults as plain values.

use crate::context::read_small;
use muster_domain::catalog::ParameterType;
use muster_proto::v1;
use serde::{Deserialize, Deserializer, de};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};
use v1::profile::parameter::Type;

/// Most bytes of a template file: what the registry takes.
const TEMPLATE_LIMIT: u64 = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileDocument {
    name: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    parameters: BTreeMap<String, ParameterDocument>,
    files: BTreeMap<String, Template>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterDocument {
    #[serde(rename = "type")]
    kind: ParameterType,
    #[serde(default)]
    default: Option<Plain>,
}

/// A string, number or truth value, kept as text: `default = 30` means the same as `default = "30"`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plain(String);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Template {
    Text(String),
    File(PathBuf),
}

impl ProfileDocument {
    /// As it travels; template files are looked for below `base`.
    pub(super) fn into_wire(self, base: &Path) -> Result<v1::Profile, String> {
        let parameters = self.parameters.into_iter().map(|(key, parameter)| {
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
                    default: parameter.default.map(|plain| plain.0),
                },
            )
        });
        let files = self.files.into_iter().map(|(key, template)| match template {
            Template::Text(text) => Ok((key, text)),
            Template::File(path) => {
                let bytes = read_small(&base.join(&path), TEMPLATE_LIMIT)
                    .map_err(|failure| failure.to_string().trim_start_matches("error: ").to_owned())?;
                let text = String::from_utf8(bytes)
                    .map_err(|_| format!("template {} is not UTF-8", path.display()))?;
                Ok((key, text))
            }
        });
        let files: Result<_, String> = files.collect();
        Ok(v1::Profile {
            name: format!("profiles/{}", self.name),
            parameters: parameters.collect(),
            files: files?,
            revision: Some(v1::RevisionInfo {
                message: self.message,
                ..v1::RevisionInfo::default()
            }),
        })
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Plain;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number, true or false")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Plain, E> {
                Ok(Plain(text.to_owned()))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Template;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a template, or { file = \"path\" }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Template, E> {
                Ok(Template::Text(text.to_owned()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Template, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Named {
                    file: PathBuf,
                }
                let named = Named::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Template::File(named.file))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
