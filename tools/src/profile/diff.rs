//! What two profiles say, file by file, and how it differs.

use crate::{
    output::{Column, Look, Record},
    records::RenderedFile,
};
use muster_domain::catalog::ProfileSource;
use serde::Serialize;
use similar::TextDiff;
use std::collections::{BTreeMap, BTreeSet};

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// What stands for a file that one side does not have, as in the diffs of git.
const NOWHERE: &str = "/dev/null";
/// The name under which parameters are compared; no file has it, keys hold no blank.
const PARAMETERS: &str = "(parameters)";
/// The same for the revisions of secrets.
const SECRETS: &str = "(secrets)";

/// The name under which layered values are.
const VALUES: &str = "(values)";

/// One side of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Side {
    label: String,
    texts: BTreeMap<String, String>,
}

impl Side {
    /// Templates, parameters, layered values, and revisions of secrets.
    pub(crate) fn written(label: String, source: &ProfileSource) -> Self {
        let mut texts = source.files.clone();
        if !source.parameters.is_empty() {
            // Parameters are maps of texts and numbers, all of which TOML has; were one not to be written, it would
            // show as a difference and not be hidden.
            let parameters = toml::to_string(&source.parameters);
            texts.insert(
                PARAMETERS.to_owned(),
                parameters.unwrap_or_else(|why| why.to_string()),
            );
        }
        if !source.secrets.is_empty() {
            let pins = source.secrets.iter();
            let pins = pins.map(|(name, number)| format!("{name} = {number}\n"));
            texts.insert(SECRETS.to_owned(), pins.collect());
        }
        if !source.values.is_empty() {
            let values = toml::to_string(&source.values);
            texts.insert(VALUES.to_owned(), values.unwrap_or_else(|why| why.to_string()));
        }
        Self { label, texts }
    }

    /// The files of a device.
    pub(crate) fn rendered(label: String, files: Vec<RenderedFile>) -> Self {
        let texts = files.into_iter().map(|file| (file.file, file.content));
        Self {
            label,
            texts: texts.collect(),
        }
    }

    fn header(&self, file: &str) -> String {
        if self.texts.contains_key(file) {
            format!("{}/{file}", self.label)
        } else {
            NOWHERE.to_owned()
        }
    }
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FileDiff {
    /// Its key, `(parameters)`, `(values)` or `(secrets)`.
    file: String,
    /// `ADDED`, `REMOVED` or `CHANGED`.
    change: &'static str,
    /// A unified diff.
    pub(crate) diff: String,
}

impl Record for FileDiff {
    const COLUMNS: &'static [Column] = &[
        Column::shown("file", "FILE", Look::Plain),
        Column::shown("change", "CHANGE", Look::Plain),
        Column::extra("diff", Look::Plain),
    ];
}

impl FileDiff {
    /// All files that differ, in order of their keys.
    pub(crate) fn between(old: &Side, new: &Side) -> Vec<Self> {
        let files: BTreeSet<_> = old.texts.keys().chain(new.texts.keys()).collect();
        let differ = files.into_iter().filter_map(|file| {
            let (before, after) = (old.texts.get(file), new.texts.get(file));
            let change = match (before, after) {
                _ if before == after => return None,
                (None, _) => "ADDED",
                (Some(_), None) => "REMOVED",
                (Some(_), Some(_)) => "CHANGED",
            };
            let text = |text: Option<&String>| text.cloned().unwrap_or_default();
            Some(Self {
                file: file.clone(),
                change,
                diff: unified(&text(before), &text(after), &old.header(file), &new.header(file)),
            })
        });
        differ.collect()
    }
}

/// A unified diff of two texts.
pub(super) fn unified(before: &str, after: &str, old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut unified = diff.unified_diff();
    let text = unified.context_radius(CONTEXT).header(old, new).to_string();
    // An empty file that comes or goes has no line to show.
    if text.is_empty() {
        format!("--- {old}\n+++ {new}\n")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(label: &str, parameters: &str, files: &[(&str, &str)]) -> Side {
        let source = ProfileSource {
            name: "gateway".into(),
            parameters: serde_json::from_str(parameters).unwrap(),
            files: files
                .iter()
                .map(|&(key, text)| (key.to_owned(), text.to_owned()))
                .collect(),
            ..ProfileSource::default()
        };
        Side::written(label.to_owned(), &source)
    }

    #[test]
    fn files_and_parameters_are_compared() {
        let old = side(
            "gateway@1",
            r#"{"port": {"type": "integer", "default": "80"}}"#,
            &[("a.toml", "x = 1\ny = 2\n"), ("b.txt", "gone"), ("same", "s")],
        );
        let new = side(
            "gateway@2",
            r#"{"port": {"type": "integer", "default": "80", "maximum": 90}}"#,
            &[("a.toml", "x = 1\ny = 3\n"), ("c.txt", ""), ("same", "s")],
        );
        let diffs = FileDiff::between(&old, &new);
        let found: Vec<_> = diffs
            .iter()
            .map(|diff| (diff.file.as_str(), diff.change))
            .collect();
        assert_eq!(
            found,
            [
                ("(parameters)", "CHANGED"),
                ("a.toml", "CHANGED"),
                ("b.txt", "REMOVED"),
                ("c.txt", "ADDED")
            ]
        );
        assert_eq!(
            diffs[0].diff,
            "--- gateway@1/(parameters)\n+++ gateway@2/(parameters)\n@@ -1,3 +1,4 @@\n [port]\n type = \"integer\"\n \
             default = \"80\"\n+maximum = \"90\"\n"
        );
        assert_eq!(
            diffs[1].diff,
            "--- gateway@1/a.toml\n+++ gateway@2/a.toml\n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n+y = 3\n"
        );
        assert_eq!(
            diffs[2].diff,
            "--- gateway@1/b.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n\\ No newline at end of file\n"
        );
        assert_eq!(diffs[3].diff, "--- /dev/null\n+++ gateway@2/c.txt\n");
        assert!(FileDiff::between(&new, &new).is_empty());
    }
}
