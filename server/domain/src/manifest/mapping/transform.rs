//! Running the steps of a field on a cell's text.

use super::step::{LetterCase, Otherwise, Step, regex};
use crate::{Code, Refusal, manifest::CELL_LIMIT};
use regex::Regex;
use std::{borrow::Cow, collections::BTreeMap};

/// Why a value cannot be transformed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::manifest) struct Unfit {
    pub(in crate::manifest) refusal: Refusal,
    /// The step, for people.
    pub(in crate::manifest) rule: String,
}

/// One step, compiled.
#[derive(Debug, Clone)]
enum Move {
    Trim,
    Case(LetterCase),
    Capture(Regex),
    Replace(String, String),
    Remove(String),
    Split(String, i32),
    Lookup(BTreeMap<String, String>, Otherwise),
    Prefix(String),
    Suffix(String),
    Pad(usize, char),
}

/// The steps of a field, compiled.
#[derive(Debug, Clone, Default)]
pub(in crate::manifest) struct Transform {
    moves: Vec<Move>,
}

impl Transform {
    /// # Errors
    /// A pattern that does not compile; checked mappings have none.
    pub(super) fn new(steps: &[Step]) -> Result<Self, String> {
        let moves = steps.iter().map(Move::new).collect::<Result<_, _>>()?;
        Ok(Self { moves })
    }

    /// Does it fill values up, so that it knows how wide they were?
    pub(in crate::manifest) fn pads(&self) -> bool {
        self.moves.iter().any(|step| matches!(step, Move::Pad(..)))
    }

    /// The value of a text without blanks around it; empty when there is none. What comes out has no blanks around it
    /// either.
    ///
    /// # Errors
    /// [`Code::ValueUnmapped`], or [`Code::CellMalformed`] for a value that becomes too long.
    pub(in crate::manifest) fn run<'t>(&self, text: Cow<'t, str>) -> Result<Cow<'t, str>, Unfit> {
        let mut text = text;
        for step in &self.moves {
            if text.is_empty() {
                break;
            }
            text = step.run(text)?;
        }
        Ok(trimmed(text))
    }
}

impl Move {
    fn new(step: &Step) -> Result<Self, String> {
        Ok(match step {
            Step::Trim => Self::Trim,
            Step::Case(case) => Self::Case(*case),
            Step::Capture(pattern) => Self::Capture(regex(pattern)?),
            Step::Replace { from, to } => Self::Replace(from.clone(), to.clone()),
            Step::Remove(characters) => Self::Remove(characters.clone()),
            Step::Split { by, take } => Self::Split(by.clone(), *take),
            Step::Lookup { table, otherwise } => Self::Lookup(table.clone(), *otherwise),
            Step::Prefix(text) => Self::Prefix(text.clone()),
            Step::Suffix(text) => Self::Suffix(text.clone()),
            Step::Pad { width, with } => Self::Pad(usize::try_from(*width).unwrap_or(usize::MAX), *with),
        })
    }

    fn run<'t>(&self, text: Cow<'t, str>) -> Result<Cow<'t, str>, Unfit> {
        match self {
            Self::Trim => Ok(trimmed(text)),
            Self::Case(case) => cased(text, *case),
            Self::Capture(regex) => {
                let why = || unmapped(&text, "is not matched", format!("capture {:?}", regex.as_str()));
                part(&text, |text| captured(regex, text)).ok_or_else(why)
            }
            Self::Replace(from, to) => replaced(text, from, to),
            Self::Remove(characters) if text.contains(|c| characters.contains(c)) => {
                Ok(Cow::Owned(text.replace(|c| characters.contains(c), "")))
            }
            Self::Remove(_) => Ok(text),
            Self::Split(by, take) => {
                let why = || unmapped(&text, "has no such part", format!("split by {by:?}, take {take}"));
                part(&text, |text| nth(text, by, *take)).ok_or_else(why)
            }
            Self::Lookup(table, otherwise) => match (table.get(text.as_ref()), otherwise) {
                (Some(value), _) => Ok(Cow::Owned(value.clone())),
                (None, Otherwise::Keep) => Ok(text),
                (None, Otherwise::Empty) => Ok(Cow::Borrowed("")),
                (None, Otherwise::Refuse) => {
                    let rule = format!("lookup of {} values", table.len());
                    Err(unmapped(&text, "is not in the table", rule))
                }
            },
            Self::Prefix(prefix) => joined(prefix, &text, ""),
            Self::Suffix(suffix) => joined("", &text, suffix),
            Self::Pad(width, with) => {
                let missing = width.saturating_sub(text.chars().count());
                if missing == 0 {
                    return Ok(text);
                }
                let padding: String = core::iter::repeat_n(*with, missing).collect();
                joined(&padding, &text, "")
            }
        }
    }
}

/// Longest value that a message quotes, in bytes.
const QUOTE_LIMIT: usize = 80;

fn unmapped(text: &str, why: &str, rule: String) -> Unfit {
    let end = (0..=QUOTE_LIMIT.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    let quote = text.get(..end.unwrap_or(0)).unwrap_or_default();
    let more = if quote.len() < text.len() { "..." } else { "" };
    let refusal = Refusal::new(Code::ValueUnmapped, format!("{quote:?}{more} {why}: {rule}"));
    Unfit { refusal, rule }
}

fn fits(length: usize) -> Result<(), Unfit> {
    if length <= CELL_LIMIT {
        return Ok(());
    }
    let why = format!("becomes {length} bytes long, over the limit of {CELL_LIMIT}");
    Err(Unfit {
        refusal: Refusal::new(Code::CellMalformed, why),
        rule: format!("at most {CELL_LIMIT} bytes"),
    })
}

/// A part of the text, without a copy where the text is not ours.
fn part<'t>(text: &Cow<'t, str>, find: impl for<'a> Fn(&'a str) -> Option<&'a str>) -> Option<Cow<'t, str>> {
    match text {
        Cow::Borrowed(text) => find(text).map(Cow::Borrowed),
        Cow::Owned(text) => find(text).map(|found| Cow::Owned(found.to_owned())),
    }
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.trim().len() == text.len() {
        text
    } else {
        part(&text, |text| Some(text.trim())).unwrap_or_default()
    }
}

fn cased(text: Cow<'_, str>, case: LetterCase) -> Result<Cow<'_, str>, Unfit> {
    let stays = |byte: u8| match case {
        LetterCase::Upper => byte.is_ascii() && !byte.is_ascii_lowercase(),
        LetterCase::Lower => byte.is_ascii() && !byte.is_ascii_uppercase(),
    };
    if text.bytes().all(stays) {
        return Ok(text);
    }
    let changed = match case {
        LetterCase::Upper => text.to_uppercase(),
        LetterCase::Lower => text.to_lowercase(),
    };
    fits(changed.len()).map(|()| Cow::Owned(changed))
}

fn captured<'t>(regex: &Regex, text: &'t str) -> Option<&'t str> {
    if regex.captures_len() == 1 {
        return regex.find(text).map(|found| found.as_str());
    }
    regex.captures(text)?.get(1).map(|group| group.as_str())
}

fn nth<'t>(text: &'t str, by: &str, take: i32) -> Option<&'t str> {
    let place = usize::try_from(take.unsigned_abs()).ok()?.checked_sub(1)?;
    if take > 0 {
        text.split(by).nth(place)
    } else {
        text.rsplit(by).nth(place)
    }
}

fn replaced<'t>(text: Cow<'t, str>, from: &str, to: &str) -> Result<Cow<'t, str>, Unfit> {
    let count = text.matches(from).count();
    if count == 0 {
        return Ok(text);
    }
    fits(text.len() - count * from.len() + count * to.len())?;
    Ok(Cow::Owned(text.replace(from, to)))
}

fn joined<'t>(before: &str, text: &str, behind: &str) -> Result<Cow<'t, str>, Unfit> {
    fits(before.len() + text.len() + behind.len())?;
    Ok(Cow::Owned([before, text, behind].concat()))
}
