use super::*;

fn version(text: &str) -> FirmwareVersion {
    text.parse().unwrap()
}

#[test]
fn a_name_without_build_covers_every_build() {
    for (name, running, expected) in [
        ("2.4.1", "2.4.1", true),
        ("2.4.1", "2.4.1+b7", true),
        ("2.4.1+b7", "2.4.1+b7", true),
        ("2.4.1+b7", "2.4.1", false),
        ("2.4.1+b7", "2.4.1+b8", false),
        ("2.4.1", "2.4.1-rc.1", false),
        ("2.4.1", "2.4.2", false),
    ] {
        assert_eq!(
            version(name).covers(&version(running)),
            expected,
            "{name} covers {running}"
        );
    }
}

#[test]
fn builds_have_no_order_and_prereleases_come_first() {
    assert!(!version("1.0.0+a").is_below(&version("1.0.0+b")));
    assert!(version("1.0.0-rc.1").is_below(&version("1.0.0")));
    assert!(version("1.9.0").is_below(&version("1.10.0")));
}

#[test]
fn reports_are_read_leniently() {
    for (report, expected) in [
        ("2.4.1", Running::Version(version("2.4.1"))),
        (" v2.4.1\n", Running::Version(version("2.4.1"))),
        ("V2.4.1-rc.1+x", Running::Version(version("2.4.1-rc.1+x"))),
        ("", Running::Unreported),
        ("  ", Running::Unreported),
        ("2.4", Running::Unreadable("2.4".into())),
        ("v", Running::Unreadable("v".into())),
        ("build 2024-03", Running::Unreadable("build 2024-03".into())),
        (
            "99999999999999999999.0.0",
            Running::Unreadable("99999999999999999999.0.0".into()),
        ),
    ] {
        assert_eq!(Running::from_report(report), expected, "{report:?}");
    }
}

#[test]
fn a_version_is_bounded() {
    let long = alloc::format!("1.0.0-{}", "a".repeat(200));
    assert!(matches!(Running::from_report(&long), Running::Unreadable(text) if text.len() == MAX_VERSION));
    assert_eq!(long.parse::<FirmwareVersion>(), Err(Defect::TooLong(MAX_VERSION)));
}
