//! A value as written: exact, or with wildcards at its ends.

use std::fmt;

/// The right-hand side of a comparison. `*` is a wildcard at the start and the end only (AIP-160).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Exact(String),
    /// `text*`
    Prefix(String),
    /// `*text`
    Suffix(String),
    /// `*text*`
    Infix(String),
    /// `*`
    Any,
}

impl Pattern {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(want) => text == want,
            Self::Prefix(want) => text.starts_with(want.as_str()),
            Self::Suffix(want) => text.ends_with(want.as_str()),
            Self::Infix(want) => text.contains(want.as_str()),
            Self::Any => true,
        }
    }

    /// The text, if it has no wildcard.
    pub(super) fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(text) => Some(text),
            Self::Prefix(_) | Self::Suffix(_) | Self::Infix(_) | Self::Any => None,
        }
    }

    /// Wildcard before, text, wildcard after.
    fn parts(&self) -> (&'static str, &str, &'static str) {
        match self {
            Self::Exact(text) => ("", text, ""),
            Self::Prefix(text) => ("", text, "*"),
            Self::Suffix(text) => ("*", text, ""),
            Self::Infix(text) => ("*", text, "*"),
            Self::Any => ("*", "", ""),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, text, after) = self.parts();
        if *self == Self::Any || is_bare(text, |c| c == '.' || c == '+') {
            return write!(f, "{before}{text}{after}");
        }
        write!(f, "\"{before}{}{after}\"", Escaped(text))
    }
}

/// One step of a field path in canonical form.
pub(super) struct Segment<'a>(pub(super) &'a str);

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A leading minus would be read as a negation.
        if is_bare(self.0, |_| false) && !self.0.starts_with('-') {
            f.write_str(self.0)
        } else {
            write!(f, "\"{}\"", Escaped(self.0))
        }
    }
}

/// Whether the canonical form needs no quotes. Narrower than what the lexer takes: a form that
/// people read should not have to be deciphered.
fn is_bare(text: &str, also: fn(char) -> bool) -> bool {
    !text.is_empty()
        && !matches!(text, "AND" | "OR" | "NOT")
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/') || also(c))
}

/// The inside of a double-quoted string.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' | '\\' | '*' => write!(f, "\\{c}"),
            c => write!(f, "{c}"),
        })
    }
}

/// Collects a value's characters and tells wildcards from text.
#[derive(Default)]
pub(super) struct PatternBuilder {
    text: String,
    leading: bool,
    /// Where the first star after the text stands.
    trailing: Option<usize>,
}

/// The byte offset of a `*` that turned out to be followed by text.
pub(super) struct InnerStar(pub(super) usize);

impl PatternBuilder {
    /// Adds a character of text.
    pub(super) fn text(&mut self, c: char) -> Result<(), InnerStar> {
        match self.trailing {
            Some(at) => Err(InnerStar(at)),
            None => {
                self.text.push(c);
                Ok(())
            }
        }
    }

    /// Adds an unescaped `*` read at byte `at`.
    pub(super) fn star(&mut self, at: usize) {
        if self.text.is_empty() {
            self.leading = true;
        } else {
            self.trailing.get_or_insert(at);
        }
    }

    pub(super) fn finish(self) -> Pattern {
        match (self.leading, self.trailing.is_some()) {
            (true, _) if self.text.is_empty() => Pattern::Any,
            (true, true) => Pattern::Infix(self.text),
            (true, false) => Pattern::Suffix(self.text),
            (false, true) => Pattern::Prefix(self.text),
            (false, false) => Pattern::Exact(self.text),
        }
    }
}
