//! What an integrator may ask to hear, read from a topic filter.

use super::super::bus::Spoken;
use muster_domain::{access::Feed, audit::Action, ids::DeviceId};
use muster_proto::topic::{Encoding, ID_LENGTH, PREFIX, Topic};

/// A topic filter. Those that there are, and no others: every one of them is about one feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::mqtt) enum Interest {
    /// What devices say or do, in one encoding: of all of them, or of one.
    Devices(Spoken, Encoding, Option<DeviceId>),
    /// The audit log: all of it, or one kind of action.
    Events(Option<Action>),
}

impl Interest {
    /// Reads a filter; `None` when it is none of these.
    pub(in crate::mqtt) fn parse(filter: &str) -> Option<Self> {
        let rest = filter.strip_prefix(PREFIX)?;
        if rest == "events/#" {
            return Some(Self::Events(None));
        }
        // With an id in the place of the wildcard it is a topic like any other.
        let any = rest.strip_prefix("+/");
        let of_any = any.map(|rest| format!("{PREFIX}{}/{rest}", "0".repeat(ID_LENGTH)));
        match Topic::parse(of_any.as_deref().unwrap_or(filter))? {
            Topic::Device(id, channel, encoding) => {
                let id = id.parse::<DeviceId>().ok()?;
                let device = any.is_none().then_some(id);
                Spoken::on(channel).map(|spoken| Self::Devices(spoken, encoding, device))
            }
            Topic::Event(kind) => kind.parse().ok().map(|kind| Self::Events(Some(kind))),
            Topic::Claim(_) | Topic::ClaimResult(_) => None,
        }
    }

    /// What it is about.
    pub(in crate::mqtt) const fn feed(&self) -> Feed {
        match self {
            Self::Devices(Spoken::Hello, ..) => Feed::Hello,
            Self::Devices(Spoken::Report, ..) => Feed::Report,
            Self::Devices(Spoken::Presence, ..) => Feed::Presence,
            Self::Events(_) => Feed::Events,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01hzxk3v9q4t5y6w7e8r9t0a1b";

    #[test]
    fn the_filters_that_there_are() {
        let own: DeviceId = ID.parse().unwrap();
        for (place, device) in [("+", None), (ID, Some(own))] {
            for (name, spoken) in [
                ("hello", Spoken::Hello),
                ("report", Spoken::Report),
                ("presence", Spoken::Presence),
            ] {
                for (end, encoding) in [("", Encoding::Postcard), ("/json", Encoding::Json)] {
                    let filter = format!("muster/v1/{place}/{name}{end}");
                    let expected = Interest::Devices(spoken, encoding, device);
                    assert_eq!(Interest::parse(&filter), Some(expected), "{filter}");
                }
            }
        }
        assert_eq!(
            Interest::parse("muster/v1/events/#"),
            Some(Interest::Events(None))
        );
        let kind = Interest::Events(Some(Action::DeviceSuspended));
        assert_eq!(Interest::parse("muster/v1/events/device_suspended"), Some(kind));
    }

    #[test]
    fn b1_no_other_filter_is_read() {
        for filter in [
            "",
            "#",
            "+",
            "muster/#",
            "muster/v1/#",
            "muster/v1/+/#",
            "muster/v1/+/+",
            "+/v1/+/report",
            "muster/v1/+/desired",
            "muster/v1/+/desired/json",
            "muster/v1/+/cert",
            "muster/v1/+/renew",
            "muster/v1/+/trust",
            "muster/v1/+/trusted",
            "muster/v1/01hzxk3v9q4t5y6w7e8r9t0a1b/desired",
            "muster/v1/+/report/json/json",
            "muster/v1/+/report/",
            "muster/v1/+/report/#",
            "muster/v1/+/report/+",
            "muster/v1/+/01hzxk3v9q4t5y6w7e8r9t0a1b/report",
            "muster/v1/+/claim",
            "muster/v1/claim",
            "muster/v1/claim/result",
            "muster/v1/events",
            "muster/v1/events/",
            "muster/v1/events/+",
            "muster/v1/events/#/json",
            "muster/v1/events/device_suspende",
            "muster/v1/+/events",
            "$share/g/muster/v1/+/report",
            "$SYS/#",
            "muster/bus/up",
            "muster/bus/#",
            "/muster/v1/+/report",
            "muster/v1/01HZXK3V9Q4T5Y6W7E8R9T0A1B/report",
            "muster/v1/zzzzzzzzzzzzzzzzzzzzzzzzzz/report",
            "muster/v1/é/report",
        ] {
            assert_eq!(Interest::parse(filter), None, "{filter:?}");
        }
    }
}
