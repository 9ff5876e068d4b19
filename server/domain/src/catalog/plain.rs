//! Templates that only insert values: most of a fleet's, and one is rendered for every row of a manifest.
//!
//! `hostname = "{{ device.serial | lower }}"` needs no engine, only its pieces one behind the other, at a sixth of the cost.
//! What is read here means the same to the engine, character by character; a property test holds the two together.
//! Whatever else a template does makes it no plain one, and whatever goes wrong is left to the engine to explain.

use super::{Facts, OUTPUT_LIMIT};
use minijinja::Value;
use std::fmt::Write as _;

/// Most insertions of a plain template; the engine's limit on work lies beyond.
const INSERT_LIMIT: usize = 256;

/// A template in pieces.
#[derive(Debug)]
pub(super) struct Plain(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Insert(Source, Case),
}

/// What is inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Serial,
    Mac,
    Model,
    Hardware,
    Firmware,
    Position,
    Label(String),
    SiteCode,
    SiteName,
    SiteCountry,
    SiteTimeZone,
    /// A parameter, by its place among those of the profile.
    Parameter(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Kept,
    Lower,
    Upper,
}

impl Plain {
    /// The pieces of a template; `None` when it does more than insert. `slot` gives the place of a parameter.
    pub(super) fn parse(template: &str, slot: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        // Tags and comments have rules about the white space around them.
        if template.contains("{%") || template.contains("{#") {
            return None;
        }
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (inside, after) = behind.split_once("}}")?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(insert(inside, &slot)?);
            rest = after;
            if pieces.len() > 2 * INSERT_LIMIT {
                return None;
            }
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Some(Self(pieces))
    }

    /// The file of a device; `None` when something is not defined, or the file grows over its limit. `values` are the
    /// parameters' in the order of their places.
    pub(super) fn render(&self, facts: &Facts<'_>, values: &[Value]) -> Option<String> {
        let mut text = String::with_capacity(self.0.len() * 32);
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Insert(source, case) => {
                    let start = text.len();
                    source.write(facts, values, &mut text)?;
                    case.apply(&mut text, start);
                }
            }
            if text.len() > OUTPUT_LIMIT {
                return None;
            }
        }
        Some(text)
    }
}

/// `device.serial`, `site.code | lower`, `name_of_a_parameter`.
fn insert(inside: &str, slot: &impl Fn(&str) -> Option<usize>) -> Option<Piece> {
    let (path, case) = match inside.split_once('|') {
        None => (inside, Case::Kept),
        Some((path, filter)) => match filter.trim() {
            "lower" => (path, Case::Lower),
            "upper" => (path, Case::Upper),
            _ => return None,
        },
    };
    let path = path.trim_matches([' ', '\t']);
    let source = match path.split_once('.') {
        Some(("device", field)) => device(field)?,
        Some(("site", field)) => site(field)?,
        Some(_) => return None,
        // A filter has its own idea of what is no text.
        None if case != Case::Kept => return None,
        // No parameter is named like a word of the template language.
        None => Source::Parameter(slot(path)?),
    };
    Some(Piece::Insert(source, case))
}

fn device(field: &str) -> Option<Source> {
    Some(match field {
        "serial" => Source::Serial,
        "mac" => Source::Mac,
        "model" => Source::Model,
        "hardware" => Source::Hardware,
        "firmware" => Source::Firmware,
        "position" => Source::Position,
        _ => {
            let key = field.strip_prefix("labels.")?;
            let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            is_name.then(|| Source::Label(key.to_owned()))?
        }
    })
}

fn site(field: &str) -> Option<Source> {
    Some(match field {
        "code" => Source::SiteCode,
        "name" => Source::SiteName,
        "country" => Source::SiteCountry,
        "time_zone" => Source::SiteTimeZone,
        _ => return None,
    })
}

impl Source {
    /// Appends the value; `None` when it is not defined.
    fn write(&self, facts: &Facts<'_>, values: &[Value], text: &mut String) -> Option<()> {
        match self {
            Self::Serial => text.push_str(facts.serial.as_str()),
            Self::Mac => write!(text, "{}", facts.mac?).ok()?,
            Self::Model => text.push_str(facts.model.as_str()),
            Self::Hardware => text.push_str(facts.hardware?),
            Self::Firmware => write!(text, "{}", facts.firmware?).ok()?,
            Self::Position => text.push_str(facts.position?),
            Self::Label(key) => text.push_str(facts.labels.get(key)?),
            Self::SiteCode => text.push_str(facts.site?.code.as_str()),
            Self::SiteName => text.push_str(there(&facts.site?.name)?),
            Self::SiteCountry => text.push_str(there(&facts.site?.country)?),
            Self::SiteTimeZone => text.push_str(there(&facts.site?.time_zone)?),
            Self::Parameter(place) => {
                let value = values.get(*place)?;
                match value.as_str() {
                    Some(value) => text.push_str(value),
                    None => write!(text, "{value}").ok()?,
                }
            }
        }
        Some(())
    }
}

/// An empty text of a site is not defined.
fn there(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl Case {
    fn apply(self, text: &mut String, start: usize) {
        let changed = |part: &str| match self {
            Self::Kept => None,
            Self::Lower => Some(part.to_lowercase()),
            Self::Upper => Some(part.to_uppercase()),
        };
        if let Some(changed) = text.get(start..).and_then(changed) {
            text.truncate(start);
            text.push_str(&changed);
        }
    }
}
