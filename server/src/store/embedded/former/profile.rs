//! Profiles when a record had a field for each of theirs, and parameters only a type and a default.

use super::super::record::ProfileText;
use muster_domain::catalog::{ParameterSource, ParameterType, ProfileSource, Revision};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
pub(in crate::store::embedded) struct ProfileV1(Revision<Source>);

#[derive(Serialize, Deserialize)]
struct Source {
    name: String,
    message: String,
    parameters: BTreeMap<String, Parameter>,
    files: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Parameter {
    kind: ParameterType,
    default: Option<String>,
}

impl From<ProfileV1> for Revision<ProfileText> {
    fn from(ProfileV1(former): ProfileV1) -> Self {
        let profile = former.content;
        let parameter =
            |(key, former): (String, Parameter)| (key, ParameterSource::of(former.kind, former.default));
        let source = ProfileSource {
            name: profile.name,
            message: profile.message,
            parameters: profile.parameters.into_iter().map(parameter).collect(),
            files: profile.files,
            ..ProfileSource::default()
        };
        Self {
            number: former.number,
            author: former.author,
            created: former.created,
            message: former.message,
            content: ProfileText::of(&source),
        }
    }
}
