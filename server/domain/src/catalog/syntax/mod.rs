//! What a file is written in, told by the ending of its key; and reading it, to know that a device can.
//!
//! Every reader is strict where the languages leave room: each key once, whole numbers of 64 bits, nesting of at most
//! [`DEPTH_LIMIT`]. What it reads is given as JSON, so that tests of profiles can look into any file in one way.

mod ini;
mod json;
mod toml;
mod yaml;

use core::fmt;
use serde_json::Value;

/// Deepest nesting that is read: no reader, here or on a device, needs more stack than that.
pub(super) const DEPTH_LIMIT: usize = 64;

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `.json`, RFC 8259.
    Json,
    /// `.yaml` and `.yml`, YAML 1.2.
    Yaml,
    /// `.toml`, TOML 1.1.
    Toml,
    /// `.ini`: sections, and keys with values.
    Ini,
    /// All else.
    Text,
}

/// Why a text is not what its key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    syntax: Syntax,
    line: usize,
    why: String,
}

impl Syntax {
    /// By the ending of a file's key.
    pub fn of(key: &str) -> Self {
        match key.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "json" => Self::Json,
            "yaml" | "yml" => Self::Yaml,
            "toml" => Self::Toml,
            "ini" => Self::Ini,
            _ => Self::Text,
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
            Self::Ini => "INI",
            Self::Text => "text",
        }
    }

    /// What a text says; text says itself, a YAML of several documents an array of them. An INI is an object of its
    /// sections, with the keys above the first section among them, and a key that stands several times is an array.
    ///
    /// # Errors
    /// Where and why it cannot be read.
    pub fn read(self, text: &str) -> Result<Value, Malformed> {
        let read = match self {
            Self::Json => json::read(text),
            Self::Yaml => yaml::read(text),
            Self::Toml => toml::read(text),
            Self::Ini => ini::read(text),
            Self::Text => return Ok(Value::from(text)),
        };
        read.map_err(|(line, why)| Malformed {
            syntax: self,
            line,
            why,
        })
    }

    /// Can a text be read?
    ///
    /// # Errors
    /// Where and why it cannot.
    pub fn check(self, text: &str) -> Result<(), Malformed> {
        match self {
            Self::Text => Ok(()),
            Self::Json | Self::Yaml | Self::Toml | Self::Ini => self.read(text).map(drop),
        }
    }
}

impl Malformed {
    /// The line, from 1.
    pub const fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "is not {}: line {}: {}",
            self.syntax.as_str(),
            self.line,
            self.why
        )
    }
}

/// The line of a byte, from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::select};
    use serde_json::json;

    const PARSED: [Syntax; 4] = [Syntax::Json, Syntax::Yaml, Syntax::Toml, Syntax::Ini];

    fn good(key: &str, text: &str, expected: Value) {
        assert_eq!(Syntax::of(key).read(text), Ok(expected), "{text}");
    }

    fn bad(key: &str, text: &str, line: usize, why: &str) {
        let malformed = Syntax::of(key).read(text).unwrap_err();
        assert_eq!(malformed.line(), line, "{malformed}");
        assert!(malformed.to_string().contains(why), "{malformed}");
    }

    #[test]
    fn the_ending_of_the_key_decides() {
        for (key, syntax) in [
            ("a.json", Syntax::Json),
            ("a.b.yaml", Syntax::Yaml),
            ("a.yml", Syntax::Yaml),
            ("a.toml", Syntax::Toml),
            ("a.ini", Syntax::Ini),
            ("a.conf", Syntax::Text),
            ("json", Syntax::Text),
            ("a.json-part", Syntax::Text),
        ] {
            assert_eq!(Syntax::of(key), syntax, "{key}");
        }
        assert_eq!(Syntax::Text.read("{"), Ok(json!("{")));
    }

    #[test]
    fn what_is_written_is_read() {
        good(
            "a.json",
            r#"{"a": [1, -2.5, true, null, "ü\n"]}"#,
            json!({"a": [1, -2.5, true, null, "ü\n"]}),
        );
        good(
            "a.toml",
            "a = 0xff\n[b]\nc = [1.5, 'x']\n\"d.e\" = 2026-01-01\n[[f]]\n[[f]]\ng = inf\n",
            json!({"a": 255, "b": {"c": [1.5, "x"], "d.e": "2026-01-01"}, "f": [{}, {"g": "inf"}]}),
        );
        good(
            "a.yaml",
            "a: 1\nb: [x, 'y', 0x10, ~, 1.5, True]\nc: |\n  text\nd: &d {e: '7'}\nf: *d\ng: !!str 7\n",
            json!({"a": 1, "b": ["x", "y", 16, null, 1.5, true], "c": "text\n", "d": {"e": "7"}, "f": {"e": "7"}, "g": "7"}),
        );
        good("a.yaml", "--- a\n--- b\n", json!(["a", "b"]));
        good("a.yaml", "", Value::Null);
        good(
            "a.ini",
            "; note\n# note\ntop = 1\n[a b]\nk = v = w\nk: x\n\n[c]\nempty =\n",
            json!({"top": "1", "a b": {"k": ["v = w", "x"]}, "c": {"empty": ""}}),
        );
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        bad("a.json", "{\n  \"a\": ,\n}", 2, "expected value");
        bad(
            "a.json",
            "{\"a\": 1,\n \"a\": 2}",
            2,
            "the key \"a\" stands twice",
        );
        bad("a.json", "{} x", 1, "trailing characters");
        bad("a.json", "", 1, "EOF");
        bad("a.json", "1e999", 1, "out of range");
        bad("a.toml", "a = 1\nb = \n", 2, "");
        bad("a.toml", "a = 1\na = 2\n", 2, "duplicate key");
        bad("a.toml", "\na = 99999999999999999999\n", 2, "64 bits");
        bad("a.yaml", "a: 1\nb: [1\n", 3, "");
        bad("a.yaml", "a: 1\nb: 2\na: 3\n", 3, "the key \"a\" stands twice");
        bad("a.yaml", "a: *none\n", 1, "");
        bad("a.yaml", "? [a]\n: b\n", 1, "a key that is not plain");
        bad("a.ini", "[a]\nb\n", 2, "neither");
        bad("a.ini", "[a\n", 1, "not closed");
        bad("a.ini", "a=1\n = 2\n", 2, "no key");
        bad("a.ini", "[]\n", 1, "no name");
        bad("a.ini", "a = 1\n[a]\n", 2, "names a key and a section");
    }

    #[test]
    fn nesting_and_expansion_are_bounded() {
        let deep =
            |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
        for key in ["a.json", "a.yaml"] {
            assert!(
                Syntax::of(key).check(&deep("[", "]", DEPTH_LIMIT)).is_ok(),
                "{key}"
            );
            bad(key, &deep("[", "]", DEPTH_LIMIT + 1), 1, "nested");
            assert!(Syntax::of(key).check(&"[".repeat(60_000)).is_err());
        }
        assert!(
            Syntax::Toml
                .check(&format!("a = {}", deep("[", "]", 60_000 / 2)))
                .is_err()
        );
        assert!(
            Syntax::Toml
                .check(&format!("{} = 1", vec!["a"; 30_000].join(".")))
                .is_err()
        );
        let laughs = (1..20).fold("a0: &a0 x\n".to_owned(), |text, n| {
            let before = n - 1;
            format!("{text}a{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}]\n")
        });
        bad("a.yaml", &laughs, 9, "repeat too much");
    }

    /// Pieces that a mangled template leaves behind.
    const PIECES: [&str; 34] = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        ",",
        "\"",
        "'",
        "\\",
        "\n",
        "  ",
        "- ",
        "? ",
        "&a ",
        "*a",
        "!t ",
        "|\n",
        ">-\n",
        "%",
        "#",
        ";",
        "=",
        " = ",
        "---\n",
        "...\n",
        "[[",
        "]]",
        "\"\"\"",
        "'''",
        "0x",
        "-1e9",
        "key",
        "ü\u{2028}\t",
    ];

    proptest! {
        /// Nothing panics or hangs, and what is read as JSON is read the same by the usual reader.
        #[test]
        fn any_text_is_read_or_refused(pieces in vec(select(&PIECES[..]), 0..60), other in "\\PC{0,40}") {
            let text = pieces.concat();
            for syntax in PARSED {
                drop(syntax.read(&text));
                drop(syntax.read(&other));
            }
            if let Ok(value) = Syntax::Json.read(&text) {
                prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
            }
        }

        /// What one writes the other reads.
        #[test]
        fn written_values_are_read_back(map in proptest::collection::btree_map("[a-z \"\\\\ü]{1,6}", "\\PC{0,12}", 0..5)) {
            let value = serde_json::to_value(&map).unwrap();
            let json = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(Syntax::Json.read(&json), Ok(value.clone()));
            // JSON is YAML, but for characters that YAML does not print.
            prop_assert_eq!(Syntax::Toml.read(&::toml::to_string(&map).unwrap()), Ok(value));
        }
    }
}
