//! Naming rules: what values of a field look like in this organisation.

use super::{Pattern, check::Problems};
use crate::{
    Code, Refusal,
    names::{ModelName, NamingRuleName},
};
use core::{fmt, str::FromStr};
use serde::{Deserialize, Serialize};

/// Most models that one rule names.
const MODEL_LIMIT: usize = 256;
const DESCRIPTION_LIMIT: usize = 1024;
/// Longest example, in bytes.
const EXAMPLE_LIMIT: usize = 256;
/// Longest key of a label or name of a variable, in bytes: as in manifests.
const KEY_LIMIT: usize = 63;

/// A naming rule as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamingRuleSource {
    /// Its name.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// `serial`, `hardware`, `site`, `position`, `labels.KEY` or `variables.NAME`.
    pub field: String,
    /// A regular expression that whole values must match; empty allows all.
    #[serde(default)]
    pub pattern: String,
    /// A value that follows the rule, for people.
    #[serde(default)]
    pub example: String,
    /// The models it is for; empty: all.
    #[serde(default)]
    pub models: Vec<String>,
    /// Every device must have a value.
    #[serde(default)]
    pub required: bool,
}

/// A field whose values can be ruled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuledField {
    /// The serial.
    Serial,
    /// The hardware revision.
    Hardware,
    /// The code of the site.
    Site,
    /// The place in the site.
    Position,
    /// A label, by key.
    Label(String),
    /// A variable, by name.
    Variable(String),
}

/// A checked naming rule.
#[derive(Debug, Clone, PartialEq)]
pub struct NamingRule {
    /// Its name.
    pub name: NamingRuleName,
    /// For people.
    pub description: String,
    /// Whose values.
    pub field: RuledField,
    /// What they look like.
    pub pattern: Option<Pattern>,
    /// One of them, or empty.
    pub example: String,
    /// The models it is for; empty: all.
    pub models: Vec<ModelName>,
    /// Every device must have a value.
    pub required: bool,
}

impl NamingRule {
    /// Is it for devices of this model?
    pub fn covers(&self, model: &ModelName) -> bool {
        self.models.is_empty() || self.models.contains(model)
    }

    /// Why a value does not follow it, at its field; `None` for a value that is not there.
    ///
    /// # Errors
    /// [`Code::NamingRule`], or [`Code::ValueMissing`].
    pub fn check(&self, value: Option<&str>) -> Result<(), Refusal> {
        let (code, why) = match (value, &self.pattern) {
            (None, _) if self.required => (Code::ValueMissing, "is required".to_owned()),
            (Some(value), Some(pattern)) if !pattern.matches(value) => {
                (Code::NamingRule, format!("does not match {}", pattern.as_str()))
            }
            (None | Some(_), _) => return Ok(()),
        };
        let example = match self.example.as_str() {
            "" => String::new(),
            example => format!(", such as {example}"),
        };
        let why = format!("the naming rule {}: {why}{example}", self.name);
        Err(Refusal::new(code, why).at(self.field.to_string()))
    }
}

impl FromStr for RuledField {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let key = |key: &str| !key.is_empty() && key.len() <= KEY_LIMIT && !key.contains(char::is_control);
        match (text, text.split_once('.')) {
            ("serial", _) => Ok(Self::Serial),
            ("hardware", _) => Ok(Self::Hardware),
            ("site", _) => Ok(Self::Site),
            ("position", _) => Ok(Self::Position),
            (_, Some(("labels", name))) if key(name) => Ok(Self::Label(name.to_owned())),
            (_, Some(("variables", name))) if key(name) => Ok(Self::Variable(name.to_owned())),
            (_, Some(_) | None) => {
                Err("is not one of serial, hardware, site, position, labels.KEY, variables.NAME")
            }
        }
    }
}

impl fmt::Display for RuledField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial => f.write_str("serial"),
            Self::Hardware => f.write_str("hardware"),
            Self::Site => f.write_str("site"),
            Self::Position => f.write_str("position"),
            Self::Label(key) => write!(f, "labels.{key}"),
            Self::Variable(name) => write!(f, "variables.{name}"),
        }
    }
}

impl NamingRuleSource {
    /// Checks everything and reports every mistake, each at its field.
    ///
    /// # Errors
    /// [`Code::NamingRuleInvalid`].
    pub fn check(&self) -> Result<NamingRule, Vec<Refusal>> {
        let mut problems = Problems::new(Code::NamingRuleInvalid);
        let name = problems.take("name", self.name.parse());
        for (field, text, limit) in [
            ("description", &self.description, DESCRIPTION_LIMIT),
            ("example", &self.example, EXAMPLE_LIMIT),
        ] {
            if text.len() > limit {
                problems.add(field, format!("is longer than {limit} bytes"));
            }
        }
        let field = problems.take("field", self.field.parse());
        let pattern = match self.pattern.as_str() {
            "" => None,
            pattern => problems.take("pattern", Pattern::new(pattern)),
        };
        if self.pattern.is_empty() && !self.required {
            problems.add(
                "pattern",
                "is empty, and no value is required: the rule would say nothing",
            );
        }
        if let Some(pattern) = &pattern
            && !self.example.is_empty()
            && !pattern.matches(&self.example)
        {
            problems.add("example", "does not match the pattern");
        }
        if self.models.len() > MODEL_LIMIT {
            problems.add("models", format!("has more than {MODEL_LIMIT} models"));
        }
        let models = self.models.iter().take(MODEL_LIMIT).enumerate();
        let models = models
            .filter_map(|(place, model)| problems.take(&format!("models[{place}]"), model.parse()))
            .collect();
        let (Some(name), Some(field)) = (name, field) else {
            return Err(problems.into());
        };
        problems.none_or(NamingRule {
            name,
            description: self.description.clone(),
            field,
            pattern,
            example: self.example.clone(),
            models,
            required: self.required,
        })
    }
}

impl From<&NamingRule> for NamingRuleSource {
    fn from(rule: &NamingRule) -> Self {
        Self {
            name: rule.name.to_string(),
            description: rule.description.clone(),
            field: rule.field.to_string(),
            pattern: rule
                .pattern
                .as_ref()
                .map(|pattern| pattern.as_str().to_owned())
                .unwrap_or_default(),
            example: rule.example.clone(),
            models: rule.models.iter().map(ModelName::to_string).collect(),
            required: rule.required,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms() -> NamingRuleSource {
        NamingRuleSource {
            name: "rooms".into(),
            field: "position".into(),
            pattern: "[A-Z]{3}-[0-9]{2}".into(),
            example: "MUC-07".into(),
            models: vec!["GW-200".into()],
            required: true,
            ..NamingRuleSource::default()
        }
    }

    #[test]
    fn values_follow_the_rule_or_say_why_not() {
        let rule = rooms().check().unwrap();
        let check = |rule: &NamingRule, value: Option<&str>, expected: Option<Code>| {
            let found = rule.check(value).err();
            assert_eq!(found.as_ref().map(|refusal| refusal.code), expected, "{value:?}");
            if let Some(refusal) = found {
                assert_eq!(refusal.field, "position");
                assert!(refusal.message.contains("rooms") && refusal.message.ends_with("such as MUC-07"));
            }
        };
        check(&rule, Some("MUC-07"), None);
        check(&rule, Some("MUC-007"), Some(Code::NamingRule));
        check(&rule, Some("Hall MUC-07"), Some(Code::NamingRule));
        check(&rule, None, Some(Code::ValueMissing));
        let optional = NamingRule {
            required: false,
            ..rule.clone()
        };
        check(&optional, None, None);
        assert!(rule.covers(&"GW-200".parse().unwrap()) && !rule.covers(&"TS-10".parse().unwrap()));
        assert_eq!(NamingRuleSource::from(&rule), rooms());
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let check = |change: fn(&mut NamingRuleSource), expected: &[&str]| {
            let mut source = rooms();
            change(&mut source);
            let found = source.check().map_or_else(|found| found, |_| Vec::new());
            assert!(
                found
                    .iter()
                    .all(|refusal| refusal.code == Code::NamingRuleInvalid)
            );
            let fields: Vec<_> = found.iter().map(|refusal| refusal.field.as_str()).collect();
            assert_eq!(fields, expected);
        };
        check(|_| {}, &[]);
        check(|rule| rule.field = "labels.floor".into(), &[]);
        check(|rule| rule.field = "variables.a.b".into(), &[]);
        check(|rule| rule.pattern.clear(), &[]);
        check(|rule| rule.example.clear(), &[]);
        check(|rule| rule.field = "labels.".into(), &["field"]);
        check(|rule| rule.field = "mac".into(), &["field"]);
        check(
            |rule| rule.field = format!("labels.{}", "x".repeat(64)),
            &["field"],
        );
        check(|rule| rule.example = "MUC".into(), &["example"]);
        check(
            |rule| rule.models = vec!["X".into(); MODEL_LIMIT + 1],
            &["models"],
        );
        check(
            |rule| {
                rule.name = "a b".into();
                rule.field = "x".into();
                rule.pattern = "(".into();
                rule.models = vec!["GW-200".into(), "?".into()];
            },
            &["name", "field", "pattern", "models[1]"],
        );
        check(
            |rule| {
                rule.pattern.clear();
                rule.required = false;
            },
            &["pattern"],
        );
    }
}
