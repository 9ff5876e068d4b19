//! Where targets wait alike: by one clock, and for the same maintenance windows.

use super::{ChangeRecord, Priority};
use crate::{
    Timestamp,
    catalog::Catalog,
    names::SiteCode,
    windows::{Meeting, Windows},
};
use serde::{Deserialize, Serialize};

/// What targets have in common that are begun at the same times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Zone {
    /// The name of the time zone of their sites; empty is UTC.
    pub time_zone: String,
    /// Maintenance windows of their sites; none where they have none, and in a change that does not wait for them.
    pub windows: Windows,
}

impl Zone {
    /// Of devices at a site, as the catalog has it: an emergency change does not wait for windows of sites.
    pub fn of(catalog: &Catalog, site: Option<&SiteCode>, priority: Priority) -> Self {
        let known = site.and_then(|site| catalog.sites.get(site));
        let windows = match priority {
            Priority::Normal => site.and_then(|site| catalog.maintenance_windows(site)),
            Priority::Emergency => None,
        };
        Self {
            time_zone: known.map(|site| site.time_zone.clone()).unwrap_or_default(),
            windows: windows.cloned().unwrap_or_default(),
        }
    }
}

/// Which zones of a change may begin targets now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zones {
    /// All of them, since there are no windows.
    All,
    /// These, by their places among the zones of the change; and when the next of the others opens.
    Some(Vec<u16>, Option<Timestamp>),
}

impl Zones {
    /// Of a change; `offset` knows how far local time in a time zone is ahead of UTC.
    pub fn of(record: &ChangeRecord, now: Timestamp, offset: impl Fn(&str) -> i32) -> Self {
        if !record.is_zoned {
            return Self::All;
        }
        let (mut open, mut next) = (Vec::new(), None::<Timestamp>);
        for (place, zone) in (0..).zip(&record.zones) {
            match record.meeting(zone, now, offset(&zone.time_zone)) {
                Meeting::Now => open.push(place),
                Meeting::At(until) => next = Some(next.map_or(until, |next| next.min(until))),
                Meeting::Never => {}
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

    /// When the next one opens of those that are closed.
    pub const fn next(&self) -> Option<Timestamp> {
        match self {
            Self::All => None,
            Self::Some(_, next) => *next,
        }
    }
}

impl ChangeRecord {
    /// When targets of a zone are begun, where local time is so many seconds ahead of UTC.
    pub fn meeting(&self, zone: &Zone, now: Timestamp, offset: i32) -> Meeting {
        self.change.strategy.windows.meeting(&zone.windows, now, offset)
    }

    /// The zone of its targets that have this number.
    pub fn zone(&self, number: u16) -> Option<&Zone> {
        self.zones.get(usize::from(number))
    }

    /// Whether targets of any zone wait for windows of their sites.
    pub(super) fn has_site_windows(&self) -> bool {
        self.zones.iter().any(|zone| !zone.windows.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Action, Change, ChangeState, Demands, Strategy};

    /// 2027-03-01, a Monday, 00:00 UTC.
    const MONDAY: u64 = 1_803_859_200;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_seconds(MONDAY + hours * 3600)
    }

    fn zone(time_zone: &str, windows: &[&str]) -> Zone {
        Zone {
            time_zone: time_zone.into(),
            windows: Windows::parse(windows).unwrap(),
        }
    }

    fn record(windows: &[&str], zones: Vec<Zone>) -> ChangeRecord {
        let change = Change {
            id: crate::ids::ChangeId::from_u128(1),
            title: String::new(),
            author: "ann".parse().unwrap(),
            created: at(0),
            action: Action::Resume,
            filter: String::new(),
            list: None,
            strategy: Strategy {
                windows: Windows::parse(windows).unwrap(),
                ..Strategy::default()
            },
            priority: Priority::Normal,
            approvals_needed: 0,
            demands: Demands::default(),
            approvals: Vec::new(),
            accepted: Vec::new(),
            state: ChangeState::Draft,
            revision: 1,
        };
        ChangeRecord {
            is_zoned: true,
            zones,
            ..ChangeRecord::new(change)
        }
    }

    fn offset(zone: &str) -> i32 {
        match zone {
            "Europe/Berlin" => 3600,
            "Asia/Tokyo" => 9 * 3600,
            _ => 0,
        }
    }

    #[test]
    fn each_zone_has_its_own_night() {
        let zones = ["", "Europe/Berlin", "Asia/Tokyo"].map(|name| zone(name, &[]));
        let record = record(&["Mon-Fri 01:00-05:00"], zones.into());
        let check = |hours: u64, open: &[u16], next: Option<u64>| {
            let expected = Zones::Some(open.to_vec(), next.map(at));
            assert_eq!(Zones::of(&record, at(hours), offset), expected, "{hours}");
        };
        check(0, &[1], Some(1));
        check(2, &[0, 1], Some(16));
        check(4, &[0], Some(16));
        check(6, &[], Some(16));
        check(16, &[2], Some(24));
        // Saturday and Sunday are nobody's; Monday comes in Tokyo first.
        check(5 * 24 + 6, &[], Some(6 * 24 + 16));
        let closed = Zones::of(&record, at(6), offset);
        assert_eq!((closed.closed_until(), closed.admits(0)), (Some(at(16)), false));
        let plain = ChangeRecord {
            is_zoned: false,
            ..record.clone()
        };
        assert_eq!(Zones::of(&plain, at(6), offset), Zones::All);
    }

    #[test]
    fn a_zone_opens_when_the_windows_of_its_site_and_of_the_change_do() {
        let zones = vec![
            zone("Europe/Berlin", &[]),
            zone("Europe/Berlin", &["02:00-03:00"]),
            zone("", &["Sat,Sun 00:00-24:00"]),
            zone("Europe/Berlin", &["12:00-13:00"]),
        ];
        let check = |windows: &[&str], hours: u64, open: &[u16], next: Option<u64>| {
            let record = record(windows, zones.clone());
            let expected = Zones::Some(open.to_vec(), next.map(at));
            assert_eq!(
                Zones::of(&record, at(hours), offset),
                expected,
                "{windows:?} at {hours}"
            );
        };
        check(&["01:00-05:00"], 0, &[0], Some(1));
        check(&["01:00-05:00"], 1, &[0, 1], Some(5 * 24 + 1));
        check(&["01:00-05:00"], 5, &[], Some(24));
        check(&[], 3, &[0], Some(11));
        check(&[], 11, &[0, 3], Some(25));
        check(&[], 5 * 24, &[0, 2], Some(5 * 24 + 1));
        let record = record(&["01:00-05:00"], zones[3..].to_vec());
        let never = Zones::of(&record, at(0), offset);
        assert_eq!((never.closed_until(), never.admits(0)), (None, false));
    }
}
