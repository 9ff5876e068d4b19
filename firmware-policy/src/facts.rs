//! What is known of a device when its policy is evaluated.

use alloc::collections::BTreeMap;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::time::UtcOffset;
use crate::version::Running;

/// What is known of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The device's id, exactly as registered: it decides the place in a rollout.
    pub device: String,
    /// The hardware model, such as `GW-200`.
    pub model: String,
    /// The hardware revision, if the device or its manifest gave one.
    pub hardware_revision: Option<String>,
    /// The device's labels.
    pub labels: BTreeMap<String, String>,
    /// The firmware that the device runs now.
    pub running: Running,
    /// How far the device's local time is ahead of UTC now; `None` if its time zone is not known.
    pub utc_offset: Option<UtcOffset>,
}
