//! What is wrong with a profile, and what will be.

use super::{
    probe::{HOSTILE, Probe, Reading},
    scan,
};
use crate::output::{Column, Look, Record};
use muster_domain::{
    Refusal,
    catalog::{Profile, ProfileSource, Syntax},
};
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;

macro_rules! lints {
    ($($lint:ident $name:literal $help:literal)*) => {
        /// A kind of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
        pub(crate) enum Lint {
            $(#[doc = $help] #[value(name = $name)] $lint,)*
        }

        impl Lint {
            /// All of them.
            const ALL: &'static [Self] = &[$(Self::$lint),*];

            /// Its name.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$lint => $name,)* }
            }

            const fn help(self) -> &'static str {
                match self { $(Self::$lint => $help,)* }
            }
        }
    };
}

lints! {
    Refused "refused" "`muster apply` refuses it; the number says why."
    RenderFails "render-fails" "It cannot be rendered with sample values made from types, defaults and choices, or a file is then not what its name says."
    UnquotedText "unquoted-text" "A text is inserted without `tojson` into JSON, YAML or TOML: a quote in it breaks the file, or says something else."
    MaybeMissing "maybe-missing" "What not every device has is compared without `is defined`: a device without it is refused."
    RequiredParameter "required-parameter" "A parameter has no default and no value of the organisation: rows of a manifest need one where no layer gives it."
    UnusedParameter "unused-parameter" "No file uses the parameter."
    EmptyFile "empty-file" "A file is empty with sample values."
    TrailingSpace "trailing-space" "A line ends in blanks, which nobody sees and every diff shows."
}

impl Lint {
    /// All lints, for `--help`.
    pub(crate) fn table() -> String {
        let lines = Self::ALL
            .iter()
            .map(|lint| format!("  {:20}{}", lint.as_str(), lint.help()));
        format!("Lints:\n{}", lines.collect::<Vec<_>>().join("\n"))
    }
}

impl Serialize for Lint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Whose it is.
    pub(crate) profile: String,
    /// `error` or `warning`.
    pub(crate) level: &'static str,
    /// Its kind.
    pub(crate) lint: Lint,
    /// Where: `files.KEY`, `parameters.KEY`.
    pub(crate) field: String,
    /// What.
    pub(crate) message: String,
}

impl Finding {
    /// It fails every run.
    pub(crate) fn is_error(&self) -> bool {
        self.lint == Lint::Refused
    }
}

impl Record for Finding {
    const COLUMNS: &'static [Column] = &[
        Column::shown("profile", "PROFILE", Look::Plain),
        Column::shown("level", "LEVEL", Look::Plain),
        Column::shown("lint", "LINT", Look::Plain),
        Column::shown("field", "FIELD", Look::Plain),
        Column::shown("message", "MESSAGE", Look::Plain),
    ];
}

/// Everything that is found, errors first. What is refused is looked into no further.
pub(crate) fn lint(source: &ProfileSource) -> Vec<Finding> {
    let mut findings = Findings {
        profile: &source.name,
        found: Vec::new(),
    };
    match source.check() {
        Ok(profile) => findings.of_profile(&profile),
        Err(refusals) => {
            for refusal in refusals {
                let message = format!("M{}: {}", refusal.code.number(), refusal.message);
                findings.add(Lint::Refused, &refusal.field, message);
            }
        }
    }
    findings.found
}

struct Findings<'a> {
    profile: &'a str,
    found: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, lint: Lint, field: &str, message: impl Into<String>) {
        self.found.push(Finding {
            profile: self.profile.to_owned(),
            level: if lint == Lint::Refused { "error" } else { "warning" },
            lint,
            field: field.to_owned(),
            message: message.into(),
        });
    }

    fn of_profile(&mut self, profile: &Profile) {
        let Ok(renderer) = profile.renderer() else { return };
        let used = renderer.names();
        let labels = used.iter().filter_map(|name| name.strip_prefix("device.labels."));
        let labels: Vec<_> = labels.map(str::to_owned).collect();
        self.rendered(profile, &Probe::of(profile, &labels));
        for (key, file) in &profile.files {
            self.written(&format!("files.{key}"), &file.template);
        }
        for (key, parameter) in &profile.parameters {
            let field = format!("parameters.{key}");
            if parameter.source().default.is_none() && !profile.values.gives_all(key) {
                let message = format!(
                    "has no default, so every row needs a value ({})",
                    parameter.rule()
                );
                self.add(Lint::RequiredParameter, &field, message);
            }
            let inside = format!("{key}.");
            if !used.iter().any(|name| name == key || name.starts_with(&inside)) {
                self.add(Lint::UnusedParameter, &field, "is used by no file");
            }
        }
    }

    /// What shows with sample values.
    fn rendered(&mut self, profile: &Profile, probe: &Probe) {
        let files = match probe.render(profile, Reading::Strict) {
            Ok(files) => files,
            Err(refusals) => {
                for Refusal { field, message, .. } in refusals {
                    self.add(
                        Lint::RenderFails,
                        &field,
                        format!("with sample values, {message}"),
                    );
                }
                return;
            }
        };
        for (key, text) in &files {
            if text.trim().is_empty() {
                self.add(
                    Lint::EmptyFile,
                    &format!("files.{key}"),
                    "is empty with sample values",
                );
            }
        }
        for (name, hostile) in hostile(profile, probe) {
            // What cannot be rendered with it is refused when it comes, and that is all there is to say.
            let Ok(files) = hostile.render(profile, Reading::Loose) else {
                continue;
            };
            for (key, text) in &files {
                let is_quoting = matches!(Syntax::of(key), Syntax::Json | Syntax::Yaml | Syntax::Toml);
                if is_quoting && text.contains(HOSTILE) {
                    let message = format!(
                        "inserts {name} as it is: a quote in it breaks the file; write {{{{ {name} | tojson }}}} without quotes around it"
                    );
                    self.add(Lint::UnquotedText, &format!("files.{key}"), message);
                }
            }
        }
    }

    /// What shows in a template's text.
    fn written(&mut self, field: &str, template: &str) {
        for name in scan::compared(template) {
            let message = format!(
                "compares {name}, which not every device has: one without it is refused; ask {name} is defined first, or give it a default"
            );
            self.add(Lint::MaybeMissing, field, message);
        }
        let is_trailing = |line: &str| line.trim_end_matches('\r').ends_with([' ', '\t']);
        if let Some(line) = template.split('\n').position(is_trailing) {
            self.add(
                Lint::TrailingSpace,
                field,
                format!("line {} ends in blanks", line + 1),
            );
        }
    }
}

/// The probe with one free text after the other made hostile.
fn hostile(profile: &Profile, probe: &Probe) -> Vec<(String, Probe)> {
    let with = |change: &dyn Fn(&mut Probe)| {
        let mut changed = probe.clone();
        change(&mut changed);
        changed
    };
    let mut probes = vec![
        (
            "device.position".to_owned(),
            with(&|probe| HOSTILE.clone_into(&mut probe.position)),
        ),
        (
            "site.name".to_owned(),
            with(&|probe| HOSTILE.clone_into(&mut probe.site.name)),
        ),
    ];
    for key in probe.labels.keys().collect::<BTreeSet<_>>() {
        let label = with(&|probe| drop(probe.labels.insert(key.clone(), HOSTILE.to_owned())));
        probes.push((format!("device.labels.{key}"), label));
    }
    for (key, _) in profile
        .parameters
        .iter()
        .filter(|(_, parameter)| parameter.allows(HOSTILE))
    {
        let variable = with(&|probe| drop(probe.variables.insert(key.clone(), HOSTILE.to_owned())));
        probes.push((key.clone(), variable));
    }
    probes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and fields of what is found in a profile of one file.
    fn check(parameters: &str, key: &str, template: &str, expected: &[(&str, &str)]) {
        let source = ProfileSource {
            name: "gateway".into(),
            parameters: serde_json::from_str(parameters).unwrap(),
            files: [(key.to_owned(), template.to_owned())].into(),
            ..ProfileSource::default()
        };
        let found = lint(&source);
        let found: Vec<_> = found
            .iter()
            .map(|finding| (finding.lint.as_str(), finding.field.as_str()))
            .collect();
        assert_eq!(found, expected, "{template}");
    }

    #[test]
    fn what_apply_refuses_is_an_error() {
        check("{}", "a.json", "{", &[("refused", "files.a.json")]);
        check("{}", "a.toml", "{{ nothing }}", &[("refused", "files.a.toml")]);
        check(
            r#"{"n": {"type": "integer", "minimum": 2, "default": 1}}"#,
            "a",
            "{{ n }}",
            &[("refused", "parameters.n.default")],
        );
    }

    #[test]
    fn what_goes_wrong_with_values_is_found_before_there_are_any() {
        let text = r#"{"t": {"type": "string", "default": "x"}}"#;
        check(
            text,
            "a.toml",
            "a = {{ t }}\n",
            &[("render-fails", "files.a.toml")],
        );
        check(
            text,
            "a.toml",
            "a = \"{{ t }}\"\n",
            &[("unquoted-text", "files.a.toml")],
        );
        check(text, "a.toml", "a = {{ t | tojson }}\n", &[]);
        check(
            text,
            "a.yaml",
            "a: {{ t | lower }}\n",
            &[("unquoted-text", "files.a.yaml")],
        );
        check(text, "a.conf", "a {{ t }}\n", &[]);
        let chosen = r#"{"t": {"type": "string", "enum": ["x", "y"], "default": "x"}}"#;
        check(chosen, "a.json", "{\"a\": \"{{ t }}\"}", &[]);
        let plain = r#"{"t": {"type": "string", "pattern": "[a-z]+", "default": "x"}}"#;
        check(plain, "a.json", "{\"a\": \"{{ t }}\"}", &[]);
        check(
            "{}",
            "a.json",
            "[\"{{ device.position }}\", \"{{ device.labels.rack }}\", {{ site.name | tojson }}]",
            &[
                ("unquoted-text", "files.a.json"),
                ("unquoted-text", "files.a.json"),
            ],
        );
    }

    #[test]
    fn what_is_odd_is_a_warning() {
        check(
            r#"{"n": {"type": "integer", "minimum": 2}, "m": {"type": "boolean", "default": true}}"#,
            "a",
            "{{ n }} \n",
            &[
                ("trailing-space", "files.a"),
                ("unused-parameter", "parameters.m"),
                ("required-parameter", "parameters.n"),
            ],
        );
        check(
            "{}",
            "a",
            "{% if device.serial == 'x' %}y{% endif %}",
            &[("empty-file", "files.a")],
        );
        check(
            "{}",
            "a",
            "x{% if device.mac == 'x' %}y{% endif %}",
            &[("maybe-missing", "files.a")],
        );
    }

    #[test]
    fn every_lint_has_its_line_of_help() {
        let table = Lint::table();
        for lint in Lint::ALL {
            assert!(
                table.contains(lint.as_str()) && lint.help().ends_with('.'),
                "{lint:?}"
            );
        }
    }
}
