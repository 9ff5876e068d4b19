//! When targets may be begun: not before an instant, and each within windows of its own local time.

use crate::Timestamp;
use core::{fmt, str::FromStr as _};
use muster_firmware_policy::{Opening, UtcOffset, Window};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Most windows of a change.
pub const WINDOW_LIMIT: usize = 16;

/// Times of the week within which targets are begun; none: at any time. Written as texts, such as `Mon-Fri 01:00-05:00`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

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

/// Which time zones of a change may begin targets now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zones {
    /// All of them, since it has no windows.
    All,
    /// These, by their places among the zones of the change; and when the next of the others opens.
    Some(Vec<u16>, Option<Timestamp>),
}

impl Zones {
    /// Of a change with these zones; `offset` knows how far local time in a zone is ahead of UTC.
    pub fn of(windows: &Windows, zones: &[String], now: Timestamp, offset: impl Fn(&str) -> i32) -> Self {
        if windows.is_empty() {
            return Self::All;
        }
        let (mut open, mut next) = (Vec::new(), None::<Timestamp>);
        for (place, zone) in (0..).zip(zones) {
            match windows.closed_until(now, offset(zone)) {
                None => open.push(place),
                Some(until) => next = Some(next.map_or(until, |next| next.min(until))),
            }
        }
        Self::Some(open, next)
    }

    /// Whether a target of this zone may be begun.
    pub fn admits(&self, zone: u16) -> bool {
        match self {
            Self::All => true,
            Self::Some(open, _) => open.contains(&zone),
        }
    }

    /// When the first one opens, while all are closed.
    pub fn closed_until(&self) -> Option<Timestamp> {
        match self {
            Self::Some(open, next) if open.is_empty() => *next,
            Self::All | Self::Some(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-03-01, a Monday, 00:00 UTC.
    const MONDAY: u64 = 1_803_859_200;
    const HOUR: u64 = 3600;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_seconds(MONDAY + hours * HOUR)
    }

    #[test]
    fn each_zone_has_its_own_night() {
        let windows = Windows::parse(&["Mon-Fri 01:00-05:00"]).unwrap();
        let zones = ["", "Europe/Berlin", "Asia/Tokyo"].map(str::to_owned);
        let offset = |zone: &str| match zone {
            "Europe/Berlin" => 3600,
            "Asia/Tokyo" => 9 * 3600,
            _ => 0,
        };
        let check = |hours: u64, open: &[u16], next: Option<u64>| {
            let expected = Zones::Some(open.to_vec(), next.map(at));
            assert_eq!(
                Zones::of(&windows, &zones, at(hours), offset),
                expected,
                "{hours}"
            );
        };
        check(0, &[1], Some(1));
        check(2, &[0, 1], Some(16));
        check(4, &[0], Some(16));
        check(6, &[], Some(16));
        check(16, &[2], Some(24));
        // Saturday and Sunday are nobody's; Monday comes in Tokyo first.
        check(5 * 24 + 6, &[], Some(6 * 24 + 16));
        let closed = Zones::of(&windows, &zones, at(6), offset);
        assert_eq!((closed.closed_until(), closed.admits(0)), (Some(at(16)), false));
        assert_eq!(Zones::of(&Windows::default(), &zones, at(6), offset), Zones::All);
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
