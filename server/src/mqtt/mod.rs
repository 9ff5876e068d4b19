//! The MQTT gate and the bus behind it.
//!
//! **What this is.** The only door for devices. [`gate`] accepts connections and gives each its own task; `session`
//! speaks MQTT with a device (by certificate) or with a claimant (by activation code); [`registry`] is what they
//! ask; [`bus`] carries messages between gates, behind which sits an unmodified rumqttd that no device
//! ever reaches.
//!
//! **What it must not know.** The store, gRPC, how a decision is made.
//!
//! **Where to start.** [`gate::serve`], then `session/device.rs`.

mod access;
mod bucket;
pub mod bus;
pub mod codec;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod gate;
mod hub;
mod limits;
pub(crate) mod places;
pub mod registry;
mod session;
pub mod throttle;
mod wire;

pub use limits::Limits;

/// Keeps the broker behind the gate quiet: it logs each of its links, subscriptions and segments.
pub const LOG_DIRECTIVE: &str = "rumqttd=error";

#[cfg(test)]
mod tests;
