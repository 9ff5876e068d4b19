//! A small listing, and what the filters make of it.

use std::collections::BTreeMap;

use semver::Version;

use super::{Field, Filter, Kind, Record, Schema, Value, evaluate};
use crate::Timestamp;

mod errors;
mod grammar;
mod meaning;
mod planning;
mod properties;
mod sets;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Serial,
    State,
    Enabled,
    Port,
    Seen,
    Firmware,
    Labels,
    Expires,
}

const SCHEMA: Schema<Key> = Schema::new(&[
    Field::new(Key::Serial, "serial", Kind::Text),
    Field::new(
        Key::State,
        "state",
        Kind::Enum(&["REGISTERED", "CLAIMED", "ACTIVE"]),
    ),
    Field::new(Key::Enabled, "enabled", Kind::Bool),
    Field::new(Key::Port, "port", Kind::Int),
    Field::new(Key::Seen, "seen", Kind::Timestamp),
    Field::new(Key::Firmware, "firmware", Kind::Version),
    Field::new(Key::Labels, "labels", Kind::Labels),
    Field::new(Key::Expires, "certificate.expires", Kind::Timestamp),
]);

/// A record in which everything may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
struct Device {
    serial: Option<String>,
    state: Option<&'static str>,
    enabled: Option<bool>,
    port: Option<i64>,
    seen: Option<Timestamp>,
    firmware: Option<Version>,
    labels: BTreeMap<String, String>,
    expires: Option<Timestamp>,
}

impl Record for Device {
    type Field = Key;

    fn value(&self, field: Key) -> Option<Value<'_>> {
        match field {
            Key::Serial => self.serial.as_deref().map(Value::Text),
            Key::State => self.state.map(Value::Enum),
            Key::Enabled => self.enabled.map(Value::Bool),
            Key::Port => self.port.map(Value::Int),
            Key::Seen => self.seen.map(Value::Timestamp),
            Key::Firmware => self.firmware.as_ref().map(Value::Version),
            Key::Labels => unreachable!("label maps are asked by key"),
            Key::Expires => self.expires.map(Value::Timestamp),
        }
    }

    fn label(&self, field: Key, key: &str) -> Option<&str> {
        assert_eq!(field, Key::Labels);
        self.labels.get(key).map(String::as_str)
    }
}

/// A device that has everything.
fn gateway() -> Device {
    Device {
        serial: Some("GW2-000042".to_owned()),
        state: Some("ACTIVE"),
        enabled: Some(true),
        port: Some(42),
        seen: Some(Timestamp::from_seconds(1_769_846_400)), // 2026-01-31T08:00:00Z
        firmware: Some(Version::new(1, 4, 2)),
        labels: BTreeMap::from([
            ("env".to_owned(), "prod".to_owned()),
            ("a.b".to_owned(), "dotted".to_owned()),
            ("OR".to_owned(), "keyword".to_owned()),
        ]),
        expires: Some(Timestamp::from_seconds(1_800_000_000)),
    }
}

fn matches(filter: &str, device: &Device) -> bool {
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    let checked = filter
        .check(&SCHEMA)
        .unwrap_or_else(|error| panic!("{filter}: {error}"));
    evaluate(&checked, device)
}
