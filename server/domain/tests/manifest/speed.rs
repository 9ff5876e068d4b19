//! How fast a manifest becomes devices. Not a test: run by hand, in release, and read the numbers.
//!
//! `cargo test --release -p muster-domain --test manifest -- --ignored --nocapture`

use crate::support::{add_profile, catalog, gateway_profile, options};
use crate::workbook::{archive, parts};
use muster_domain::{
    Timestamp,
    activation::{ActivationCode, CodeKey},
    catalog::{Catalog, Facts},
    device::{ClaimWindow, Origin},
    ids::{BatchId, DeviceId},
    manifest::{
        Checker, Fresh, FreshCredential, Holders, Intake, Limits, Mapping, MappingSource, Reader, Record,
        RowOutcome,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Cursor,
    sync::Arc,
    time::Instant,
};

const ROWS: u32 = 500_000;

fn manifest() -> String {
    let sites = ["MUC-01", "AUS-02", "PNQ-03", "SAO-04", "OSA-05", "NBO-06"];
    let mut text =
        String::from("Serial No.,MAC Address,Device Model,HW Rev,Firmware,Site,Position,Extension\n");
    for row in 0..ROWS {
        let [_, a, b, c] = row.to_be_bytes();
        let site = sites[usize::from(c) % sites.len()];
        let serial = 1_000_000 + row;
        writeln!(
            text,
            "GW2-{serial},00:1B:C5:{a:02X}:{b:02X}:{c:02X},GW-200,B0,2.4.0,{site},Hall {},{}",
            row % 9,
            1000 + row % 9000
        )
        .unwrap();
    }
    text
}

fn ndjson() -> String {
    let mut text = String::new();
    for row in 0..ROWS {
        let [_, a, b, c] = row.to_be_bytes();
        writeln!(
            text,
            r#"{{"serial": "TS{}-{:05}", "mac": "00:04:A3:{a:02X}:{b:02X}:{c:02X}", "model": "TS-10", "site": "OSA-05", "attributes": {{"interval_s": 30, "unit": "C"}}}}"#,
            row / 100_000,
            row % 100_000
        )
        .unwrap();
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
#[expect(clippy::print_stderr, reason = "a measurement is for whoever runs it")]
fn measure(name: &str, work: impl FnOnce() -> usize) {
    let start = Instant::now();
    let rows = work();
    let took = start.elapsed();
    let rate = f64::from(u32::try_from(rows).unwrap()) / took.as_secs_f64();
    eprintln!(
        "{name}: {rows} rows, {rate:.0} rows/s, {:.0} ns a row",
        1e9 / rate
    );
}

fn read(text: &str, name: &str) -> usize {
    let mut reader = Reader::new(Cursor::new(text.as_bytes()), &options(name)).unwrap();
    let mut record = Record::default();
    let mut rows = 0;
    while reader.read(&mut record).unwrap() {
        rows += 1;
    }
    rows
}

fn check(text: &str, name: &str, catalog: Catalog, decide: bool) -> usize {
    let intake = Arc::new(Intake::new(Arc::new(catalog)));
    let mut reader = Reader::new(Cursor::new(text.as_bytes()), &options(name)).unwrap();
    let mapping = Mapping::of(&reader, false).unwrap();
    let mut checker = Checker::new(Arc::clone(&intake), mapping, None, [3; 16]).unwrap();
    let mut record = Record::default();
    let fresh = Fresh {
        id: DeviceId::from_u128(1),
        credential: FreshCredential::Code {
            hash: ActivationCode::from_random([1; 15]).hash(&CodeKey::from_bytes([2; 32])),
            window: ClaimWindow::ALWAYS,
        },
        origin: Origin {
            batch: BatchId::from_u128(1),
            row: 2,
        },
        now: Timestamp::from_seconds(1),
    };
    let mut rows = 0;
    while reader.read(&mut record).unwrap() {
        let Ok(row) = checker.check(&record).outcome else {
            continue;
        };
        if !decide {
            rows += 1;
            continue;
        }
        let RowOutcome::Created(device) = intake.decide(
            &row,
            Holders {
                serial: None,
                mac: None,
            },
            &fresh,
            &Limits::default(),
        ) else {
            panic!()
        };
        let again = intake.decide(
            &row,
            Holders {
                serial: Some(&device),
                mac: Some(device.id),
            },
            &fresh,
            &Limits::default(),
        );
        assert_eq!(again, RowOutcome::Unchanged(device.id));
        rows += 1;
    }
    rows
}

/// The same by a mapping: a step each on two fields, two columns joined, one kept.
fn check_by_steps(text: &str) -> usize {
    let source: MappingSource = serde_json::from_value(serde_json::json!({"name": "line-7", "fields": [
        {"field": "serial", "columns": ["Serial No."], "steps": [{"capture": "^(GW2-[0-9]+)$"}]},
        {"field": "mac", "columns": ["MAC Address"]},
        {"field": "model", "columns": ["Device Model"]},
        {"field": "firmware", "columns": ["Firmware"]},
        {"field": "site", "columns": ["Site"], "steps": [{"case": "upper"}]},
        {"field": "position", "columns": ["Position", "HW Rev"], "join": "/"},
        {"field": "kept", "columns": ["Extension"]},
    ]}))
    .unwrap();
    let intake = Arc::new(Intake::new(Arc::new(catalog())));
    let mut reader = Reader::new(Cursor::new(text), &options("a.csv")).unwrap();
    let by = source.check().unwrap();
    let mapping = Mapping::resolve(&by, reader.columns(), reader.format(), false).unwrap();
    let mut checker = Checker::new(intake, mapping, None, [3; 16]).unwrap();
    let mut record = Record::default();
    let mut rows = 0;
    while reader.read(&mut record).unwrap() {
        checker.check(&record).outcome.unwrap();
        rows += 1;
    }
    rows
}

#[test]
#[ignore = "a measurement"]
fn rows_a_second() {
    let (csv, json) = (manifest(), ndjson());
    let with_profile = || {
        let mut catalog = catalog();
        add_profile(&mut catalog, &gateway_profile(), "GW-200");
        catalog
    };
    measure("read csv", || read(&csv, "a.csv"));
    measure("read ndjson", || read(&json, "a.ndjson"));
    measure("check csv", || check(&csv, "a.csv", catalog(), false));
    measure("check ndjson", || check(&json, "a.ndjson", catalog(), false));
    measure("check csv by a mapping with steps", || check_by_steps(&csv));
    measure("check csv with a profile of two files", || {
        check(&csv, "a.csv", with_profile(), false)
    });
    measure("check csv, create, meet again", || {
        check(&csv, "a.csv", catalog(), true)
    });
    measure("check csv with a profile, create, meet again", || {
        check(&csv, "a.csv", with_profile(), true)
    });
}

/// What reading every rendered file costs beside rendering it.
#[test]
#[ignore = "a measurement"]
fn files_a_second() {
    let profile = gateway_profile().check().unwrap();
    let renderer = profile.renderer().unwrap();
    let known = catalog();
    let (serial, model) = ("GW2-1000001".parse().unwrap(), "GW-200".parse().unwrap());
    let labels = BTreeMap::new();
    let variables = [("extension".to_owned(), "4711".to_owned())].into();
    let facts = Facts {
        serial: &serial,
        mac: None,
        model: &model,
        hardware: None,
        firmware: None,
        site: known.sites.values().next().map(|site| &**site),
        position: Some("Hall 1"),
        labels: &labels,
        variables: &variables,
        groups: &BTreeSet::new(),
        birth: None,
        underlay: None,
    };
    let times = |render: &dyn Fn() -> usize| {
        (0..ROWS / 10)
            .map(|_| render())
            .filter(|files| *files == 2)
            .count()
    };
    measure("render two files", || {
        times(&|| renderer.render_again(&facts).unwrap().len())
    });
    measure("render and read two files", || {
        times(&|| renderer.render(&facts).unwrap().len())
    });
}

/// A number of the kernel about this process, in bytes.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

/// A workbook of a million rows, each with three texts of its own, two shared ones and a number.
fn workbook() -> Vec<u8> {
    const COUNT: u32 = 1_000_000;
    let mut sheet = String::from("<worksheet><sheetData>");
    let mut strings = String::from("<sst>");
    for text in [
        "Serial No.",
        "MAC",
        "Notes",
        "Model",
        "Site",
        "Interval",
        "GW-200",
        "MUC-01",
    ] {
        write!(strings, "<si><t>{text}</t></si>").unwrap();
    }
    let texts = |row: u32, numbers: [u32; 5]| {
        let cells: String = ('A'..)
            .zip(numbers)
            .map(|(column, number)| format!("<c r=\"{column}{row}\" t=\"s\"><v>{number}</v></c>"))
            .collect();
        cells
    };
    write!(sheet, "<row r=\"1\">{}</row>", texts(1, [0, 1, 2, 3, 4])).unwrap();
    for row in 2..COUNT + 2 {
        let own = 8 + 3 * (row - 2);
        write!(
            sheet,
            "<row r=\"{row}\" spans=\"1:6\">{}<c r=\"F{row}\"><v>{}</v></c></row>",
            texts(row, [own, own + 1, own + 2, 6, 7]),
            row % 97
        )
        .unwrap();
        let [_, a, b, c] = row.to_be_bytes();
        write!(strings, "<si><t>GW2-{row:07}</t></si><si><t>00:1B:C5:{a:02X}:{b:02X}:{c:02X}</t></si><si><t>tested by station {row}</t></si>").unwrap();
    }
    sheet.push_str("</sheetData></worksheet>");
    strings.push_str("</sst>");
    archive(&parts(&sheet, &strings))
}

/// Run alone: the peak of memory is that of the process.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "a measurement is for whoever runs it")]
fn a_million_rows_of_a_workbook() {
    let bytes = workbook();
    let idle = memory("VmRSS");
    // Forgets the peak of making the file.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    measure("read xlsx", || {
        let mut reader = Reader::new(Cursor::new(&bytes), &options("a.xlsx")).unwrap();
        let mut record = Record::default();
        let mut rows = 0;
        while reader.read(&mut record).unwrap() {
            rows += 1;
        }
        rows
    });
    let peak = memory("VmHWM") - idle;
    eprintln!(
        "a file of {} MiB, {} MiB above idle",
        bytes.len() >> 20,
        peak >> 20
    );
    assert!(peak < 384 << 20);
}
