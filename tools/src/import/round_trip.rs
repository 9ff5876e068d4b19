//! A file, answered and sent again: nothing of the user's changes, and nothing of ours is doubled.

use super::{
    answers::of_result,
    results::{Columns, Keeping, ResultsFile},
    rows::{Cell, Row, Rows, Style},
};
use muster_domain::manifest::ReadOptions;
use muster_proto::v1::{Refusal, RowResult, RowStatus};
use sha2::{Digest as _, Sha256};
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::LazyLock,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures")).join(name)
}

fn open(path: &Path) -> Rows {
    let options = ReadOptions {
        signers: vec![signer()],
        ..ReadOptions::default()
    };
    Rows::open(path, options).unwrap_or_else(|failure| panic!("{}: {failure}", path.display()))
}

/// A certificate that signed nothing: entries of Microchip are refused, and are answered all the same.
fn signer() -> Vec<u8> {
    static SIGNER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["signer".to_owned()]).unwrap();
        parameters.self_signed(&key).unwrap().der().to_vec()
    });
    SIGNER.clone()
}

fn all(path: &Path) -> Vec<Row> {
    let mut rows = open(path);
    let mut all = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        all.push(row);
    }
    // Behind the last row, the hash is that of the file, whatever it is written in.
    let whole = Sha256::digest(std::fs::read(path).unwrap());
    assert!(rows.hash() == whole.as_slice(), "{}", path.display());
    all
}

/// Every third row is refused.
fn answer(row: &Row) -> RowResult {
    if row.number.is_multiple_of(3) {
        return RowResult {
            row: row.number,
            status: RowStatus::Refused.into(),
            refusals: vec![Refusal {
                code: 2111,
                message: "=cmd|' /C calc'!A0 <&> \"\u{fc}\"".into(),
                ..Refusal::default()
            }],
            ..RowResult::default()
        };
    }
    RowResult {
        row: row.number,
        status: RowStatus::Created.into(),
        device: "devices/01hzxk3v9q4t5y6w7e8r9t0a1b".into(),
        activation_code: format!("CODE-{}", row.number),
        certificate: vec![1, 2, 3],
        ..RowResult::default()
    }
}

fn written(from: &Path, to: &Path, columns: Columns, answer: impl Fn(&Row) -> Option<RowResult>) -> PathBuf {
    let mut rows = open(from);
    let style = (rows.style(), rows.form());
    let mut file = ResultsFile::begin(to, Keeping::default(), style, columns).unwrap();
    file.batch = "batches/b1".into();
    while let Some(row) = rows.next().unwrap() {
        let answer = answer(&row);
        if columns != Columns::OfRefused || answer.is_some() {
            file.push(&row, answer.as_ref()).unwrap();
        }
    }
    file.finish().unwrap()
}

/// What stands above the header, and where.
fn titles(path: &Path) -> Vec<(u32, Vec<String>)> {
    match open(path).style() {
        Style::Csv { table, .. } | Style::Sheet { table, .. } => {
            let texts = |row: &Row| own(row).0.iter().map(|cell| cell.text.clone()).collect();
            table.titles.iter().map(|row| (row.number, texts(row))).collect()
        }
        Style::Ndjson | Style::Json | Style::Microchip | Style::Xml { .. } => Vec::new(),
    }
}

/// What is the user's of a row. Empty cells at its end say nothing.
fn own(row: &Row) -> (&[Cell], &str) {
    let filled = row.cells.iter().rposition(|cell| !cell.text.is_empty());
    (&row.cells[..filled.map_or(0, |last| last + 1)], &row.source)
}

#[track_caller]
fn check(source: &Path) {
    let name = source.file_name().unwrap().to_string_lossy().into_owned();
    let directory = tempfile::tempdir().unwrap();
    let place = |number: u32| directory.path().join(format!("{number}-{name}"));
    let with_certificates = Columns::WithAnswers {
        certificates: true,
        keys: false,
    };
    // 1. The results hold the user's rows, and ours beside them.
    let first = written(source, &place(1), with_certificates, |row| Some(answer(row)));
    let (before, after) = (all(source), all(&first));
    assert!(before.len() > 1, "{name}");
    // Text of CSV may have got its apostrophe; all else is as it was.
    assert_eq!(before.len(), after.len());
    assert_eq!(titles(source), titles(&first), "{name}");
    for (row, again) in before.iter().zip(&after).filter(|_| !name.contains("messy")) {
        assert_eq!(own(row), own(again), "{name} row {}", row.number);
    }
    for (row, again) in before.iter().zip(&after) {
        let said = of_result(&row.earlier, false, Some(&answer(row)), true);
        assert_eq!(
            again.earlier.activation_code, said[4].1,
            "{name} row {}",
            row.number
        );
        assert_eq!(again.earlier.certificate, said[5].1, "{name} row {}", row.number);
    }
    // 2. The results, imported with nothing new, are answered with themselves.
    let second = written(&first, &place(2), Columns::PLAIN, |row| Some(answer(row)));
    let third = written(&second, &place(3), Columns::PLAIN, |row| Some(answer(row)));
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    assert!(bytes(&second) == bytes(&third), "{name}");
    for (row, again) in all(&first).iter().zip(all(&third)) {
        assert_eq!(own(row), own(&again), "{name}");
    }
    // 3. Refused rows know where they come from, also when they are refused again.
    let refused = |row: &Row| Some(answer(row)).filter(|answer| !answer.refusals.is_empty());
    let failed = written(source, &place(4), Columns::OfRefused, refused);
    let again = written(&failed, &place(5), Columns::OfRefused, |row| Some(answer(row)));
    let expected: Vec<_> = before.iter().filter(|row| row.number.is_multiple_of(3)).collect();
    for failed in [all(&failed), all(&again)] {
        let found: Vec<_> = failed.iter().map(|row| row.earlier.row.clone()).collect();
        let numbers: Vec<_> = expected.iter().map(|row| row.number.to_string()).collect();
        assert_eq!(found, numbers, "{name}");
        assert!(failed.iter().all(|row| row.earlier.batch == "b1"), "{name}");
    }
}

#[test]
fn files_of_factories_come_back_as_they_were() {
    for name in [
        "gateways.csv",
        "gateways-messy.csv",
        "sensors.ndjson",
        "cameras.xlsx",
    ] {
        check(&fixture("manifests").join(name));
    }
}

#[test]
fn a_file_that_goes_on_behind_its_rows_has_its_own_hash() {
    let directory = tempfile::tempdir().unwrap();
    // More than is read at once.
    let blanks = "\n".repeat(200_000);
    for (name, text) in [
        ("list.json", "[{\"serial\": \"A1\"}]"),
        ("lot.xml", "<lot><device><serial>A1</serial></device></lot>"),
        ("lines.ndjson", "{\"serial\": \"A1\"}"),
        ("cells.csv", "serial\nA1"),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, format!("{text}{blanks}")).unwrap();
        assert_eq!(all(&path).len(), 1, "{name}");
    }
}

#[test]
fn titles_are_kept() {
    let found = titles(&fixture("manifests").join("cameras.xlsx"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, 1);
}

/// `cargo test -p muster-tools --lib speed -- --ignored --nocapture`: rows a second, and memory above idle.
#[test]
#[ignore = "takes a minute; a figure, not a check"]
fn speed() {
    const ROWS: u32 = 200_000;
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap_or_default();
        line.trim_start_matches("VmHWM:").trim().to_owned()
    };
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("m.csv");
    let mut text = "serial,mac,model,site\n".to_owned();
    for number in 0..ROWS {
        text.push_str(&format!(
            "GW2-{number:07},00:1B:C5:{:06X},GW-200,MUC-01\n",
            number
        ));
    }
    std::fs::write(&source, text).unwrap();
    let began = std::time::Instant::now();
    let results = written(&source, &directory.path().join("r.csv"), Columns::PLAIN, |row| {
        Some(answer(row))
    });
    let rate = |began: std::time::Instant| f64::from(ROWS) / began.elapsed().as_secs_f64();
    let csv = rate(began);
    let table = match open(&results).style() {
        Style::Csv { table, .. } => table.clone(),
        _ => panic!("not a table"),
    };
    let before = peak();
    for is_ods in [false, true] {
        let style = Style::Sheet {
            is_ods,
            name: "x".into(),
            table: table.clone(),
        };
        let path = directory.path().join(if is_ods { "r.ods" } else { "r.xlsx" });
        let both = (&style, super::rows::TextForm::default());
        let mut file = ResultsFile::begin(&path, Keeping::default(), both, Columns::PLAIN).unwrap();
        let mut rows = open(&source);
        let began = std::time::Instant::now();
        while let Some(row) = rows.next().unwrap() {
            file.push(&row, Some(&answer(&row))).unwrap();
        }
        let path = file.finish().unwrap();
        let bytes = std::fs::metadata(path).unwrap().len();
        let sheet = rate(began);
        let line = format!(
            "csv {csv:.0} rows/s, ods {is_ods}: {sheet:.0} rows/s, {bytes} bytes, peak {before} -> {}\n",
            peak()
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}

#[test]
fn other_formats_come_back_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        (
            "list.json",
            "[\n {\"serial\": \"A1\", \"n\": 1.50, \"o\": {\"x\": true}},\n {\"serial\": \"A2\"}, {\"serial\":\"A3\"}, {\"serial\":\"A4\"}]\n",
        ),
        (
            "lot.xml",
            "<?xml version=\"1.0\"?>\n<lot>\n <device id=\"1\"><serial>A&amp;1</serial></device>\n <device id=\"2\"><serial>A2</serial></device>\n \
             <device id=\"3\"><serial>A3</serial></device>\n</lot>\n",
        ),
        (
            "messy.tsv",
            "Lot 7\t\t\nserial\tstatus\tnote\nA1\tnew\t\"a\tb\"\nA2\told\t\nA3\tx\t=1+1\n",
        ),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        check(&path);
    }
}

#[test]
fn entries_of_microchip_keep_what_is_signed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manifest.json");
    let entry = |id: u32| {
        format!(
            "{{\"payload\": \"e30\", \"protected\": \"e30\", \"header\": {{\"uniqueId\": \"{id}\"}}, \"signature\": \"AA\"}}"
        )
    };
    std::fs::write(&path, format!("[{},\n{},{}]", entry(1), entry(2), entry(3))).unwrap();
    assert!(*open(&path).style() == Style::Microchip);
    check(&path);
    let results = written(&path, &directory.path().join("r.json"), Columns::PLAIN, |row| {
        Some(answer(row))
    });
    let text = std::fs::read_to_string(results).unwrap();
    assert!(
        text.contains("\"signature\": \"AA\", \"muster\": {\"status\": \"created\", \"code\": "),
        "{text}"
    );
}

#[test]
fn certificates_are_answered_by_the_names_of_their_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("certificates.zip");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for name in ["a.der", "b.der", "c.der"] {
        archive
            .start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(&signer()).unwrap();
    }
    archive.finish().unwrap();
    let results = written(&path, &directory.path().join("r.zip"), Columns::PLAIN, |row| {
        Some(answer(row))
    });
    assert_eq!(results, directory.path().join("r.csv"));
    let text = std::fs::read_to_string(results).unwrap();
    assert!(
        text.starts_with(
            "file,status,code,message,device,activation_code\na.der,created,,,01hzxk3v9q4t5y6w7e8r9t0a1b,CODE-1\n"
        ),
        "{text}"
    );
}
