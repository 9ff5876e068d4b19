//! Profiles: named, versioned configuration templates.

use super::{
    Parameter, ParameterSource, Pins, RevisionNumber, SECRET_LIMIT, Secret, Syntax, Values, ValuesSource,
    check::Problems, render::Renderer, secret,
};
use crate::{
    Code, Refusal,
    names::{ProfileName, SecretName},
};
use core::fmt;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

/// Most files of a profile.
pub const FILE_LIMIT: usize = 16;
/// Most bytes of one template.
pub const TEMPLATE_LIMIT: usize = 64 << 10;
/// Most parameters.
pub const PARAMETER_LIMIT: usize = 128;
/// Longest key of a file or parameter.
pub const KEY_LIMIT: usize = 63;
/// Longest message of a revision, in bytes.
pub const MESSAGE_LIMIT: usize = 1024;

/// One file that the device gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileFile {
    /// The minijinja template of its content.
    pub template: String,
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
    /// What layers give the parameters: the organisation, models, sites and groups.
    #[serde(default, skip_serializing_if = "ValuesSource::is_empty")]
    pub values: ValuesSource,
    /// Files it renders: file key (such as `network.toml`) to template.
    pub files: BTreeMap<String, String>,
    /// The revisions of the secrets that its templates name: the registry's to say, when it is applied.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, RevisionNumber>,
}

/// A checked profile: keys are plain, templates compile and use nothing that they may not.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// Values it takes, by variable name.
    pub parameters: BTreeMap<String, Parameter>,
    /// What layers give them.
    pub values: Arc<Values>,
    /// Files it renders, by file key.
    pub files: BTreeMap<String, ProfileFile>,
    /// The revisions of the secrets that its files name; none before it is applied.
    pub secrets: Pins,
    /// Made on first use and shared by every clone.
    compiled: Compiled,
}

impl Profile {
    /// Its templates, compiled; that happens once.
    ///
    /// # Errors
    /// A template that does not compile. [`ProfileSource::check`] lets none through, so this is a record that
    /// was damaged or made by another version.
    pub fn renderer(&self) -> Result<&Renderer, Refusal> {
        let compiled = self.compiled.0.get_or_init(|| Renderer::compile(self));
        compiled.as_ref().map_err(|problems| {
            let first = problems.first().cloned();
            first.unwrap_or_else(|| Refusal::new(Code::ProfileInvalid, "does not compile"))
        })
    }
}

impl Profile {
    /// The same, with the newest revision of every secret that its files name. `known` tells of a name; `all` are the names
    /// there are, to suggest one.
    pub(super) fn pinned(
        &self,
        all: &[&str],
        known: impl Fn(&str) -> Option<(RevisionNumber, Secret)>,
    ) -> Result<Self, Vec<Refusal>> {
        let mut pins = Pins::new();
        let files = self.files.iter();
        let pin =
            |(key, file): (&String, &ProfileFile)| secret::pin((key, &file.template), &known, all, &mut pins);
        let problems: Vec<_> = files.flat_map(pin).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            secrets: pins,
            compiled: Compiled::default(),
            ..self.clone()
        })
    }
}

/// The compiled form of a profile. It follows from the rest, so it never makes two profiles differ.
#[derive(Clone, Default)]
struct Compiled(Arc<OnceLock<Result<Renderer, Vec<Refusal>>>>);

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() {
            "compiled"
        } else {
            "not compiled"
        })
    }
}

impl PartialEq for Compiled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The rule for keys of files: they become file names on devices, so nothing that leads out of a directory.
fn file_key(key: &str) -> Result<(), &'static str> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'_' | b'-');
    match key {
        "" => Err("is empty"),
        _ if key.len() > KEY_LIMIT => Err("is longer than 63 characters"),
        _ if !key.bytes().all(plain) => {
            Err("has a character other than a-z, 0-9, dot, underscore and hyphen")
        }
        _ if key.starts_with('.') => Err("starts with a dot"),
        _ if key.contains("..") => Err("contains two dots in a row"),
        _ => Ok(()),
    }
}

/// Words with a meaning of their own in templates.
const RESERVED: [&str; 24] = [
    "and", "block", "call", "device", "else", "extends", "false", "filter", "for", "if", "import", "in",
    "include", "is", "loop", "macro", "none", "not", "or", "range", "self", "set", "site", "true",
];

/// The rule for names of parameters: templates use them as identifiers.
fn parameter_key(key: &str) -> Result<(), &'static str> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    match key {
        "" => Err("is empty"),
        _ if key.len() > KEY_LIMIT => Err("is longer than 63 characters"),
        _ if !key.bytes().all(plain) => Err("has a character other than a-z, 0-9 and underscore"),
        _ if !key.starts_with(|c: char| c.is_ascii_lowercase()) => Err("does not start with a letter"),
        _ if RESERVED.contains(&key) => Err("is a word of the template language"),
        _ => Ok(()),
    }
}

impl ProfileSource {
    /// Checks everything and reports every mistake, each at its field.
    ///
    /// # Errors
    /// [`Code::ProfileInvalid`] at `name`, `message`, `parameters.KEY`, `parameters.KEY.FIELD`, `values.KIND.NAME.KEY` or
    /// `files.KEY`.
    pub fn check(&self) -> Result<Profile, Vec<Refusal>> {
        let mut malformed = self.malformed();
        malformed.extend(self.wrong_secrets());
        match self.restore() {
            Ok(profile) if malformed.is_empty() => Ok(profile),
            Ok(_) => Err(malformed),
            Err(mut problems) => {
                problems.extend(malformed);
                Err(problems)
            }
        }
    }

    /// Files that can never be what their keys say: nothing in their template varies. Whether others are shows when they
    /// are rendered.
    fn malformed(&self) -> Vec<Refusal> {
        let is_constant = |template: &str| !["{{", "{%", "{#"].iter().any(|start| template.contains(start));
        let files = self.files.iter().take(FILE_LIMIT);
        let wrong = files.filter_map(|(key, template)| {
            let template = Some(template).filter(|text| text.len() <= TEMPLATE_LIMIT && is_constant(text))?;
            let malformed = Syntax::of(key).check(template).err()?;
            Some(Refusal::new(Code::ProfileInvalid, malformed.to_string()).at(format!("files.{key}")))
        });
        wrong.collect()
    }

    /// The secrets that its templates name.
    pub fn secrets_named(&self) -> BTreeSet<&str> {
        let templates = self.files.values();
        templates.flat_map(|template| secret::names(template)).collect()
    }

    /// What older programs did not know to refuse.
    fn wrong_secrets(&self) -> Vec<Refusal> {
        let mut problems = Problems::new(Code::ProfileInvalid);
        let mut names = BTreeSet::new();
        for (key, template) in self.files.iter().take(FILE_LIMIT) {
            secret::check_template(&format!("files.{key}"), template, &mut problems);
            names.extend(secret::names(template));
        }
        if names.len() > SECRET_LIMIT {
            problems.add("files", format!("name more than {SECRET_LIMIT} secrets"));
        }
        problems.into()
    }

    /// Checks a revision that was accepted once, by this program or an older one, which knew fewer rules: only what is
    /// needed to render.
    ///
    /// # Errors
    /// As for [`ProfileSource::check`].
    pub fn restore(&self) -> Result<Profile, Vec<Refusal>> {
        let mut problems = Problems::new(Code::ProfileInvalid);
        let name = problems.take("name", self.name.parse());
        if self.message.len() > MESSAGE_LIMIT {
            problems.add("message", format!("is longer than {MESSAGE_LIMIT} bytes"));
        }
        let parameters = self.check_parameters(&mut problems);
        let values = self.values.check(&parameters, &mut problems);
        let files = self.check_files(&mut problems);
        let secrets = self.check_pins(&mut problems);
        let Some(name) = name else {
            return Err(problems.into());
        };
        let profile = Profile {
            name,
            parameters,
            values: Arc::new(values),
            files,
            secrets,
            compiled: Compiled::default(),
        };
        match Renderer::compile(&profile) {
            Ok(renderer) => {
                // Nobody else has this profile yet, so the place is free.
                profile.compiled.0.get_or_init(|| Ok(renderer));
            }
            Err(found) => problems.extend(found),
        }
        problems.none_or(profile)
    }

    fn check_parameters(&self, problems: &mut Problems) -> BTreeMap<String, Parameter> {
        if self.parameters.len() > PARAMETER_LIMIT {
            problems.add("parameters", format!("has more than {PARAMETER_LIMIT} entries"));
        }
        let mut checked = BTreeMap::new();
        for (key, source) in &self.parameters {
            problems.take(&format!("parameters.{key}"), parameter_key(key));
            let parameter = source.check(&format!("parameters.{key}"), problems);
            checked.insert(key.clone(), parameter);
        }
        checked
    }

    fn check_pins(&self, problems: &mut Problems) -> Pins {
        let pins = self.secrets.iter();
        pins.filter_map(|(name, number)| {
            let name: SecretName = problems.take(&format!("secrets.{name}"), name.parse())?;
            Some((name, *number))
        })
        .collect()
    }

    fn check_files(&self, problems: &mut Problems) -> BTreeMap<String, ProfileFile> {
        if self.files.len() > FILE_LIMIT {
            problems.add("files", format!("has more than {FILE_LIMIT} entries"));
        }
        let mut checked = BTreeMap::new();
        for (key, template) in self.files.iter().take(FILE_LIMIT) {
            let field = format!("files.{key}");
            let sound = problems.take(&field, file_key(key)).is_some();
            if template.len() > TEMPLATE_LIMIT {
                problems.add(&field, format!("is longer than {TEMPLATE_LIMIT} bytes"));
            } else if sound {
                checked.insert(
                    key.clone(),
                    ProfileFile {
                        template: template.clone(),
                    },
                );
            }
        }
        checked
    }
}

impl From<&Profile> for ProfileSource {
    /// The source of a profile; its message lives with the revision.
    fn from(profile: &Profile) -> Self {
        Self {
            name: profile.name.to_string(),
            message: String::new(),
            parameters: profile
                .parameters
                .iter()
                .map(|(key, parameter)| (key.clone(), parameter.source().clone()))
                .collect(),
            values: ValuesSource::from(&*profile.values),
            files: profile
                .files
                .iter()
                .map(|(key, file)| (key.clone(), file.template.clone()))
                .collect(),
            secrets: profile
                .secrets
                .iter()
                .map(|(name, number)| (name.to_string(), *number))
                .collect(),
        }
    }
}
