//! What a firmware policy would make of devices.

use super::{state, time};
use crate::output::{Column, Look, Record};
use muster_proto::v1;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a policy would make of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForetoldDevice {
    /// `devices/{id}`
    pub device: String,
    /// Its serial.
    pub serial: String,
    /// The channel of the policy that it follows.
    pub channel: String,
    /// What comes of it, such as `INSTALL`.
    pub outcome: String,
    /// What it runs.
    pub running: String,
    /// It has not said what it runs: what it left the factory with stands for that.
    pub assumed: bool,
    /// What it would install, the next first.
    pub versions: Vec<String>,
    /// When time alone may change the answer.
    pub until: Option<String>,
    /// Words for programs.
    pub reasons: Vec<String>,
    /// The same for people.
    pub explanation: String,
}

/// Devices with the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForetoldAlike {
    /// What comes of them.
    pub outcome: String,
    /// The channel of the policy that they follow.
    pub channel: String,
    /// What they run.
    pub running: String,
    /// What they would install, the next first.
    pub versions: Vec<String>,
    /// How many.
    pub count: u64,
    /// Of these, those of which only the factory's firmware is known.
    pub assumed: u64,
    /// Serials of some of them.
    pub examples: Vec<String>,
    /// For people.
    pub why: String,
}

/// What a policy would make of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirmwareForecast {
    /// The moment that was foretold.
    pub time: Option<String>,
    /// Devices that were looked at.
    pub devices: u64,
    /// Devices by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// The most pressing outcome first, within it the most devices.
    pub alike: Vec<ForetoldAlike>,
    /// Devices whose answer is of none of these kinds.
    pub beyond: u64,
}

fn outcome(number: i32) -> String {
    state(number, v1::foretold_device::Outcome::as_str_name, "OUTCOME_")
}

impl From<v1::ForetoldDevice> for ForetoldDevice {
    fn from(wire: v1::ForetoldDevice) -> Self {
        Self {
            device: wire.device,
            serial: wire.serial,
            channel: wire.channel,
            outcome: outcome(wire.outcome),
            running: wire.running,
            assumed: wire.assumed,
            versions: wire.versions,
            until: time(wire.until.as_ref()),
            reasons: wire.reasons,
            explanation: wire.explanation,
        }
    }
}

impl From<v1::firmware_forecast::Alike> for ForetoldAlike {
    fn from(wire: v1::firmware_forecast::Alike) -> Self {
        Self {
            outcome: outcome(wire.outcome),
            channel: wire.channel,
            running: wire.running,
            versions: wire.versions,
            count: wire.count,
            assumed: wire.assumed,
            examples: wire.examples,
            why: wire.why,
        }
    }
}

impl From<v1::FirmwareForecast> for FirmwareForecast {
    fn from(wire: v1::FirmwareForecast) -> Self {
        Self {
            time: time(wire.time.as_ref()),
            devices: wire.devices,
            outcomes: wire.outcomes.into_iter().collect(),
            alike: wire.alike.into_iter().map(ForetoldAlike::from).collect(),
            beyond: wire.beyond,
        }
    }
}

impl FirmwareForecast {
    /// In one sentence.
    pub fn summary(&self) -> String {
        let count =
            |names: &[&str]| -> u64 { names.iter().filter_map(|name| self.outcomes.get(*name)).sum() };
        format!(
            "Of {} devices, at {}: {} would install at once, {} wait, {} are stuck, {} comply, {} are not concerned.",
            self.devices,
            self.time.as_deref().unwrap_or("no time"),
            count(&["INSTALL_FORBIDDEN", "INSTALL_OVERDUE", "INSTALL"]),
            count(&["WAIT"]),
            count(&["STUCK"]),
            count(&["COMPLIANT"]),
            count(&["NOT_APPLICABLE"]),
        )
    }
}

impl Record for ForetoldDevice {
    const COLUMNS: &'static [Column] = &[
        Column::extra("device", Look::Name),
        Column::shown("serial", "SERIAL", Look::Plain),
        Column::shown("channel", "CHANNEL", Look::Plain),
        Column::shown("outcome", "OUTCOME", Look::Plain),
        Column::shown("running", "RUNS", Look::Plain),
        Column::shown("versions", "INSTALLS", Look::Plain),
        Column::extra("assumed", Look::Plain),
        Column::extra("until", Look::Time),
        Column::extra("reasons", Look::Plain),
        Column::shown("explanation", "WHY", Look::Plain),
    ];
}

impl Record for ForetoldAlike {
    const COLUMNS: &'static [Column] = &[
        Column::shown("outcome", "OUTCOME", Look::Plain),
        Column::shown("channel", "CHANNEL", Look::Plain),
        Column::shown("running", "RUNS", Look::Plain),
        Column::shown("versions", "INSTALLS", Look::Plain),
        Column::shown("count", "DEVICES", Look::Number),
        Column::extra("assumed", Look::Number),
        Column::shown("examples", "SUCH AS", Look::Plain),
        Column::shown("why", "WHY", Look::Plain),
    ];
}

impl Record for FirmwareForecast {
    const COLUMNS: &'static [Column] = &[
        Column::shown("time", "TIME", Look::Time),
        Column::shown("devices", "DEVICES", Look::Number),
        Column::shown("outcomes", "OUTCOMES", Look::Plain),
        Column::shown("alike", "ALIKE", Look::Plain),
        Column::shown("beyond", "BEYOND", Look::Number),
    ];
}
