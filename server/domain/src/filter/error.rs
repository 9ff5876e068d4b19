//! Why a filter was refused, and where.

use std::borrow::Cow;
use std::fmt;

use super::span::Span;
use super::{Comparator, MAX_COMPARISONS, MAX_DEPTH, MAX_LENGTH};

/// How much of the user's own text a message repeats, in characters.
const QUOTED_CHARACTERS: usize = 48;
/// How wide the line above the caret may be, in characters: an 80-column terminal less an indent.
const CARET_LINE: usize = 76;

/// A refused filter: what is wrong, where, and how to put it right.
///
/// It holds no source text; [`FilterError::caret`] takes that from the caller, who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    problem: Problem,
    span: Span,
    hint: Option<Cow<'static, str>>,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The text, or its canonical form, is longer than [`MAX_LENGTH`] bytes.
    TooLong,
    /// Parentheses nest deeper than [`MAX_DEPTH`].
    TooDeep,
    /// There are more than [`MAX_COMPARISONS`] comparisons.
    TooManyComparisons,
    /// A character that begins nothing in this language.
    UnexpectedCharacter(char),
    /// A quoted string without its closing quote.
    UnterminatedString,
    /// A backslash before a character that needs none.
    UnknownEscape,
    /// An unescaped `*` in the middle of a value, where it is no wildcard.
    InnerWildcard,
    /// The grammar wants something else here.
    Expected {
        /// What would have been accepted.
        what: &'static str,
        /// What stands there instead; `None` is the end of the filter.
        found: Option<String>,
    },
    /// The listing has no such field.
    UnknownField(String),
    /// A `.` after a field that has nothing inside, or a second one after a label key.
    NoSuchMember(String),
    /// A label map was compared as a whole.
    KeyRequired(&'static str),
    /// The operator means nothing for this type of field.
    OperatorNotApplicable {
        /// The operator as written.
        operator: Comparator,
        /// What the field holds, in the user's words.
        kind: &'static str,
    },
    /// A `*` where only an exact value can be compared.
    WildcardNotApplicable,
    /// The value is not one the field can have.
    InvalidValue {
        /// The value as written, unquoted.
        value: String,
        /// What the field holds, in the user's words.
        kind: &'static str,
    },
}

impl FilterError {
    pub(super) fn new(problem: Problem, span: Span) -> Self {
        Self {
            problem,
            span,
            hint: None,
        }
    }

    pub(super) fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// What is wrong; its `Display` is the message without place and hint.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The first offending byte of the filter; its length if something is missing at the end.
    pub fn offset(&self) -> usize {
        self.span.start
    }

    /// How many bytes offend; zero if something is missing.
    pub fn length(&self) -> usize {
        self.span.end - self.span.start
    }

    /// What the user might do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Two lines: the part of `source` around the problem, and carets under it.
    ///
    /// `source` is the text that was parsed. Control characters are shown as spaces, so a hostile
    /// filter in a log cannot move the cursor.
    pub fn caret(&self, source: &str) -> String {
        let before = characters(source, 0, self.span.start);
        let marked = characters(source, self.span.start, self.span.end).max(1);
        // Show some of what comes before, more of what comes after.
        let skipped = if before + marked <= CARET_LINE {
            0
        } else {
            before.saturating_sub(CARET_LINE / 3)
        };
        let line: String = source
            .chars()
            .skip(skipped)
            .take(CARET_LINE)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let indent = " ".repeat(before - skipped);
        let carets = "^".repeat(marked.min(CARET_LINE - indent.len()));
        format!("{line}\n{indent}{carets}")
    }
}

/// How many characters of `source` begin in these bytes, also if `source` is not the text parsed.
fn characters(source: &str, start: usize, end: usize) -> usize {
    source
        .char_indices()
        .filter(|(at, _)| (start..end).contains(at))
        .count()
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.problem, self.span.start)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FilterError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "filter is longer than {MAX_LENGTH} bytes"),
            Self::TooDeep => write!(f, "filter nests deeper than {MAX_DEPTH} levels"),
            Self::TooManyComparisons => {
                write!(f, "filter has more than {MAX_COMPARISONS} comparisons")
            }
            Self::UnexpectedCharacter(c) => write!(f, "unexpected character {c:?}"),
            Self::UnterminatedString => f.write_str("string without a closing quote"),
            Self::UnknownEscape => f.write_str("unknown escape"),
            Self::InnerWildcard => f.write_str("`*` in the middle of a value"),
            Self::Expected { what, found: None } => {
                write!(f, "expected {what}, found the end of the filter")
            }
            Self::Expected {
                what,
                found: Some(found),
            } => write!(f, "expected {what}, found {}", Quoted(found)),
            Self::UnknownField(name) => write!(f, "unknown field {}", Quoted(name)),
            Self::NoSuchMember(name) => write!(f, "no field {}", Quoted(name)),
            Self::KeyRequired(field) => write!(f, "{field} needs a key"),
            Self::OperatorNotApplicable { operator, kind } => {
                write!(f, "`{operator}` does not apply to {kind}")
            }
            Self::WildcardNotApplicable => f.write_str("`*` does not apply here"),
            Self::InvalidValue { value, kind } => {
                write!(f, "{} is not {kind}", Quoted(value))
            }
        }
    }
}

/// The user's own text, escaped and cut short.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(QUOTED_CHARACTERS) {
            Some((cut, _)) => write!(f, "{:?}…", &self.0[..cut]),
            None => write!(f, "{:?}", self.0),
        }
    }
}
