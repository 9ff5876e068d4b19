//! Times of the week, by some local clock: those of a change, and those of a site.

use crate::Timestamp;
use core::{fmt, str::FromStr as _, time::Duration};
use muster_firmware_policy::{Opening, UtcOffset, Window};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Most windows of a change, or of a site.
pub const WINDOW_LIMIT: usize = 16;

/// After which windows come again.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Times of the week within which targets are begun; none: at any time. Written as texts, such as `Mon-Fri 01:00-05:00`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Windows(Vec<Window>);

/// When two sets of windows are open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// They are.
    Now,
    /// From then on.
    At(Timestamp),
    /// At no time of the week.
    Never,
}

impl Windows {
    /// From texts.
    ///
    /// # Errors
    /// For each text that is no window, its place and what is wrong.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, Vec<(usize, String)>> {
        let (mut windows, mut problems) = (Vec::new(), Vec::new());
        for (place, text) in texts.iter().enumerate() {
            match Window::from_str(text.as_ref()) {
                Ok(window) => windows.push(window),
                Err(why) => problems.push((place, why.to_string())),
            }
        }
        if problems.is_empty() {
            Ok(Self(windows))
        } else {
            Err(problems)
        }
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether any time is good.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The texts.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(Window::to_string).collect()
    }

    /// Where local time is so many seconds ahead of UTC: `None` while a window is open, else when the next one opens. The offset is
    /// taken to hold until then; whoever waits looks again anyway.
    pub fn closed_until(&self, now: Timestamp, offset: i32) -> Option<Timestamp> {
        let offset = UtcOffset::from_seconds(offset).unwrap_or(UtcOffset::UTC);
        let seconds = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
        match muster_firmware_policy::opening(
            &self.0,
            muster_firmware_policy::Timestamp::from_unix_seconds(seconds),
            offset,
        ) {
            Opening::Open(_) => None,
            Opening::Closed(until) => Some(Timestamp::from_seconds(
                u64::try_from(until.unix_seconds()).unwrap_or_default(),
            )),
        }
    }

    /// When one of these and one of those are open, by one clock that is so many seconds ahead of UTC.
    pub fn meeting(&self, others: &Self, now: Timestamp, offset: i32) -> Meeting {
        let mut at = now;
        while at < now.plus(WEEK) {
            let closed = [self, others].map(|windows| windows.closed_until(at, offset));
            match closed.into_iter().flatten().max() {
                // Until then one of them is closed, so that nothing is passed over.
                Some(until) => at = until,
                None if at == now => return Meeting::Now,
                None => return Meeting::At(at),
            }
        }
        Meeting::Never
    }

    /// Whether one of these and one of those are ever open at once; the clock by which they are read does not matter.
    pub fn meets(&self, others: &Self) -> bool {
        self.meeting(others, Timestamp::default(), 0) != Meeting::Never
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join("; "))
    }
}

impl Serialize for Windows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.texts().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Windows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Self::parse(&texts).map_err(|problems| {
            let texts = problems.into_iter().map(|(_, why)| why).collect::<Vec<_>>();
            D::Error::custom(texts.join("; "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sets_meet_when_both_are_open() {
        // 2027-03-01, a Monday, 00:00 UTC.
        let at = |hours: u64| Timestamp::from_seconds(1_803_859_200 + hours * 3600);
        let read = |texts: &[&str]| Windows::parse(texts).unwrap();
        let check = |one: &[&str], other: &[&str], offset: i32, hours: u64, expected: Meeting| {
            let (one, other) = (read(one), read(other));
            assert_eq!(
                one.meeting(&other, at(hours), offset),
                expected,
                "{one} and {other} at {hours}"
            );
            assert_eq!(
                other.meeting(&one, at(hours), offset),
                expected,
                "{other} and {one} at {hours}"
            );
            assert_eq!(one.meets(&other), expected != Meeting::Never);
        };
        check(&[], &[], 0, 3, Meeting::Now);
        check(&["01:00-05:00"], &[], 0, 3, Meeting::Now);
        check(&["01:00-05:00"], &[], 0, 5, Meeting::At(at(25)));
        check(&["01:00-05:00"], &["04:00-06:00"], 0, 3, Meeting::At(at(4)));
        check(&["01:00-05:00"], &["04:00-06:00"], 3600, 3, Meeting::Now);
        check(&["01:00-05:00"], &["04:00-06:00"], 0, 5, Meeting::At(at(28)));
        // Weekends of one, weekdays of the other, and the hours in which the former is still Sunday's.
        check(
            &["Sat,Sun 20:00-06:00"],
            &["Mon-Fri 00:00-24:00"],
            0,
            7,
            Meeting::At(at(7 * 24)),
        );
        check(
            &["Sat,Sun 00:00-24:00"],
            &["Mon-Fri 01:00-05:00"],
            0,
            0,
            Meeting::Never,
        );
        check(&["01:00-02:00"], &["02:00-03:00"], 0, 0, Meeting::Never);
        check(
            &["01:00-02:00", "05:00-06:00"],
            &["02:00-03:00", "Wed 05:30-06:30"],
            0,
            6,
            Meeting::At(Timestamp::from_seconds(at(53).seconds() + 1800)),
        );
    }

    #[test]
    fn windows_are_kept_as_texts() {
        let windows = Windows::parse(&["daily 22:00-00:00", "Sat,Sun 00:00-24:00"]).unwrap();
        let text = serde_json::to_string(&windows).unwrap();
        assert_eq!(text, r#"["22:00-24:00","Sat,Sun 00:00-24:00"]"#);
        assert_eq!(serde_json::from_str::<Windows>(&text).unwrap(), windows);
        assert_eq!(Windows::parse(&["01:00-02:00", "noon"]).unwrap_err()[0].0, 1);
        assert!(serde_json::from_str::<Windows>(r#"["noon"]"#).is_err());
    }
}
