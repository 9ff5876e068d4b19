//! What an agent tells whoever runs it.

use crate::identity::DeviceId;
use std::time::Duration;

/// A step of the agent's life. Small, for progress displays and simulators; the log says more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// The device's key was made, and is durable.
    KeyMade,
    /// A claim was sent.
    Claiming,
    /// The claim was granted, and the identity is durable.
    Claimed {
        /// The id from now on.
        device_id: DeviceId,
    },
    /// The next certificate came, and is durable; the device connects anew with it.
    Renewed,
    /// Other roots are trusted from now on, and that is durable.
    Trusting {
        /// Their version.
        version: u64,
    },
    /// Connected as the device.
    Connected,
    /// Desired state came that is genuine and new, or a repeat.
    DesiredReceived {
        /// Its generation.
        generation: u64,
    },
    /// It was applied, and read back.
    Applied {
        /// Its generation.
        generation: u64,
    },
    /// The registry has the report, durably.
    Reported {
        /// The generation it speaks of.
        generation: u64,
        /// Whether every facet is as desired, or waits as its policy says.
        ok: bool,
    },
    /// What runs is no longer what was applied; it is applied again.
    Drifted {
        /// How.
        reason: String,
    },
    /// Something was refused or went wrong; the agent goes on.
    Failed {
        /// What.
        reason: String,
    },
    /// The connection ended, or none came about.
    Disconnected {
        /// Why.
        reason: String,
        /// When it is tried again.
        retry_in: Duration,
    },
}
