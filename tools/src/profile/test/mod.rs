//! Tests of profiles, kept beside them: what a device with these facts gets, or is refused.

mod expect;
mod given;

use crate::{
    failure::Failure,
    output::{Column, Look, Record},
    render::Subject,
};
use expect::Expected;
use given::Given;
use muster_domain::catalog::Profile;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// How names of test files end; `muster apply` passes over them.
pub(crate) const ENDING: &str = ".test.toml";

/// A file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestFile {
    /// The file of resources that holds the profile, seen from this one.
    pub(crate) profile: PathBuf,
    /// The profile in it, where there are several.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// What all cases have, unless they say otherwise.
    #[serde(default)]
    given: toml::Table,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    given: toml::Table,
    #[serde(default)]
    files: BTreeMap<String, Expected>,
    /// Fields that are refused; nothing is rendered then.
    #[serde(default)]
    refused: Option<Fields>,
}

/// One or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Fields {
    One(String),
    Many(Vec<String>),
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Outcome {
    /// The file of tests.
    pub(crate) file: String,
    /// The case.
    pub(crate) case: String,
    /// It ended as expected.
    pub(crate) passed: bool,
    /// What did not.
    pub(crate) problems: Vec<String>,
}

impl Record for Outcome {
    const COLUMNS: &'static [Column] = &[
        Column::shown("file", "FILE", Look::Plain),
        Column::shown("case", "CASE", Look::Plain),
        Column::shown("passed", "PASSED", Look::Plain),
        Column::shown("problems", "PROBLEMS", Look::Plain),
    ];
}

impl TestFile {
    /// Reads a file; the error is for people.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if file.cases.is_empty() {
            return Err("holds no [[cases]]".to_owned());
        }
        Ok(file)
    }

    /// Runs every case; a case that cannot be run, because what is given makes no sense, does not pass.
    pub(crate) fn run(&self, file: &str, profile: &Profile) -> Vec<Outcome> {
        let outcome = |case: &Case| {
            let problems = case.run(&self.given, profile).unwrap_or_else(|why| vec![why]);
            Outcome {
                file: file.to_owned(),
                case: case.name.clone(),
                passed: problems.is_empty(),
                problems,
            }
        };
        self.cases.iter().map(outcome).collect()
    }
}

impl Case {
    fn run(&self, common: &toml::Table, profile: &Profile) -> Result<Vec<String>, String> {
        let subject = Given::read(common, &self.given)?.subject(profile)?;
        let rendered = rendered(&subject, profile)?;
        match (&self.refused, rendered) {
            (None, Ok(files)) => Ok(self.compare(&files)),
            (None, Err(refused)) => Ok(refused
                .into_iter()
                .map(|(field, why)| format!("{field}: {why}"))
                .collect()),
            (Some(expected), Err(refused)) => Ok(expected.compare(&refused)),
            (Some(_), Ok(_)) => Ok(vec!["it is rendered, and was to be refused".to_owned()]),
        }
    }

    fn compare(&self, files: &BTreeMap<String, String>) -> Vec<String> {
        let compare = |(key, expected): (&String, &Expected)| match files.get(key) {
            Some(text) => expected.compare(key, text),
            None => {
                let keys: Vec<_> = files.keys().map(String::as_str).collect();
                vec![format!("there is no file {key}; there are {}", keys.join(", "))]
            }
        };
        self.files.iter().flat_map(compare).collect()
    }
}

impl Fields {
    /// A parameter may be named as the profile does or, as refusals do, as the device's variable.
    fn names(&self) -> BTreeSet<String> {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        };
        let name = |text: &String| match text.strip_prefix("parameters.") {
            Some(key) => format!("variables.{key}"),
            None => text.clone(),
        };
        texts.iter().map(name).collect()
    }

    fn compare(&self, refused: &[(String, String)]) -> Vec<String> {
        let expected = self.names();
        let unexpected = refused.iter().filter(|(field, _)| !expected.contains(field));
        let mut problems: Vec<_> = unexpected.map(|(field, why)| format!("{field}: {why}")).collect();
        let missing = expected
            .iter()
            .filter(|name| !refused.iter().any(|(field, _)| field == *name));
        problems.extend(missing.map(|name| format!("{name} is not refused")));
        problems
    }
}

/// The files by key, or what is refused, field by field.
type Rendered = Result<BTreeMap<String, String>, Vec<(String, String)>>;

/// What the device gets; the outer error is a mistake in what is given.
fn rendered(subject: &Subject, profile: &Profile) -> Result<Rendered, String> {
    match subject.render(profile) {
        Ok(files) => Ok(Ok(files
            .into_iter()
            .map(|file| (file.file, file.content))
            .collect())),
        Err(Failure::Refused(answer)) => Ok(Err(answer.fields)),
        Err(failure) => Err(failure.to_string().trim_start_matches("error: ").to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_domain::catalog::ProfileSource;

    fn profile() -> Profile {
        let source: ProfileSource = serde_json::from_value(serde_json::json!({
            "name": "gateway",
            "parameters": {"port": {"type": "integer", "minimum": 1, "default": 80}},
            "files": {
                "a.toml": "[net]\nport = {{ port }}\nhost = \"{{ device.serial }}\"\nsite = {{ site.code | tojson }}\n",
                "b.txt": "{{ device.labels.ring | default('none') }}\n",
            },
        }))
        .unwrap();
        source.check().unwrap()
    }

    const GIVEN: &str = "profile = 'gateway.toml'\n[given.device]\nserial = 'GW2-1'\nmodel = 'GW-200'\n[given.site]\ncode = 'MUC-01'\n";

    /// The problems of a case.
    fn check(case: &str, expected: &[&str]) {
        let file = TestFile::read(&format!("{GIVEN}[[cases]]\nname = 'one'\n{case}")).unwrap();
        let outcomes = file.run("f", &profile());
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes[0].problems, expected, "{case}");
        assert_eq!(outcomes[0].passed, expected.is_empty());
    }

    #[test]
    fn what_is_expected_passes() {
        check("", &[]);
        check("files.'b.txt'.text = \"none\\n\"", &[]);
        check(
            "files.'a.toml' = { contains = ['port = 80', 'GW2-1'], lacks = ['443'] }",
            &[],
        );
        check(
            "files.'a.toml'.values = { 'net.port' = 80, net.site = 'MUC-01' }",
            &[],
        );
        check(
            "given.variables.port = 443\nfiles.'a.toml'.values.net.port = 443",
            &[],
        );
        check(
            "given.device.labels.ring = 'early'\nfiles.'b.txt'.contains = 'early'",
            &[],
        );
        check("given.variables.port = 0\nrefused = 'parameters.port'", &[]);
        check("given.variables.port = 'x'\nrefused = ['variables.port']", &[]);
    }

    #[test]
    fn what_is_not_expected_is_shown() {
        check(
            "files.'b.txt'.text = \"early\\n\"",
            &["b.txt is another text:\n--- expected\n+++ rendered\n@@ -1 +1 @@\n-early\n+none\n"],
        );
        check(
            "files.'a.toml' = { contains = ['port = 81'], lacks = ['port'] }",
            &[
                "a.toml does not contain \"port = 81\"",
                "a.toml contains \"port\"",
            ],
        );
        check(
            "files.'a.toml'.values.net = { port = '80', name = 'x' }",
            &[
                "a.toml has nothing at net.name",
                "a.toml has 80 at net.port, and \"80\" is expected",
            ],
        );
        check(
            "files.'c.txt'.text = ''",
            &["there is no file c.txt; there are a.toml, b.txt"],
        );
        check(
            "files.'b.txt'.values.x = 1",
            &["b.txt is text, which has no values; use text or contains"],
        );
        check(
            "refused = 'parameters.port'",
            &["it is rendered, and was to be refused"],
        );
        check(
            "given.variables.port = 0",
            &["variables.port: is below the minimum, 1"],
        );
        check(
            "given.variables.port = 0\nrefused = 'files.a.toml'",
            &[
                "variables.port: is below the minimum, 1",
                "files.a.toml is not refused",
            ],
        );
        check(
            "given.variables.prot = 1",
            &["given.variables.prot: the profile has no such parameter"],
        );
    }

    #[test]
    fn a_file_that_is_no_test_says_why() {
        let check = |text: &str, expected: &str| {
            let why = TestFile::read(text).unwrap_err();
            assert!(why.contains(expected), "{why}");
        };
        check("profile = 'x'\ncases = []", "holds no [[cases]]");
        check("cases = []", "missing field `profile`");
        check(
            "profile = 'x'\n[[cases]]\nname = 'a'\nfile = {}",
            "unknown field `file`",
        );
        check(
            "profile = 'x'\n[[cases]]\nname = 'a'\nfiles.a.exact = ''",
            "unknown field `exact`",
        );
    }
}
