//! The mappings that come with the registry, each with a file of its form.

use crate::{
    maker::{Certificate, Maker, key, payload, pem, spki},
    support::catalog,
};
use muster_domain::batch::CredentialKind;
use muster_domain::manifest::{
    Checker, DeviceRow, Intake, Mapping, Preset, ReadOptions, Reader, Record, RowCredential, presets,
};
use std::{collections::BTreeSet, io::Cursor, sync::Arc};

/// Reads a file with the preset that fits it, and says which that is.
fn import(
    bytes: &[u8],
    options: &ReadOptions,
    model: Option<&str>,
    kind: CredentialKind,
) -> (&'static str, Vec<(DeviceRow, Option<RowCredential>)>) {
    let mut reader = Reader::new(Cursor::new(bytes), options).unwrap();
    let preset = Preset::of(reader.format(), reader.columns()).unwrap();
    let checked = preset.source().check().unwrap();
    let mapping = Mapping::resolve(&checked, reader.columns(), reader.format(), model.is_some()).unwrap();
    let intake = Arc::new(Intake::new(Arc::new(catalog())));
    let model = model.map(|name| name.parse().unwrap());
    let checker = Checker::new(intake, mapping, model, [7; 16]).unwrap();
    let mut checker = checker.expecting(kind).unwrap();
    let mut record = Record::default();
    let mut rows = Vec::new();
    while reader.read(&mut record).unwrap() {
        let found = checker.check(&record);
        rows.push((found.outcome.unwrap().row, found.credential));
    }
    (preset.name, rows)
}

fn check_maps(map: &std::collections::BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let found: Vec<_> = map
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn every_preset_is_a_sound_mapping() {
    let mut names = BTreeSet::new();
    for preset in presets() {
        assert!(names.insert(preset.name), "{} is there twice", preset.name);
        assert_eq!(Preset::named(preset.name), Some(preset));
        assert_eq!(preset.source().check().unwrap().name().as_str(), preset.name);
        assert!(
            preset.description.ends_with('.') && !preset.description.contains("  "),
            "{}",
            preset.description
        );
    }
    assert_eq!(Preset::named("other"), None);
}

#[test]
fn microchip_pins_the_certificate_else_the_key() {
    let maker = Maker::new(1);
    let (with, without) = ("1234567890", "1234567891");
    let mut bare = payload(3, without);
    let keys = bare["publicKeySet"]["keys"].as_array_mut().unwrap();
    keys.remove(2);
    let entries = [maker.entry(&payload(3, with)), maker.entry(&bare)];
    let options = ReadOptions {
        signers: vec![maker.certificate.clone()],
        ..ReadOptions::default()
    };
    let bytes = serde_json::to_vec(&entries).unwrap();
    let (name, rows) = import(&bytes, &options, Some("CAM-IR"), CredentialKind::Pinned);
    assert_eq!(name, "microchip");
    let [(certified, certificate), (bare, key_alone)] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!((certified.serial.as_str(), bare.serial.as_str()), (with, without));
    assert!(matches!(certificate, Some(RowCredential::Certificate { .. })));
    let Some(RowCredential::PublicKey { der, .. }) = key_alone else {
        panic!("{bare:?}")
    };
    assert_eq!(*der, spki(&key(8)));
    check_maps(
        &bare.kept,
        &[
            ("distributor", "Seller"),
            ("groupId", "359SCE55NV38H3CB"),
            ("keySlot", "1"),
            ("manufacturer", "Maker Inc, Elements"),
            ("model", "ATECC608B"),
            ("partNumber", "ATECC608B-TNGTLSS-B"),
            ("provisioner", "Maker Inc"),
            ("provisioningTimestamp", "2025-05-10T01:52:29.240Z"),
            ("version", "3"),
        ],
    );
}

#[test]
fn espressif_gives_address_serial_and_certificate() {
    let certificate = pem("CERTIFICATE", &Certificate::default().of(&key(5)));
    let text = format!("MAC,cn,cert\r\n70B3D5000001,1234567890,\"{certificate}\r\n\"\r\n");
    let (name, rows) = import(
        text.as_bytes(),
        &ReadOptions::default(),
        Some("CAM-IR"),
        CredentialKind::Pinned,
    );
    assert_eq!(name, "espressif");
    let [(row, credential)] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(row.serial.as_str(), "1234567890");
    assert_eq!(row.mac.unwrap().to_string(), "70:B3:D5:00:00:01");
    assert_eq!(*credential, RowCredential::parse(&certificate).ok());
}

#[test]
fn aws_gives_serial_and_request() {
    let request = include_str!("../../../../tests/fixtures/credentials/p256.csr").trim();
    let line = serde_json::json!({"ThingName": "thing-1", "SerialNumber": "1234567890", "CSR": request, "Stage": "eu"});
    let (name, rows) = import(
        line.to_string().as_bytes(),
        &ReadOptions::default(),
        Some("CAM-IR"),
        CredentialKind::Csr,
    );
    assert_eq!(name, "aws-bulk");
    let [(row, credential)] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(row.serial.as_str(), "1234567890");
    assert_eq!(*credential, RowCredential::parse(request).ok());
    check_maps(&row.labels, &[("thing_name", "thing-1")]);
    check_maps(&row.kept, &[("Stage", "eu")]);
}

#[test]
fn passwords_of_cumulocity_are_not_kept() {
    let text = "ID;TYPE;NAME;ICCID;IDTYPE;PATH;SHELL;AUTH_TYPE;ENROLLMENT_OTP\n\
                1234567890;CAM-IR;Gate 1;8949;c8y_Serial;/gates;1;CERTIFICATES;s3cret-0tp\n";
    let (name, rows) = import(
        text.as_bytes(),
        &ReadOptions::default(),
        None,
        CredentialKind::Code,
    );
    assert_eq!(name, "cumulocity");
    let [(row, _)] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(
        (row.serial.as_str(), row.model.as_str()),
        ("1234567890", "CAM-IR")
    );
    check_maps(&row.labels, &[("iccid", "8949"), ("name", "Gate 1")]);
    check_maps(
        &row.kept,
        &[
            ("AUTH_TYPE", "CERTIFICATES"),
            ("IDTYPE", "c8y_Serial"),
            ("PATH", "/gates"),
            ("SHELL", "1"),
        ],
    );
    assert!(!format!("{row:?}").contains("s3cret"));
    let older = "ID;CREDENTIALS;PATH;TYPE\n1234567890;s3cret-pass;/gates;CAM-IR\n";
    let (name, rows) = import(
        older.as_bytes(),
        &ReadOptions::default(),
        None,
        CredentialKind::Code,
    );
    assert_eq!(name, "cumulocity");
    assert!(!format!("{rows:?}").contains("s3cret"));
}

#[test]
fn plain_files_have_no_preset() {
    for text in [
        "serial,mac\n1,2\n",
        "MAC,cn\n1,2\n",
        "ID;TYPE;PATH\n1;2;3\n",
        "{\"serial\": \"1\"}\n",
    ] {
        let reader = Reader::new(Cursor::new(text), &ReadOptions::default()).unwrap();
        assert_eq!(Preset::of(reader.format(), reader.columns()), None, "{text}");
    }
}
