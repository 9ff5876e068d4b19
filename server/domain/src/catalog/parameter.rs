//! Parameters of profiles: what a value must be, and the text of a variable read by it.
//!
//! The rules are keywords of JSON Schema (2020-12) with its meaning, each for the types that it is about.

use super::{Pattern, check::Problems};
use core::fmt;
use minijinja::Value;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::BTreeMap;

/// Longest default, choice or bound of a parameter, in bytes.
pub const DEFAULT_LIMIT: usize = 4 << 10;
/// Longest description of a parameter, in bytes.
pub const DESCRIPTION_LIMIT: usize = 1024;
/// Most values to choose from.
pub const CHOICE_LIMIT: usize = 128;

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
    /// `true` or `false`, in any case.
    Boolean,
}

impl ParameterType {
    /// Its name in JSON Schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// A parameter as a person writes it. Values are texts as variables are, read by the type; where a file or a document of
/// JSON has a number or a truth value instead, that means its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterSource {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// The value where the device has none; without it, every device needs one.
    #[serde(default, deserialize_with = "plain", skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The values there are; none: all.
    #[serde(
        default,
        rename = "enum",
        deserialize_with = "plains",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub choices: Vec<String>,
    /// The least number.
    #[serde(default, deserialize_with = "plain", skip_serializing_if = "Option::is_none")]
    pub minimum: Option<String>,
    /// The greatest number.
    #[serde(default, deserialize_with = "plain", skip_serializing_if = "Option::is_none")]
    pub maximum: Option<String>,
    /// Fewest characters of a text.
    #[serde(default, alias = "minLength", skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// Most characters of a text.
    #[serde(default, alias = "maxLength", skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// A regular expression for whole texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

impl ParameterSource {
    /// Any value of a type, with this default.
    pub const fn of(kind: ParameterType, default: Option<String>) -> Self {
        Self {
            kind,
            default,
            description: String::new(),
            choices: Vec::new(),
            minimum: None,
            maximum: None,
            min_length: None,
            max_length: None,
            pattern: None,
        }
    }

    /// Checks everything; every mistake stands at its field below `field`.
    pub(super) fn check(&self, field: &str, problems: &mut Problems) -> Parameter {
        let at = |name: &str| format!("{field}.{name}");
        if self.description.len() > DESCRIPTION_LIMIT {
            let why = format!("is longer than {DESCRIPTION_LIMIT} bytes");
            problems.add(&at("description"), why);
        }
        self.check_keywords(field, problems);
        let bound = |text: &Option<String>, name: &str, problems: &mut Problems| {
            let text = text.as_ref().filter(|_| self.kind.is_number())?;
            problems.take(&at(name), self.typed(text))
        };
        let mut parameter = Parameter {
            minimum: bound(&self.minimum, "minimum", problems),
            maximum: bound(&self.maximum, "maximum", problems),
            pattern: self.pattern.as_ref().and_then(|text| {
                let is_text = self.kind == ParameterType::String;
                problems
                    .take(&at("pattern"), Pattern::new(text))
                    .filter(|_| is_text)
            }),
            choices: Vec::new(),
            default: None,
            source: self.clone(),
        };
        if let (Some(least), Some(most)) = (&parameter.minimum, &parameter.maximum)
            && least > most
        {
            problems.add(&at("maximum"), "is below the minimum");
        }
        if self
            .min_length
            .zip(self.max_length)
            .is_some_and(|(least, most)| least > most)
        {
            problems.add(&at("max_length"), "is below the min_length");
        }
        if self.choices.len() > CHOICE_LIMIT {
            problems.add(&at("enum"), format!("has more than {CHOICE_LIMIT} values"));
        }
        // The other rules first: a choice that they exclude is none, and the default is one of the choices.
        let choices = self.choices.iter().take(CHOICE_LIMIT).enumerate();
        let choices = choices.filter_map(|(place, text)| {
            problems.take(&format!("{field}.enum[{place}]"), self.short(text, &parameter))
        });
        parameter.choices = choices.collect();
        if let Some(text) = &self.default {
            let read = problems.take(&at("default"), self.short(text, &parameter));
            parameter.default = read.map(Value::from);
        }
        parameter
    }

    /// Keywords that mean nothing for the type are mistakes, not decoration.
    fn check_keywords(&self, field: &str, problems: &mut Problems) {
        let is_text = self.kind == ParameterType::String;
        for (name, stands, fits, of) in [
            (
                "minimum",
                self.minimum.is_some(),
                self.kind.is_number(),
                "numbers",
            ),
            (
                "maximum",
                self.maximum.is_some(),
                self.kind.is_number(),
                "numbers",
            ),
            ("min_length", self.min_length.is_some(), is_text, "strings"),
            ("max_length", self.max_length.is_some(), is_text, "strings"),
            ("pattern", self.pattern.is_some(), is_text, "strings"),
        ] {
            if stands && !fits {
                let why = format!("is for {of}, and the type is {}", self.kind.as_str());
                problems.add(&format!("{field}.{name}"), why);
            }
        }
    }

    fn typed(&self, text: &str) -> Result<Typed, String> {
        if text.len() > DEFAULT_LIMIT {
            return Err(format!("is longer than {DEFAULT_LIMIT} bytes"));
        }
        self.kind.read(text).map_err(|why| why.to_string())
    }

    /// A value of the profile itself, which the rules found so far must allow.
    fn short(&self, text: &str, rules: &Parameter) -> Result<Typed, String> {
        let value = self.typed(text)?;
        rules.allow(&value).map_err(|why| why.to_string())?;
        Ok(value)
    }
}

/// A value that a profile takes from the device's variables, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    source: ParameterSource,
    choices: Vec<Typed>,
    minimum: Option<Typed>,
    maximum: Option<Typed>,
    pattern: Option<Pattern>,
    default: Option<Value>,
}

impl Parameter {
    /// As it was written.
    pub const fn source(&self) -> &ParameterSource {
        &self.source
    }

    /// Is a text a value of it?
    pub fn allows(&self, text: &str) -> bool {
        self.read(text).is_ok()
    }

    /// Its default, read.
    pub(super) const fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// The value of a text.
    pub(super) fn read(&self, text: &str) -> Result<Value, WrongValue<'_>> {
        let value = self.source.kind.read(text)?;
        self.allow(&value)?;
        Ok(value.into())
    }

    /// The value of a text of the profile itself.
    pub(super) fn read_short(&self, text: &str) -> Result<Value, String> {
        self.source.short(text, self).map(Value::from)
    }

    fn allow(&self, value: &Typed) -> Result<(), WrongValue<'_>> {
        let source = &self.source;
        if !self.choices.is_empty() && !self.choices.contains(value) {
            return Err(WrongValue::Choice(&source.choices));
        }
        if let (Some(least), Some(text)) = (&self.minimum, &source.minimum)
            && value < least
        {
            return Err(WrongValue::Below(text));
        }
        if let (Some(most), Some(text)) = (&self.maximum, &source.maximum)
            && value > most
        {
            return Err(WrongValue::Above(text));
        }
        let Typed::Text(text) = value else { return Ok(()) };
        // Characters are counted only where somebody asks.
        let limits = [source.min_length, source.max_length];
        let length = limits.iter().any(Option::is_some).then(|| text.chars().count());
        let length = length.map_or(0, |length| u32::try_from(length).unwrap_or(u32::MAX));
        if let Some(least) = source.min_length.filter(|least| length < *least) {
            return Err(WrongValue::Short(least));
        }
        if let Some(most) = source.max_length.filter(|most| length > *most) {
            return Err(WrongValue::Long(most));
        }
        match &self.pattern {
            Some(pattern) if !pattern.matches(text) => Err(WrongValue::Pattern(pattern.as_str())),
            Some(_) | None => Ok(()),
        }
    }

    /// All that a value must be, in one line, such as `integer, at least 1, at most 65535`.
    pub fn rule(&self) -> String {
        let source = &self.source;
        let mut rule = source.kind.as_str().to_owned();
        let mut add = |words: &str, value: Option<String>| {
            if let Some(value) = value {
                rule = format!("{rule}, {words}{value}");
            }
        };
        let choices = Some(source.choices.join(", ")).filter(|_| !source.choices.is_empty());
        add("one of ", choices);
        add("at least ", source.minimum.clone());
        add("at most ", source.maximum.clone());
        let characters = |count: u32| format!("{count} characters");
        add("at least ", source.min_length.map(characters));
        add("at most ", source.max_length.map(characters));
        add("matching ", source.pattern.clone());
        rule
    }
}

/// A value of a parameter, by its type.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Typed {
    Text(String),
    Integer(i64),
    Number(f64),
    Truth(bool),
}

impl From<Typed> for Value {
    fn from(typed: Typed) -> Self {
        match typed {
            Typed::Text(text) => Self::from(text),
            Typed::Integer(number) => Self::from(number),
            Typed::Number(number) => Self::from(number),
            Typed::Truth(truth) => Self::from(truth),
        }
    }
}

/// Why a text is no value of its parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrongValue<'a> {
    Type(ParameterType),
    Choice(&'a [String]),
    Below(&'a str),
    Above(&'a str),
    Short(u32),
    Long(u32),
    Pattern(&'a str),
}

impl fmt::Display for WrongValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(ParameterType::String) => f.write_str("is not text"),
            Self::Type(ParameterType::Integer) => f.write_str("is not a whole number of 64 bits"),
            Self::Type(ParameterType::Number) => f.write_str("is not a decimal number"),
            Self::Type(ParameterType::Boolean) => f.write_str("is neither true nor false"),
            Self::Choice(choices) => write!(f, "is none of {}", choices.join(", ")),
            Self::Below(least) => write!(f, "is below the minimum, {least}"),
            Self::Above(most) => write!(f, "is above the maximum, {most}"),
            Self::Short(least) => write!(f, "is shorter than {least} characters"),
            Self::Long(most) => write!(f, "is longer than {most} characters"),
            Self::Pattern(pattern) => write!(f, "does not match {pattern}"),
        }
    }
}

impl ParameterType {
    const fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Number)
    }

    /// The value of a text. Booleans in any case, because spreadsheets export `TRUE`.
    fn read(self, text: &str) -> Result<Typed, WrongValue<'static>> {
        let value = match self {
            Self::String => Some(Typed::Text(text.to_owned())),
            Self::Integer => text.parse().ok().map(Typed::Integer),
            Self::Number => text
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .map(Typed::Number),
            Self::Boolean if text.eq_ignore_ascii_case("true") => Some(Typed::Truth(true)),
            Self::Boolean if text.eq_ignore_ascii_case("false") => Some(Typed::Truth(false)),
            Self::Boolean => None,
        };
        value.ok_or(WrongValue::Type(self))
    }
}

/// A text, or a number or truth value as its text.
struct Plain(String);

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

fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Plain::deserialize(deserializer).map(|plain| Some(plain.0))
}

/// Texts by name.
pub(super) fn plain_map<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let plains = BTreeMap::<String, Plain>::deserialize(deserializer)?;
    Ok(plains.into_iter().map(|(name, plain)| (name, plain.0)).collect())
}

fn plains<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let plains = Vec::<Plain>::deserialize(deserializer)?;
    Ok(plains.into_iter().map(|plain| plain.0).collect())
}

#[cfg(test)]
mod tests;
