//! Instants and offsets. The crate reads no clock and knows no time zones: both come in as facts.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::problem::Defect;

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// A moment: seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Written by people as RFC 3339 (`2026-03-01T00:00:00Z`, any offset), from year 0 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From seconds since the Unix epoch; negative before it.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the Unix epoch.
    pub const fn unix_seconds(self) -> i64 {
        self.0
    }

    /// Saturating, so that evaluation is total even for a clock that shows nonsense.
    pub(crate) fn after(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// First second of year 0 and of year 10000: what RFC 3339 can write.
const WRITABLE: core::ops::Range<i64> = -62_167_219_200..253_402_300_800;

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, or `@seconds` outside the years 0 to 9999.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !WRITABLE.contains(&self.0) {
            return write!(f, "@{}", self.0);
        }
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY));
        let second = self.0.rem_euclid(DAY);
        let (hour, minute, second) = (second / HOUR, second % HOUR / MINUTE, second % MINUTE);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl FromStr for Timestamp {
    type Err = Defect;

    fn from_str(text: &str) -> Result<Self, Defect> {
        parse_rfc3339(text)
            .filter(|seconds| WRITABLE.contains(seconds))
            .map(Self)
            .ok_or(Defect::NotATimestamp)
    }
}

/// How far a device's local time is ahead of UTC.
///
/// A fact, not a rule: whoever knows the device's time zone works out the offset that holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct UtcOffset(i32);

impl UtcOffset {
    /// Universal time itself.
    pub const UTC: Self = Self(0);

    /// From seconds east of Greenwich; refuses a day or more either way.
    pub fn from_seconds(seconds: i32) -> Result<Self, Defect> {
        if i64::from(seconds).abs() < DAY {
            Ok(Self(seconds))
        } else {
            Err(Defect::OffsetOutOfRange)
        }
    }

    /// Seconds east of Greenwich, less than a day either way.
    pub const fn seconds(self) -> i32 {
        self.0
    }
}

impl TryFrom<i32> for UtcOffset {
    type Error = Defect;

    fn try_from(seconds: i32) -> Result<Self, Defect> {
        Self::from_seconds(seconds)
    }
}

impl From<UtcOffset> for i32 {
    fn from(offset: UtcOffset) -> Self {
        offset.0
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.fraction](Z|+HH:MM|-HH:MM)`; a fraction is cut off.
fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let (clock, offset) = split_offset(time)?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let whole = match clock.split_once('.') {
        Some((whole, fraction)) => digits(fraction).map(|_| whole)?,
        None => clock,
    };
    let [hour, minute, second] = fields(whole, ':', [2, 2, 2])?;
    // A leap second is no second of its own on this time scale.
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    // Refuses dates that the calendar does not have, such as 30 February.
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    Some(days * DAY + hour * HOUR + minute * MINUTE + second - offset)
}

/// Splits `12:00:00+02:00` into the clock and the offset in seconds.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let (at, sign) = time.char_indices().find(|(_, c)| matches!(c, '+' | '-'))?;
    let (clock, rest) = time.split_at(at);
    let [hours, minutes] = fields(rest.get(1..)?, ':', [2, 2])?;
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = hours * HOUR + minutes * MINUTE;
    Some((clock, if sign == '-' { -offset } else { offset }))
}

/// Exactly `N` numbers of the given widths, joined by `separator`.
fn fields<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        *number = parts.next().filter(|part| part.len() == width).and_then(digits)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// A number of 1 to 9 decimal digits and nothing else; `parse` alone would take a sign.
fn digits(text: &str) -> Option<i64> {
    let plain = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Days of an era: 400 years of the Gregorian calendar, after which it repeats.
const ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01. Years are counted from March, so that the leap day comes last.
const EPOCH: i64 = 719_468;

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    // 153 days are the five months March to July, and again August to December.
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year.div_euclid(400) * ERA + day_of_era - EPOCH
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let day_of_era = days.rem_euclid(ERA);
    // Takes the leap days out (1460 = four years, 36524 = a century, less one each), leaving years of 365.
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = days.div_euclid(ERA) * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, seconds, written) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("2026-03-01T00:00:00Z", 1_772_323_200, "2026-03-01T00:00:00Z"),
            ("2026-03-01T01:30:00+01:30", 1_772_323_200, "2026-03-01T00:00:00Z"),
            (
                "2026-02-28t19:00:00.999-05:00",
                1_772_323_200,
                "2026-03-01T00:00:00Z",
            ),
            ("2024-02-29 23:59:59Z", 1_709_251_199, "2024-02-29T23:59:59Z"),
            ("1969-12-31T23:59:59Z", -1, "1969-12-31T23:59:59Z"),
            ("0000-01-01T00:00:00Z", WRITABLE.start, "0000-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", WRITABLE.end - 1, "9999-12-31T23:59:59Z"),
        ] {
            let parsed: Timestamp = text.parse().unwrap();
            assert_eq!(parsed.unix_seconds(), seconds, "{text}");
            assert_eq!(parsed.to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-03-01",
            "2026-03-01T00:00:00",
            "2026-02-30T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-03-00T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T00:00:60Z",
            "2026-03-01T00:00:00.Z",
            "2026-03-01T00:00Z",
            "2026-3-1T00:00:00Z",
            "+026-03-01T00:00:00Z",
            "2026-03-01T00:00:00+1:00",
            "2026-03-01T00:00:00+24:00",
            "0000-01-01T00:00:00+01:00",
            "2026-03-01T00:00:00é",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(Defect::NotATimestamp), "{text}");
        }
    }

    #[test]
    fn every_day_of_ten_thousand_years_survives_the_calendar() {
        let mut days = WRITABLE.start / DAY;
        while days < WRITABLE.end / DAY {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            days += 1;
        }
    }

    #[test]
    fn moments_beyond_the_calendar_still_have_a_text() {
        assert_eq!(
            Timestamp::from_unix_seconds(i64::MAX).to_string(),
            "@9223372036854775807"
        );
        assert_eq!(
            Timestamp::from_unix_seconds(i64::MIN).after(-1).unix_seconds(),
            i64::MIN
        );
    }

    #[test]
    fn an_offset_is_less_than_a_day() {
        assert_eq!(
            UtcOffset::from_seconds(-86_399).map(UtcOffset::seconds),
            Ok(-86_399)
        );
        assert_eq!(UtcOffset::from_seconds(86_400), Err(Defect::OffsetOutOfRange));
        assert_eq!(UtcOffset::from_seconds(i32::MIN), Err(Defect::OffsetOutOfRange));
    }
}
