//! What filters match.

use semver::Version;

use super::{Device, gateway, matches};

/// Against a device that has everything.
fn check(filter: &str, expected: bool) {
    assert_eq!(matches(filter, &gateway()), expected, "{filter}");
}

#[test]
fn an_empty_filter_matches_everything() {
    check("", true);
    assert!(matches("", &Device::default()));
}

#[test]
fn text() {
    check("serial = GW2-000042", true);
    check("serial = gw2-000042", false);
    check("serial != GW2-000042", false);
    check("serial:GW2-000042", true);
    check("serial > GW2-000041", true);
    check("serial > GW2-000042", false);
    check("serial >= GW2-000042", true);
    check("serial < GW2-1", true);
    check("serial <= GW", false);
    // Upper case sorts before lower case: bytes, not a language.
    check("serial < a", true);
}

#[test]
fn wildcards() {
    check("serial = GW2-*", true);
    check("serial = GW3-*", false);
    check("serial = *42", true);
    check("serial = *-0*", true);
    check("serial = *-1*", false);
    check("serial = *", true);
    check("serial != GW2-*", false);
    check("serial:GW2-*", true);
    check(r#"serial = "GW2-\*""#, false);
    check("labels.env = p*", true);
}

#[test]
fn names_and_truth() {
    check("state = ACTIVE", true);
    check("state = 'ACTIVE'", true);
    check("state = CLAIMED", false);
    check("state != CLAIMED", true);
    check("state:ACTIVE", true);
    check("enabled = true", true);
    check("enabled = false", false);
    check("enabled != false", true);
}

#[test]
fn numbers() {
    check("port = 42", true);
    check("port = '42'", true);
    check("port != 42", false);
    check("port > -1", true);
    check("port < 42", false);
    check("port <= 42", true);
    check("port >= 43", false);
}

#[test]
fn moments() {
    check("seen = 2026-01-31T09:00:00+01:00", true);
    check("seen > 2026-01-31T08:00:00Z", false);
    check("seen >= '2026-01-31T08:00:00Z'", true);
    check("seen < 2026-01-31T08:00:00.001Z", true);
    check("seen > 2026-01-31T07:59:59.999Z", true);
    check("certificate.expires > 2026-01-31T08:00:00Z", true);
}

#[test]
fn versions_have_semver_precedence() {
    check("firmware = 1.4.2", true);
    check("firmware > 1.4.2-rc.1", true);
    check("firmware < 1.10.0", true);
    check("firmware >= 1.4.3", false);
    let built = Device {
        firmware: Some(Version::parse("1.4.2+build.7").unwrap()),
        ..Device::default()
    };
    for (filter, expected) in [
        ("firmware = 1.4.2", true),
        ("firmware = 1.4.2+build.8", true),
        ("firmware > 1.4.2", false),
        ("firmware != 1.4.2", false),
    ] {
        assert_eq!(matches(filter, &built), expected, "{filter}");
    }
}

#[test]
fn labels() {
    check("labels:env", true);
    check("labels:zone", false);
    check("labels.env:*", true);
    check("labels.zone:*", false);
    check("labels.env = prod", true);
    check("labels.env:prod", true);
    check("labels.env != prod", false);
    check("labels.env > alpha", true);
    check(r#"labels."a.b" = dotted"#, true);
    check("labels:a.b", true);
    check("labels.OR = keyword", true);
}

/// AIP-160: `!=` is "true unless equal", and NOT is "true if not true".
#[test]
fn missing_values_fail_every_comparison_but_unequal() {
    let check = |filter: &str, expected: bool| {
        assert_eq!(matches(filter, &Device::default()), expected, "{filter}");
    };
    for field in [
        "serial = ''",
        "serial = *",
        "serial <= x",
        "serial > ''",
        "state = ACTIVE",
        "enabled = false",
        "port <= 0",
        "port >= 0",
        "seen < 2026-01-31T08:00:00Z",
        "firmware >= 0.0.0-0",
        "labels:env",
        "labels.env = prod",
        "labels.env < zzz",
        "serial:*",
        "labels.env:*",
    ] {
        check(field, false);
        check(&format!("NOT {field}"), true);
        check(&format!("-{field}"), true);
    }
    check("serial != x", true);
    check("state != ACTIVE", true);
    check("labels.env != prod", true);
    check("labels:env AND labels.env != prod", false);
    check("NOT port != 1", false);
}

#[test]
fn logic() {
    // True, false.
    let (t, f) = ("port = 42", "port = 0");
    check(&format!("{t} AND {t}"), true);
    check(&format!("{t} {f}"), false);
    check(&format!("{f} OR {t}"), true);
    check(&format!("{f} OR {f}"), false);
    check(&format!("NOT {f} AND -{f}"), true);
    check(&format!("-({t} {f})"), true);
    // Under the other precedence these were true.
    check(&format!("{t} OR {t} AND {f}"), false);
    check(&format!("{f} AND {f} OR {t}"), false);
    check(&format!("{t} OR ({t} AND {f})"), true);
}
