//! The fleet in numbers.

use crate::output::{Column, Look, Record};
use muster_proto::v1;
use serde::Serialize;
use std::collections::BTreeMap;

/// Counts of devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All of them.
    pub devices: u64,
    /// Sessions connected to the server.
    pub connected: u64,
    /// Devices that are online.
    pub online: u64,
    /// By lifecycle state.
    pub states: BTreeMap<String, u64>,
    /// By verification state.
    pub verifications: BTreeMap<String, u64>,
    /// By model.
    pub models: BTreeMap<String, u64>,
    /// By site.
    pub sites: BTreeMap<String, u64>,
}

impl From<v1::Counts> for Counts {
    fn from(wire: v1::Counts) -> Self {
        Self {
            devices: wire.devices,
            connected: wire.connected,
            online: wire.online,
            states: wire.states.into_iter().collect(),
            verifications: wire.verifications.into_iter().collect(),
            models: wire.models.into_iter().collect(),
            sites: wire.sites.into_iter().collect(),
        }
    }
}

impl Record for Counts {
    const COLUMNS: &'static [Column] = &[
        Column::shown("devices", "DEVICES", Look::Number),
        Column::shown("connected", "CONNECTED", Look::Number),
        Column::shown("online", "ONLINE", Look::Number),
        Column::shown("states", "STATES", Look::Plain),
        Column::shown("verifications", "VERIFICATIONS", Look::Plain),
        Column::shown("models", "MODELS", Look::Plain),
        Column::shown("sites", "SITES", Look::Plain),
    ];
}
