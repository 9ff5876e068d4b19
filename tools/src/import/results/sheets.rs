//! Workbooks, as programs of other people read them.

use super::*;
use crate::import::rows::{Cell, Table};
use muster_domain::manifest::CellKind;
use std::process::Command;

const PAYLOADS: usize = 10_000;

fn style(is_ods: bool, titles: Vec<Row>) -> Style {
    Style::Sheet {
        is_ods,
        name: "Devices: [lot]/7".into(),
        table: Table {
            header: vec!["=cmd|' /C calc'!A0".into(), "Made".into()],
            header_row: 3,
            titles,
            ..Table::default()
        },
    }
}

fn row(number: u32, cells: &[(&str, CellKind)]) -> Row {
    let cell = |(text, kind): &(&str, CellKind)| Cell {
        text: (*text).to_owned(),
        kind: *kind,
    };
    Row {
        number,
        cells: cells.iter().map(cell).collect(),
        ..Row::default()
    }
}

/// Texts that a spreadsheet may run, or mend: beginnings of formulas before anything.
fn payloads() -> Vec<String> {
    let starts = [
        "=", "+", "-", "@", "\t=", "\n=", "\u{ff1d}", "\u{ff0b}", "'=", " =", "_x003D_", "{=",
    ];
    let rests = [
        "1+1",
        "HYPERLINK(\"http://x\",\"y\")",
        "cmd|' /C calc'!A0",
        "SUM(A1:A9)",
        "00012345",
        "1.2E+12",
        "TRUE",
        "<a>&b]]>",
        "  two ",
        "01/02/2026",
    ];
    let all = (0..PAYLOADS).map(|place| {
        let start = starts[place % starts.len()];
        let rest = rests[place / starts.len() % rests.len()];
        format!("{start}{rest}{place}")
    });
    all.collect()
}

/// What another program finds in the file: texts and types; `None` where there is none.
fn found(path: &Path) -> Option<Vec<(String, String)>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/import/results/payloads.py");
    let output = Command::new("python3").arg(script).arg(path).output();
    let output = output.ok().filter(|output| output.status.success())?;
    serde_json::from_slice(&output.stdout).ok()
}

fn written(name: &str, style: &Style, rows: &[Row]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    let both = (style, TextForm::default());
    let mut file = ResultsFile::begin(&path, Keeping::default(), both, Columns::PLAIN).unwrap();
    for row in rows {
        file.push(row, None).unwrap();
    }
    let path = file.finish().unwrap();
    (directory, path)
}

#[test]
fn no_text_becomes_a_formula_for_other_programs() {
    let payloads = payloads();
    let rows: Vec<_> = (4..)
        .zip(&payloads)
        .map(|(number, text)| row(number, &[(text, CellKind::Text)]))
        .collect();
    for (name, is_ods, text_type) in [("p.xlsx", false, "s"), ("p.ods", true, "string")] {
        let (_directory, path) = written(name, &style(is_ods, vec![]), &rows);
        let Some(found) = found(&path) else {
            tracing::warn!("skipped: python3 with openpyxl is not here to read {name}");
            continue;
        };
        let odd: Vec<_> = found.iter().filter(|(_, kind)| *kind != text_type).collect();
        assert!(odd.is_empty(), "{name}: {:?}", odd.first());
        // openpyxl leaves what ECMA-376 escapes (22.9.2.19) as it is.
        let texts = found.into_iter().map(|(text, _)| text.replace("_x005F_", "_"));
        let texts: Vec<_> = texts.skip(7).collect();
        let changed = texts
            .iter()
            .zip(&payloads)
            .find(|(found, written)| found != written);
        assert_eq!((changed, texts.len()), (None, payloads.len()), "{name}");
    }
}

#[test]
fn numbers_dates_and_titles_stay_what_they_were() {
    let title = row(1, &[("Lot 7", CellKind::Text)]);
    let cells = [
        ("00012", CellKind::Text),
        ("2026-11-24", CellKind::Date),
        ("extra", CellKind::Text),
    ];
    let rows = [
        row(4, &cells),
        row(7, &[("12.5", CellKind::Number), ("TRUE", CellKind::Boolean)]),
    ];
    let check = |name: &str, is_ods: bool, expected: &[(&str, &str)]| {
        let (_directory, path) = written(name, &style(is_ods, vec![title.clone()]), &rows);
        let Some(found) = found(&path) else {
            tracing::warn!("skipped: python3 with openpyxl is not here to read {name}");
            return;
        };
        let found: Vec<_> = found
            .iter()
            .map(|(text, kind)| (text.as_str(), kind.as_str()))
            .collect();
        assert_eq!(found.first(), Some(&("Lot 7", expected[0].1)));
        assert_eq!(found[8..], *expected);
    };
    check(
        "n.xls",
        false,
        &[
            ("00012", "s"),
            ("2026-11-24 00:00:00", "d"),
            ("extra", "s"),
            ("12.5", "n"),
            ("True", "b"),
        ],
    );
    check(
        "n.ods",
        true,
        &[
            ("00012", "string"),
            ("2026-11-24", "date"),
            ("extra", "string"),
            ("12.5", "float"),
            ("TRUE", "boolean"),
        ],
    );
}

#[test]
fn results_of_an_old_workbook_are_a_new_one() {
    let (_directory, path) = written("old.XLS", &style(false, vec![]), &[]);
    assert_eq!(path.extension().unwrap(), "xlsx");
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.starts_with(b"PK"));
}

#[test]
fn encrypted_results_are_nowhere_in_the_clear() {
    let identity = age::x25519::Identity::generate();
    let recipient: Recipient = identity.to_public().to_string().parse().unwrap();
    let table = Table {
        header: vec!["serial".into()],
        header_row: 1,
        ..Table::default()
    };
    let csv = Style::Csv {
        delimiter: b',',
        table: table.clone(),
    };
    let sheet = Style::Sheet {
        is_ods: false,
        name: "x".into(),
        table,
    };
    for (style, name) in [(csv, "r.csv"), (sheet, "r.xlsx")] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        let keeping = Keeping {
            replace: false,
            recipient: Some(&recipient),
        };
        let both = (&style, TextForm::default());
        let mut file = ResultsFile::begin(&path, keeping, both, Columns::PLAIN).unwrap();
        let answer = RowResult {
            activation_code: "PLANTED-SECRET".into(),
            ..RowResult::default()
        };
        // Several blocks, so that some leave the process before the end.
        for number in 2..5000 {
            file.push(&row(number, &[("x", CellKind::Text)]), Some(&answer))
                .unwrap();
        }
        file.flush().unwrap();
        for entry in directory.path().read_dir().unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(
                !bytes
                    .windows(7)
                    .any(|part| part == b"PLANTED" || part == b"serial,")
            );
        }
        let path = file.finish().unwrap();
        assert_eq!(path, directory.path().join(format!("{name}.age")));
        let plain = age::decrypt(&identity, &std::fs::read(&path).unwrap()).unwrap();
        if name == "r.csv" {
            let plain = String::from_utf8(plain).unwrap();
            assert!(plain.starts_with("serial,status,") && plain.ends_with("PLANTED-SECRET\n"));
        } else {
            assert!(plain.starts_with(b"PK") && !plain.windows(7).any(|part| part == b"PLANTED"));
        }
    }
}
