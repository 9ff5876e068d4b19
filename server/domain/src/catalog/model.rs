//! Models: hardware kinds, with rules for their serials and addresses.

use crate::{
    Code, Refusal,
    mac::{Mac, Oui},
    names::{ModelName, PolicyName, ProfileName, Serial},
};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Longest serial pattern, in bytes, and the most memory its compiled form may take: a pattern comes from outside.
const PATTERN_LIMIT: usize = 256;
const PATTERN_MEMORY: usize = 1 << 18;
/// Most manufacturer blocks of one model.
const OUI_LIMIT: usize = 64;
const DESCRIPTION_LIMIT: usize = 1024;

/// A model as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSource {
    /// Its name.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// A regular expression that a whole serial must match; empty allows every serial.
    #[serde(default)]
    pub serial_pattern: String,
    /// Manufacturer blocks of its addresses, such as `00:1B:C5`; empty allows every block.
    #[serde(default)]
    pub ouis: Vec<String>,
    /// The profile that its devices get.
    #[serde(default)]
    pub profile: String,
    /// The firmware policy that its devices get.
    #[serde(default)]
    pub firmware_policy: String,
}

/// The rule for serials of a model: a compiled pattern that matches whole serials in linear time.
#[derive(Debug, Clone)]
pub struct SerialRule {
    pattern: String,
    regex: Regex,
}

impl PartialEq for SerialRule {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

/// A checked model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: ModelName,
    /// For people.
    pub description: String,
    /// The rule for serials.
    pub serial_rule: Option<SerialRule>,
    /// Allowed manufacturer blocks; empty allows all.
    pub ouis: Vec<Oui>,
    /// The profile of its devices.
    pub profile: Option<ProfileName>,
    /// The firmware policy of its devices.
    pub firmware_policy: Option<PolicyName>,
}

impl SerialRule {
    /// Compiles a pattern; the error is for people.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > PATTERN_LIMIT {
            return Err(format!("is longer than {PATTERN_LIMIT} bytes"));
        }
        RegexBuilder::new(&format!("^(?:{pattern})$"))
            .size_limit(PATTERN_MEMORY)
            .build()
            .map(|regex| Self {
                pattern: pattern.to_owned(),
                regex,
            })
            .map_err(|error| format!("is not a regular expression: {error}"))
    }

    /// Does the whole serial follow the rule?
    pub fn allows(&self, serial: &Serial) -> bool {
        self.regex.is_match(serial.as_str())
    }

    /// The pattern as written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

impl Model {
    /// Is the address in one of the model's blocks?
    pub fn allows_mac(&self, mac: &Mac) -> bool {
        self.ouis.is_empty() || self.ouis.contains(&mac.oui())
    }
}

/// An optional name: empty means none.
pub(super) fn optional<T: core::str::FromStr>(text: &str) -> Result<Option<T>, T::Err> {
    if text.is_empty() {
        Ok(None)
    } else {
        text.parse().map(Some)
    }
}

impl ModelSource {
    /// Checks everything and reports every mistake, each at its field.
    pub fn check(&self) -> Result<Model, Vec<Refusal>> {
        let mut problems = Vec::new();
        let mut wrong =
            |field: &str, why: String| problems.push(Refusal::new(Code::ModelInvalid, why).at(field));
        let name = self
            .name
            .parse()
            .map_err(|why| wrong("name", format!("{why}")))
            .ok();
        if self.description.len() > DESCRIPTION_LIMIT {
            wrong("description", format!("is longer than {DESCRIPTION_LIMIT} bytes"));
        }
        let serial_rule = match self.serial_pattern.as_str() {
            "" => None,
            pattern => SerialRule::new(pattern)
                .map_err(|why| wrong("serial_pattern", why))
                .ok(),
        };
        if self.ouis.len() > OUI_LIMIT {
            wrong("ouis", format!("has more than {OUI_LIMIT} blocks"));
        }
        let ouis = self.ouis.iter().enumerate();
        let ouis = ouis.filter_map(|(i, oui)| {
            oui.parse()
                .map_err(|why| wrong(&format!("ouis[{i}]"), format!("{why}")))
                .ok()
        });
        let ouis = ouis.collect();
        let profile = optional(&self.profile)
            .map_err(|why| wrong("profile", format!("{why}")))
            .ok()
            .flatten();
        let firmware_policy = optional(&self.firmware_policy)
            .map_err(|why| wrong("firmware_policy", format!("{why}")))
            .ok()
            .flatten();
        match name {
            Some(name) if problems.is_empty() => Ok(Model {
                name,
                description: self.description.clone(),
                serial_rule,
                ouis,
                profile,
                firmware_policy,
            }),
            _ => Err(problems),
        }
    }
}

impl From<&Model> for ModelSource {
    fn from(model: &Model) -> Self {
        Self {
            name: model.name.to_string(),
            description: model.description.clone(),
            serial_pattern: model
                .serial_rule
                .as_ref()
                .map(|rule| rule.pattern.clone())
                .unwrap_or_default(),
            ouis: model.ouis.iter().map(Oui::to_string).collect(),
            profile: model
                .profile
                .as_ref()
                .map(ProfileName::to_string)
                .unwrap_or_default(),
            firmware_policy: model
                .firmware_policy
                .as_ref()
                .map(PolicyName::to_string)
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway() -> ModelSource {
        ModelSource {
            name: "GW-200".into(),
            serial_pattern: "GW2-[0-9]{7}".into(),
            ouis: vec!["00:1B:C5".into()],
            profile: "gateway".into(),
            ..ModelSource::default()
        }
    }

    #[test]
    fn a_model_knows_its_serials_and_addresses() {
        let model = gateway().check().unwrap();
        let rule = model.serial_rule.as_ref().unwrap();
        assert!(rule.allows(&"GW2-7000001".parse().unwrap()));
        for serial in ["XGW2-7000001", "GW2-70000011", "GW2-700000"] {
            assert!(!rule.allows(&serial.parse().unwrap()), "{serial}");
        }
        assert!(model.allows_mac(&"00:1b:c5:00:00:01".parse().unwrap()));
        assert!(!model.allows_mac(&"70:b3:d5:00:00:01".parse().unwrap()));
        assert_eq!(ModelSource::from(&model).check(), Ok(model));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let source = ModelSource {
            name: "a b".into(),
            serial_pattern: "(".into(),
            ouis: vec!["00:1B:C5".into(), "xyz".into()],
            profile: "?".into(),
            ..ModelSource::default()
        };
        let fields: Vec<_> = source
            .check()
            .unwrap_err()
            .into_iter()
            .map(|refusal| refusal.field)
            .collect();
        assert_eq!(fields, ["name", "serial_pattern", "ouis[1]", "profile"]);
    }

    #[test]
    fn a_pattern_cannot_eat_memory() {
        assert!(SerialRule::new("((a{100}){100}){100}").is_err());
    }
}
