//! Mappings as people write them, and what they make of the columns of a file.

use crate::support::{catalog, check_by, options};
use muster_domain::{
    Code, Refusal,
    manifest::{CheckedMapping, Format, KEY_LIMIT, Mapping, MappingSource, ReadOptions},
};
use serde_json::{Value, json};
use std::io::Cursor;

fn source(value: Value) -> MappingSource {
    serde_json::from_value(value).unwrap()
}

fn places(refusals: &[Refusal]) -> Vec<(Code, &str)> {
    refusals
        .iter()
        .map(|refusal| (refusal.code, refusal.field.as_str()))
        .collect()
}

/// Every kind of entry and step, as `proto/README.md` shows them.
const FULL: &str = r#"{"name":"line-7","description":"Export of the tester on line 7","models":["GW-200"],"format":"xlsx","sheet":"Devices","header_row":3,"record_path":"devices","known_names":true,"unmapped":"variables","fields":[{"field":"serial","columns":["Serial No.","SN"],"required":true,"steps":[{"trim":true},{"case":"upper"},{"capture":"SN:(.+)"},{"replace":["_","-"]},{"remove":" "},{"split":{"by":"/","take":-1}},{"lookup":{"a":"b"},"otherwise":"keep"},{"prefix":"GW2-"},{"suffix":"-X"},{"pad":{"width":7,"with":"0"}}]},{"field":"position","columns":["Hall","Room"],"default":"none","join":" "},{"field":"labels.line","value":"7"},{"field":"kept","columns":["Remarks"]}]}"#;

#[test]
fn a_mapping_comes_back_as_it_was_written() {
    let read: MappingSource = serde_json::from_str(FULL).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), FULL);
    let checked = read.clone().check().unwrap();
    assert_eq!(checked.source(), &read);
    assert_eq!(checked.name().as_str(), "line-7");
    assert_eq!(checked.format(), Some(Format::Xlsx));
}

#[test]
fn a_mapping_says_where_the_rows_are_unless_the_user_does() {
    let checked = serde_json::from_str::<MappingSource>(FULL)
        .unwrap()
        .check()
        .unwrap();
    let mut given = ReadOptions {
        sheet: Some("Mine".to_owned()),
        ..options("a.xlsx")
    };
    checked.complete(&mut given);
    assert_eq!(given.format, Some(Format::Xlsx));
    assert_eq!(given.sheet.as_deref(), Some("Mine"));
    assert_eq!(given.header_row, Some(3));
    assert_eq!(given.record_path.as_deref(), Some("devices"));
}

#[test]
fn every_mistake_is_named_at_once() {
    let check = |value: Value, expected: &[&str]| {
        let problems = source(value.clone())
            .check()
            .map_or_else(|found| found, |_| Vec::new());
        let fields: Vec<_> = problems.iter().map(|refusal| refusal.field.as_str()).collect();
        assert_eq!(fields, expected, "{value}");
        assert!(
            problems
                .iter()
                .all(|refusal| refusal.code == Code::MappingInvalid)
        );
    };
    let serial = json!({"field": "serial", "columns": ["SN"]});
    check(json!({"name": "a", "fields": [serial]}), &[]);
    check(
        json!({
            "name": "a b", "models": ["GW-200", "="], "format": "pdf", "header_row": 4_000_000_000_u32,
            "sheet": "x".repeat(256),
            "fields": [
                {"field": "colour", "columns": ["C"]},
                {"field": "mac"},
                {"field": "serial", "value": "1"},
                {"field": "site", "columns": ["", "A", "a."], "value": "x", "default": " "},
                {"field": "site", "columns": ["Other"]},
                {"field": "kept", "columns": ["K"], "required": true},
            ],
        }),
        &[
            "name",
            "models[1]",
            "sheet",
            "header_row",
            "format",
            "fields[0].field",
            "fields[1].columns",
            "fields[2].value",
            "fields[3].default",
            "fields[3].value",
            "fields[4].field",
            "fields[5].field",
            "fields[3].columns[0]",
            "fields[3].columns[2]",
        ],
    );
    for step in [
        json!({"capture": "("}),
        json!({"capture": "((a{100}){100}){100}"}),
        json!({"capture": ""}),
        json!({"replace": ["", "x"]}),
        json!({"split": {"by": "/", "take": 0}}),
        json!({"split": {"by": "", "take": 1}}),
        json!({"lookup": {}}),
        json!({"lookup": {"a": "x".repeat(257)}}),
        json!({"prefix": "x".repeat(257)}),
        json!({"remove": ""}),
        json!({"pad": {"width": 65, "with": "0"}}),
        json!({"pad": {"width": 0, "with": "0"}}),
    ] {
        let entry = json!({"field": "site", "columns": ["S"], "steps": [{"trim": true}, step]});
        check(json!({"name": "a", "fields": [entry]}), &["fields[0].steps[1]"]);
    }
}

#[test]
fn limits_hold_at_their_boundary() {
    let check = |value: Value, expected: Option<&str>| {
        let problems = source(value).check().map_or_else(|found| found, |_| Vec::new());
        assert_eq!(problems.first().map(|refusal| refusal.field.as_str()), expected);
    };
    let entries = |count: usize| -> Vec<_> {
        (0..count)
            .map(|i| json!({"field": format!("labels.l{i}"), "columns": [format!("c{i}")]}))
            .collect()
    };
    check(json!({"name": "a", "fields": entries(256)}), None);
    check(json!({"name": "a", "fields": entries(257)}), Some("fields"));
    let columns = |count: usize| -> Vec<_> { (0..count).map(|i| format!("c{i}")).collect() };
    let entry =
        |columns: Vec<String>| json!({"name": "a", "fields": [{"field": "site", "columns": columns}]});
    check(entry(columns(64)), None);
    check(entry(columns(65)), Some("fields[0].columns"));
    check(entry(vec!["x".repeat(255)]), None);
    check(entry(vec!["x".repeat(256)]), Some("fields[0].columns[0]"));
    let steps = |step: Value, count: usize| json!({"name": "a", "fields": [{"field": "site", "columns": ["c"], "steps": vec![step; count]}]});
    check(steps(json!({"trim": true}), 16), None);
    check(steps(json!({"trim": true}), 17), Some("fields[0].steps"));
    let patterns = |count: usize| {
        let mut entries = entries(count);
        for entry in &mut entries {
            entry["steps"] = json!([{"capture": "a"}]);
        }
        json!({"name": "a", "fields": entries})
    };
    check(patterns(32), None);
    check(patterns(33), Some("fields"));
    let table =
        |count: usize| -> serde_json::Map<_, _> { (0..count).map(|i| (i.to_string(), json!("x"))).collect() };
    check(steps(json!({"lookup": table(4096)}), 1), None);
    check(
        steps(json!({"lookup": table(4097)}), 1),
        Some("fields[0].steps[0]"),
    );
    check(json!({"name": "a", "models": vec!["m"; 257]}), Some("models"));
}

#[test]
fn a_step_is_one_thing() {
    for step in [
        json!({}),
        json!({"trim": false}),
        json!({"trim": true, "case": "upper"}),
        json!({"case": "upper", "otherwise": "keep"}),
        json!({"case": "title"}),
        json!({"eval": "1"}),
        json!({"pad": {"width": 3, "with": "00"}}),
    ] {
        let entry = json!({"name": "a", "fields": [{"field": "site", "columns": ["S"], "steps": [step]}]});
        assert!(
            serde_json::from_value::<MappingSource>(entry.clone()).is_err(),
            "{entry}"
        );
    }
}

fn line_7(extra: Value) -> CheckedMapping {
    let mut value = json!({
        "name": "line-7",
        "fields": [
            {"field": "serial", "columns": ["Serial No.", "SN"]},
            {"field": "model", "columns": ["Kind"]},
            {"field": "position", "columns": ["Hall", "Room"], "join": " "},
            {"field": "site", "columns": ["Plant"], "required": true},
        ],
    });
    for (key, extra) in extra.as_object().unwrap() {
        value[key] = extra.clone();
    }
    source(value).check().unwrap()
}

fn resolve(mapping: &CheckedMapping, columns: &[&str], has_model: bool) -> Result<Mapping, Vec<Refusal>> {
    let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
    Mapping::resolve(mapping, &columns, Format::Csv, has_model)
}

#[test]
fn what_the_file_lacks_is_named() {
    let check = |columns: &[&str], has_model, expected: &[(Code, &str)]| {
        let problems =
            resolve(&line_7(json!({})), columns, has_model).map_or_else(|found| found, |_| Vec::new());
        assert_eq!(places(&problems), expected, "{columns:?}");
    };
    let unusable = |field| (Code::MappingUnusable, field);
    check(&["SN", "Kind", "Plant"], false, &[]);
    check(&["SN", "PLANT"], true, &[]);
    check(&["SN", "Plant"], false, &[unusable("header.model")]);
    check(
        &["Kind", "Room"],
        false,
        &[unusable("header.serial"), unusable("header.site")],
    );
    check(
        &["SN", "Serial-No", "Kind", "Plant", "Hall", "HALL"],
        false,
        &[
            (Code::HeaderAmbiguous, "header.serial"),
            (Code::HeaderAmbiguous, "header.position"),
        ],
    );
    let silent = source(json!({"name": "a", "fields": [{"field": "site", "columns": ["S"]}]}));
    let problems = resolve(&silent.check().unwrap(), &["S", "serial"], false).unwrap_err();
    assert_eq!(
        places(&problems),
        [
            (Code::HeaderMissing, "header.serial"),
            (Code::HeaderMissing, "header.model"),
        ]
    );
    assert!(
        problems[0].message.contains("there are S, serial"),
        "{}",
        problems[0].message
    );
}

#[test]
fn columns_that_no_field_names_are_treated_as_told() {
    let check = |extra: Value, columns: &[(&str, &str)]| {
        let needed = [("SN", "serial"), ("Kind", "model"), ("Plant", "site")];
        let expected: Vec<_> = needed.iter().chain(columns).copied().collect();
        let names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
        let found = resolve(&line_7(extra.clone()), &names, false).unwrap().columns();
        let found: Vec<_> = found
            .iter()
            .map(|(name, field)| (name.as_str(), field.as_str()))
            .collect();
        assert_eq!(found, expected, "{extra}");
    };
    let more = [
        ("MAC", "kept"),
        ("Poe Port", "kept"),
        ("labels.x", "labels.x"),
        ("", "ignored"),
        ("#", "kept"),
    ];
    check(json!({}), &more);
    check(
        json!({"known_names": true}),
        &[
            ("MAC", "mac"),
            ("Poe Port", "kept"),
            ("Serial", "kept"),
            ("Model", "kept"),
        ],
    );
    check(
        json!({"unmapped": "variables"}),
        &[
            ("MAC", "variables.mac"),
            ("Poe Port", "variables.poe_port"),
            ("#", "ignored"),
        ],
    );
    check(json!({"unmapped": "labels"}), &[("Poe Port", "labels.Poe Port")]);
    check(
        json!({"unmapped": "ignore"}),
        &[("MAC", "ignored"), ("labels.x", "ignored")],
    );
    check(
        json!({"unmapped": "refuse"}),
        &[("", "ignored"), ("muster_row", "retry_row")],
    );
    // Our own columns are ours whatever the mapping says, and the code is never kept.
    check(
        json!({"unmapped": "keep"}),
        &[
            ("activation_code", "ignored"),
            ("status", "ignored"),
            ("certificate", "ignored"),
            ("key", "ignored"),
        ],
    );
    check(
        json!({}),
        &[
            ("muster_batch", "retry_batch"),
            ("muster_row", "retry_row"),
            ("muster_code", "ignored"),
            ("muster_message", "ignored"),
            ("status", "kept"),
        ],
    );
    let problems = resolve(
        &line_7(json!({"unmapped": "refuse"})),
        &["SN", "Kind", "Plant", "MAC", "labels.x"],
        false,
    )
    .unwrap_err();
    assert_eq!(
        places(&problems),
        [
            (Code::MappingUnusable, "header.MAC"),
            (Code::MappingUnusable, "header.labels.x"),
        ]
    );
}

#[test]
fn objects_of_ever_new_keys_cost_their_own_rows_only() {
    let rows = 2 * KEY_LIMIT;
    let text: String = (0..rows)
        .map(|row| format!("{{\"serial\": \"GW2-{:07}\", \"k{row}\": 1}}\n", 7_000_001 + row))
        .collect();
    let by = source(json!({"name": "a", "known_names": true})).check().unwrap();
    let checked = check_by(
        catalog(),
        "a.ndjson",
        Cursor::new(&text),
        Some("GW-200"),
        Some(&by),
    )
    .unwrap();
    assert_eq!(checked.rows.len(), KEY_LIMIT - 1);
    assert_eq!(checked.refusals.len(), rows - checked.rows.len());
    assert!(
        checked
            .refusals
            .iter()
            .all(|refusal| refusal.code == Code::RowWidth)
    );
    assert_eq!(checked.rows[0].row.kept["k0"], "1");
}

#[test]
fn refused_rows_that_come_back_are_known_by_their_columns() {
    let retry = |columns: &[&str]| {
        let mapping = resolve(&line_7(json!({})), columns, false).unwrap();
        mapping
            .retry()
            .map(|retry| (retry.batch.map(str::to_owned), retry.row.to_owned()))
    };
    let own = ["SN", "Kind", "Plant"];
    assert_eq!(retry(&own), None);
    assert_eq!(retry(&[&own[..], &["muster_batch"]].concat()), None);
    assert_eq!(
        retry(&[&own[..], &["muster_row"]].concat()),
        Some((None, "muster_row".to_owned()))
    );
    assert_eq!(
        retry(&[&own[..], &["muster_batch", "muster_row"]].concat()),
        Some((Some("muster_batch".to_owned()), "muster_row".to_owned()))
    );
}
