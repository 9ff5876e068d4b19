//! Everything that can be wrong with a row, each at its field.

use crate::support::{add_profile, catalog, check, gateway_profile};
use muster_domain::{Code, catalog::Catalog};

const HEADER: &str = "serial,mac,model,hw,fw,site,position,label:env,extension\n";
const GOOD: [&str; 9] = [
    "GW2-7000001",
    "00:1B:C5:00:00:01",
    "GW-200",
    "B0",
    "2.4.0",
    "MUC-01",
    "Hall 1",
    "lab",
    "7",
];

/// A good row with some cells changed, as (column, text).
fn row(changes: &[(usize, &str)]) -> String {
    let mut cells = GOOD;
    for &(column, text) in changes {
        cells[column] = text;
    }
    cells
        .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")))
        .join(",")
        + "\n"
}

fn faults(catalog: Catalog, rows: &str) -> Vec<(u32, String, Code)> {
    let text = format!("{HEADER}{rows}");
    let checked = check(catalog, "a.csv", text.as_bytes(), None);
    checked
        .faults()
        .into_iter()
        .map(|(row, field, code)| (row, field.to_owned(), code))
        .collect()
}

#[test]
fn each_cell_is_refused_for_its_own_reason() {
    let check = |changes: &[(usize, &str)], expected: &[(&str, Code)]| {
        let found = faults(catalog(), &row(changes));
        let found: Vec<_> = found
            .iter()
            .map(|(_, field, code)| (field.as_str(), *code))
            .collect();
        assert_eq!(found, expected, "{changes:?}");
    };
    check(&[], &[]);
    check(&[(0, "")], &[("serial", Code::SerialMissing)]);
    check(&[(0, "   ")], &[("serial", Code::SerialMissing)]);
    check(&[(0, " GW2-7000001 ")], &[]);
    check(&[(0, "GW2 7000001")], &[("serial", Code::SerialMalformed)]);
    check(&[(0, "ＧW2-7000001")], &[("serial", Code::SerialMalformed)]);
    check(&[(0, "GW2-700000")], &[("serial", Code::SerialRule)]);
    check(&[(0, "2.00E+06")], &[("serial", Code::SerialDamaged)]);
    check(&[(0, "123.0")], &[("serial", Code::SerialDamaged)]);
    check(&[(0, "=A1")], &[("serial", Code::FormulaCell)]);
    check(&[(0, "GW2-\u{200B}7000001")], &[("serial", Code::CellMalformed)]);
    check(&[(1, "")], &[]);
    check(&[(1, "001b.c500.0001")], &[]);
    check(&[(1, "00:1B:C5:00:00")], &[("mac", Code::MacMalformed)]);
    check(&[(1, "01:1B:C5:00:00:01")], &[("mac", Code::MacMulticast)]);
    check(&[(1, "70:B3:D5:00:00:01")], &[("mac", Code::MacVendor)]);
    check(&[(2, "")], &[("model", Code::ModelMissing)]);
    check(&[(2, "gw-200")], &[("model", Code::ModelUnknown)]);
    check(
        &[(2, "CAM-IR")],
        &[("serial", Code::SerialRule), ("mac", Code::MacVendor)],
    );
    check(&[(3, "@x")], &[("hardware", Code::FormulaCell)]);
    check(&[(4, "v2.4.0")], &[]);
    check(&[(4, "2.4")], &[("firmware", Code::VersionMalformed)]);
    check(&[(4, "02.4.0")], &[("firmware", Code::VersionMalformed)]);
    check(&[(5, "XXX-99")], &[("site", Code::SiteUnknown)]);
    check(&[(5, "")], &[]);
    check(&[(6, "Hall\t1")], &[("position", Code::CellMalformed)]);
    check(&[(6, "Hall\n1")], &[("position", Code::CellMalformed)]);
    check(&[(7, "=cmd")], &[("labels.env", Code::FormulaCell)]);
    check(&[(8, "-97.7431")], &[]);
    check(&[(8, "+1+cmd")], &[("variables.extension", Code::FormulaCell)]);
    // Everything at once.
    check(
        &[
            (0, "GW2 7"),
            (1, "x"),
            (2, "nope"),
            (4, "2"),
            (5, "nope"),
            (6, "=1"),
            (7, "@"),
        ],
        &[
            ("position", Code::FormulaCell),
            ("labels.env", Code::FormulaCell),
            ("model", Code::ModelUnknown),
            ("serial", Code::SerialMalformed),
            ("mac", Code::MacMalformed),
            ("firmware", Code::VersionMalformed),
            ("site", Code::SiteUnknown),
        ],
    );
}

#[test]
fn repeated_values_name_the_first_row() {
    let rows = [
        row(&[]),
        row(&[(0, "GW2-7000002"), (1, "00-1b-c5-00-00-01")]),
        row(&[(0, "GW2-7000003"), (1, "00:1B:C5:00:00:03")]),
        row(&[(1, "00:1B:C5:00:00:04"), (5, "nope")]),
        row(&[(0, "GW2-7000005"), (1, "00:1B:C5:00:00:04")]),
    ];
    let text = format!("{HEADER}{}", rows.concat());
    let checked = check(catalog(), "a.csv", text.as_bytes(), None);
    let found: Vec<_> = checked
        .refusals
        .iter()
        .map(|refusal| (refusal.code, refusal.field.as_str()))
        .collect();
    let expected = [
        (Code::MacRepeated, "rows[3].mac"),
        (Code::SerialRepeated, "rows[5].serial"),
        (Code::SiteUnknown, "rows[5].site"),
        // Also a row that was refused held its address.
        (Code::MacRepeated, "rows[6].mac"),
    ];
    assert_eq!(found, expected);
    assert!(checked.refusals[0].message.contains("row 2") && checked.refusals[3].message.contains("row 5"));
}

#[test]
fn rows_of_the_wrong_shape_are_refused_as_a_whole() {
    let check = |line: &str, expected: &[(&str, Code)]| {
        let found = faults(catalog(), line);
        let found: Vec<_> = found
            .iter()
            .map(|(_, field, code)| (field.as_str(), *code))
            .collect();
        assert_eq!(found, expected, "{line:.60}");
    };
    let good = GOOD.join(",");
    check(&format!("{good},,\n"), &[]);
    check(&format!("{good},x\n"), &[("", Code::RowWidth)]);
    check(&format!("{good}{}\n", ",".repeat(256)), &[("", Code::RowWidth)]);
    check("GW2-7000001,,GW-200\n", &[]);
    check(
        &format!("{}{}\n", good, "x".repeat(5000)),
        &[("variables.extension", Code::CellMalformed)],
    );
    check(
        &format!("{}{}\n", good, "x".repeat(70_000)),
        &[("", Code::CellMalformed)],
    );
    check("GW2-7000001,\"00,GW-200\n", &[("", Code::CellMalformed)]);
}

#[test]
fn objects_are_held_to_the_same_rules() {
    let check = |line: &str, expected: &[(&str, Code)]| {
        let checked = check(catalog(), "a.ndjson", line.as_bytes(), Some("TS-10"));
        let found: Vec<_> = checked
            .faults()
            .into_iter()
            .map(|(_, field, code)| (field, code))
            .collect();
        assert_eq!(found, expected, "{line}");
    };
    check(
        r#"{"serial": "TS7-00001", "labels": {"env": "lab"}, "variables": {"Port": 7}}"#,
        &[],
    );
    check(
        r#"{"serial": 7, "mac": "00:04:A3:00:00:DA"}"#,
        &[("serial", Code::SerialDamaged)],
    );
    check(
        r#"{"serial": "TS7-00001", "S/N": "TS7-00002"}"#,
        &[("serial", Code::HeaderAmbiguous)],
    );
    check(
        r#"{"serial": "TS7-00001", "port": 1, "Port": 2}"#,
        &[("variables.port", Code::HeaderAmbiguous)],
    );
    check(
        r#"{"mac": "00:04:A3:00:00:DA"}"#,
        &[("serial", Code::SerialMissing)],
    );
    check(
        r#"{"serial": "TS7-00001", "labels": ["lab"]}"#,
        &[("", Code::CellMalformed)],
    );
    check(
        r#"{"serial": "TS7-00001", "x": "=1"}"#,
        &[("variables.x", Code::FormulaCell)],
    );
    check(
        "{\"serial\": \"TS7-00001\", \"x\": \"a\\nb\"}",
        &[("variables.x", Code::CellMalformed)],
    );
}

#[test]
fn a_profile_takes_what_it_needs_from_each_row() {
    let with_profile = || {
        let mut catalog = catalog();
        add_profile(&mut catalog, &gateway_profile(), "GW-200");
        catalog
    };
    let check = |changes: &[(usize, &str)], expected: &[(&str, Code)]| {
        let found = faults(with_profile(), &row(changes));
        let found: Vec<_> = found
            .iter()
            .map(|(_, field, code)| (field.as_str(), *code))
            .collect();
        assert_eq!(found, expected, "{changes:?}");
    };
    check(&[], &[]);
    check(&[(6, "")], &[]);
    check(&[(8, "")], &[("variables.extension", Code::VariableInvalid)]);
    check(&[(8, "seven")], &[("variables.extension", Code::VariableInvalid)]);
    // The template asks for the site's code and does not ask whether there is a site.
    check(&[(5, "")], &[("files.network.toml", Code::RenderFailed)]);
    let mut catalog = with_profile();
    catalog.profiles.clear();
    let found = faults(catalog, &row(&[]));
    assert_eq!(found, [(2, "model".to_owned(), Code::ReferenceMissing)]);
}
