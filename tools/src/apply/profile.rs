//! A profile as a file writes it: templates in place or in files.

use super::wire;
use crate::context::read_small;
use muster_domain::catalog::{ParameterSource, ValuesSource};
use muster_proto::v1;
use serde::{Deserialize, Deserializer, de};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// Most bytes of a template file: what the registry takes.
const TEMPLATE_LIMIT: u64 = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileDocument {
    name: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    parameters: BTreeMap<String, ParameterSource>,
    #[serde(default)]
    values: ValuesSource,
    files: BTreeMap<String, Template>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Template {
    Text(String),
    File(PathBuf),
}

impl ProfileDocument {
    /// As it travels; template files are looked for below `base`.
    pub(super) fn into_wire(self, base: &Path) -> Result<v1::Profile, String> {
        let parameters = self.parameters.into_iter();
        let parameters = parameters.map(|(key, source)| (key, wire::parameter(source)));
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
            values: wire::values(self.values),
            files: files?,
            revision: Some(v1::RevisionInfo {
                message: self.message,
                ..v1::RevisionInfo::default()
            }),
            ..v1::Profile::default()
        })
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
