//! The table: every statement of both specifications has a row, every row a check that exists or a reason, every check a
//! row.

use super::{BOTH, Check, Version, is_v5};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/fixtures/mqtt/conformance.toml"
);
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/README.md");

/// Numbered statements of 3.1.1 (OASIS Standard of 29 October 2014, appendix B), by section.
const SECTIONS_V4: &str = "\
    1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3 3.3.4:1 \
    3.3.5:2 3.6.1:1 3.8.1:1 3.8.3:4 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1 3.14.4:3 \
    4.1.0:2 4.3.1:1 4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3 4.7.2:1 4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 \
    7.1.1:1 7.1.2:1";

/// The same of 5.0 (OASIS Standard of 7 March 2019).
const SECTIONS_V5: &str = "\
    1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:5 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2 3.2.2:22 \
    3.3.1:13 3.3.2:20 3.3.4:10 3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8 3.9.2:2 \
    3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:4 3.14.4:3 \
    3.15.1:1 3.15.2:3 4.1.0:2 4.2.0:1 4.3.1:1 4.3.2:5 4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2 \
    4.7.2:1 4.7.3:4 4.8.2:6 4.9.0:3 4.12.0:7 4.12.1:2 4.13.1:1 4.13.2:1 6.0.0:4";

/// What one statement demands, and how it stands with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    demands: String,
    #[serde(default)]
    checks: Vec<String>,
    /// Why it is not kept, or does not concern this server: a name of `[reasons]`.
    not_ours: Option<String>,
}

/// A reason, and what shows what this server does instead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    because: String,
    #[serde(default)]
    checks: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    reasons: BTreeMap<String, Reason>,
    v4: BTreeMap<String, Row>,
    v5: BTreeMap<String, Row>,
}

impl Table {
    fn read() -> Self {
        toml::from_str(&fs::read_to_string(FILE).unwrap()).unwrap()
    }

    fn rows(&self, version: Version) -> &BTreeMap<String, Row> {
        if is_v5(version) { &self.v5 } else { &self.v4 }
    }

    /// Statements with a check of their own.
    fn checked(&self, version: Version) -> usize {
        let rows = self.rows(version).values();
        rows.filter(|row| row.not_ours.is_none()).count()
    }

    /// Checks that rows of a version name.
    fn of_rows(&self, version: Version) -> BTreeSet<&str> {
        let rows = self.rows(version).values();
        rows.flat_map(|row| &row.checks).map(String::as_str).collect()
    }

    /// Checks of the reasons that rows of a version give.
    fn of_reasons(&self, version: Version) -> BTreeSet<&str> {
        let reasons = self
            .rows(version)
            .values()
            .filter_map(|row| row.not_ours.as_ref());
        reasons
            .flat_map(|name| &self.reasons[name].checks)
            .map(String::as_str)
            .collect()
    }
}

fn all() -> impl Iterator<Item = &'static Check> {
    [
        super::connack::CHECKS,
        super::connect::CHECKS,
        super::deliver::CHECKS,
        super::ends::CHECKS,
        super::frames::CHECKS,
        super::publish::CHECKS,
        super::release::CHECKS,
        super::sizes::CHECKS,
        super::subscribe::CHECKS,
        super::unsubscribe::CHECKS,
    ]
    .into_iter()
    .flatten()
}

/// The ids of all statements.
fn statements(version: Version) -> BTreeSet<String> {
    // 5.0 has no statement 2.2.1-1.
    let (sections, from_two) = if is_v5(version) {
        (SECTIONS_V5, "2.2.1")
    } else {
        (SECTIONS_V4, "")
    };
    let numbers = |section: &'static str| {
        let (section, count) = section.split_once(':').unwrap();
        let first = if section == from_two { 2 } else { 1 };
        (first..first + count.parse::<u8>().unwrap()).map(move |number| format!("{section}-{number}"))
    };
    sections.split_whitespace().flat_map(numbers).collect()
}

#[test]
fn every_statement_has_a_row() {
    let table = Table::read();
    for version in BOTH {
        let rows: BTreeSet<_> = table.rows(version).keys().cloned().collect();
        let wanted = statements(version);
        let missing: Vec<_> = wanted.difference(&rows).collect();
        let unknown: Vec<_> = rows.difference(&wanted).collect();
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "{version:?}: {missing:?} {unknown:?}"
        );
    }
    assert_eq!((table.v4.len(), table.v5.len()), (141, 251));
}

#[test]
fn every_row_has_checks_or_a_reason() {
    let table = Table::read();
    for (id, row) in table.v4.iter().chain(&table.v5) {
        assert!(!row.demands.is_empty(), "{id}");
        assert_eq!(
            row.checks.is_empty(),
            row.not_ours.is_some(),
            "{id}: either checks or a reason"
        );
        let reason = row.not_ours.as_ref();
        assert!(
            reason.is_none_or(|name| table.reasons.contains_key(name)),
            "{id}: {reason:?}"
        );
    }
    for (name, reason) in &table.reasons {
        let mut rows = table.v4.values().chain(table.v5.values());
        assert!(
            rows.any(|row| row.not_ours.as_ref() == Some(name)),
            "{name} is no row's reason"
        );
        assert!(!reason.because.is_empty(), "{name}");
        for check in &reason.checks {
            assert!(all().any(|known| known.name == check), "{name}: no check {check}");
        }
    }
}

#[test]
fn every_check_has_a_row_in_each_of_its_versions() {
    let table = Table::read();
    for version in BOTH {
        let run: BTreeSet<_> = all()
            .filter(|check| check.versions.contains(&version))
            .map(|check| check.name)
            .collect();
        let (rows, reasons) = (table.of_rows(version), table.of_reasons(version));
        let not_run: Vec<_> = rows.difference(&run).collect();
        let unnamed: Vec<_> = run
            .iter()
            .filter(|name| !rows.contains(*name) && !reasons.contains(*name))
            .collect();
        assert!(
            not_run.is_empty() && unnamed.is_empty(),
            "{version:?}: not run {not_run:?}, in no row {unnamed:?}"
        );
    }
}

#[test]
fn the_readme_counts_what_the_table_has() {
    let table = Table::read();
    let sentence = format!(
        "{} of the {} numbered statements of 3.1.1 and {} of the {} of 5.0",
        table.checked(Version::V4),
        table.v4.len(),
        table.checked(Version::V5),
        table.v5.len()
    );
    let readme = fs::read_to_string(README).unwrap().replace('\n', " ");
    assert!(readme.contains(&sentence), "the README does not say: {sentence}");
}
