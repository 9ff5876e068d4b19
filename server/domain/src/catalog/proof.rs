//! Files that need not be read: a proof, made once a template, that only tame values are missing to make it readable.
//!
//! Reading a rendered file costs as much as rendering it, and a manifest has a million. Where a value stands inside of a
//! text in quotes, or is a whole number or a quoted text of its own, no value without quotes, backslashes and control
//! characters can end what it stands in, nor begin anything. So the template is filled with marks, the file is read, and
//! every mark must come back in its place: then every tame filling is readable, too. What is not proved, or not tame, is
//! read each time.

use super::Syntax;
use serde_json::Value;

/// A value that stands for all of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// Within a text, or all of it.
    Text(String),
    /// All of a text: quotes come with it.
    Quoted(String),
    /// A number of its own, or within a text.
    Whole(u64),
}

/// A letter that begins no escape sequence of JSON or TOML.
const LETTER: char = 'm';
/// Above what people write, below what any reader takes.
const NUMBER: u64 = 7_000_000_000_001;

impl Mark {
    /// The mark of a text at this place among the insertions.
    pub(super) fn text(place: usize) -> String {
        format!("{LETTER}q{place}q")
    }

    /// The mark of a whole number.
    pub(super) fn whole(place: usize) -> u64 {
        u64::try_from(place).map_or(NUMBER, |place| NUMBER + place)
    }

    fn is_in(&self, leaf: &Value) -> bool {
        match self {
            Self::Text(mark) => leaf.as_str().is_some_and(|text| text.contains(mark.as_str())),
            Self::Quoted(mark) => leaf.as_str() == Some(mark),
            Self::Whole(mark) => {
                leaf.as_u64() == Some(*mark)
                    || leaf.as_str().is_some_and(|text| text.contains(&mark.to_string()))
            }
        }
    }
}

/// Might a template's own text be taken for a mark?
pub(super) fn resembles_mark(text: &str) -> bool {
    text.contains("mq") || text.contains("7000000000")
}

/// Is a text that was filled with marks readable, each mark in a place where every tame value may stand?
pub(super) fn holds(syntax: Syntax, text: &str, marks: &[Mark]) -> bool {
    match syntax {
        Syntax::Json | Syntax::Toml => {}
        // Text needs no proof; unquoted texts of YAML mean many things, and an INI is read as fast as this.
        Syntax::Yaml | Syntax::Ini | Syntax::Text => return false,
    }
    let Ok(value) = syntax.read(text) else {
        return false;
    };
    let mut leaves = Vec::new();
    collect(&value, &mut leaves);
    marks
        .iter()
        .all(|mark| leaves.iter().filter(|leaf| mark.is_in(leaf)).count() == 1)
}

/// All values that hold no others; keys are none.
fn collect<'a>(value: &'a Value, leaves: &mut Vec<&'a Value>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| collect(value, leaves)),
        Value::Object(map) => map.values().for_each(|value| collect(value, leaves)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => leaves.push(value),
    }
}

/// Can an inserted text not leave the quotes around it?
pub(super) fn is_tame(text: &str) -> bool {
    !text
        .chars()
        .any(|c| matches!(c, '"' | '\'' | '\\') || c.is_control())
}

/// Can a text with quotes of its own stand wherever its mark did? JSON leaves one character as it is that TOML does not take.
pub(super) fn is_tame_quoted(text: &str) -> bool {
    !text.contains('\u{7f}')
}

/// A number without sign?
pub(super) fn is_tame_whole(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}
