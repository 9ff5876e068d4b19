//! Install windows: times of the week, in the device's own local time, when it may be disturbed.

use core::fmt;
use core::str::FromStr;

use crate::problem::Defect;
use crate::time::{DAY, MINUTE, Timestamp, UtcOffset};

const WEEK: i64 = 7 * DAY;
const MINUTES_PER_DAY: u16 = 24 * 60;
/// The Unix epoch was a Thursday, three days after the Monday with which a week begins here.
const EPOCH_IN_WEEK: i64 = 3 * DAY;
const DAY_NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A recurring window such as `Mon-Fri 22:00-05:00`.
///
/// The days are those on which the window opens; one that ends at or before its start crosses midnight, so
/// the example is still open on Saturday at 04:59. Without days it opens daily. `24:00` is the end of a day.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Window {
    days: Days,
    /// Minute of the day, below 1440.
    start: u16,
    /// Minute of the day, 1 to 1440, never equal to `start`.
    end: u16,
}

impl Window {
    fn seconds(&self) -> i64 {
        let minutes = if self.end > self.start {
            self.end - self.start
        } else {
            self.end + MINUTES_PER_DAY - self.start
        };
        i64::from(minutes) * MINUTE
    }

    /// Seconds after the week's beginning at which this window opens.
    fn openings(&self) -> impl Iterator<Item = i64> {
        self.days
            .indices()
            .map(|day| day * DAY + i64::from(self.start) * MINUTE)
    }
}

/// What the windows say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Open until then; `None` if no moment of the week is closed.
    Open(Option<Timestamp>),
    /// Closed until then.
    Closed(Timestamp),
}

/// Looks up `now` in `windows`, for a device whose local time is `offset` ahead of UTC.
///
/// No windows at all means that any time is good. The offset is taken to hold for the coming week: a device
/// that changes to summer time meanwhile evaluates again anyway.
pub fn opening(windows: &[Window], now: Timestamp, offset: UtcOffset) -> Opening {
    // Reduced before adding, so that no clock value overflows.
    let second =
        (now.unix_seconds().rem_euclid(WEEK) + EPOCH_IN_WEEK + i64::from(offset.seconds())).rem_euclid(WEEK);
    let until_next = windows
        .iter()
        .flat_map(|w| w.openings().map(|at| (at - second).rem_euclid(WEEK)))
        .min();
    let Some(until_next) = until_next else {
        return Opening::Open(None);
    };
    match open_for(windows, second) {
        0 => Opening::Closed(now.after(until_next)),
        WEEK.. => Opening::Open(None),
        seconds => Opening::Open(Some(now.after(seconds))),
    }
}

/// How long some window stays open from `second` on; windows that touch or overlap count as one. At least
/// `WEEK` if none ever closes.
fn open_for(windows: &[Window], second: i64) -> i64 {
    let mut reach = 0;
    while reach < WEEK {
        let at = second + reach;
        let longest = windows
            .iter()
            .flat_map(|w| {
                w.openings()
                    .map(|opened| w.seconds() - (at - opened).rem_euclid(WEEK))
            })
            .max()
            .unwrap_or(0);
        if longest <= 0 {
            break;
        }
        reach += longest;
    }
    reach
}

impl FromStr for Window {
    type Err = Defect;

    fn from_str(text: &str) -> Result<Self, Defect> {
        let text = text.trim();
        let (days, times) = match text.rsplit_once(' ') {
            Some((days, times)) => (days.parse()?, times),
            None => (Days::ALL, text),
        };
        let (start, end) = times.split_once('-').ok_or(Defect::NotAWindow)?;
        let (start, end) = (minute_of_day(start)?, minute_of_day(end)?);
        if start == end {
            return Err(Defect::EmptyWindow);
        }
        if start == MINUTES_PER_DAY {
            return Err(Defect::NotAWindow);
        }
        // Midnight as an end is the end of the day, so that one window has one text.
        Ok(Self {
            days,
            start,
            end: if end == 0 { MINUTES_PER_DAY } else { end },
        })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != Days::ALL {
            write!(f, "{} ", self.days)?;
        }
        let (start, end) = (self.start, self.end);
        write!(
            f,
            "{:02}:{:02}-{:02}:{:02}",
            start / 60,
            start % 60,
            end / 60,
            end % 60
        )
    }
}

/// Reads `00:00` to `24:00`.
fn minute_of_day(text: &str) -> Result<u16, Defect> {
    let two_digits = |part: &str| {
        let plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = text.split_once(':').ok_or(Defect::NotAWindow)?;
    match (two_digits(hour), two_digits(minute)) {
        (Some(hour @ 0..=23), Some(minute @ 0..=59)) => Ok(hour * 60 + minute),
        (Some(24), Some(0)) => Ok(MINUTES_PER_DAY),
        _ => Err(Defect::NotAWindow),
    }
}

/// A set of weekdays, never empty; bit 0 is Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Days(u8);

impl Days {
    const ALL: Self = Self(0b111_1111);

    fn indices(self) -> impl Iterator<Item = i64> {
        (0..7).filter(move |day| self.0 & (1 << day) != 0)
    }
}

impl FromStr for Days {
    type Err = Defect;

    /// Reads `Mon-Fri`, `Sat,Sun`, `Fri-Mon,Wed` or `daily`.
    fn from_str(text: &str) -> Result<Self, Defect> {
        if text.trim().eq_ignore_ascii_case("daily") {
            return Ok(Self::ALL);
        }
        let mut days = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (mut day, last) = (day_index(first)?, day_index(last)?);
            days |= 1 << day;
            // Ranges may run over the week's end: Fri-Mon is four days.
            while day != last {
                day = (day + 1) % 7;
                days |= 1 << day;
            }
        }
        Ok(Self(days))
    }
}

impl fmt::Display for Days {
    /// Runs of three or more days as a range, others listed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |day: usize| day < 7 && self.0 & (1 << day) != 0;
        let (mut day, mut separator) = (0, "");
        while day < 7 {
            let run = (day..7).take_while(|&next| set(next)).count();
            let last = if run >= 3 { day + run - 1 } else { day };
            if set(day) {
                write!(f, "{separator}{}", DAY_NAMES[day])?;
                separator = ",";
            }
            if last > day {
                write!(f, "-{}", DAY_NAMES[last])?;
            }
            day = last + 1;
        }
        Ok(())
    }
}

fn day_index(text: &str) -> Result<usize, Defect> {
    let text = text.trim();
    DAY_NAMES
        .iter()
        .position(|name| name.eq_ignore_ascii_case(text))
        .ok_or(Defect::NotAWindow)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;

    fn windows(texts: &[&str]) -> Vec<Window> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Looks up a UTC time and gives the answer as text; `+` open until, `-` closed until.
    fn check(texts: &[&str], now: &str, offset: i32, expected: &str) {
        let offset = UtcOffset::from_seconds(offset).unwrap();
        let answer = match opening(&windows(texts), now.parse().unwrap(), offset) {
            Opening::Open(None) => "+".to_string(),
            Opening::Open(Some(closes)) => alloc::format!("+{closes}"),
            Opening::Closed(opens) => alloc::format!("-{opens}"),
        };
        assert_eq!(answer, expected, "{texts:?} at {now}");
    }

    // 2026-03-02 is a Monday.
    #[test]
    fn a_window_belongs_to_the_day_on_which_it_opens() {
        let nights = &["Mon-Fri 22:00-05:00"];
        check(nights, "2026-03-02T21:59:59Z", 0, "-2026-03-02T22:00:00Z");
        check(nights, "2026-03-02T22:00:00Z", 0, "+2026-03-03T05:00:00Z");
        check(nights, "2026-03-07T04:59:59Z", 0, "+2026-03-07T05:00:00Z");
        check(nights, "2026-03-07T05:00:00Z", 0, "-2026-03-09T22:00:00Z");
        // Sunday's night belongs to nobody, although Monday is listed.
        check(nights, "2026-03-02T04:00:00Z", 0, "-2026-03-02T22:00:00Z");
    }

    #[test]
    fn windows_follow_local_time() {
        check(
            &["Mon 08:00-09:00"],
            "2026-03-01T23:00:00Z",
            9 * 3600,
            "+2026-03-02T00:00:00Z",
        );
        check(
            &["Mon 08:00-09:00"],
            "2026-03-02T08:30:00Z",
            9 * 3600,
            "-2026-03-08T23:00:00Z",
        );
        check(
            &["Sun 20:00-21:00"],
            "2026-03-02T01:30:00Z",
            -5 * 3600,
            "+2026-03-02T02:00:00Z",
        );
    }

    #[test]
    fn touching_windows_are_one() {
        check(
            &["Mon 22:00-24:00", "Tue 00:00-05:00"],
            "2026-03-02T23:00:00Z",
            0,
            "+2026-03-03T05:00:00Z",
        );
        check(
            &["Sun 22:00-02:00", "Mon 01:00-03:00"],
            "2026-03-01T23:00:00Z",
            0,
            "+2026-03-02T03:00:00Z",
        );
        check(&["00:00-24:00"], "2026-03-02T23:00:00Z", 0, "+");
        check(
            &["12:00-11:59"],
            "2026-03-02T11:58:00Z",
            0,
            "+2026-03-02T11:59:00Z",
        );
        check(&[], "2026-03-02T23:00:00Z", 0, "+");
    }

    #[test]
    fn no_clock_value_is_too_far_out() {
        for seconds in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
            for offset in [-86_399, 0, 86_399] {
                let offset = UtcOffset::from_seconds(offset).unwrap();
                let now = Timestamp::from_unix_seconds(seconds);
                assert_ne!(
                    opening(&windows(&["Mon 01:00-02:00"]), now, offset),
                    Opening::Open(None)
                );
            }
        }
    }

    #[test]
    fn windows_have_one_canonical_text() {
        for (text, canonical) in [
            ("Mon-Fri 22:00-05:00", "Mon-Fri 22:00-05:00"),
            ("mon,TUE,wed 01:00-02:00", "Mon-Wed 01:00-02:00"),
            ("Sat,Sun 00:00-24:00", "Sat,Sun 00:00-24:00"),
            ("Sat-Sun 00:00-24:00", "Sat,Sun 00:00-24:00"),
            ("Fri-Mon 01:00-02:00", "Mon,Fri-Sun 01:00-02:00"),
            ("Wed, Fri 01:00-02:00", "Wed,Fri 01:00-02:00"),
            ("daily 22:00-00:00", "22:00-24:00"),
            ("Mon-Sun 01:00-02:00", "01:00-02:00"),
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!(window.to_string(), canonical, "{text}");
            assert_eq!(canonical.parse(), Ok(window), "{text}");
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for (text, defect) in [
            ("", Defect::NotAWindow),
            ("Mon", Defect::NotAWindow),
            ("22:00", Defect::NotAWindow),
            ("Mo 22:00-23:00", Defect::NotAWindow),
            ("Mon-Fri-Sun 22:00-23:00", Defect::NotAWindow),
            (",Mon 22:00-23:00", Defect::NotAWindow),
            ("2:00-3:00", Defect::NotAWindow),
            ("22:60-23:00", Defect::NotAWindow),
            ("22:00-24:01", Defect::NotAWindow),
            ("24:00-05:00", Defect::NotAWindow),
            ("+1:00-05:00", Defect::NotAWindow),
            ("22:00-22:00", Defect::EmptyWindow),
            ("00:00-00:00", Defect::EmptyWindow),
        ] {
            assert_eq!(text.parse::<Window>(), Err(defect), "{text}");
        }
    }
}
