//! The columns of a template.

use super::{Sources, example, last};
use crate::apply::parameter_source;
use muster_proto::v1::{self, NamingRule, profile::parameter::Type};
use std::collections::{BTreeMap, BTreeSet};

/// What the cells of a column hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Text, and nothing that a spreadsheet may mend.
    Text,
    /// One of these.
    Choice(Vec<String>),
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading, which the importer knows.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Every row needs a value.
    pub required: bool,
    /// What it is.
    pub meaning: String,
    /// What its values must look like; empty: anything.
    pub rule: String,
    /// What a device gets whose cell is empty; empty: nothing.
    pub default: String,
    /// A value that follows the rules.
    pub example: String,
}

impl Column {
    fn new(name: &str, meaning: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Text,
            required: false,
            meaning: meaning.to_owned(),
            rule: String::new(),
            default: String::new(),
            example: String::new(),
        }
    }

    fn needed(mut self) -> Self {
        self.required = true;
        self
    }

    fn with_rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = rule.into();
        self
    }

    fn with_example(mut self, example: impl Into<String>) -> Self {
        self.example = example.into();
        self
    }

    /// A list to choose from, where there is one.
    fn one_of(mut self, choices: &[String]) -> Self {
        if !choices.is_empty() {
            self.kind = Kind::Choice(choices.to_vec());
        }
        self
    }

    /// Holds the column to the naming rules for its field.
    fn named(mut self, rules: &[&NamingRule]) -> Self {
        for rule in rules.iter().filter(|rule| rule.field == self.name) {
            self.required |= rule.required;
            let mut text = rule.description.clone();
            if !rule.pattern.is_empty() {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&format!("matches {}", rule.pattern));
            }
            if !self.rule.is_empty() && !text.is_empty() {
                self.rule.push_str("; ");
            }
            self.rule.push_str(&text);
            // The serial and a choice have examples that follow more than this rule.
            if self.name != "serial" && self.kind == Kind::Text {
                let example = match rule.example.as_str() {
                    "" => example::matching(&rule.pattern).unwrap_or_default(),
                    example => example.to_owned(),
                };
                self.example = example;
            }
        }
        self
    }

    /// `required`, `optional`, or what an empty cell means.
    pub(super) fn need(&self) -> String {
        match (self.required, self.default.as_str()) {
            (true, _) => "required".to_owned(),
            (false, "") => "optional".to_owned(),
            (false, default) => format!("empty means {default}"),
        }
    }
}

/// What a moment looks like.
const MOMENT: &str = "a day, which begins at midnight UTC, or a time such as 2027-01-31T08:00:00Z";

pub(super) fn columns(sources: &Sources) -> Vec<Column> {
    let model = last(&sources.model.name);
    let rules = sources
        .rules
        .iter()
        .filter(|rule| rule.models.is_empty() || rule.models.iter().any(|name| last(name) == model));
    let rules: Vec<_> = rules.collect();
    let mut columns = identity(sources, &rules);
    columns.extend(facts(sources));
    columns.extend(labels(sources, &rules));
    columns.extend(parameters(sources));
    columns.into_iter().map(|column| column.named(&rules)).collect()
}

fn identity(sources: &Sources, rules: &[&NamingRule]) -> Vec<Column> {
    let model = &sources.model;
    let mut serial_rules = Vec::new();
    if !model.serial_pattern.is_empty() {
        serial_rules.push(format!("matches {}", model.serial_pattern));
    }
    if !model.check_digit.is_empty() {
        serial_rules.push(format!("check digits by {}", model.check_digit));
    }
    let mac_rule = match model.ouis.as_slice() {
        [] => String::new(),
        ouis => format!("within {}", ouis.join(", ")),
    };
    vec![
        Column::new("serial", "The serial on the label; unique in the registry.")
            .needed()
            .with_rule(serial_rules.join("; "))
            .with_example(example::serial(model, rules)),
        Column::new(
            "mac",
            "The hardware address, EUI-48 or EUI-64, with any separators; unique in the registry.",
        )
        .with_rule(mac_rule)
        .with_example(example::mac(model)),
        Column::new("model", "The hardware kind.")
            .needed()
            .one_of(&sources.models)
            .with_example(last(&model.name)),
    ]
}

fn facts(sources: &Sources) -> Vec<Column> {
    let site = sources.sites.first().cloned().unwrap_or_default();
    vec![
        Column::new("hardware", "The hardware revision.").with_example("A1"),
        Column::new("firmware", "The version that the device leaves the factory with.")
            .with_rule("a semantic version of three numbers")
            .with_example("1.0.0"),
        Column::new("site", "Where the device goes: the code of a site.")
            .one_of(&sources.sites)
            .with_example(site),
        Column::new("position", "Where in the site.").with_example("Rack 3"),
        Column::new(
            "claim_not_before",
            "The device may not claim its identity before; with activation codes only.",
        )
        .with_rule(MOMENT)
        .with_example("2027-01-31"),
        Column::new(
            "claim_not_after",
            "The device may not claim its identity from then on; with activation codes only.",
        )
        .with_rule(MOMENT)
        .with_example("2099-12-31T18:00:00Z"),
        Column::new(
            "spki_sha256",
            "SHA-256 of the device's public key (SubjectPublicKeyInfo in DER): its activation code works with no other key.",
        )
        .with_rule("64 hexadecimal digits, or base64 of 44 characters")
        .with_example("8d3ca9b74f1d35d25f4c4c2b1f7f9b6d4a1b6f0e3b9d2c5a7e8f90123456789a"),
    ]
}

/// Labels that a naming rule is about, or that devices of the model have.
fn labels(sources: &Sources, rules: &[&NamingRule]) -> Vec<Column> {
    let named = rules.iter().filter_map(|rule| rule.field.strip_prefix("labels."));
    let used = sources.labels.iter().map(String::as_str);
    let keys: BTreeSet<_> = named.chain(used).collect();
    let label = |key: &str| Column::new(&format!("labels.{key}"), &format!("The label {key}."));
    keys.into_iter().map(label).collect()
}

/// Parameters of the profile, by name.
fn parameters(sources: &Sources) -> Vec<Column> {
    let Some(profile) = &sources.profile else {
        return Vec::new();
    };
    let sorted: BTreeMap<_, _> = profile.parameters.iter().collect();
    let organisation = profile.values.as_ref().map(|values| &values.organisation);
    let column = |(name, wire): (&String, &v1::profile::Parameter)| {
        let shared = organisation.and_then(|values| values.get(name));
        let default = shared.or(wire.default.as_ref());
        let (kind, rule) = match wire.r#type() {
            _ if !wire.choices.is_empty() => (Kind::Choice(wire.choices.clone()), ""),
            Type::Unspecified | Type::String => (Kind::Text, ""),
            Type::Integer => (Kind::Integer, "a whole number"),
            Type::Number => (Kind::Number, "a number, with a point"),
            Type::Boolean => (Kind::Boolean, "true or false"),
        };
        let meaning = match wire.description.as_str() {
            "" => format!("Parameter {name} of profile {}.", last(&profile.name)),
            described => described.to_owned(),
        };
        Column {
            kind,
            required: default.is_none(),
            example: example::value(&parameter_source(wire.clone())),
            default: default.cloned().unwrap_or_default(),
            ..Column::new(&format!("variables.{name}"), &meaning).with_rule(bounds(wire, rule))
        }
    };
    sorted.into_iter().map(column).collect()
}

/// What a value must look like, beside the list it may be chosen from.
fn bounds(wire: &v1::profile::Parameter, kind: &str) -> String {
    let characters = |count: u32| format!("{count} characters");
    let said = [
        Some(kind.to_owned()).filter(|kind| !kind.is_empty()),
        wire.minimum.as_ref().map(|least| format!("at least {least}")),
        wire.maximum.as_ref().map(|most| format!("at most {most}")),
        wire.min_length
            .map(|least| format!("at least {}", characters(least))),
        wire.max_length
            .map(|most| format!("at most {}", characters(most))),
        wire.pattern.as_ref().map(|pattern| format!("matches {pattern}")),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
