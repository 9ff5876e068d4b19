//! Profiles: named, versioned configuration templates.

use crate::{Code, Refusal, names::ProfileName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most files of a profile, most bytes of a template, most parameters.
pub const FILE_LIMIT: usize = 16;
/// Most bytes of one template.
pub const TEMPLATE_LIMIT: usize = 64 << 10;
/// Most parameters.
pub const PARAMETER_LIMIT: usize = 128;
/// Longest key of a file or parameter.
pub const KEY_LIMIT: usize = 63;

/// The type of a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// Any text.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// A decimal number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// A value that a profile takes from the device's variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its type.
    pub kind: ParameterType,
    /// Used when the device has no value; without it, the value is required.
    pub default: Option<String>,
}

/// One file that the device gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileFile {
    /// The minijinja template of its content.
    pub template: String,
}

/// A parameter as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterSource {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// The value where the device has none.
    #[serde(default)]
    pub default: Option<String>,
}

/// A profile as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSource {
    /// Its name.
    pub name: String,
    /// Why this revision, for the history.
    #[serde(default)]
    pub message: String,
    /// Values it takes, by variable name.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterSource>,
    /// Files it renders: file key (such as `network.toml`) to template.
    pub files: BTreeMap<String, String>,
}

/// A checked profile: keys are plain, templates compile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// Values it takes, by variable name.
    pub parameters: BTreeMap<String, Parameter>,
    /// Files it renders, by file key.
    pub files: BTreeMap<String, ProfileFile>,
}
