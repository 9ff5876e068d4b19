//! What a test expects of a file.

use crate::profile::diff::unified;
use muster_domain::catalog::Syntax;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expected {
    /// The whole text.
    text: Option<String>,
    /// Parts of it.
    contains: Parts,
    /// What must not be in it.
    lacks: Parts,
    /// What it says, by path (of an INI, texts); tables go down, and keys may be paths of their own: `"net.port"`, `"servers.0.name"`.
    values: Option<Value>,
}

/// One or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Parts {
    One(String),
    Many(Vec<String>),
}

impl Default for Parts {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Parts {
    fn iter(&self) -> std::slice::Iter<'_, String> {
        match self {
            Self::One(part) => std::slice::from_ref(part).iter(),
            Self::Many(parts) => parts.iter(),
        }
    }
}

impl Expected {
    /// What is not as expected of a file.
    pub(super) fn compare(&self, key: &str, text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(expected) = self.text.as_ref().filter(|expected| *expected != text) {
            let diff = unified(expected, text, "expected", "rendered");
            problems.push(format!("{key} is another text:\n{diff}"));
        }
        let missing = self.contains.iter().filter(|part| !text.contains(part.as_str()));
        problems.extend(missing.map(|part| format!("{key} does not contain {part:?}")));
        let foreign = self.lacks.iter().filter(|part| text.contains(part.as_str()));
        problems.extend(foreign.map(|part| format!("{key} contains {part:?}")));
        match &self.values {
            None => {}
            Some(_) if Syntax::of(key) == Syntax::Text => {
                problems.push(format!(
                    "{key} is text, which has no values; use text or contains"
                ));
            }
            Some(expected) => match Syntax::of(key).read(text) {
                Ok(found) => values(key, &found, expected, "", &mut problems),
                Err(malformed) => problems.push(format!("{key} {malformed}")),
            },
        }
        problems
    }
}

/// Compares what a test names; what it does not name may be anything.
fn values(file: &str, found: &Value, expected: &Value, path: &str, problems: &mut Vec<String>) {
    if let Value::Object(map) = expected {
        for (key, expected) in map {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            match at(found, key) {
                Some(found) => values(file, found, expected, &path, problems),
                None => problems.push(format!("{file} has nothing at {path}")),
            }
        }
    } else if !is_same(found, expected) {
        let at = if path.is_empty() { "the top" } else { path };
        problems.push(format!("{file} has {found} at {at}, and {expected} is expected"));
    }
}

/// The value at a path of keys and places in lists; the longest key that is there comes first, because keys hold dots.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let child = |key: &str| match value {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    };
    if let Some(found) = child(path) {
        return Some(found);
    }
    path.match_indices('.')
        .rev()
        .find_map(|(dot, _)| at(child(&path[..dot])?, &path[dot + 1..]))
}

/// Numbers are the same however they are written: `1` and `1.0`.
fn is_same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            found == expected || found.as_f64() == expected.as_f64()
        }
        _ => found == expected,
    }
}
