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
mod tests;
