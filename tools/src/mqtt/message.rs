//! A message of a feed, decoded, in words and as JSON.

use crate::output::text::line;
use muster_domain::device::Departure as Why;
use muster_proto::{
    payload::{self, Departure, Facet, FacetState, Hello, PayloadError, Presence, Report},
    topic::{Channel, Topic},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "message")]
pub(crate) enum Content {
    /// What a device has.
    Hello(Hello),
    /// What it applied.
    Report(Report),
    /// That it came, or went.
    Presence(Presence),
    /// An entry of the audit log.
    Event(Value),
    /// What this program cannot read, such as a message of a newer server.
    Unreadable {
        /// Where it was said.
        topic: String,
        /// Why it cannot be read.
        why: String,
    },
}

/// A message, and where it belongs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Message {
    /// When it happened, where the message says so; otherwise when it was heard.
    pub(crate) time: String,
    /// The id of the device; empty for an entry of the audit log.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) device: String,
    /// Its serial, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
    #[serde(flatten)]
    pub(crate) content: Content,
}

/// What people read of an entry.
#[derive(Deserialize)]
struct Entry {
    index: u64,
    actor: Value,
    action: String,
    subject: String,
    detail: Value,
}

fn time(millis: u64) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()?;
    Some(at.to_string())
}

fn read(topic: &str, payload: &[u8]) -> Result<(String, Content), String> {
    let unread = |error: PayloadError| error.to_string();
    match Topic::parse(topic) {
        Some(Topic::Device(id, channel, encoding)) => {
            let content = match channel {
                Channel::Hello => payload::decode(payload, encoding).map(Content::Hello),
                Channel::Report => payload::decode(payload, encoding).map(Content::Report),
                Channel::Presence => payload::decode(payload, encoding).map(Content::Presence),
                _ => return Err("is not a channel that operators hear".to_owned()),
            };
            Ok((id.to_owned(), content.map_err(unread)?))
        }
        Some(Topic::Event(_)) => {
            let entry = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
            Ok((String::new(), Content::Event(entry)))
        }
        Some(Topic::Claim(_) | Topic::ClaimResult(_)) | None => {
            Err("is not a topic that operators hear".to_owned())
        }
    }
}

impl Message {
    /// Reads a message that was heard at `heard`.
    pub(crate) fn read(topic: &str, payload: &[u8], heard: &str) -> Self {
        let (device, content) = read(topic, payload).unwrap_or_else(|why| {
            let topic = topic.to_owned();
            (String::new(), Content::Unreadable { topic, why })
        });
        let said = match &content {
            Content::Presence(presence) => time(presence.at_millis),
            Content::Event(entry) => entry["at_millis"].as_u64().and_then(time),
            Content::Hello(_) | Content::Report(_) | Content::Unreadable { .. } => None,
        };
        Self {
            time: said.unwrap_or_else(|| heard.to_owned()),
            device,
            serial: None,
            content,
        }
    }

    /// Reads an entry of the audit log, wherever it came from.
    pub(crate) fn entry(leaf: &[u8], heard: &str) -> Self {
        Self::read("muster/v1/events/entry", leaf, heard)
    }

    /// Of an entry of the audit log: its place.
    pub(crate) fn index(&self) -> Option<u64> {
        match &self.content {
            Content::Event(entry) => entry["index"].as_u64(),
            _ => None,
        }
    }
}

/// A line for people.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  ", to_second(&self.time))?;
        if !self.device.is_empty() {
            let serial = self.serial.as_deref().unwrap_or("-");
            write!(f, "{}  {}  ", self.device, line(serial))?;
        }
        let words = self.content.to_string();
        f.write_str(&line(&words))
    }
}

/// As in tables: to the second.
fn to_second(time: &str) -> String {
    match time.split_once('.') {
        Some((second, _)) => format!("{second}Z"),
        None => time.to_owned(),
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello(hello) => {
                write!(
                    f,
                    "hello     generation {}, agent {}",
                    hello.generation, hello.agent_version
                )?;
                firmware(f, hello.firmware.as_deref())
            }
            Self::Report(report) => {
                write!(f, "report    generation {}", report.generation)?;
                for status in &report.facets {
                    write!(f, ", {} {}", facet(status.facet), State(&status.state))?;
                }
                firmware(f, report.firmware.as_deref())
            }
            Self::Presence(presence) => match presence.reason {
                None => write!(f, "presence  online, from {}", presence.source),
                Some(reason) => write!(f, "presence  offline: {}", why(reason)),
            },
            Self::Event(entry) => event(f, entry),
            Self::Unreadable { topic, why } => write!(f, "{topic} {why}"),
        }
    }
}

fn firmware(f: &mut fmt::Formatter<'_>, version: Option<&str>) -> fmt::Result {
    version.map_or(Ok(()), |version| write!(f, ", runs {version}"))
}

const fn facet(facet: Facet) -> &'static str {
    match facet {
        Facet::Config => "config",
        Facet::Location => "location",
        Facet::Firmware => "firmware",
    }
}

struct State<'a>(&'a FacetState);

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, reason) = match self.0 {
            FacetState::Applied => return f.write_str("applied"),
            FacetState::Failed { reason } => ("failed", reason),
            FacetState::Drifted { reason } => ("drifted", reason),
            FacetState::Waiting { reason } => ("waiting", reason),
        };
        write!(f, "{state} ({reason})")
    }
}

/// In the words of the registry.
const fn why(reason: Departure) -> &'static str {
    let why = match reason {
        Departure::Left => Why::Left,
        Departure::Lost => Why::Lost,
        Departure::Silent => Why::Silent,
        Departure::ShutOut => Why::ShutOut,
        Departure::Misbehaved => Why::Misbehaved,
        Departure::Failed => Why::Failed,
        Departure::Stopped => Why::Stopped,
    };
    why.as_str()
}

fn event(f: &mut fmt::Formatter<'_>, entry: &Value) -> fmt::Result {
    let Ok(read) = Entry::deserialize(entry) else {
        return write!(f, "event     {entry}");
    };
    let Entry {
        index,
        action,
        subject,
        actor,
        detail,
    } = read;
    let actor = crate::records::actor(&actor);
    write!(f, "event     #{index} {action} {subject} by {actor}")?;
    for (key, value) in detail.as_object().into_iter().flatten() {
        match value {
            Value::String(text) => write!(f, ", {key} {text}")?,
            other => write!(f, ", {key} {other}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
