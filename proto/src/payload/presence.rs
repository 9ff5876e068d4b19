//! Who comes and goes, as integrators hear it.

use serde::{Deserialize, Serialize};

/// Aside on `muster/v1/<id>/presence`: a device came, or went.
///
/// Two that are about one device may come out of order. The higher session counts, and in one session that it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// Which device.
    pub device_id: String,
    /// Whether it is connected now.
    pub online: bool,
    /// When it came, or went; milliseconds since 1970.
    pub at_millis: u64,
    /// Why it went; none while it is connected.
    pub reason: Option<Departure>,
    /// The address of its connection.
    pub source: String,
    /// Which of its connections; a later one has a higher number.
    pub session: u64,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Departure {
    /// The device said goodbye.
    Left,
    /// The connection broke, or the device did not read what it was sent.
    Lost,
    /// Nothing was heard within the keep-alive, or a message was never acknowledged.
    Silent,
    /// It was suspended or retired, its certificate revoked, or it got a new code.
    ShutOut,
    /// It broke the protocol, went over a limit, or said something that ends a connection.
    Misbehaved,
    /// A fault of the server.
    Failed,
    /// The server stopped.
    Stopped,
}
