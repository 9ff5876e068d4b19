//! Secrets in profiles: a template names one, and what is rendered holds a placeholder, never a value.
//!
//! `{{ secret("wifi-psk") }}`, alone in its tag, is exchanged for the placeholder `⧼secret wifi-psk@3⧽` before the template
//! is compiled, with the revision that the profile pins. The engine never sees a value, nor a function that gives one. Where a
//! profile names secrets, no value of a device may hold the sign [`OPEN`]; where it names none, no file that it renders may. So
//! nothing that comes from a manifest, a site or a label turns into a secret. The device puts the value where the placeholder
//! stands, as it is.

use super::{Facts, Profile, RevisionNumber, Syntax, check::Problems, proof};
use crate::{Code, Refusal, filter::closest, names::SecretName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of a value: a key in PEM with its chain.
pub const VALUE_LIMIT: usize = 4 << 10;
/// Most secrets of one profile: sealed, all of them fit one payload.
pub const SECRET_LIMIT: usize = 16;
/// Most placeholders of one rendered file: with every value as long as it may be, the file is still one that devices write.
pub const PLACES_LIMIT: usize = 16;
/// Where a placeholder begins. Nobody writes it by accident, and every format can hold it.
pub const OPEN: char = '\u{29fc}';
/// Where it ends.
const CLOSE: char = '\u{29fd}';
/// What stands in for a value to see where it is: within quotes, or in a block of text, it is read as it is; anywhere else
/// it ends something, or begins a comment.
const PROBE: &str = "m: q #0";

/// What is known of a revision of a secret, beside its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The value has no quote, backslash or control character: within quotes it can end nothing.
    pub is_tame: bool,
    /// The value is kept; once retired, it is gone.
    pub is_held: bool,
}

/// The revisions that a profile pins.
pub type Pins = BTreeMap<SecretName, RevisionNumber>;

/// Checks a value; says whether it is tame.
///
/// # Errors
/// [`Code::SecretInvalid`] at `value`; never with a part of it.
pub fn check_value(value: &[u8]) -> Result<bool, Refusal> {
    let wrong = |why: &str| Err(Refusal::new(Code::SecretInvalid, why).at("value"));
    if value.is_empty() {
        return wrong("is empty");
    }
    if value.len() > VALUE_LIMIT {
        return wrong(&format!("is longer than {VALUE_LIMIT} bytes"));
    }
    match core::str::from_utf8(value) {
        Err(_) => wrong("is not text in UTF-8; write bytes as base64"),
        Ok(text) if text.contains('\0') => wrong("holds a NUL, which no file of text does"),
        Ok(text) => Ok(proof::is_tame(text)),
    }
}

/// What stands in a rendered file instead of a value; without a revision, where none is pinned yet.
pub fn placeholder(name: &str, revision: Option<RevisionNumber>) -> String {
    match revision {
        Some(number) => format!("{OPEN}secret {name}@{number}{CLOSE}"),
        None => format!("{OPEN}secret {name}{CLOSE}"),
    }
}

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    /// The tag of a secret, by its name.
    Secret(&'t str),
}

/// A template, cut at its tags of secrets. What stands in comments and raw blocks is text.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(found) = template[at..].find('{') {
        let tag = at + found;
        let rest = &template[tag..];
        if let Some((name, length)) = tag_of_secret(rest) {
            pieces.push(Piece::Text(&template[start..tag]));
            pieces.push(Piece::Secret(name));
            at = tag + length;
            start = at;
        } else {
            at = tag + skipped(rest);
        }
    }
    pieces.push(Piece::Text(&template[start..]));
    pieces
}

/// The name in `{{ secret("NAME") }}` at the start of a text, and the length of the tag.
fn tag_of_secret(text: &str) -> Option<(&str, usize)> {
    let (inside, _) = text.strip_prefix("{{")?.split_once("}}")?;
    let call = inside.trim().strip_prefix("secret")?.trim_start();
    let argument = call.strip_prefix('(')?.strip_suffix(')')?.trim();
    let quote = argument.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let name = argument.strip_prefix(quote)?.strip_suffix(quote)?;
    // A name in quotes that holds one, or an escape, is for the engine to refuse.
    (!name.contains([quote, '\\'])).then_some((name, inside.len() + 4))
}

/// How much of a text that begins with a brace is none of ours: a comment, a raw block, or the brace.
fn skipped(text: &str) -> usize {
    let end = |from: usize, mark: &str| text[from..].find(mark).map(|at| from + at + mark.len());
    if text.starts_with("{#") {
        return end(2, "#}").unwrap_or(text.len());
    }
    let block = text
        .strip_prefix("{%")
        .map(|block| block.trim_start_matches(['-', '+']));
    if block.is_some_and(|block| block.trim_start().starts_with("raw")) {
        return end(2, "endraw").unwrap_or(text.len());
    }
    1
}

/// The secrets that a template names.
pub(super) fn names(template: &str) -> BTreeSet<&str> {
    let pieces = pieces(template).into_iter();
    pieces
        .filter_map(|piece| match piece {
            Piece::Secret(name) => Some(name),
            Piece::Text(_) => None,
        })
        .collect()
}

/// The template for the engine: placeholders instead of secrets.
pub(super) fn replaced(template: &str, pins: &Pins) -> String {
    let pieces = pieces(template).into_iter();
    pieces
        .map(|piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Secret(name) => placeholder(name, pins.get(name).copied()),
        })
        .collect()
}

/// What is wrong with the secrets of a template.
pub(super) fn check_template(field: &str, template: &str, problems: &mut Problems) {
    for name in names(template) {
        if let Err(why) = name.parse::<SecretName>() {
            problems.add(field, format!("names the secret {name:?}, which {why}"));
        }
    }
    if template.contains(OPEN) {
        problems.add(field, format!("holds {OPEN}, which stands for secrets only"));
    }
}

/// Pins what a template names; each secret must be there, with a value that the file can hold.
pub(super) fn pin(
    file: (&str, &str),
    known: impl Fn(&str) -> Option<(RevisionNumber, Secret)>,
    all: &[&str],
    pins: &mut Pins,
) -> Vec<Refusal> {
    let (key, template) = file;
    let syntax = Syntax::of(key);
    let mut problems = Vec::new();
    let mut wrong = |code, why: String| problems.push(Refusal::new(code, why).at(format!("files.{key}")));
    for name in names(template) {
        let Ok(secret) = name.parse::<SecretName>() else {
            continue;
        };
        match known(name) {
            None => wrong(Code::ReferenceMissing, missing(name, all)),
            Some((number, kept)) if !kept.is_tame && syntax != Syntax::Text => {
                let why = "has a quote, a backslash or a control character, which cannot stand in";
                wrong(
                    Code::ProfileInvalid,
                    format!("the value of secrets/{name}@{number} {why} {}", syntax.as_str()),
                );
            }
            Some((number, _)) => {
                pins.insert(secret, number);
            }
        }
    }
    problems
}

fn missing(name: &str, all: &[&str]) -> String {
    match closest(name, all.iter().copied()) {
        Some(near) => format!("there is no secrets/{name}; is it {near}?"),
        None => format!("there is no secrets/{name}; `muster secret put {name}` makes it"),
    }
}

/// The secrets that the templates of a profile name, each with its revision once it is pinned.
#[derive(Debug, Clone, Default)]
pub(super) struct Named(BTreeMap<String, Option<RevisionNumber>>);

impl Named {
    pub(super) fn of(profile: &Profile) -> Self {
        let names = profile.files.values().flat_map(|file| names(&file.template));
        Self(
            names
                .map(|name| (name.to_owned(), profile.secrets.get(name).copied()))
                .collect(),
        )
    }

    /// No value of a device may pretend to be a placeholder.
    pub(super) fn check_facts(&self, facts: &Facts<'_>) -> Result<(), Refusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        let site = facts
            .site
            .iter()
            .flat_map(|site| [&site.name, &site.country, &site.time_zone]);
        let maps = facts.labels.values().chain(facts.variables.values());
        let others = [facts.hardware, facts.position].into_iter().flatten();
        let mut texts = site.chain(maps).map(String::as_str).chain(others);
        if texts.any(|text| text.contains(OPEN)) {
            let why = format!(
                "cannot be rendered: a value of the device holds {OPEN}, which stands for secrets only"
            );
            return Err(Refusal::new(Code::RenderFailed, why).at("files"));
        }
        Ok(())
    }

    /// May a rendered file hold what it holds of secrets?
    pub(super) fn check_file(&self, text: &str) -> Result<(), String> {
        if !text.contains(OPEN) {
            return Ok(());
        }
        let parts = text.split(OPEN).skip(1);
        if parts.clone().count() > PLACES_LIMIT {
            return Err(format!("holds secrets in more than {PLACES_LIMIT} places"));
        }
        for part in parts {
            if !self.is_placeholder(part) {
                return Err(format!(
                    "holds {OPEN} where no secret is inserted, or one that was changed"
                ));
            }
        }
        Ok(())
    }

    /// Is this what follows the sign in a placeholder of the profile?
    fn is_placeholder(&self, part: &str) -> bool {
        let inside = part.split_once(CLOSE).map(|(inside, _)| inside);
        let Some(named) = inside.and_then(|inside| inside.strip_prefix("secret ")) else {
            return false;
        };
        match named.split_once('@') {
            Some((name, number)) => {
                let pinned = self.0.get(name).copied().flatten();
                pinned.is_some_and(|pinned| pinned.to_string() == number)
            }
            None => self.0.get(named) == Some(&None),
        }
    }
}

/// Can every tame value stand where the placeholders of a file do? Each is exchanged for a probe, which must be read back
/// as a part of a text.
pub(super) fn check_quoted(syntax: Syntax, text: &str) -> Result<(), String> {
    if syntax == Syntax::Text || !text.contains(OPEN) {
        return Ok(());
    }
    let mut probed = String::new();
    let mut probes = 0;
    for (place, part) in text.split(OPEN).enumerate() {
        if place == 0 {
            probed.push_str(part);
            continue;
        }
        let behind = part.split_once(CLOSE).map_or("", |(_, behind)| behind);
        probed.push_str(PROBE);
        probed.push_str(behind);
        probes += 1;
    }
    let found = syntax.read(&probed).map_or(0, |value| count(&value));
    if found == probes {
        Ok(())
    } else {
        let syntax = syntax.as_str();
        Err(format!(
            "holds a secret outside of quotes, where {syntax} cannot hold any value"
        ))
    }
}

/// How often the probe stands in texts; keys are none.
fn count(value: &Value) -> usize {
    match value {
        Value::String(text) => text.matches(PROBE).count(),
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests;
