//! Files that makers have published. They lie beside the project, not in it; where they are not, nothing is tested.
#![expect(
    clippy::print_stderr,
    reason = "whoever reads the outcome must know that nothing was tested"
)]

use muster_domain::manifest::{Format, KeyKind, ReadOptions, Reader, Record, RowCredential};
use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

/// The folder, seen from the package.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/vendor");
    if !folder.is_dir() {
        eprintln!("skipped: there is no {}", folder.display());
        return None;
    }
    Some(folder)
}

fn signers(folder: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder.join("microchip-signers")).unwrap();
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let certificate = |text: String| match RowCredential::parse(&text).unwrap() {
        RowCredential::Certificate { der, .. } => der,
        other => panic!("{other:?}"),
    };
    texts.map(certificate).collect()
}

#[test]
fn a_manifest_of_microchip_is_verified() {
    let Some(folder) = folder() else { return };
    let bytes = std::fs::read(folder.join("microchip-ECC608-TMNGTLSS-B.json")).unwrap();
    let options = ReadOptions {
        file_name: "manifest.json".into(),
        signers: signers(&folder),
        ..ReadOptions::default()
    };
    let mut reader = Reader::new(Cursor::new(&bytes), &options).unwrap();
    assert_eq!(reader.format(), Format::Microchip);
    let mut record = Record::default();
    let mut serials = Vec::new();
    while reader.read(&mut record).unwrap() {
        assert_eq!(record.fault(), None);
        serials.push(record.cell(0).unwrap().to_owned());
    }
    assert_eq!(serials.len(), 10);
    assert_eq!(serials[0], "01230cac6606e99401");
    // Another signer of the maker did not sign it.
    let options = ReadOptions {
        signers: options
            .signers
            .into_iter()
            .filter(|der| {
                let text = String::from_utf8_lossy(der);
                !text.contains("Manifest Signer 005")
            })
            .collect(),
        ..options
    };
    assert_eq!(options.signers.len(), 4);
    let mut reader = Reader::new(Cursor::new(&bytes), &options).unwrap();
    while reader.read(&mut record).unwrap() {
        assert!(record.fault().is_some());
    }
}

#[test]
fn certificates_of_espressif_are_read() {
    let Some(folder) = folder() else { return };
    let bytes = std::fs::read(folder.join("espressif.csv")).unwrap();
    let mut reader = Reader::new(Cursor::new(bytes), &ReadOptions::default()).unwrap();
    assert_eq!(reader.columns(), ["MAC", "cn", "cert"]);
    let mut record = Record::default();
    let mut rows = 0;
    while reader.read(&mut record).unwrap() {
        let credential = RowCredential::parse(record.cell(2).unwrap()).unwrap();
        let RowCredential::Certificate { subject, key, .. } = credential else {
            panic!("{credential:?}");
        };
        assert_eq!(key, KeyKind::Rsa { bits: 2048 });
        assert!(
            subject.starts_with(&format!("CN={},", record.cell(1).unwrap())),
            "{subject}"
        );
        rows += 1;
    }
    assert!(rows > 0);
}
