//! Local time at sites: the one place that asks the time zone database.

use jiff::tz::TimeZone;
use muster_domain::{
    Timestamp,
    change::{ChangeRecord, Target, Zones},
    windows::Meeting,
};

/// Seconds that local time in a zone is ahead of UTC; the empty zone is UTC, and so is one that the database lost since.
pub(crate) fn utc_offset(time_zone: &str, at: Timestamp) -> i32 {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    let at = i64::try_from(at.seconds())
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    at.map_or(0, |at| zone.to_offset(at).seconds())
}

/// Which time zones of a change may begin targets now.
pub(crate) fn zones(record: &ChangeRecord, now: Timestamp) -> Zones {
    Zones::of(record, now, |zone| utc_offset(zone, now))
}

/// When targets of the zone of this one may be begun.
pub(crate) fn meeting(record: &ChangeRecord, target: &Target, now: Timestamp) -> Meeting {
    match record.zone(target.zone).filter(|_| record.is_zoned) {
        Some(zone) => record.meeting(zone, now, utc_offset(&zone.time_zone, now)),
        None => Meeting::Now,
    }
}
