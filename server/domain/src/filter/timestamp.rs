//! RFC 3339 text to the domain's own timestamp.

use crate::Timestamp;

/// How RFC 3339 is written up to the seconds, with `0` for a digit.
const SHAPE: &[u8; 19] = b"0000-00-00T00:00:00";
const DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01 in the Gregorian calendar.
const EPOCH: i64 = 719_468;

/// Reads an RFC 3339 date-time; `None` if `text` is none, or a [`Timestamp`] cannot hold it.
///
/// A fraction finer than milliseconds is refused rather than rounded, which would make `<` and
/// `<=` lie. A leap second is taken where one can be, at 23:59:60 UTC, and counts as the following
/// second, as Unix time does.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let (moment, tail) = text.as_bytes().split_at_checked(SHAPE.len())?;
    if !has_shape(moment) {
        return None;
    }
    let number = |at: usize, digits: usize| number(&moment[at..at + digits]);
    let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2));
    let (hour, minute, second) = (number(11, 2), number(14, 2), number(17, 2));
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = days(year, month, day) * DAY + hour * 3_600 + minute * 60 + second;
    let (millis, zone) = fraction(tail)?;
    let utc = local - offset(zone)?;
    let is_real = second < 60 || utc.rem_euclid(DAY) == 0;
    let since_epoch = u64::try_from(utc * 1_000 + millis).ok()?;
    is_real.then(|| Timestamp::from_millis(since_epoch))
}

fn has_shape(moment: &[u8]) -> bool {
    moment.iter().zip(SHAPE).all(|(c, shape)| match shape {
        b'0' => c.is_ascii_digit(),
        shape => c.eq_ignore_ascii_case(shape),
    })
}

/// The value of a few ASCII digits.
fn number(digits: &[u8]) -> i64 {
    digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
}

/// The milliseconds of a fraction such as `.25`, and what follows it; zero if there is none.
fn fraction(tail: &[u8]) -> Option<(i64, &[u8])> {
    let Some(fraction) = tail.strip_prefix(b".") else {
        return Some((0, tail));
    };
    let end = fraction.iter().position(|c| !c.is_ascii_digit())?;
    let (digits, zone) = fraction.split_at(end);
    let (millis, finer) = digits.split_at(digits.len().min(3));
    let scale = match millis.len() {
        1 => 100,
        2 => 10,
        3 => 1,
        _ => return None,
    };
    let is_exact = finer.iter().all(|c| *c == b'0');
    is_exact.then(|| (number(millis) * scale, zone))
}

/// How far local time is ahead of UTC, in seconds.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone {
        b"Z" | b"z" => return Some(0),
        [b'+', h1, h2, b':', m1, m2] => (1, [*h1, *h2], [*m1, *m2]),
        [b'-', h1, h2, b':', m1, m2] => (-1, [*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    if !hours.iter().chain(&minutes).all(u8::is_ascii_digit) {
        return None;
    }
    let (hours, minutes) = (number(&hours), number(&minutes));
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01. Years are counted from March, so that the leap day ends one and the
/// months before it have lengths that a line through (153 m + 2) / 5 reproduces.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - EPOCH
}

#[cfg(test)]
mod tests {
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
}
