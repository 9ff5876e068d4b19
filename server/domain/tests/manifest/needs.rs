//! The credential that an import asks of each row.

use crate::support::{catalog, options};
use muster_domain::{
    Code,
    batch::CredentialKind,
    manifest::{Checker, Intake, Mapping, Reader, Record, Rendered},
};
use std::{io::Cursor, sync::Arc};

const REQUEST: &str = include_str!("../../../../tests/fixtures/credentials/p256.csr");
const KEY: &str = include_str!("../../../../tests/fixtures/credentials/p256.pub");
const CERTIFICATE: &str = include_str!("../../../../tests/fixtures/credentials/rsa.pem");

/// The codes of each row: of its refusals, or of what keeps it from making a device.
fn check(kind: CredentialKind, credentials: &[&str], expected: &[&[Code]]) {
    let line = |(number, credential): (usize, &&str)| {
        let serial = format!("GW2-700000{number}");
        serde_json::json!({ "serial": serial, "model": "GW-200", "credential": credential }).to_string()
            + "\n"
    };
    let text: String = credentials.iter().enumerate().map(line).collect();
    let mut reader = Reader::new(Cursor::new(text), &options("a.ndjson")).unwrap();
    let mapping = Mapping::of(&reader, false).unwrap();
    let intake = Arc::new(Intake::new(Arc::new(catalog())));
    let mut checker = Checker::new(intake, mapping, None, [7; 16])
        .unwrap()
        .expecting(kind)
        .unwrap();
    let (mut record, mut found) = (Record::default(), Vec::new());
    while reader.read(&mut record).unwrap() {
        let problems = match checker.check(&record).outcome {
            Ok(row) => match row.target {
                Rendered::Whole(_) => Vec::new(),
                Rendered::Lacking(problems) => problems,
            },
            Err(problems) => problems,
        };
        for problem in &problems {
            assert_eq!(
                (problem.column.as_str(), problem.value.as_str()),
                ("credential", ""),
                "{problem}"
            );
        }
        let codes: Vec<_> = problems.iter().map(|problem| problem.refusal.code).collect();
        found.push(codes);
    }
    assert_eq!(found, expected, "{kind:?}");
}

#[test]
fn each_import_takes_its_kind_of_credential() {
    check(
        CredentialKind::Csr,
        &[REQUEST, KEY, CERTIFICATE, "nonsense"],
        &[
            &[],
            &[Code::CredentialMalformed],
            &[Code::CredentialMalformed],
            &[Code::CredentialMalformed],
        ],
    );
    check(
        CredentialKind::Pinned,
        &[KEY, CERTIFICATE, REQUEST],
        &[&[], &[], &[Code::CredentialMalformed]],
    );
}

#[test]
fn a_key_belongs_to_one_row() {
    check(
        CredentialKind::Pinned,
        &[KEY, CERTIFICATE, KEY],
        &[&[], &[], &[Code::CredentialRepeated]],
    );
}

/// A device that exists has its identity: a row without credential can still update it.
#[test]
fn a_missing_credential_keeps_only_new_devices_away() {
    check(
        CredentialKind::Pinned,
        &["", KEY],
        &[&[Code::CredentialMissing], &[]],
    );
    check(CredentialKind::Csr, &[" "], &[&[Code::CredentialMissing]]);
}

/// Whoever sends keys does not want codes: such a column is never passed over in silence.
#[test]
fn a_column_of_credentials_must_be_asked_for() {
    let text = "serial,model,credential\nGW2-7000001,GW-200,x\n";
    for (kind, expected) in [
        (CredentialKind::Code, Some(Code::MappingUnusable)),
        (CredentialKind::Key, Some(Code::MappingUnusable)),
        (CredentialKind::Csr, None),
        (CredentialKind::Pinned, None),
    ] {
        let reader = Reader::new(Cursor::new(text), &options("a.csv")).unwrap();
        let mapping = Mapping::of(&reader, false).unwrap();
        let intake = Arc::new(Intake::new(Arc::new(catalog())));
        let checker = Checker::new(intake, mapping, None, [7; 16]).unwrap();
        let refused = checker.expecting(kind).map_err(|refusal| refusal.code).err();
        assert_eq!(refused, expected, "{kind:?}");
    }
}
