//! The factory files: every fault is found at its row with its cause, and no other row is refused.

use crate::{
    sheets::CAMERAS,
    support::{GATEWAYS, MESSY, SENSORS, catalog, check, check_sheet},
};
use muster_domain::{
    Code,
    manifest::{Encoding, Reader},
};
use serde::Deserialize;
use std::{collections::BTreeMap, io::Cursor};

const EXPECTED: &str = include_str!("../../../../tests/fixtures/manifests/EXPECTED.json");

#[derive(Deserialize)]
struct File {
    rows: usize,
    faults: serde_json::Value,
}

#[derive(Deserialize)]
struct Fault {
    row: u32,
    /// Workbooks: the columns of serials, and no value, since it is lost.
    #[serde(default = "serials")]
    column: String,
    value: Option<String>,
    why: String,
}

fn serials() -> String {
    "S/N".into()
}

fn expected(file: &str) -> (usize, Vec<Fault>) {
    let mut files: BTreeMap<String, File> = serde_json::from_str(EXPECTED).unwrap();
    let file = files.remove(file).unwrap();
    let faults = if file.faults == 0 {
        Vec::new()
    } else {
        serde_json::from_value(file.faults).unwrap()
    };
    (file.rows, faults)
}

fn code(why: &str) -> Code {
    match why.split(" (").next().unwrap() {
        "not hexadecimal" | "MAC too short" => Code::MacMalformed,
        "multicast bit set" => Code::MacMulticast,
        "serial missing" => Code::SerialMissing,
        "duplicate serial in file" => Code::SerialRepeated,
        "duplicate MAC in file" => Code::MacRepeated,
        "model unknown" => Code::ModelUnknown,
        "site unknown" => Code::SiteUnknown,
        "not a semantic version" => Code::VersionMalformed,
        "spreadsheet damage: scientific notation" | "number cell in an identifier column" => {
            Code::SerialDamaged
        }
        "serial with inner blank" => Code::SerialMalformed,
        "formula" => Code::FormulaCell,
        other => panic!("{other} has no code"),
    }
}

fn verify(file: &str, bytes: &[u8]) {
    let (rows, faults) = expected(file);
    let checked = check_sheet(catalog(), file, Cursor::new(bytes), None);
    let field = |column: &str| {
        checked
            .columns
            .iter()
            .find(|(name, _)| name == column)
            .unwrap()
            .1
            .clone()
    };
    let wanted: Vec<_> = faults
        .iter()
        .map(|fault| (fault.row, field(&fault.column), code(&fault.why)))
        .collect();
    let found: Vec<_> = checked
        .faults()
        .into_iter()
        .map(|(row, field, code)| (row, field.to_owned(), code))
        .collect();
    assert_eq!(found, wanted, "{file}");
    assert_eq!(checked.rows.len() + wanted.len(), rows, "{file}");
    // Each names its column and its value.
    for (fault, problem) in faults.iter().zip(&checked.problems) {
        assert_eq!(problem.column, fault.column, "{problem}");
        if let Some(value) = &fault.value {
            assert_eq!(problem.value, value.trim(), "{problem}");
        }
    }
    assert_eq!(checked.warnings, [], "{file}");
    // A repeated value names the row that had it first.
    for (fault, refusal) in faults.iter().zip(&checked.refusals) {
        if let Some((_, first)) = fault.why.split_once("first at ") {
            assert!(refusal.message.contains(first.trim_end_matches(')')), "{refusal}");
        }
    }
}

#[test]
fn gateways_are_clean() {
    verify("gateways.csv", GATEWAYS);
}

#[test]
fn every_fault_of_the_messy_gateways_is_found() {
    verify("gateways-messy.csv", MESSY);
    let reader = Reader::new(Cursor::new(MESSY), &crate::support::options("gateways-messy.csv")).unwrap();
    assert_eq!(
        (reader.encoding(), reader.delimiter()),
        (Encoding::Windows1252, Some(b';'))
    );
    let checked = check(catalog(), "gateways-messy.csv", MESSY, None);
    assert!(
        checked
            .rows
            .iter()
            .any(|row| row.row.position.as_deref() == Some("Büro 3. Stock"))
    );
}

#[test]
fn serials_that_became_numbers_in_a_workbook_are_found() {
    verify("cameras.xlsx", CAMERAS);
}

#[test]
fn sensors_are_clean_and_their_nested_attributes_are_variables() {
    verify("sensors.ndjson", SENSORS);
    let checked = check(catalog(), "sensors.ndjson", SENSORS, None);
    let first = &checked.rows[0].row;
    assert_eq!(first.row, 1);
    assert_eq!(first.variables.get("interval_s").map(String::as_str), Some("30"));
    assert_eq!(first.variables.get("unit").map(String::as_str), Some("C"));
}
