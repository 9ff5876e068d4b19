//! The MQTT gate and the bus behind it.
//!
//! **What this is.** The only door for devices. [`gate`] accepts connections and gives each its own task; `session`
//! speaks MQTT with a device (by certificate), with a claimant (by activation code) or with an integrator (by an operator's
//! certificate); [`registry`] is what they ask; [`bus`] carries messages between gates and to the `audience` of integrators,
//! and behind it sits an unmodified rumqttd that nobody outside ever reaches.
//!
//! **What it must not know.** The store, gRPC, how a decision is made.
//!
//! **Where to start.** [`gate::serve`], then `session/device.rs`; for integrators `session/integrator.rs`.

mod access;
mod audience;
mod bucket;
mod budget;
pub mod bus;
pub mod codec;
pub mod door;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod gate;
mod hub;
mod limits;
pub(crate) mod meter;
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
