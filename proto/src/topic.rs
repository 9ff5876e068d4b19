//! MQTT topics: `muster/v1/<device id>/<channel>`, each with a JSON twin at `.../json`; and `muster/v1/events/<kind>`,
//! which is JSON only.

use core::fmt;

/// Every topic starts so.
pub const PREFIX: &str = "muster/v1/";
/// Behind [`PREFIX`]: where the audit log is told.
const EVENTS: &str = "events/";
/// Longest name of a kind of event.
const KIND_LIMIT: usize = 64;
/// Length of a device id.
pub const ID_LENGTH: usize = 26;

/// How a payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Postcard, behind a version byte.
    Postcard,
    /// JSON, for devices that are not Rust.
    Json,
}

/// What a topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Up: what I have.
    Hello,
    /// Down: what you must be, signed.
    Desired,
    /// Down: secrets of what you must be, sealed and signed.
    Sealed,
    /// Up: what I applied.
    Report,
    /// Up: a request for the next certificate.
    Renew,
    /// Down: the next certificate, or why there is none, or that it is time for one.
    Certificate,
    /// Up: by which version of the roots I trust.
    Trusted,
    /// Down: newer versions of the roots, each signed by one of those before it.
    Trust,
    /// Aside: the device came, or went.
    Presence,
}

/// Which way a channel flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Device to registry: the device publishes.
    Up,
    /// Registry to device: the device subscribes.
    Down,
    /// Registry to integrators, of a device that has no part in it.
    Aside,
}

/// A topic of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic<'a> {
    /// A device's own channel.
    Device(&'a str, Channel, Encoding),
    /// Up, on a connection without client certificate: a claim.
    Claim(Encoding),
    /// Down, on the same connection: its answer.
    ClaimResult(Encoding),
    /// Aside: entries of the audit log that tell of this kind of action.
    Event(&'a str),
}

impl Channel {
    const ALL: [Self; 9] = [
        Self::Hello,
        Self::Desired,
        Self::Sealed,
        Self::Report,
        Self::Renew,
        Self::Certificate,
        Self::Trusted,
        Self::Trust,
        Self::Presence,
    ];

    /// The last part of the topic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Desired => "desired",
            Self::Sealed => "sealed",
            Self::Report => "report",
            Self::Renew => "renew",
            Self::Certificate => "cert",
            Self::Trusted => "trusted",
            Self::Trust => "trust",
            Self::Presence => "presence",
        }
    }

    /// Which way it flows.
    pub const fn direction(self) -> Direction {
        match self {
            Self::Hello | Self::Report | Self::Renew | Self::Trusted => Direction::Up,
            Self::Desired | Self::Sealed | Self::Certificate | Self::Trust => Direction::Down,
            Self::Presence => Direction::Aside,
        }
    }
}

/// Whether this can be the name of an action: one level of a topic, without wildcards.
fn is_kind(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    !text.is_empty() && text.len() <= KIND_LIMIT && text.bytes().all(plain)
}

impl<'a> Topic<'a> {
    /// Reads a topic name; `None` when it is none of ours. Wildcards are no device ids.
    pub fn parse(name: &'a str) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?;
        if let Some(kind) = rest.strip_prefix(EVENTS) {
            return is_kind(kind).then_some(Self::Event(kind));
        }
        let (rest, encoding) = match rest.strip_suffix("/json") {
            Some(rest) => (rest, Encoding::Json),
            None => (rest, Encoding::Postcard),
        };
        match rest {
            "claim" => return Some(Self::Claim(encoding)),
            "claim/result" => return Some(Self::ClaimResult(encoding)),
            _ => {}
        }
        let (id, channel) = rest.split_once('/')?;
        let plain = id.len() == ID_LENGTH && id.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let channel = Channel::ALL.into_iter().find(|known| known.as_str() == channel)?;
        plain.then_some(Self::Device(id, channel, encoding))
    }

    /// Which way it flows.
    pub const fn direction(&self) -> Direction {
        match self {
            Self::Device(_, channel, _) => channel.direction(),
            Self::Claim(_) => Direction::Up,
            Self::ClaimResult(_) => Direction::Down,
            Self::Event(_) => Direction::Aside,
        }
    }

    /// How its payloads are written.
    pub const fn encoding(&self) -> Encoding {
        match self {
            Self::Device(_, _, encoding) | Self::Claim(encoding) | Self::ClaimResult(encoding) => *encoding,
            Self::Event(_) => Encoding::Json,
        }
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id, channel, _) => write!(f, "{PREFIX}{id}/{}", channel.as_str())?,
            Self::Claim(_) => write!(f, "{PREFIX}claim")?,
            Self::ClaimResult(_) => write!(f, "{PREFIX}claim/result")?,
            // An entry is the text that was hashed: there is no other way to write it.
            Self::Event(kind) => return write!(f, "{PREFIX}{EVENTS}{kind}"),
        }
        match self.encoding() {
            Encoding::Postcard => Ok(()),
            Encoding::Json => f.write_str("/json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_read_as_they_are_written() {
        let id = "01hzxk3v9q4t5y6w7e8r9t0a1b";
        for encoding in [Encoding::Postcard, Encoding::Json] {
            let all = Channel::ALL.map(|channel| Topic::Device(id, channel, encoding));
            for topic in all
                .into_iter()
                .chain([Topic::Claim(encoding), Topic::ClaimResult(encoding)])
            {
                assert_eq!(Topic::parse(&topic.to_string()), Some(topic));
            }
        }
        let event = Topic::Event("device_suspended");
        assert_eq!(event.to_string(), "muster/v1/events/device_suspended");
        assert_eq!(Topic::parse("muster/v1/events/device_suspended"), Some(event));
        assert_eq!(
            (event.direction(), event.encoding()),
            (Direction::Aside, Encoding::Json)
        );
    }

    #[test]
    fn nothing_else_is_a_topic() {
        for name in [
            "",
            "#",
            "+",
            "muster/v1/#",
            "muster/v1/+/desired",
            "muster/v1/01hzxk3v9q4t5y6w7e8r9t0a1b/#",
            "muster/v1/01hzxk3v9q4t5y6w7e8r9t0a1b/desired/json/json",
            "muster/v1/01HZXK3V9Q4T5Y6W7E8R9T0A1B/hello",
            "$share/g/muster/v1/01hzxk3v9q4t5y6w7e8r9t0a1b/desired",
            "muster/v1//hello",
            "/muster/v1/claim",
            "muster/v1/01hzxk3v9q4t5y6w7e8r9t0a1b/desired/",
            "muster/v1/claim\0",
            "muster/v1/events",
            "muster/v1/events/",
            "muster/v1/events/#",
            "muster/v1/events/+",
            "muster/v1/events/device_suspended/json",
            "muster/v1/events/Device",
            "é",
        ] {
            assert_eq!(Topic::parse(name), None, "{name:?}");
        }
    }
}
