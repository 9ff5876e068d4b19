//! Certificates: filters, and how much of their lives is left.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use core::time::Duration;
use muster_domain::{
    Timestamp,
    certificate::{
        AuthorityId, CertificateAt, CertificateField, CertificateHolder, CertificateProfile,
        CertificateRecord, CertificateSerial, CertificateState, Expiry, RevocationReason, SpkiDigest, schema,
    },
    filter::{Bound, CheckedFilter, Conjunct, Filter, FilterError, Target, Value, evaluate},
    ids::DeviceId,
};

const DAY: u64 = 24 * 3600;

fn at(days: u64) -> Timestamp {
    Timestamp::from_seconds(days * DAY)
}

/// Of a device, made on day 1000, good for 300 days.
fn record() -> CertificateRecord {
    CertificateRecord {
        serial: CertificateSerial::new(at(1000), 0xabc),
        holder: CertificateHolder::Device(DeviceId::from_u128(7)),
        profile: CertificateProfile::Device,
        issuer: Some(AuthorityId([0xcd; 20])),
        spki: SpkiDigest([0xef; 32]),
        not_before: at(1000),
        not_after: at(1300),
        state: CertificateState::Current,
        der: vec![0x30],
    }
}

fn revoked() -> CertificateRecord {
    record().revoked(at(1100), RevocationReason::KeyCompromise)
}

fn of_operator() -> CertificateRecord {
    CertificateRecord {
        holder: CertificateHolder::Operator("alice".parse().unwrap()),
        profile: CertificateProfile::Operator,
        issuer: None,
        state: CertificateState::Intended,
        ..record()
    }
}

fn filter(text: &str) -> Result<CheckedFilter<CertificateField>, FilterError> {
    Filter::parse(text)?.check(schema())
}

#[test]
fn every_field_answers() {
    let check = |text: &str, record: &CertificateRecord, now: Timestamp, expected: bool| {
        let filter = filter(text).unwrap_or_else(|error| panic!("{}", error.caret(text)));
        assert_eq!(
            evaluate(&filter, &CertificateAt { record, now }),
            expected,
            "{text}"
        );
    };
    let serial = record().serial.to_string();
    let fits = [
        format!("serial = {serial}"),
        format!("serial = {}*", &serial[..9]),
        format!("device = {} AND -operator:*", DeviceId::from_u128(7)),
        "profile = device AND state = CURRENT AND -reason:* AND -revoke_time:*".to_owned(),
        format!("issuer = {} key = {}", "cd".repeat(20), "ef".repeat(32)),
        "create_time = 1972-09-27T00:00:00Z not_before >= 1972-09-27T00:00:00Z".to_owned(),
        "not_after < 1973-07-25T00:00:00Z".to_owned(),
    ];
    for text in fits {
        check(&text, &record(), at(1200), true);
        check(&format!("NOT ({text})"), &record(), at(1200), false);
    }
    check(
        "state = EXPIRED AND NOT state = CURRENT",
        &record(),
        at(1300),
        true,
    );
    check("state = EXPIRED", &record(), at(1299), false);
    check(
        "state = REVOKED AND reason = key-compromise",
        &revoked(),
        at(1400),
        true,
    );
    check("revoke_time = 1973-01-05T00:00:00Z", &revoked(), at(1400), true);
    check("reason = superseded", &revoked(), at(1400), false);
    check(
        "operator = alice AND profile = operator AND state = INTENDED AND -issuer:* AND -device:*",
        &of_operator(),
        at(1400),
        true,
    );
    for wrong in ["reason = hold", "state = current", "profile = router", "der:*"] {
        filter(wrong).map(drop).unwrap_err();
    }
}

#[test]
fn a_filter_bounds_what_is_looked_at() {
    let check = |text: &str, expected: &[(CertificateField, Bound<'_>)]| {
        let filter = filter(text).unwrap();
        let found: Vec<_> = filter
            .conjuncts()
            .into_iter()
            .map(|Conjunct { target, bound }| match target {
                Target::Field(field) => (*field, bound),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    };
    use CertificateField::{CreateTime, Device, Serial};
    let (from, until) = (at(1000), at(1001));
    check(
        "create_time >= 1972-09-27T00:00:00Z AND create_time < 1972-09-28T00:00:00Z",
        &[
            (CreateTime, Bound::Since(from)),
            (CreateTime, Bound::Until(until)),
        ],
    );
    check(
        "create_time > 1972-09-27T00:00:00Z AND create_time <= 1972-09-28T00:00:00Z",
        &[
            (CreateTime, Bound::Since(from)),
            (CreateTime, Bound::Until(until)),
        ],
    );
    check(
        "serial = 01* device = x",
        &[
            (Serial, Bound::Prefix("01")),
            (Device, Bound::Equal(Value::Text("x"))),
        ],
    );
    check("create_time < 1972-09-27T00:00:00Z OR device = x", &[]);
}

#[test]
fn lives_are_counted_by_what_is_left() {
    let check = |record: CertificateRecord, now: Timestamp, expected: Expiry| {
        let mut found = Expiry::default();
        found.add(&record, now);
        assert_eq!(found, expected, "{:?} at {now:?}", record.not_after);
        assert_eq!(
            found.current(),
            u64::from(record.state == CertificateState::Current)
        );
    };
    let none = Expiry::default();
    let second = Duration::from_secs(1);
    // 300 days from day 1000: due for renewal on day 1200.
    check(record(), at(1199), Expiry { year: 1, ..none });
    check(record(), at(1200).minus(second), Expiry { year: 1, ..none });
    check(
        record(),
        at(1200),
        Expiry {
            year: 1,
            overdue: 1,
            ..none
        },
    );
    check(
        record(),
        at(1210),
        Expiry {
            year: 1,
            overdue: 1,
            ..none
        },
    );
    check(
        record(),
        at(1210).plus(second),
        Expiry {
            quarter: 1,
            overdue: 1,
            ..none
        },
    );
    check(
        record(),
        at(1270).plus(second),
        Expiry {
            month: 1,
            overdue: 1,
            ..none
        },
    );
    check(
        record(),
        at(1293).plus(second),
        Expiry {
            week: 1,
            overdue: 1,
            ..none
        },
    );
    check(
        record(),
        at(1300).minus(second),
        Expiry {
            week: 1,
            overdue: 1,
            ..none
        },
    );
    check(
        record(),
        at(1300),
        Expiry {
            expired: 1,
            overdue: 1,
            ..none
        },
    );
    check(record(), at(900), Expiry { longer: 1, ..none });
    check(revoked(), at(1300), none);
    check(of_operator(), at(1300), none);
}
