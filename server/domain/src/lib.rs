//! Every decision of the registry, as pure values.
//!
//! **What this is.** Manifests, devices, claims, desired state, filters, access rules: each decision takes
//! what is known as arguments and returns what should happen as a value. The server loads, asks, stores, sends.
//!
//! **What it must not know.** No clock, no randomness, no files, no network, no async, no wire or table types.
//! `clippy.toml` beside this crate bans them; time and random bytes come in as arguments.
//!
//! **Where to start.** [`refusal`] lists every public "no". [`device`] is the thing registered, [`device::Lifecycle`]
//! its life, [`manifest`] how it gets here, [`claim`] how it earns an identity, [`desired`] what it must become.
#![deny(clippy::wildcard_enum_match_arm)]
#![warn(missing_docs)]

pub mod access;
pub mod activation;
pub mod audit;
pub mod batch;
pub mod catalog;
pub mod certificate;
pub mod change;
pub mod claim;
pub mod der;
pub mod desired;
pub mod device;
pub mod filter;
pub mod forecast;
pub mod ids;
pub mod mac;
pub mod manifest;
pub mod names;
pub mod refusal;
pub mod renewal;
pub mod time;
pub mod watch;
pub mod windows;

pub use refusal::{Code, Refusal};
pub use time::Timestamp;
