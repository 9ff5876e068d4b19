//! Archives of certificates, one device each.

use crate::{
    maker::{Certificate, key, pem, spki},
    support::catalog,
    workbook::{Part, archive as zip, part},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_domain::batch::CredentialKind;
use muster_domain::{
    Code,
    manifest::{
        Checker, Fault, Format, Intake, Mapping, Preset, ReadError, ReadOptions, Reader, Record,
        RowCredential,
    },
};
use proptest::{collection::vec, prelude::*};
use std::{io::Cursor, sync::Arc};

type Row = (u32, Vec<String>, Option<Fault>);

fn read(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let text = |error: ReadError| error.to_string();
    let mut reader = Reader::new(Cursor::new(bytes), &ReadOptions::default()).map_err(text)?;
    assert_eq!(reader.format(), Format::Certificates);
    assert_eq!(
        reader.columns(),
        ["file", "serial", "not_after", "subject", "certificate"]
    );
    let mut record = Record::default();
    let mut rows = Vec::new();
    while reader.read(&mut record).map_err(text)? {
        let cells = record.cells().map(str::to_owned).collect();
        rows.push((record.row(), cells, record.fault().cloned()));
    }
    assert!(!reader.read(&mut record).map_err(text)?, "the end stays the end");
    Ok(rows)
}

fn file(name: &str, content: impl AsRef<[u8]>) -> Part {
    part(name, content.as_ref())
}

fn certificate(name: &str) -> Vec<u8> {
    Certificate {
        common_name: name,
        ..Certificate::default()
    }
    .of(&key(5))
}

/// A sound file, then this one.
fn check_fault(bad: Part, code: Code, why: &str) {
    let name = bad.name.clone();
    let rows = read(&zip(&[
        file("good.pem", pem("CERTIFICATE", &certificate("good"))),
        bad,
    ]))
    .unwrap();
    let [
        (1, _, None),
        (
            2,
            cells,
            Some(Fault::Entry {
                code: found,
                why: text,
            }),
        ),
    ] = rows.as_slice()
    else {
        panic!("{rows:?}");
    };
    assert_eq!((*found, text.as_str()), (code, why));
    assert_eq!(cells.first(), Some(&name));
}

#[test]
fn certificates_are_read_in_every_form() {
    let named = Certificate {
        common_name: "not this",
        serial_number: "SN-1",
        not_after: "20340102030405Z",
        ..Certificate::default()
    }
    .of(&key(5));
    let four = pem("CERTIFICATE", &certificate("4")).replace('\n', "\r\n");
    let forms = [
        file("a/one.DER", &named),
        file("a\\one.crt", certificate("2")),
        file("three.pem", pem("CERTIFICATE", &certificate("3"))),
        Part {
            method: 0,
            packed: four.clone().into_bytes(),
            ..file("four.cer", &four)
        },
        file("../../../etc/five.cert", STANDARD.encode(certificate("5"))),
        file(
            "chain.pem",
            format!(
                "{}\n{}",
                pem("CERTIFICATE", &certificate("6")),
                pem("CERTIFICATE", &certificate("7"))
            ),
        ),
        file(
            "with key.pem",
            format!(
                "{}\n{}",
                pem("PUBLIC KEY", &spki(&key(5))),
                pem("CERTIFICATE", &certificate("8"))
            ),
        ),
    ];
    let rows = read(&zip(&forms)).unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|(row, cells, fault)| (*row, cells[0].as_str(), cells[1].as_str(), fault.as_ref()))
        .collect();
    assert_eq!(
        found,
        [
            (1, "a/one.DER", "SN-1", None),
            (2, "a/one.crt", "2", None),
            (3, "three.pem", "3", None),
            (4, "four.cer", "4", None),
            (5, "../../../etc/five.cert", "5", None),
            (6, "chain.pem", "6", None),
            (7, "with key.pem", "8", None),
        ]
    );
    let expected = [
        "2034-01-02T03:04:05Z",
        "CN=not this,serialNumber=SN-1",
        &pem("CERTIFICATE", &named),
    ];
    assert_eq!(rows[0].1[2..], expected);
}

#[test]
fn what_is_no_device_is_passed_over() {
    let sound = || file("x/device.pem", pem("CERTIFICATE", &certificate("1")));
    let rows = read(&zip(&[
        file("x/", ""),
        file("__MACOSX/x/._device.pem", "\0\0"),
        file("x/.DS_Store", "\0"),
        file("x/README.txt", "-----BEGIN CERTIFICATE-----"),
        sound(),
    ]))
    .unwrap();
    assert!(matches!(rows.as_slice(), [(5, _, None)]), "{rows:?}");
    let error = read(&zip(&[file("x/README.txt", "hello")])).unwrap_err();
    assert!(error.contains("is an archive without certificates"), "{error}");
    assert!(read(&zip(&[])).is_err());
}

#[test]
fn bad_files_are_refused_alone() {
    use Code::{CredentialMalformed as Malformed, CredentialRepeated};
    let good = pem("CERTIFICATE", &certificate("good"));
    let other = pem("CERTIFICATE", &certificate("other"));
    check_fault(
        file("again.pem", &good),
        CredentialRepeated,
        "is the certificate of row 1 once more",
    );
    let authority = Certificate {
        is_authority: true,
        ..Certificate::default()
    };
    check_fault(
        file("ca.pem", pem("CERTIFICATE", &authority.of(&key(6)))),
        Malformed,
        "is the certificate of an authority, not of a device",
    );
    check_fault(
        file(
            "authority.pem",
            include_str!("../../../../tests/fixtures/credentials/authority.pem"),
        ),
        Malformed,
        "is the certificate of an authority, not of a device",
    );
    check_fault(file("empty.pem", ""), Malformed, "holds no certificate");
    check_fault(
        file("text.pem", "hello you"),
        Malformed,
        "is not a certificate in DER",
    );
    check_fault(
        file("bytes.der", [0xff; 9]),
        Malformed,
        "is not a certificate in PEM or DER",
    );
    check_fault(
        file("cut.der", &certificate("x")[..90]),
        Malformed,
        "is not a certificate in DER",
    );
    check_fault(
        file("long.pem", vec![b'A'; 70_000]),
        Malformed,
        "is longer than 65536 bytes",
    );
    check_fault(
        file("both.pem", format!("{other}\n{}", pem("PRIVATE KEY", b"x"))),
        Malformed,
        "is a private key, which must not leave the device; take it for disclosed",
    );
    check_fault(
        file("device.key", "x"),
        Malformed,
        "is a file of private keys, which must not leave the device; take them for disclosed",
    );
    check_fault(
        file("device.p7b", "x"),
        Malformed,
        "is a PKCS#7 bundle; write the device's certificate as PEM or DER",
    );
    check_fault(
        Part {
            checksum: 0,
            ..file("sum.pem", &other)
        },
        Malformed,
        "is damaged, open and save it again: it has a part whose checksum is wrong",
    );
    check_fault(
        Part {
            flags: 1,
            ..file("locked.pem", &other)
        },
        Malformed,
        "is encrypted; save it without a password",
    );
}

/// The end record of ZIP64 (APPNOTE 4.3.14), which stands at `place`, and its locator.
fn end_of(entries: u64, place: usize) -> Vec<u8> {
    let mut record = b"PK\x06\x06".to_vec();
    record.extend(44u64.to_le_bytes());
    record.extend([0; 12]);
    for wide in [entries, entries, 1, 0] {
        record.extend(wide.to_le_bytes());
    }
    record.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    record.extend(u64::try_from(place).unwrap().to_le_bytes());
    record.extend(1u32.to_le_bytes());
    record
}

/// The counts of the last record say that another has them.
fn with_wide_counts(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 22;
    bytes[end + 8..end + 12].fill(0xff);
    bytes
}

#[test]
fn archives_over_a_limit_are_refused_at_once() {
    let sound = zip(&[file("device.pem", pem("CERTIFICATE", &certificate("1")))]);
    let end = sound.len() - 22;
    let many = [&sound[..end], &end_of(100_001, end), &sound[end..]].concat();
    let error = read(&with_wide_counts(many)).unwrap_err();
    assert!(
        error.starts_with("M2002: ") && error.contains("100000"),
        "{error}"
    );
    for cut in [sound.len() - 1, end, end - 10, 40, 4] {
        assert!(read(&sound[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn their_preset_pins_them() {
    let bytes = zip(&[file("device.pem", pem("CERTIFICATE", &certificate("1234567890")))]);
    let mut reader = Reader::new(Cursor::new(&bytes), &ReadOptions::default()).unwrap();
    let preset = Preset::of(reader.format(), reader.columns()).unwrap();
    assert_eq!(preset.name, "certificates");
    let checked = preset.source().check().unwrap();
    let mapping = Mapping::resolve(&checked, reader.columns(), reader.format(), true).unwrap();
    let intake = Arc::new(Intake::new(Arc::new(catalog())));
    let model = Some("CAM-IR".parse().unwrap());
    let checker = Checker::new(intake, mapping, model, [7; 16]).unwrap();
    let mut checker = checker.expecting(CredentialKind::Pinned).unwrap();
    let mut record = Record::default();
    assert!(reader.read(&mut record).unwrap());
    let found = checker.check(&record);
    let row = found.outcome.unwrap().row;
    assert_eq!(row.serial.as_str(), "1234567890");
    let credential = found.credential.unwrap();
    assert!(
        matches!(credential, RowCredential::Certificate { .. }),
        "{credential:?}"
    );
    assert_eq!(
        row.kept.keys().collect::<Vec<_>>(),
        ["file", "not_after", "subject"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_change_of_an_archive_panics(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: prop::sample::Index) {
        let mut bytes = zip(&[
            file("a.pem", pem("CERTIFICATE", &certificate("1"))),
            file("b.der", certificate("2")),
        ]);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let cut = if cut.index(4) == 0 { cut.index(bytes.len()) } else { bytes.len() };
        let options = ReadOptions { format: Some(Format::Certificates), ..ReadOptions::default() };
        if let Ok(mut reader) = Reader::new(Cursor::new(&bytes[..cut]), &options) {
            let mut record = Record::default();
            while let Ok(true) = reader.read(&mut record) {}
        }
    }
}
