//! Manifests of secure elements, made with keys of our own: three versions, sound and forged.

use crate::maker::{Certificate, Maker, base64url, jwk, key, payload, pem, spki};
use muster_domain::{
    Code,
    manifest::{Fault, Format, ReadError, ReadOptions, Reader, Record},
};
use p256::ecdsa::{Signature, signature::Signer as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{collections::BTreeMap, io::Cursor};

const ID: &str = "0123f1822c38dd7a01";
const OTHER: &str = "0123f1822c38dd7a02";

fn options(signers: &[&Maker]) -> ReadOptions {
    ReadOptions {
        file_name: "manifest.json".into(),
        signers: signers.iter().map(|maker| maker.certificate.clone()).collect(),
        ..ReadOptions::default()
    }
}

type Row = Result<BTreeMap<String, String>, Fault>;

/// Every record, or the refusal of the file.
fn read(bytes: &[u8], signers: &[&Maker]) -> Result<Vec<Row>, String> {
    let text = |error: ReadError| error.to_string();
    let mut reader = Reader::new(Cursor::new(bytes), &options(signers)).map_err(text)?;
    assert_eq!(reader.format(), Format::Microchip);
    let mut record = Record::default();
    let mut rows = Vec::new();
    while reader.read(&mut record).map_err(text)? {
        assert_eq!(usize::try_from(record.row()).unwrap(), rows.len() + 1);
        let fields = record
            .fields()
            .map(|(name, text)| (name.to_owned(), text.to_owned()));
        rows.push(record.fault().cloned().map_or_else(|| Ok(fields.collect()), Err));
    }
    assert!(!reader.read(&mut record).map_err(text)?, "the end stays the end");
    Ok(rows)
}

fn list(entries: &[Value]) -> Vec<u8> {
    serde_json::to_vec_pretty(entries).unwrap()
}

/// One entry between two sound ones: it alone has a fault.
fn fault(maker: &Maker, entry: Value) -> (Code, String) {
    let sound = maker.entry(&payload(2, OTHER));
    let rows = read(&list(&[sound.clone(), entry, sound]), &[maker]).unwrap();
    let [Ok(_), Err(fault), Ok(_)] = rows.as_slice() else {
        panic!("{rows:?}");
    };
    match fault {
        Fault::Signature(why) => (Code::EntrySignature, why.clone()),
        Fault::Entry { code, why } => (*code, why.clone()),
        other => panic!("{other:?}"),
    }
}

fn check_forged(entry: Value, why: &str) {
    let found = fault(&Maker::new(1), entry);
    assert_eq!(found, (Code::EntrySignature, why.to_owned()));
}

fn check_malformed(payload: &Value, why: &str) {
    let maker = Maker::new(1);
    let found = fault(&maker, maker.entry(payload));
    assert_eq!(found, (Code::CellMalformed, why.to_owned()));
}

#[test]
fn all_versions_are_read() {
    let maker = Maker::new(1);
    let entries: Vec<_> = (1..=3)
        .map(|version| maker.entry(&payload(version, ID)))
        .collect();
    let rows = read(&list(&entries), &[&maker]).unwrap();
    assert_eq!(rows.len(), 3);
    for (row, version) in rows.into_iter().zip(1..) {
        let row = row.unwrap();
        let (public, certificate, slot) = if version == 2 {
            (String::new(), String::new(), "")
        } else {
            let leaf = Certificate {
                common_name: ID,
                ..Certificate::default()
            };
            (
                pem("PUBLIC KEY", &spki(&key(9))),
                pem("CERTIFICATE", &leaf.of(&key(9))),
                "0",
            )
        };
        let expected = [
            ("uniqueId", ID),
            ("version", &version.to_string()),
            ("model", "ATECC608B"),
            ("partNumber", "ATECC608B-TNGTLSS-B"),
            ("groupId", "359SCE55NV38H3CB"),
            ("provisioningTimestamp", "2025-05-10T01:52:29.240Z"),
            ("manufacturer", "Maker Inc, Elements"),
            ("provisioner", "Maker Inc"),
            ("distributor", "Seller"),
            ("keySlot", slot),
            ("publicKey", &public),
            ("certificate", &certificate),
        ];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(row, expected.into());
    }
}

#[test]
fn the_columns_are_named_whatever_the_first_entry_is() {
    let maker = Maker::new(1);
    let bytes = list(&[json!({"payload": "", "protected": "", "header": {"uniqueId": ""}, "signature": ""})]);
    let reader = Reader::new(Cursor::new(&bytes), &options(&[&maker])).unwrap();
    assert_eq!(reader.columns().first().map(String::as_str), Some("uniqueId"));
    assert_eq!(reader.columns().len(), 12);
}

#[test]
fn refused_entries_that_come_back_say_where_they_stood() {
    let maker = Maker::new(1);
    let with = |mut entry: Value, ours: Value| {
        entry["muster"] = ours;
        entry
    };
    let sound = maker.entry(&payload(2, ID));
    let mut forged = sound.clone();
    forged["signature"] = "".into();
    let place = |row: &str| json!({"muster_batch": "b1", "muster_row": row, "muster_code": "M2181"});
    let bytes = list(&[
        with(forged, place("7")),
        with(sound.clone(), place("9")),
        with(sound, json!({"muster_row": 9})),
    ]);
    let mut reader = Reader::new(Cursor::new(&bytes), &options(&[&maker])).unwrap();
    assert_eq!(reader.columns()[12..], ["muster_batch", "muster_row"]);
    let mut record = Record::default();
    let mut found = Vec::new();
    while reader.read(&mut record).unwrap() {
        let row = record.fields().find(|(name, _)| *name == "muster_row");
        found.push((record.fault().is_some(), row.map(|(_, row)| row.to_owned())));
    }
    let row = |row: &str| Some(row.to_owned());
    assert_eq!(found, [(true, row("7")), (false, row("9")), (false, None)]);
}

#[test]
fn each_entry_goes_back_as_it_came() {
    let maker = Maker::new(1);
    let entry = maker.entry(&payload(3, ID)).to_string();
    let bytes = format!(" [\n {entry} ,{entry}\n]\n");
    let mut reader = Reader::new(Cursor::new(bytes), &options(&[&maker])).unwrap();
    let mut record = Record::default();
    while reader.read(&mut record).unwrap() {
        assert_eq!(record.source(), Some(entry.as_str()));
    }
}

#[test]
fn forged_entries_are_refused_alone() {
    let maker = Maker::new(1);
    let sound = maker.entry(&payload(3, ID));
    let with = |name: &str, value: Value| {
        let mut entry = sound.clone();
        entry[name] = value;
        entry
    };
    let changed = "is not signed by CN=Signer 1, or was changed afterwards";
    check_forged(
        with("payload", base64url(payload(3, OTHER).to_string()).into()),
        changed,
    );
    // Another key under the name of the signer, and the signature of another entry.
    let mut thief = Maker::new(2);
    (thief.certificate, thief.key_id) = (maker.certificate.clone(), maker.key_id.clone());
    check_forged(thief.entry(&payload(3, ID)), changed);
    check_forged(
        with("signature", maker.entry(&payload(3, OTHER))["signature"].clone()),
        changed,
    );
    let none = "has a signature that is none of ES256";
    let zero = |r: u8, s: u8| base64url([[r; 32], [s; 32]].concat());
    for signature in [
        String::new(),
        base64url([1; 63]),
        base64url([1; 65]),
        zero(0, 0),
        zero(1, 0),
        zero(0, 1),
        zero(255, 1),
    ] {
        check_forged(with("signature", signature.into()), none);
    }
    let message = format!(
        "{}.{}",
        sound["protected"].as_str().unwrap(),
        sound["payload"].as_str().unwrap()
    );
    let signature: Signature = maker.key.sign(message.as_bytes());
    check_forged(with("signature", base64url(signature.to_der()).into()), none);
    // One signature has one text.
    let padded = format!("{}==", sound["signature"].as_str().unwrap());
    check_forged(with("signature", padded.into()), none);
    check_forged(
        with("header", json!({"uniqueId": OTHER})),
        "names another element outside than in what is signed",
    );
    check_forged(
        with("header", json!({"uniqueId": ID.to_uppercase()})),
        "names another element outside than in what is signed",
    );
}

#[test]
fn the_entry_chooses_no_algorithm_and_no_key() {
    let maker = Maker::new(1);
    let text = payload(3, ID).to_string();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut protected = maker.protected();
        change(&mut protected);
        maker.sign(&protected, &text, ID)
    };
    for algorithm in ["none", "None", "HS256", "ES384", "RS256", "es256", ""] {
        check_forged(
            with(&|protected| protected["alg"] = algorithm.into()),
            "is not signed with ES256",
        );
    }
    let unreadable = "has a protected header that cannot be read";
    check_forged(with(&|protected| protected["alg"] = json!(["ES256"])), unreadable);
    check_forged(with(&|protected| *protected = json!({"kid": "AA"})), unreadable);
    check_forged(
        with(&|protected| protected["crit"] = json!(["b64"])),
        "demands an extension of its signature that nobody knows",
    );
    check_forged(
        with(&|protected| *protected = json!({"alg": "ES256", "jwk": jwk(&maker.key, "0", None)})),
        "does not say who signed it",
    );
    check_forged(
        with(&|protected| protected["kid"] = "not base64url!".into()),
        "says who signed it in a form that cannot be read",
    );
    // Both hints are right for somebody, but not for the same one.
    let other = Maker::new(2);
    let unknown = |protected: &Value| {
        let rows = read(&list(&[maker.sign(protected, &text, ID)]), &[&maker, &other]).unwrap();
        let Some(Err(Fault::Signature(why))) = rows.into_iter().next() else {
            panic!("it must be refused");
        };
        assert!(
            why.starts_with("is signed by a certificate that is not among those given"),
            "{why}"
        );
    };
    let mut protected = maker.protected();
    protected["kid"] = other.protected()["kid"].clone();
    unknown(&protected);
    let mut protected = maker.protected();
    protected["x5t#S256"] = other.protected()["x5t#S256"].clone();
    unknown(&protected);
    check_forged(
        with(&|protected| protected["kid"] = base64url([0xab; 3]).into()).clone(),
        &format!(
            "is signed by a certificate that is not among those given, with the key identifier ababab and the SHA-256 \
             fingerprint {}",
            hex(&maker.certificate)
        ),
    );
}

fn hex(certificate: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(certificate)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn one_hint_is_enough_and_duplicates_are_none() {
    let (maker, other) = (Maker::new(1), Maker::new(2));
    let text = payload(3, ID).to_string();
    for hint in ["kid", "x5t#S256"] {
        let mut protected = maker.protected();
        protected.as_object_mut().unwrap().remove(hint);
        let rows = read(&list(&[maker.sign(&protected, &text, ID)]), &[&other, &maker]).unwrap();
        assert!(rows[0].is_ok(), "{rows:?}");
    }
    let twice = maker
        .protected()
        .to_string()
        .replacen('{', "{\"alg\":\"ES256\",", 1);
    let mut entry = maker.entry(&payload(3, ID));
    entry["protected"] = base64url(twice).into();
    check_forged(entry, "has a protected header that cannot be read");
}

#[test]
fn signers_without_an_identifier_have_one_of_their_key() {
    use sha2::{Digest as _, Sha256};
    let mut maker = Maker::new(1);
    maker.certificate = Certificate::default().of(&maker.key);
    maker.key_id = Sha256::digest(crate::maker::point(&maker.key))[..20].to_vec();
    let rows = read(&list(&[maker.entry(&payload(3, ID))]), &[&maker]).unwrap();
    assert!(rows[0].is_ok(), "{rows:?}");
}

#[test]
fn payloads_are_held_to_their_form() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut payload = payload(3, ID);
        change(&mut payload);
        payload
    };
    let version = "the payload has the version 4; 1 to 3 are known";
    check_malformed(&with(&|payload| payload["version"] = 4.into()), version);
    check_malformed(
        &with(&|payload| payload["uniqueId"] = "".into()),
        "the uniqueId is not hexadecimal",
    );
    check_malformed(
        &with(&|payload| payload["uniqueId"] = "../x".into()),
        "the uniqueId is not hexadecimal",
    );
    let keys = |keys: Value| with(&|payload| payload["publicKeySet"]["keys"] = keys.clone());
    check_malformed(
        &keys(json!([jwk(&key(3), "2", None), jwk(&key(4), "2", None)])),
        "the payload has two keys of slot \"2\"",
    );
    let mut off = jwk(&key(3), "0", None);
    off["x"] = off["y"].clone();
    check_malformed(
        &keys(json!([off])),
        "the key of slot \"0\" has a key that is not a point of its curve",
    );
    let certificate = Certificate::default().of(&key(4));
    check_malformed(
        &keys(json!([jwk(&key(3), "0", Some(&certificate))])),
        "the key of slot \"0\" has a certificate of another key",
    );
    check_malformed(
        &keys(json!([jwk(&key(4), "0", Some(b"no"))])),
        "the key of slot \"0\" has a certificate that is not a certificate in DER",
    );
    let mut url = jwk(&key(4), "0", None);
    url["x5c"] = json!([base64url([0xfb, 0xff, 0xfe])]);
    check_malformed(
        &keys(json!([url])),
        "the key of slot \"0\" has a certificate that is not base64 of the standard alphabet",
    );
    // No key on P-256, or none in slot 0: the first usable one, or none.
    let maker = Maker::new(1);
    let slot = |payload: &Value| {
        let rows = read(&list(&[maker.entry(payload)]), &[&maker]).unwrap();
        rows[0].as_ref().unwrap()["keySlot"].clone()
    };
    assert_eq!(slot(&keys(json!([{"kty": "RSA", "kid": "0"}]))), "");
    assert_eq!(
        slot(&keys(json!([jwk(&key(3), "2", None), jwk(&key(4), "1", None)]))),
        "2"
    );
}

#[test]
fn broken_entries_do_not_stop_the_others() {
    let maker = Maker::new(1);
    let sound = maker.entry(&payload(2, ID)).to_string();
    let long = format!("{{\"payload\": \"{}\"}}", "A".repeat(200_000));
    for bad in ["1", "null", "{}", "[]", "\"]\"", "{\"a\": \"\\\",]}\"}", &long] {
        let text = format!("[{sound},{bad},{sound}]");
        let rows = read(text.as_bytes(), &[&maker]).unwrap();
        assert!(
            matches!(rows.as_slice(), [Ok(_), Err(_), Ok(_)]),
            "{bad:.40}: {rows:?}"
        );
    }
    let twice = sound.replacen('{', "{\"payload\":\"\",", 1);
    let rows = read(format!("[{sound},{twice}]").as_bytes(), &[&maker]).unwrap();
    assert!(
        matches!(rows.as_slice(), [Ok(_), Err(Fault::Entry { .. })]),
        "{rows:?}"
    );
}

#[test]
fn files_that_are_no_list_are_refused() {
    let maker = Maker::new(1);
    let sound = maker.entry(&payload(2, ID)).to_string();
    let list = format!("[{sound},{sound}]");
    let half = list.len() / 2;
    for length in [half - 10, half, half + 1, list.len() - 1] {
        let error = read(&list.as_bytes()[..length], &[&maker]).unwrap_err();
        assert!(error.contains("ends within its JSON"), "{length}: {error}");
    }
    let nested = "[".repeat(1000) + &"]".repeat(1000);
    for bad in [
        format!("{list}{{}}"),
        format!("[{sound},,{sound}]"),
        format!("[{sound} {sound}]"),
        format!("[{sound},{nested}]"),
    ] {
        let error = read(bad.as_bytes(), &[&maker]).unwrap_err();
        assert!(error.starts_with("M2001: "), "{bad:.40}: {error}");
    }
}

#[test]
fn signers_are_needed_and_checked() {
    let maker = Maker::new(1);
    let bytes = list(&[maker.entry(&payload(2, ID))]);
    let error = read(&bytes, &[]).unwrap_err();
    assert!(
        error.starts_with("M2001: ") && error.contains("--signer"),
        "{error}"
    );
    let mut broken = Maker::new(2);
    broken.certificate = b"no".to_vec();
    let error = read(&bytes, &[&maker, &broken]).unwrap_err();
    assert!(
        error.contains("signers[1]: ") && error.contains("is not a certificate in DER"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever one changes, no element comes out that the maker did not sign.
    #[test]
    fn no_change_passes(place: prop::sample::Index, byte: u8) {
        let maker = Maker::new(1);
        let mut bytes = serde_json::to_vec(&[maker.entry(&payload(2, ID))]).unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let mut given = options(&[&maker]);
        given.format = Some(Format::Microchip);
        let Ok(mut reader) = Reader::new(Cursor::new(&bytes), &given) else { return Ok(()) };
        let mut record = Record::default();
        while let Ok(true) = reader.read(&mut record) {
            if record.fault().is_none() {
                prop_assert_eq!(record.cell(0), Some(ID));
                prop_assert_eq!(record.cell(2), Some("ATECC608B"));
            }
        }
    }
}
