//! Steps: what is done to a cell's text before it is a value.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most bytes of a text in a step: a prefix, a replacement, a separator.
pub const STEP_TEXT_LIMIT: usize = 256;
/// Longest pattern of a step, in bytes, and the most memory its compiled form may take: it comes from outside.
pub const STEP_PATTERN_LIMIT: usize = 256;
pub(super) const PATTERN_MEMORY: usize = 1 << 18;
/// Most entries of one table.
pub const LOOKUP_LIMIT: usize = 4096;
/// Widest padding, in characters: as wide as the longest serial.
pub const PAD_LIMIT: u32 = 64;

/// Upper or lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterCase {
    /// `GW2`.
    Upper,
    /// `gw2`.
    Lower,
}

/// What becomes of a value that a table does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// Its row is refused.
    #[default]
    Refuse,
    /// It stays.
    Keep,
    /// It counts as an empty cell.
    Empty,
}

/// One step. Written as a table of one key, such as `{ case = "upper" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub enum Step {
    /// Without the blanks around it. Cells come without them; steps before this one may bare new ones.
    Trim,
    /// All letters in one case.
    Case(LetterCase),
    /// What the first group of a regular expression matches, or the whole match where it has no group. The expression
    /// may match anywhere; a value that it does not match is refused.
    Capture(String),
    /// Every occurrence of one text becomes another.
    Replace {
        /// What is looked for, as it is.
        from: String,
        /// What stands there then.
        to: String,
    },
    /// Without any of these characters.
    Remove(String),
    /// One of the parts between separators; a value that has no such part is refused.
    Split {
        /// The separator.
        by: String,
        /// Which part: from 1 at the beginning, from -1 at the end.
        take: i32,
    },
    /// Another value, by a table.
    Lookup {
        /// From the cell's value to ours.
        table: BTreeMap<String, String>,
        /// For values it does not have.
        otherwise: Otherwise,
    },
    /// A text in front.
    Prefix(String),
    /// A text behind.
    Suffix(String),
    /// Filled up in front. It says how wide the value was, so a number that a spreadsheet made of it is no damage.
    Pad {
        /// To so many characters.
        width: u32,
        /// With this one.
        with: char,
    },
}

/// A step as a person writes it: one key, and `otherwise` beside `lookup`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    trim: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<LetterCase>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replace: Option<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remove: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<Parts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lookup: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otherwise: Option<Otherwise>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pad: Option<Padding>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    by: String,
    take: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Padding {
    width: u32,
    with: char,
}

impl TryFrom<Form> for Step {
    type Error = &'static str;

    fn try_from(form: Form) -> Result<Self, &'static str> {
        let otherwise = form.otherwise;
        let table = form.lookup.map(|table| Self::Lookup {
            table,
            otherwise: otherwise.unwrap_or_default(),
        });
        if otherwise.is_some() && table.is_none() {
            return Err("otherwise stands beside lookup only");
        }
        if form.trim == Some(false) {
            return Err("trim is true, or the step is left out");
        }
        let steps = [
            form.trim.map(|_| Self::Trim),
            form.case.map(Self::Case),
            form.capture.map(Self::Capture),
            form.replace.map(|(from, to)| Self::Replace { from, to }),
            form.remove.map(Self::Remove),
            form.split.map(|Parts { by, take }| Self::Split { by, take }),
            table,
            form.prefix.map(Self::Prefix),
            form.suffix.map(Self::Suffix),
            form.pad.map(|Padding { width, with }| Self::Pad { width, with }),
        ];
        let mut steps = steps.into_iter().flatten();
        match (steps.next(), steps.next()) {
            (Some(step), None) => Ok(step),
            (Some(_), Some(_)) => Err("a step does one thing; write several steps"),
            (None, _) => Err(
                "a step is one of trim, case, capture, replace, remove, split, lookup, prefix, suffix and pad",
            ),
        }
    }
}

impl From<Step> for Form {
    fn from(step: Step) -> Self {
        let mut form = Self::default();
        match step {
            Step::Trim => form.trim = Some(true),
            Step::Case(case) => form.case = Some(case),
            Step::Capture(pattern) => form.capture = Some(pattern),
            Step::Replace { from, to } => form.replace = Some((from, to)),
            Step::Remove(characters) => form.remove = Some(characters),
            Step::Split { by, take } => form.split = Some(Parts { by, take }),
            Step::Lookup { table, otherwise } => {
                form.lookup = Some(table);
                form.otherwise = Some(otherwise);
            }
            Step::Prefix(text) => form.prefix = Some(text),
            Step::Suffix(text) => form.suffix = Some(text),
            Step::Pad { width, with } => form.pad = Some(Padding { width, with }),
        }
        form
    }
}

impl Step {
    /// What is wrong with it, or else it can be run.
    pub(super) fn problem(&self) -> Option<String> {
        let text = |name: &str, text: &str, may_be_empty: bool| {
            if text.is_empty() && !may_be_empty {
                Some(format!("{name} is empty"))
            } else {
                (text.len() > STEP_TEXT_LIMIT)
                    .then(|| format!("{name} is longer than {STEP_TEXT_LIMIT} bytes"))
            }
        };
        match self {
            Self::Trim | Self::Case(_) => None,
            Self::Capture(pattern) => regex(pattern).err(),
            Self::Replace { from, to } => {
                text("what is replaced", from, false).or_else(|| text("the replacement", to, true))
            }
            Self::Remove(characters) => text("remove", characters, false),
            Self::Split { by, take } => text("split.by", by, false).or_else(|| {
                (*take == 0).then(|| "split.take counts from 1, or from -1 at the end".to_owned())
            }),
            Self::Lookup { table, .. } => table_problem(table),
            Self::Prefix(prefix) => text("prefix", prefix, false),
            Self::Suffix(suffix) => text("suffix", suffix, false),
            Self::Pad { width, .. } => {
                let wrong = !(1..=PAD_LIMIT).contains(width);
                wrong.then(|| format!("pad.width is 1 to {PAD_LIMIT}, not {width}"))
            }
        }
    }
}

fn table_problem(table: &BTreeMap<String, String>) -> Option<String> {
    if table.is_empty() {
        return Some("lookup has no entry".to_owned());
    }
    if table.len() > LOOKUP_LIMIT {
        return Some(format!("lookup has more than {LOOKUP_LIMIT} entries"));
    }
    let long = table
        .iter()
        .find(|(from, to)| from.len() > STEP_TEXT_LIMIT || to.len() > STEP_TEXT_LIMIT);
    long.map(|_| format!("an entry of lookup is longer than {STEP_TEXT_LIMIT} bytes"))
}

/// Compiles a pattern; it matches in linear time. The error is for people.
pub(super) fn regex(pattern: &str) -> Result<regex::Regex, String> {
    if pattern.is_empty() {
        return Err("capture is empty".to_owned());
    }
    if pattern.len() > STEP_PATTERN_LIMIT {
        return Err(format!("capture is longer than {STEP_PATTERN_LIMIT} bytes"));
    }
    regex::RegexBuilder::new(pattern)
        .size_limit(PATTERN_MEMORY)
        .build()
        .map_err(|error| format!("capture is not a regular expression: {error}"))
}
