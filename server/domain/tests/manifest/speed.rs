//! How fast a manifest becomes devices. Not a test: run by hand, in release, and read the numbers.
//!
//! `cargo test --release -p muster-domain --test manifest -- --ignored --nocapture`

use crate::support::{add_profile, catalog, gateway_profile, options};
use muster_domain::{
    Timestamp,
    activation::{ActivationCode, CodeKey},
    catalog::Catalog,
    device::Origin,
    ids::{BatchId, DeviceId},
    manifest::{
        Checker, Fresh, FreshCredential, Holders, Intake, Limits, Mapping, MappingSource, Reader, Record,
        RowOutcome,
    },
};
use std::{fmt::Write as _, io::Cursor, sync::Arc, time::Instant};

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
            expires: None,
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
