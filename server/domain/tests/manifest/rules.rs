//! Rules of models and of the organisation, and what spreadsheets do to identifiers: each problem with its column, value
//! and rule.

use crate::support::{Checked, add_profile, catalog, check, gateway_profile};
use muster_domain::{
    Code,
    catalog::{Catalog, ModelSource, NamingRuleSource},
    manifest::Problem,
};
use std::sync::Arc;

const HEADER: &str =
    "Serial No.;MAC Address;Device Model;HW Rev;Firmware;Site;Position;label:env;extension\n";

/// A catalog in which GW-200 has other rules.
fn with_model(change: impl FnOnce(&mut ModelSource)) -> Catalog {
    let mut catalog = catalog();
    let model = catalog.models.get_mut("GW-200").unwrap();
    let mut source = ModelSource::from(&**model);
    change(&mut source);
    *model = Arc::new(source.check().unwrap());
    catalog
}

fn with_rules(rules: &[NamingRuleSource]) -> Catalog {
    let mut catalog = catalog();
    for rule in rules {
        let rule = rule.check().unwrap();
        catalog.naming_rules.insert(rule.name.clone(), Arc::new(rule));
    }
    catalog
}

fn rule(name: &str, field: &str, pattern: &str) -> NamingRuleSource {
    NamingRuleSource {
        name: name.into(),
        field: field.into(),
        pattern: pattern.into(),
        ..NamingRuleSource::default()
    }
}

fn csv(catalog: Catalog, rows: &str) -> Checked {
    check(catalog, "a.csv", format!("{HEADER}{rows}").as_bytes(), None)
}

/// Code, column, value and rule.
fn shown(problem: &Problem) -> (Code, &str, &str, &str) {
    (
        problem.refusal.code,
        problem.column.as_str(),
        problem.value.as_str(),
        problem.rule.as_str(),
    )
}

#[test]
fn every_problem_names_its_column_value_and_rule() {
    let check = |row: &str, expected: &[(Code, &str, &str, &str)]| {
        let found = csv(catalog(), row);
        let found: Vec<_> = found.problems.iter().map(shown).collect();
        assert_eq!(found, expected, "{row}");
    };
    check(
        "GW2-70;00:1B:C5:0G:00:01;GW-200;B0;2.4;XXX-99;=1;@x;7\n",
        &[
            (Code::FormulaCell, "Position", "=1", ""),
            (Code::FormulaCell, "label:env", "@x", ""),
            (Code::SerialRule, "Serial No.", "GW2-70", "GW2-[0-9]{7}"),
            (Code::MacMalformed, "MAC Address", "00:1B:C5:0G:00:01", ""),
            (Code::VersionMalformed, "Firmware", "2.4", "semantic version"),
            (Code::SiteUnknown, "Site", "XXX-99", ""),
        ],
    );
    check(
        "GW2-7000001;70:B3:D5:00:00:01;GW-200;;;;;;\n",
        &[(Code::MacVendor, "MAC Address", "70:B3:D5:00:00:01", "00:1B:C5")],
    );
    check(";;GW-200;;;;;;\n", &[(Code::SerialMissing, "Serial No.", "", "")]);
    check(
        "GW2-7000001;;;;;;;;\n",
        &[(Code::ModelMissing, "Device Model", "", "")],
    );
    check("GW2-7000001;;GW-200;;;;;;;;x\n", &[(Code::RowWidth, "", "x", "")]);
    let long = "x".repeat(5000);
    check(
        &format!("GW2-7000001;;GW-200;;;;;{long};\n"),
        &[(Code::CellMalformed, "label:env", "", "")],
    );
}

/// Spreadsheets turn identifiers into numbers, dates and errors. Which they were tells their text.
#[test]
fn damage_is_refused_as_damage() {
    let check = |cells: [&str; 6], expected: &[(&str, Code)]| {
        let [serial, mac, model, hardware, firmware, site] = cells;
        let row = format!("{serial};{mac};{model};{hardware};{firmware};{site};;;\n");
        let found = csv(catalog(), &row);
        let found: Vec<_> = found
            .faults()
            .into_iter()
            .map(|(_, field, code)| (field.to_owned(), code))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(field, code)| ((*field).to_owned(), *code))
            .collect();
        assert_eq!(found, expected, "{row}");
    };
    let serial = |serial, code| check([serial, "", "CAM-IR", "", "", ""], &[("serial", code)]);
    check(["0123456789", "", "CAM-IR", "", "", ""], &[]);
    serial("123456789", Code::SerialDamaged);
    serial("12345678", Code::SerialDamaged);
    serial("1.23457E+11", Code::SerialDamaged);
    serial("123456789.0", Code::SerialDamaged);
    serial("12:34:56", Code::CellDamaged);
    serial("2024-05-01", Code::CellDamaged);
    serial("01-May-24", Code::CellDamaged);
    serial("#N/A", Code::CellDamaged);
    serial("########", Code::CellDamaged);
    serial("1234567890123", Code::SerialRule);
    serial("GW123456", Code::SerialRule);
    let mac = |mac, code| check(["0123456789", mac, "CAM-IR", "", "", ""], &[("mac", code)]);
    mac("7.0E+11", Code::MacDamaged);
    mac("12:34:56", Code::MacDamaged);
    mac("1234567890", Code::MacDamaged);
    mac("2024-05-01", Code::MacDamaged);
    mac("#REF!", Code::CellDamaged);
    mac("123456", Code::MacMalformed);
    let other = |cells, field, code| check(cells, &[(field, code)]);
    other(
        ["0123456789", "", "2024-05-01", "", "", ""],
        "model",
        Code::CellDamaged,
    );
    other(
        ["0123456789", "", "#NAME?", "", "", ""],
        "model",
        Code::CellDamaged,
    );
    other(
        ["0123456789", "", "CAM-IR", "", "", "1.0E+01"],
        "site",
        Code::CellDamaged,
    );
    other(
        ["0123456789", "", "CAM-IR", "Err:502", "", ""],
        "hardware",
        Code::CellDamaged,
    );
    other(
        ["0123456789", "", "CAM-IR", "", "#VALUE!", ""],
        "firmware",
        Code::CellDamaged,
    );
    // Tags and words that begin alike are none.
    check(["0123456789", "", "CAM-IR", "#7", "", ""], &[]);
    check(["0123456789", "", "CAM-IR", "Early", "", ""], &[]);
}

/// In files with kinds of cells, the kind tells.
#[test]
fn numbers_and_truth_values_are_no_identifiers() {
    let check = |object: &str, expected: &[(&str, Code)]| {
        let found = check(catalog(), "a.ndjson", object.as_bytes(), None);
        let found: Vec<_> = found
            .faults()
            .into_iter()
            .map(|(_, field, code)| (field.to_owned(), code))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(field, code)| ((*field).to_owned(), *code))
            .collect();
        assert_eq!(found, expected, "{object}");
    };
    check(
        r#"{"serial": 1234567890, "mac": 700000000000, "model": "CAM-IR", "hw": 2}"#,
        &[("serial", Code::SerialDamaged), ("mac", Code::MacDamaged)],
    );
    check(
        r#"{"serial": true, "mac": false, "model": true, "hw": true, "fw": true, "site": false}"#,
        &[
            ("model", Code::CellDamaged),
            ("serial", Code::CellDamaged),
            ("mac", Code::MacDamaged),
            ("hardware", Code::CellDamaged),
            ("firmware", Code::CellDamaged),
            ("site", Code::CellDamaged),
        ],
    );
    check(
        r#"{"serial": "0123456789", "model": "CAM-IR", "labels": {"odd": true}, "variables": {"n": 7}}"#,
        &[],
    );
}

#[test]
fn names_of_digits_find_their_zeros() {
    let mut catalog = catalog();
    let site = muster_domain::catalog::SiteSource {
        code: "0042".into(),
        ..Default::default()
    };
    let site = site.check().unwrap();
    catalog.sites.insert(site.code.clone(), Arc::new(site));
    let found = csv(
        catalog,
        "GW2-7000001;;GW-200;;;42;;;\nGW2-7000002;;gw-200;;;muc-01;;;\n",
    );
    assert_eq!(
        found.faults(),
        [
            (2, "site", Code::CellDamaged),
            (3, "model", Code::ModelUnknown),
            (3, "site", Code::SiteUnknown)
        ]
    );
    for (problem, words) in found.problems.iter().zip(["0042", "GW-200", "MUC-01"]) {
        assert!(problem.refusal.message.contains(words), "{problem}");
    }
}

#[test]
fn look_alikes_are_named_with_their_twins() {
    let check = |row: &str, code: Code, words: &str| {
        let found = csv(catalog(), row);
        let [problem] = &found.problems[..] else {
            panic!("{row}: {:?}", found.problems)
        };
        assert_eq!(problem.refusal.code, code, "{row}");
        assert!(problem.refusal.message.contains(words), "{problem}");
    };
    let cyrillic = "GW2-700000\u{41E}1;;GW-200;;;;;;\n";
    check(
        cyrillic,
        Code::SerialMalformed,
        "U+041E, Cyrillic), which looks like 'O'",
    );
    check("ＧW2-7000001;;GW-200;;;;;;\n", Code::SerialMalformed, "'G'");
    check("GW2\u{2013}7000001;;GW-200;;;;;;\n", Code::SerialMalformed, "'-'");
    check("GW2-7000001;;GW\u{2011}200;;;;;;\n", Code::ModelUnknown, "'-'");
    check(
        "GW2-7000001;;GW-200;;;\u{39C}UC-01;;;\n",
        Code::SiteUnknown,
        "Greek",
    );
    check(
        "GW2-7000001;00:1\u{412}:C5:00:00:01;GW-200;;;;;;\n",
        Code::MacMalformed,
        "'B'",
    );
    check(
        "GW2-7000001;;GW-200;;2\u{2024}4\u{2024}0;;;;\n",
        Code::VersionMalformed,
        "'.'",
    );
}

/// One program writes ü as one character, another as two.
#[test]
fn texts_that_look_the_same_are_the_same() {
    let row = |office: &str| format!("GW2-7000001;;GW-200;;;;{office};{office};{office}\n");
    let found = ["B\u{fc}ro", "Bu\u{308}ro"].map(|office| csv(catalog(), &row(office)).rows.remove(0));
    assert_eq!(found[0], found[1]);
    assert_eq!(found[1].row.position.as_deref(), Some("B\u{fc}ro"));
}

#[test]
fn check_digits_say_what_they_should_be() {
    let catalog = || {
        with_model(|model| {
            model.serial_pattern = "GW2-[0-9]{8}".into();
            model.check_digit = "luhn".into();
        })
    };
    // GW2 is 16 32 2 in digits.
    let found = csv(
        catalog(),
        "GW2-70000015;;GW-200;;;;;;\nGW2-70000010;;GW-200;;;;;;\n",
    );
    let right: Vec<_> = found.rows.iter().map(|row| row.row.serial.as_str()).collect();
    let [problem] = &found.problems[..] else {
        panic!("{right:?} {:?}", found.problems)
    };
    assert_eq!(
        (
            problem.refusal.code,
            problem.rule.as_str(),
            problem.column.as_str()
        ),
        (Code::SerialCheckDigit, "luhn", "Serial No.")
    );
    // Of two serials that differ in their check digit at most one is right, and the refusal names it.
    let expected = right[0].chars().last().unwrap();
    assert!(
        problem
            .refusal
            .message
            .ends_with(&format!("should be {expected}")),
        "{problem}"
    );
    // A serial that breaks the pattern has no check digit to speak of.
    let found = csv(catalog(), "GW2-7;;GW-200;;;;;;\n");
    assert_eq!(found.faults(), [(2, "serial", Code::SerialRule)]);
}

#[test]
fn local_addresses_are_odd_unless_the_model_has_them() {
    let check = |change: fn(&mut ModelSource), mac: &str, refused: &[Code], warned: &[Code]| {
        let found = csv(with_model(change), &format!("GW2-7000001;{mac};GW-200;;;;;;\n"));
        let codes = |problems: &[Problem]| -> Vec<Code> {
            problems.iter().map(|problem| problem.refusal.code).collect()
        };
        assert_eq!(
            (codes(&found.problems), codes(&found.warnings)),
            (refused.to_vec(), warned.to_vec()),
            "{mac}"
        );
        for warning in &found.warnings {
            assert_eq!(
                (
                    warning.refusal.field.as_str(),
                    warning.column.as_str(),
                    warning.value.as_str()
                ),
                ("rows[2].mac", "MAC Address", mac)
            );
        }
    };
    let any = |model: &mut ModelSource| model.ouis.clear();
    let allowed = |model: &mut ModelSource| {
        model.ouis.clear();
        model.allow_local_addresses = true;
    };
    check(any, "02:00:00:00:00:01", &[], &[Code::MacLocal]);
    check(any, "00:00:00:00:00:01", &[], &[]);
    check(any, "03:00:00:00:00:01", &[Code::MacMulticast], &[]);
    check(allowed, "02:00:00:00:00:01", &[], &[]);
    check(|_| {}, "02:00:00:00:00:01", &[Code::MacVendor], &[]);
    check(
        |model| model.ouis = vec!["02:00:00".into()],
        "02:00:00:00:00:01",
        &[],
        &[],
    );
    let range = |model: &mut ModelSource| {
        model.ouis = vec!["00:1B:C5:00:00:00-00:1B:C5:00:00:0F".into(), "70:B3:D5:1".into()];
    };
    check(range, "00:1B:C5:00:00:0F", &[], &[]);
    check(range, "00:1B:C5:00:00:10", &[Code::MacVendor], &[]);
    check(range, "70B3D51FFFFF", &[], &[]);
    check(range, "70 B3 D5 20 00 00", &[Code::MacVendor], &[]);
}

#[test]
fn values_follow_the_naming_rules_of_their_model() {
    let rules = [
        rule("floors", "labels.env", "prod|lab"),
        NamingRuleSource {
            required: true,
            example: "Hall 7".into(),
            ..rule("halls", "position", "Hall [0-9]+")
        },
        rule("plants", "site", "[A-Z]{3}-[0-9]{2}"),
        rule("numbers", "variables.extension", "[1-9][0-9]*"),
        NamingRuleSource {
            models: vec!["TS-10".into()],
            required: true,
            ..rule("sensors", "hardware", "")
        },
    ];
    let check = |row: &str, expected: &[(&str, Code)]| {
        let found = csv(with_rules(&rules), row);
        let found: Vec<_> = found
            .faults()
            .into_iter()
            .map(|(_, field, code)| (field.to_owned(), code))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(field, code)| ((*field).to_owned(), *code))
            .collect();
        assert_eq!(found, expected, "{row}");
    };
    check("GW2-7000001;;GW-200;;;MUC-01;Hall 1;lab;7\n", &[]);
    check("GW2-7000001;;GW-200;;;;Hall 1;;\n", &[]);
    check(
        "GW2-7000001;;GW-200;;;MUC-01;hall 1;test;07\n",
        &[
            ("labels.env", Code::NamingRule),
            ("position", Code::NamingRule),
            ("variables.extension", Code::NamingRule),
        ],
    );
    check("GW2-7000001;;GW-200;;;;;;\n", &[("position", Code::ValueMissing)]);
    check(
        "TS1-00001;;TS-10;;;;Hall 1;;\n",
        &[("hardware", Code::ValueMissing)],
    );
    // What was refused already is not missing, too.
    check(
        "GW2-7000001;;GW-200;;;;=1;;\n",
        &[("position", Code::FormulaCell)],
    );
    let found = csv(with_rules(&rules), "GW2-7000001;;GW-200;;;;here;;\n");
    let [problem] = &found.problems[..] else {
        panic!("{:?}", found.problems)
    };
    assert_eq!(
        shown(problem),
        (
            Code::NamingRule,
            "Position",
            "here",
            "namingRules/halls: Hall [0-9]+"
        )
    );
    assert!(problem.refusal.message.ends_with("such as Hall 7"), "{problem}");
}

/// A row that is refused anyway still says which of its values have the wrong type.
#[test]
fn wrong_values_are_named_together_with_other_mistakes() {
    let mut catalog = catalog();
    add_profile(&mut catalog, &gateway_profile(), "GW-200");
    let found = csv(catalog, "GW2-70;;GW-200;;;MUC-01;;;seven\n");
    let found: Vec<_> = found.problems.iter().map(shown).collect();
    assert_eq!(
        found,
        [
            (Code::SerialRule, "Serial No.", "GW2-70", "GW2-[0-9]{7}"),
            (Code::VariableInvalid, "extension", "seven", "integer"),
        ]
    );
}
