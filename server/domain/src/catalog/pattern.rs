//! Patterns of people: regular expressions that match whole values, in linear time and bounded memory.

use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes, and the most memory its compiled form may take: a pattern comes from outside.
pub(super) const PATTERN_LIMIT: usize = 256;
const PATTERN_MEMORY: usize = 1 << 18;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Compiles a pattern; the error is for people.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_LIMIT {
            return Err(format!("is longer than {PATTERN_LIMIT} bytes"));
        }
        RegexBuilder::new(&format!("^(?:{text})$"))
            .size_limit(PATTERN_MEMORY)
            .build()
            .map(|regex| Self {
                text: text.to_owned(),
                regex,
            })
            .map_err(|error| format!("is not a regular expression: {error}"))
    }

    /// Does the whole value match?
    pub fn matches(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_values() {
        let pattern = Pattern::new("a|bc").unwrap();
        for (value, expected) in [
            ("a", true),
            ("bc", true),
            ("abc", false),
            ("a\n", false),
            ("", false),
        ] {
            assert_eq!(pattern.matches(value), expected, "{value:?}");
        }
    }

    #[test]
    fn a_pattern_cannot_eat_memory() {
        assert!(Pattern::new("((a{100}){100}){100}").is_err());
        assert!(Pattern::new(&"a".repeat(PATTERN_LIMIT + 1)).is_err());
        assert!(Pattern::new("a)").is_err());
    }
}
