//! What rows say of claims: with which key, and when.

use crate::{
    outcomes::{GOOD, HEADER, claimed, created, fresh, retired, with_profile},
    support::{Checked, catalog, check as read, check_sheet, options},
    workbook::xlsx,
};
use muster_domain::{
    Code, Timestamp,
    batch::CredentialKind,
    certificate::SpkiDigest,
    device::{ClaimTerms, ClaimWindow, Credential, Device, KeyChoice, Lifecycle, PinnedKey, Transition},
    manifest::{
        Checker, Holders, Intake, Limits, Mapping, Reader, Record, RowClaim, RowOutcome, UpdateMask, ValidRow,
    },
};
use std::{io::Cursor, sync::Arc};

const KEY: SpkiDigest = SpkiDigest([0xab; 32]);

/// The text of a key of these bytes.
fn hex(byte: u8) -> String {
    SpkiDigest([byte; 32]).to_string()
}

fn at(text: &str) -> Option<Timestamp> {
    let days = |text: &str| match text {
        "2027-01-31" => 20_849,
        "2027-03-01" => 20_878,
        other => panic!("{other}"),
    };
    Some(Timestamp::from_seconds(days(text) * 86_400))
}

/// Cells of the three columns, in one row of a file.
fn checked(cells: [&str; 3]) -> Checked {
    let [key, from, until] = cells;
    let text = format!(
        "serial,model,spki_sha256,claim_not_before,claim_not_after\nGW2-7000001,GW-200,{key},{from},{until}\n"
    );
    read(catalog(), "a.csv", text.as_bytes(), None)
}

#[test]
fn columns_of_claims_are_known_by_their_names() {
    let check = |column: &str, field: &str| {
        let text = format!("serial,model,{column}\nGW2-7000001,GW-200,\n");
        let checked = read(catalog(), "a.csv", text.as_bytes(), None);
        assert_eq!(checked.columns[2], (column.to_owned(), field.to_owned()));
    };
    for column in [
        "spki_sha256",
        "SPKI SHA-256",
        "key_sha256",
        "Public Key SHA256",
        "claim_spki_sha256",
    ] {
        check(column, "spki_sha256");
    }
    for column in ["claim_not_before", "Claim from", "claim_window.opens"] {
        check(column, "claim_not_before");
    }
    for column in ["claim_not_after", "Claim until", "claim_window.closes"] {
        check(column, "claim_not_after");
    }
    // These may be anything.
    for column in ["fingerprint", "key", "not_before", "not_after"] {
        let text = format!("serial,model,{column}\nGW2-7000001,GW-200,x\n");
        let checked = read(catalog(), "a.csv", text.as_bytes(), None);
        assert!(
            !RowClaim::FIELDS.contains(&checked.columns[2].1.as_str()),
            "{column}"
        );
    }
}

#[test]
fn cells_are_read_as_people_write_them() {
    let check = |cells: [&str; 3], expected: Option<RowClaim>| {
        let checked = checked(cells);
        assert_eq!(checked.refusals, [], "{cells:?}");
        assert_eq!(
            checked.rows[0].row.claim.as_deref().copied(),
            expected,
            "{cells:?}"
        );
    };
    check(["", " ", ""], None);
    let key = Some(RowClaim {
        key: Some(KEY),
        ..RowClaim::default()
    });
    let pairs = ["AB"; 32].join(":");
    let base64 = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=";
    for text in [&hex(0xab), &hex(0xab).to_uppercase(), &pairs, base64] {
        check([text, "", ""], key);
    }
    let window = Some(RowClaim {
        key: None,
        not_before: at("2027-01-31"),
        not_after: at("2027-03-01"),
    });
    check(["", "2027-01-31", "2027-03-01"], window);
    check(["", "2027-01-31T00:00:00Z", "2027-03-01T01:30:00+01:30"], window);
}

#[test]
fn what_cannot_be_is_refused_at_its_field() {
    let check = |cells: [&str; 3], expected: &[(&str, Code)]| {
        let checked = checked(cells);
        let found: Vec<_> = checked
            .faults()
            .into_iter()
            .map(|(_, field, code)| (field, code))
            .collect();
        assert_eq!(found, expected, "{cells:?}");
        assert!(
            checked
                .problems
                .iter()
                .all(|problem| !problem.column.is_empty() && !problem.value.is_empty())
        );
    };
    let digest = |text: &str| check([text, "", ""], &[("spki_sha256", Code::KeyDigestMalformed)]);
    digest("nonsense");
    digest(&hex(1)[1..]);
    digest(&format!("{}0", hex(1)));
    digest(&format!("{}g", &hex(1)[1..]));
    digest("SHA256:q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s");
    let time = |text: &str| {
        check(["", text, ""], &[("claim_not_before", Code::ClaimWindowInvalid)]);
        check(["", "", text], &[("claim_not_after", Code::ClaimWindowInvalid)]);
    };
    for text in [
        "soon",
        "2027-02-29",
        "31.01.2027",
        "2027-01-31T08:00:00",
        "2027-01-31 08:00",
        "1969-12-31",
    ] {
        time(text);
    }
    check(
        ["", "2027-03-01", "2027-01-31"],
        &[("claim_not_after", Code::ClaimWindowInvalid)],
    );
    check(
        ["", "2027-03-01", "2027-03-01"],
        &[("claim_not_after", Code::ClaimWindowInvalid)],
    );
    // Everything at once.
    check(
        ["x", "x", "x"],
        &[
            ("spki_sha256", Code::KeyDigestMalformed),
            ("claim_not_before", Code::ClaimWindowInvalid),
            ("claim_not_after", Code::ClaimWindowInvalid),
        ],
    );
    let local = checked(["", "2027-01-31T08:00:00", ""]);
    assert!(
        local.refusals[0].message.contains("write 2027-01-31T08:00:00Z"),
        "{:?}",
        local.refusals
    );
}

#[test]
fn a_spreadsheets_date_is_a_day_and_its_numbers_are_nothing() {
    let text = |text: &str| format!("<c t='inlineStr'><is><t>{text}</t></is></c>");
    let rows = |key: String, from: String| {
        let header = ["serial", "model", "spki_sha256", "claim_not_before"]
            .map(text)
            .concat();
        let cells = [text("GW2-7000001"), text("GW-200"), key, from].concat();
        let book = xlsx(&format!("<row r='1'>{header}</row><row r='2'>{cells}</row>"));
        check_sheet(catalog(), "a.xlsx", Cursor::new(book), None)
    };
    let date = |number: f64| format!("<c s='1'><v>{number}</v></c>");
    let number = |number: &str| format!("<c><v>{number}</v></c>");
    let day = rows(text(""), date(46_418.0));
    assert_eq!(day.refusals, []);
    assert_eq!(
        day.rows[0].row.claim.as_ref().unwrap().not_before,
        at("2027-01-31")
    );
    let time = rows(text(""), date(46_418.5));
    assert_eq!(time.faults(), [(2, "claim_not_before", Code::ClaimWindowInvalid)]);
    let numbers = rows(number("1.2E63"), number("46418"));
    assert_eq!(
        numbers.faults(),
        [
            (2, "spki_sha256", Code::CellDamaged),
            (2, "claim_not_before", Code::CellDamaged)
        ]
    );
}

#[test]
fn a_key_stands_once_in_a_file() {
    let mut text = "serial,model,spki_sha256\n".to_owned();
    for (i, key) in [hex(1), hex(2), hex(1).to_uppercase()].iter().enumerate() {
        text += &format!("GW2-700000{i},GW-200,{key}\n");
    }
    let checked = read(catalog(), "a.csv", text.as_bytes(), None);
    assert_eq!(checked.faults(), [(4, "spki_sha256", Code::CredentialRepeated)]);
    assert!(
        checked.refusals[0].message.contains("row 2"),
        "{:?}",
        checked.refusals
    );
}

#[test]
fn only_devices_with_codes_are_claimed_so() {
    let check = |kind: CredentialKind, cells: &str, expected: &[&str]| {
        let text = format!(
            "serial,model,spki_sha256,claim_not_before,claim_not_after\nGW2-7000001,GW-200,{cells}\n"
        );
        let mut reader = Reader::new(Cursor::new(text.into_bytes()), &options("a.csv")).unwrap();
        let mapping = Mapping::of(&reader, false).unwrap();
        let intake = Arc::new(Intake::new(Arc::new(catalog())));
        let checker = Checker::new(intake, mapping, None, [3; 16]).unwrap();
        let mut checker = checker.expecting(kind).unwrap();
        let mut record = Record::default();
        assert!(reader.read(&mut record).unwrap());
        let problems = checker.check(&record).outcome.err().unwrap_or_default();
        let foreign: Vec<_> = problems
            .iter()
            .filter(|problem| problem.refusal.code == Code::ClaimForeign)
            .map(|problem| problem.refusal.field.as_str())
            .collect();
        assert_eq!(foreign, expected, "{kind:?} {cells}");
    };
    let all = [
        "rows[2].spki_sha256",
        "rows[2].claim_not_before",
        "rows[2].claim_not_after",
    ];
    for kind in [CredentialKind::Csr, CredentialKind::Key, CredentialKind::Pinned] {
        check(kind, &format!("{},2027-01-31,2027-03-01", hex(1)), &all);
        check(kind, ",2027-01-31,", &all[1..2]);
        check(kind, ",,", &[]);
    }
    check(
        CredentialKind::Code,
        &format!("{},2027-01-31,2027-03-01", hex(1)),
        &[],
    );
}

/// A row for the device of the other tests, with these cells of claims.
fn row(cells: [&str; 3]) -> ValidRow {
    let text = format!(
        "{},spki_sha256,claim_not_before,claim_not_after\n{},{}\n",
        HEADER.trim(),
        GOOD.trim(),
        cells.join(",")
    );
    let mut checked = read(with_profile(), "a.csv", text.as_bytes(), None);
    assert_eq!(checked.refusals, []);
    checked.rows.remove(0)
}

/// What becomes of such a row where the registry has `device`. It is the second 100 since 1970, and codes end at 500.
fn decide(device: Option<&Device>, cells: [&str; 3], limits: &Limits) -> RowOutcome {
    let holders = Holders {
        serial: device,
        mac: device.map(|device| device.id),
    };
    Intake::new(Arc::new(with_profile())).decide(&row(cells), holders, &fresh(2), limits)
}

/// What changes, or the refusals with their fields; and the terms afterwards.
fn word(outcome: &RowOutcome) -> (String, Option<ClaimTerms>) {
    match outcome {
        RowOutcome::Created(device) => ("created".into(), device.lifecycle.claim_terms()),
        RowOutcome::Updated { device, changes } => (changes.join(" "), device.lifecycle.claim_terms()),
        RowOutcome::Unchanged(_) => ("unchanged".into(), None),
        RowOutcome::Refused(problems) => {
            let words: Vec<_> = problems
                .iter()
                .map(|problem| format!("{:?} {}", problem.refusal.code, problem.refusal.field))
                .collect();
            (words.join(", "), None)
        }
    }
}

const fn terms(key: Option<SpkiDigest>, opens: Option<u64>, closes: Option<u64>) -> Option<ClaimTerms> {
    const fn at(seconds: Option<u64>) -> Option<Timestamp> {
        match seconds {
            Some(seconds) => Some(Timestamp::from_seconds(seconds)),
            None => None,
        }
    }
    let window = ClaimWindow {
        opens: at(opens),
        closes: at(closes),
    };
    Some(ClaimTerms { window, key })
}

/// 150, 400 and 900 seconds after 1970 began, and one that was over at 100.
const SOON: &str = "1970-01-01T00:02:30Z";
const LATER: &str = "1970-01-01T00:06:40Z";
const LAST: &str = "1970-01-01T00:15:00Z";
const OVER: &str = "1970-01-01T00:01:00Z";

#[test]
fn a_new_device_is_claimed_on_the_terms_of_its_row() {
    let check = |cells: [&str; 3], expected: (&str, Option<ClaimTerms>)| {
        let outcome = decide(None, cells, &Limits::default());
        let (word, terms) = word(&outcome);
        assert_eq!((word.as_str(), terms), expected, "{cells:?}");
    };
    let key = hex(0xab);
    check(["", "", ""], ("created", terms(None, None, Some(500))));
    check([&key, "", ""], ("created", terms(Some(KEY), None, Some(500))));
    check(
        [&key, SOON, LATER],
        ("created", terms(Some(KEY), Some(150), Some(400))),
    );
    // A row's own end goes before that of all codes.
    check(["", "", LAST], ("created", terms(None, None, Some(900))));
    check(
        ["", "", OVER],
        ("ClaimWindowInvalid rows[2].claim_not_after", None),
    );
    check(
        ["", LAST, ""],
        ("ClaimWindowInvalid rows[2].claim_not_before", None),
    );
    check(["", OVER, ""], ("created", terms(None, Some(60), Some(500))));
}

#[test]
fn a_row_changes_the_terms_of_a_device_that_has_not_begun_to_claim() {
    let before = {
        let RowOutcome::Created(device) = decide(None, [&hex(0xab), SOON, LATER], &Limits::default()) else {
            panic!()
        };
        *device
    };
    let check = |device: &Device, cells: [&str; 3], expected: (&str, Option<ClaimTerms>)| {
        let outcome = decide(Some(device), cells, &Limits::default());
        if let RowOutcome::Updated { device: after, .. } = &outcome {
            assert_eq!(
                (after.revision, &after.target),
                (device.revision + 1, &device.target)
            );
        }
        let (word, terms) = word(&outcome);
        assert_eq!((word.as_str(), terms), expected, "{cells:?}");
    };
    let other = SpkiDigest([0xcd; 32]);
    let key = hex(0xab);
    check(&before, [&key, SOON, LATER], ("unchanged", None));
    check(&before, ["", "", ""], ("unchanged", None));
    check(
        &before,
        [&hex(0xcd), "", ""],
        ("spki_sha256", terms(Some(other), Some(150), Some(400))),
    );
    check(
        &before,
        [&key, "", LAST],
        ("claim_not_after", terms(Some(KEY), Some(150), Some(900))),
    );
    check(
        &before,
        ["", LAST, ""],
        ("ClaimWindowInvalid rows[2].claim_not_before", None),
    );
    check(
        &before,
        ["", "", OVER],
        ("ClaimWindowInvalid rows[2].claim_not_after", None),
    );
    // What was over stays over, and is no mistake of a row that says so again or speaks of something else.
    let mut late = before.clone();
    let arm = Transition::Arm {
        window: Some(ClaimWindow::until(Some(Timestamp::from_seconds(60)))),
        key: KeyChoice::Kept,
    };
    late.lifecycle = late.lifecycle.step(arm, Timestamp::from_seconds(50)).unwrap();
    check(&late, ["", "", OVER], ("unchanged", None));
    check(
        &late,
        [&hex(0xcd), "", OVER],
        ("spki_sha256", terms(Some(other), None, Some(60))),
    );
    // A suspended device has not begun to claim either.
    let mut shut = before.clone();
    let suspend = Transition::Suspend("lost".into());
    shut.lifecycle = shut.lifecycle.step(suspend, Timestamp::from_seconds(60)).unwrap();
    check(
        &shut,
        [&hex(0xcd), "", ""],
        ("spki_sha256", terms(Some(other), Some(150), Some(400))),
    );
    // Like a credential, what a claim had to meet is of no use behind it.
    for gone in [claimed(before.clone()), retired(before)] {
        check(&gone, [&hex(0xcd), SOON, LAST], ("unchanged", None));
        check(&gone, ["", "", OVER], ("unchanged", None));
    }
}

#[test]
fn a_pinned_key_stays_and_its_window_does_not() {
    let pinned = PinnedKey {
        spki: KEY,
        certificate: None,
    };
    let credential = Credential::Pinned {
        key: pinned,
        window: ClaimWindow::ALWAYS,
        intent: None,
    };
    let device = Device {
        lifecycle: Lifecycle::Registered { credential },
        ..created(with_profile())
    };
    let check = |cells: [&str; 3], expected: (&str, Option<ClaimTerms>)| {
        let (word, terms) = word(&decide(Some(&device), cells, &Limits::default()));
        assert_eq!((word.as_str(), terms), expected, "{cells:?}");
    };
    check([&hex(0xab), "", ""], ("unchanged", None));
    check(
        ["", "", LAST],
        ("claim_not_after", terms(Some(KEY), None, Some(900))),
    );
    check([&hex(0xcd), "", ""], ("RowFrozen rows[2].spki_sha256", None));
}

#[test]
fn a_mask_holds_for_claims_too() {
    let RowOutcome::Created(device) = decide(None, ["", "", ""], &Limits::default()) else {
        panic!()
    };
    let check = |paths: &[&str], expected: &str| {
        let paths: Vec<_> = paths.iter().map(|&path| path.to_owned()).collect();
        let limits = Limits {
            mask: UpdateMask::parse(&paths).unwrap(),
            ..Limits::default()
        };
        let outcome = decide(Some(&device), [&hex(0xab), SOON, LATER], &limits);
        assert_eq!(word(&outcome).0, expected, "{paths:?}");
    };
    check(&["position"], "unchanged");
    check(&["spki_sha256"], "spki_sha256");
    check(
        &["claim_not_before", "claim_not_after"],
        "claim_not_before claim_not_after",
    );
}
