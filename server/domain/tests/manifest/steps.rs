//! What steps make of cells, and what becomes of rows whose cells they cannot take.

use crate::support::{Checked, catalog, check_by};
use muster_domain::{
    Code,
    manifest::{CheckedMapping, MappingSource},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Cursor;

fn mapping(fields: Value) -> CheckedMapping {
    let source: MappingSource = serde_json::from_value(json!({"name": "line-7", "fields": fields})).unwrap();
    source.check().unwrap()
}

/// Rows of a CSV by a mapping with these fields beside serial and model.
fn rows(fields: &[Value], header: &str, lines: &[&str]) -> Checked {
    let own = [
        json!({"field": "serial", "columns": ["SN"]}),
        json!({"field": "model", "value": "GW-200"}),
    ];
    let lines = lines.iter().zip(7_000_001..);
    let lines: String = lines
        .map(|(line, serial)| format!("GW2-{serial};{line}\n"))
        .collect();
    let text = format!("SN;{header}\n{lines}");
    let fields = own.iter().chain(fields).cloned().collect();
    check_by(
        catalog(),
        "a.csv",
        Cursor::new(&text),
        None,
        Some(&mapping(fields)),
    )
    .unwrap()
}

/// What a cell becomes by these steps.
fn position(steps: &Value, cell: &str) -> Result<Option<String>, Code> {
    let field = json!({"field": "position", "columns": ["Room"], "steps": steps});
    let quoted = format!("\"{}\"", cell.replace('"', "\"\""));
    let mut checked = rows(&[field], "Room", &[&quoted]);
    match checked.rows.pop() {
        Some(row) => Ok(row.row.position),
        None => {
            assert_eq!(checked.faults()[0].1, "position", "{steps}");
            Err(checked.faults()[0].2)
        }
    }
}

#[test]
fn each_step_does_what_it_says() {
    let check = |steps: Value, cell: &str, expected: Result<&str, Code>| {
        let expected = expected.map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()));
        assert_eq!(position(&steps, cell), expected, "{steps} on {cell:?}");
    };
    let unmapped = Err(Code::ValueUnmapped);
    check(json!([]), " Hall 1 ", Ok("Hall 1"));
    check(json!([{"case": "upper"}]), "Hall ä ß", Ok("HALL Ä SS"));
    check(json!([{"case": "lower"}]), "HALL", Ok("hall"));
    check(json!([{"capture": "SN:(.+)"}]), "x SN:42", Ok("42"));
    check(json!([{"capture": "[0-9]+"}]), "Hall 42 b", Ok("42"));
    check(json!([{"capture": "SN:(.+)"}]), "42", unmapped);
    check(json!([{"replace": ["_", "-"]}]), "a_b_c", Ok("a-b-c"));
    check(json!([{"replace": ["_", ""]}]), "___", Ok(""));
    check(json!([{"remove": " -"}]), "a - b-c", Ok("abc"));
    check(json!([{"split": {"by": "/", "take": 2}}]), "a / b / c", Ok("b"));
    check(json!([{"split": {"by": "/", "take": -1}}]), "a/b/c", Ok("c"));
    check(json!([{"split": {"by": "/", "take": 2}}]), "a", unmapped);
    check(json!([{"split": {"by": "/", "take": 2}}]), "a/", Ok(""));
    check(json!([{"lookup": {"Munich": "MUC"}}]), "Munich", Ok("MUC"));
    check(json!([{"lookup": {"Munich": "MUC"}}]), "munich", unmapped);
    check(
        json!([{"lookup": {"Munich": "MUC"}, "otherwise": "refuse"}]),
        "x",
        unmapped,
    );
    check(
        json!([{"lookup": {"Munich": "MUC"}, "otherwise": "keep"}]),
        "x",
        Ok("x"),
    );
    check(
        json!([{"lookup": {"Munich": "MUC"}, "otherwise": "empty"}]),
        "x",
        Ok(""),
    );
    check(json!([{"prefix": "GW2-"}, {"suffix": "!"}]), "7", Ok("GW2-7!"));
    check(json!([{"pad": {"width": 7, "with": "0"}}]), "42", Ok("0000042"));
    check(json!([{"pad": {"width": 2, "with": "ä"}}]), "421", Ok("421"));
    // In order: each takes what the one before it made.
    let steps = json!([
        {"split": {"by": ";", "take": 1}}, {"trim": true}, {"case": "lower"}, {"capture": "^([a-z]+)"}, {"lookup": {"hall": "H"}}
    ]);
    check(steps, "HALL 7 ; 9", Ok("H"));
    // An empty cell comes to no step.
    check(json!([{"prefix": "GW2-"}, {"capture": "x"}]), "  ", Ok(""));
    check(json!([{"remove": "-"}, {"prefix": "GW2-"}]), "--", Ok(""));
}

#[test]
fn what_steps_make_is_held_to_the_rules_of_cells() {
    let check =
        |steps: Value, cell: &str, expected| assert_eq!(position(&steps, cell), Err(expected), "{steps}");
    check(json!([{"prefix": "="}]), "1+1", Code::FormulaCell);
    check(
        json!([{"replace": ["x", "\u{202e}"]}]),
        "axb",
        Code::CellMalformed,
    );
    let long = "x".repeat(4000);
    check(json!([{"suffix": "y".repeat(97)}]), &long, Code::CellMalformed);
    check(
        json!([{"replace": ["x", "yyyyyyyyyyyyyyyy"]}]),
        &long,
        Code::CellMalformed,
    );
    check(json!([{"case": "upper"}]), &"ŉ".repeat(2000), Code::CellMalformed);
    // What the steps take away does no harm: this is how some write numbers as text.
    let freed = position(&json!([{"capture": "^=\"(.*)\"$"}]), "=\"0012\"");
    assert_eq!(freed, Ok(Some("0012".to_owned())));
}

#[test]
fn several_columns_make_one_field_and_one_column_several() {
    let fields = [
        json!({"field": "position", "columns": ["Hall", "Room"], "join": "/"}),
        json!({"field": "hardware", "columns": ["Type"], "steps": [{"split": {"by": " ", "take": 1}}]}),
        json!({"field": "labels.kind", "columns": ["Type"]}),
        json!({"field": "labels.line", "value": "7"}),
        json!({"field": "labels.shift", "columns": ["Shift"], "default": "night"}),
    ];
    let lines = ["H1;R2;B0 new;day", "H1;;B0;", ";R2;;day", ";;;"];
    let checked = rows(&fields, "Hall;Room;Type;Shift", &lines);
    let found: Vec<_> = checked
        .rows
        .iter()
        .map(|row| {
            let label = |key: &str| row.row.labels.get(key).map_or("-", String::as_str).to_owned();
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            [
                text(&row.row.position),
                text(&row.row.hardware),
                label("kind"),
                label("line"),
                label("shift"),
            ]
        })
        .collect();
    assert_eq!(
        found,
        [
            ["H1/R2", "B0", "B0 new", "7", "day"],
            ["H1", "B0", "B0", "7", "night"],
            ["R2", "-", "-", "7", "day"],
            ["-", "-", "-", "7", "night"],
        ]
    );
    let columns: Vec<_> = checked.columns.iter().map(|(_, field)| field.as_str()).collect();
    assert_eq!(
        columns,
        [
            "serial",
            "position",
            "position",
            "hardware, labels.kind",
            "labels.shift"
        ]
    );
}

#[test]
fn a_row_without_a_value_that_the_mapping_demands_is_refused() {
    let fields = [
        json!({"field": "site", "columns": ["Site"], "required": true}),
        json!({"field": "position", "columns": ["Room"], "required": true, "default": "hall"}),
    ];
    let checked = rows(&fields, "Site;Room", &["MUC-01;1", ";2", "MUC-01;"]);
    assert_eq!(checked.faults(), [(3, "site", Code::ValueMissing)]);
    assert_eq!(checked.rows[1].row.position.as_deref(), Some("hall"));
}

#[test]
fn a_number_is_no_damage_where_its_width_is_known() {
    let check = |steps: Value, expected: Result<&str, Code>| {
        let fields = json!([{"field": "serial", "columns": ["SN"], "steps": steps}]);
        let mut checked = check_by(
            catalog(),
            "a.ndjson",
            Cursor::new(br#"{"SN": 7000001}"#),
            Some("GW-200"),
            Some(&mapping(fields)),
        )
        .unwrap();
        let row = checked.rows.pop();
        let found = row.as_ref().map(|row| row.row.serial.as_str());
        assert_eq!(found.ok_or_else(|| checked.faults()[0].2), expected);
    };
    check(json!([{"prefix": "GW2-"}]), Err(Code::SerialDamaged));
    check(
        json!([{"pad": {"width": 7, "with": "0"}}, {"prefix": "GW2-"}]),
        Ok("GW2-7000001"),
    );
}

#[test]
fn an_etag_is_a_revision() {
    let fields = [json!({"field": "etag", "columns": ["etag"]})];
    let checked = rows(&fields, "etag", &["r12", "", "12", "r-1"]);
    let etags: Vec<_> = checked.rows.iter().map(|row| row.row.etag).collect();
    assert_eq!(etags, [Some(12), None]);
    assert_eq!(
        checked.faults(),
        [(4, "etag", Code::CellMalformed), (5, "etag", Code::CellMalformed)]
    );
}

proptest! {
    /// Whatever a step is and whatever comes to it, a value comes out or the row is refused at its field.
    #[test]
    fn no_cell_breaks_a_step(cells in prop::collection::vec("\\PC{0,40}", 1..4), by in "\\PC{1,4}", take in -3..4_i32) {
        let steps = json!([
            {"replace": [by, "xy"]}, {"case": "upper"}, {"case": "lower"}, {"remove": "aé"}, {"prefix": "p"},
            {"capture": "p(.*)"}, {"pad": {"width": 5, "with": "ü"}},
            {"split": {"by": by, "take": if take == 0 { 1 } else { take }}},
        ]);
        for cell in cells {
            if let Err(code) = position(&steps, &cell) {
                prop_assert!(matches!(code, Code::ValueUnmapped | Code::FormulaCell | Code::CellMalformed), "{code:?}");
            }
        }
    }
}
