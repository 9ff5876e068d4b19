use super::*;

#[test]
fn days_are_dates_in_both_epochs() {
    let check = |epoch: Epoch, number, expected: Option<&str>| {
        assert_eq!(epoch.iso(number).as_deref(), expected, "{epoch:?} {number}");
    };
    for (number, expected) in [
        (1.0, "1900-01-01"),
        (59.0, "1900-02-28"),
        (60.0, "1900-02-29"),
        (61.0, "1900-03-01"),
        (25_569.0, "1970-01-01"),
        (36_585.0, "2000-02-29"),
        (46_349.0, "2026-11-23"),
        (46_349.5, "2026-11-23T12:00:00"),
        (2_958_465.0, "9999-12-31"),
        (0.0, "00:00:00"),
        (0.75, "18:00:00"),
        (0.123_456_789, "02:57:46.667"),
        (46_349.999_999_999_99, "2026-11-24"),
    ] {
        check(Epoch::Of1900, number, Some(expected));
    }
    check(Epoch::Of1904, 1.0, Some("1904-01-02"));
    check(Epoch::Of1904, 44_887.0, Some("2026-11-23"));
    for number in [-1.0, 2_958_466.0, f64::NAN, f64::INFINITY] {
        check(Epoch::Of1900, number, None);
    }
}

#[test]
fn durations_are_times_of_day() {
    for (text, expected) in [
        ("PT09H05M00S", Some("09:05:00")),
        ("PT9H5M3.50S", Some("09:05:03.5")),
        ("PT100H00M00.0000S", Some("100:00:00")),
        ("2026-11-23", None),
        ("PT1H2M3S4", None),
        ("PTxHyMzS", None),
    ] {
        assert_eq!(duration(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn formats_of_dates_are_told_from_those_of_numbers() {
    for code in [
        "yyyy-mm-dd",
        "DD.MM.YYYY",
        "[h]:mm:ss",
        "[$-409]d-mmm-yy;@",
        "hh:mm AM/PM",
        "[mm]:ss",
        "\"on\" d",
    ] {
        assert!(is_format(code), "{code}");
    }
    for code in [
        "General",
        "0000000000",
        "0.00E+00",
        "#,##0 \"days\"",
        "[Red]0",
        "[$SEK] 0",
        "0;d",
        "\\d0",
        "_m0",
        "@",
        "[",
        "\"",
    ] {
        assert!(!is_format(code), "{code}");
    }
    assert!([14, 22, 27, 36, 45, 47, 50, 58].into_iter().all(is_built_in));
    assert!(![0, 13, 23, 26, 37, 44, 48, 49, 59].into_iter().any(is_built_in));
}
