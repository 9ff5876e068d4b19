//! Muster's firmware policies: which firmware a device may, must or must not run, and when it may install it.
//!
//! **What this is.** One pure function, [`evaluate`]: `(policy, facts, now) -> decision with reasons`. The
//! device's agent asks it what to do; the server asks it what the device will do, and why it has not yet.
//!
//! **What it must not know.** No clock, no files, no network, no randomness, no time zones, and nothing of the
//! rest of Muster. What it needs comes in as [`Facts`] and a [`Timestamp`]; what should happen comes out as an
//! [`Evaluation`]. It is `no_std`, and nothing in it panics.
//!
//! **Where to start.** `source.rs` is a policy as a person writes it; `parse.rs` and `check.rs` turn it into a
//! [`FirmwarePolicy`] that cannot contradict itself, or into all of its [`Problems`]. `evaluate.rs` asks four
//! questions in order: is the device selected (`selector.rs`), may it run what it runs (`rule.rs`), which way
//! leads to the target (`route.rs`), and may it go now (`gate.rs`, with `window.rs` and `rollout.rs`).
//! `decision.rs` has the answers, `explain.rs` their sentences. `trust.rs` takes an answer back where a device has to
//! have its author's word for an image and has not; `signature.rs` is the form of that word.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use muster_firmware_policy::{Decision, Facts, FirmwarePolicy, Running, Standing, Timestamp, evaluate};
//!
//! // The same form is written in TOML.
//! let policy: FirmwarePolicy = serde_json::from_str(r#"{
//!     "name": "gw-200-stable",
//!     "applies_to": { "models": ["GW-200"], "hardware_revisions": ["B", "C*"] },
//!     "permit": {
//!         "range": ">=1.0.0, <3.0.0",
//!         "minimum": "2.0.0",
//!         "blocked": [{ "version": "2.2.0", "because": "it loses the modem" }]
//!     },
//!     "update": {
//!         "target": {
//!             "version": "2.4.1",
//!             "url": "https://firmware.example/gw-200/2.4.1.img",
//!             "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
//!             "size": 18874368
//!         },
//!         "stepping_stones": [{
//!             "below": "2.0.0",
//!             "through": {
//!                 "version": "1.9.7",
//!                 "url": "https://firmware.example/gw-200/1.9.7.img",
//!                 "sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
//!                 "size": 16777216
//!             }
//!         }],
//!         "windows": ["Mon-Fri 22:00-05:00", "Sat,Sun 00:00-24:00"],
//!         "deadline": "2026-04-01T00:00:00Z"
//!     }
//! }"#)?;
//!
//! let facts = Facts {
//!     device: "01jnb3zv8k6c2q4x7d9ftg5hwm".into(),
//!     model: "GW-200".into(),
//!     hardware_revision: Some("C2".into()),
//!     labels: BTreeMap::new(),
//!     running: Running::from_report("v1.5.0"),
//!     utc_offset: Some(3600.try_into()?),
//! };
//! let monday_night: Timestamp = "2026-03-02T23:30:00Z".parse()?;
//! let evaluation = evaluate(&policy, &facts, monday_night);
//!
//! assert_eq!(evaluation.standing, Standing::Forbidden);
//! assert!(matches!(&evaluation.decision, Decision::Install(install) if install.is_stepping_stone()));
//! assert_eq!(
//!     evaluation.explain(),
//!     "Install 1.9.7, then 2.4.1, before the window closes at 2026-03-03T04:00:00Z; the running version must \
//!      not stay. Version 1.5.0 is below the minimum 2.0.0. The device runs 1.5.0, and the target is 2.4.1. \
//!      Updates from below 2.0.0 must pass through 1.9.7 first."
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]
#![deny(clippy::wildcard_enum_match_arm)]
#![warn(missing_docs)]

extern crate alloc;

mod artifact;
mod check;
mod decision;
mod evaluate;
mod explain;
mod facts;
mod gate;
mod parse;
mod policy;
mod problem;
mod rollout;
mod route;
mod rule;
mod selector;
mod signature;
mod source;
mod text;
mod time;
mod trust;
mod version;
mod window;
mod write;

pub use artifact::{Artifact, ArtifactUrl, Sha256Digest};
pub use decision::{Decision, Evaluation, Install, Reason, Standing, Urgency, Wait};
pub use evaluate::evaluate;
pub use facts::Facts;
pub use policy::{FirmwarePolicy, SteppingStone, UnreadableVersion, Update, WhenForbidden};
pub use problem::{Defect, Problem, Problems};
pub use rollout::{Bucket, Percentage};
pub use rule::{Blocked, VersionRules};
pub use selector::{Pattern, Selector};
pub use signature::Signature;
pub use source::{
    ArtifactSource, BlockedSource, PermitSource, PolicySource, SelectorSource, SteppingStoneSource,
    UpdateSource,
};
pub use time::{Timestamp, UtcOffset};
pub use version::{FirmwareVersion, Running};
pub use window::{Opening, Window, opening};
