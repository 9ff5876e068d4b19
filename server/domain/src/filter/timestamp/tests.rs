use super::*;

fn check(text: &str, expected: Option<u64>) {
    assert_eq!(parse(text).map(Timestamp::millis), expected, "{text}");
}

#[test]
fn moments_become_milliseconds() {
    check("1970-01-01T00:00:00Z", Some(0));
    check("1970-01-01T01:00:00+01:00", Some(0));
    check("2000-02-29T12:00:00z", Some(951_825_600_000));
    check("2026-01-31t08:00:00Z", Some(1_769_846_400_000));
    check("2012-04-21T11:30:00-04:00", Some(1_335_022_200_000));
    check("2012-04-21T11:30:00+05:30", Some(1_334_988_000_000));
    check("9999-12-31T23:59:59Z", Some(253_402_300_799_000));
}

#[test]
fn fractions_go_down_to_milliseconds() {
    check("1970-01-01T00:00:00.5Z", Some(500));
    check("1970-01-01T00:00:00.05Z", Some(50));
    check("1970-01-01T00:00:01.005-00:00", Some(1_005));
    check("1970-01-01T00:00:01.999000000Z", Some(1_999));
    check("1970-01-01T00:00:01.0005Z", None);
    check("1970-01-01T00:00:00.Z", None);
    check("1970-01-01T00:00:00.0", None);
}

#[test]
fn times_begin_in_1970() {
    check("1969-12-31T23:59:59.999Z", None);
    check("1970-01-01T00:00:00+00:01", None);
    check("1969-12-31T23:00:00-01:00", Some(0));
    check("0000-01-01T00:00:00Z", None);
}

#[test]
fn a_leap_second_is_the_second_after_it() {
    check("2016-12-31T23:59:60Z", Some(1_483_228_800_000));
    check("2017-01-01T00:59:60+01:00", Some(1_483_228_800_000));
    check("2016-12-31T22:59:60Z", None);
    check("2016-12-31T23:59:61Z", None);
}

#[test]
fn what_is_not_rfc_3339_is_refused() {
    for text in [
        "",
        "2026",
        "2026-01-31",
        "2026-01-31 08:00:00Z",
        "2026-01-31T08:00:00",
        "2026-01-31T08:00Z",
        "2026-1-31T08:00:00Z",
        "2026-00-31T08:00:00Z",
        "2026-13-31T08:00:00Z",
        "2026-02-29T08:00:00Z",
        "1900-02-29T08:00:00Z",
        "2026-04-31T08:00:00Z",
        "2026-01-00T08:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T08:60:00Z",
        "2026-01-31T08:00:00+0100",
        "2026-01-31T08:00:00+24:00",
        "2026-01-31T08:00:00+01:60",
        "2026-01-31T08:00:00+01:0x",
        "2026-01-31T08:00:00ZZ",
        "2026-01-31T08:00:0éZ",
    ] {
        check(text, None);
    }
}

#[test]
fn every_day_of_four_centuries_follows_the_one_before() {
    let mut expected = days(1800, 1, 1);
    for year in 1800..=2200 {
        for month in 1..=12 {
            for day in 1..=days_in(year, month) {
                assert_eq!(days(year, month, day), expected, "{year}-{month}-{day}");
                expected += 1;
            }
        }
    }
}
