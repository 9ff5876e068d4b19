//! What tests of the whole need: a registry to serve, clients of every kind to bother it, real programs to run.
//!
//! **What this is.** A harness. [`World`] is a server in this process with an operator's client; [`Program`] is one of our
//! binaries as its own process. [`Mqtt`], [`Http`] and [`grpc`] speak raw protocols with any certificate or none; [`Proxy`] cuts
//! connections at chosen bytes. Whatever waits, waits by [`until`], which fails loudly.
//!
//! **What it must not know.** How the server works: it sees only what a user's machine sees, plus the files that the
//! server leaves.
//!
//! **Where to start.** [`World`], then `tests/it/main.rs`.
#![warn(missing_docs)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a harness panics: that is how a test fails"
)]

mod ceremony;
pub mod corpus;
pub mod est;
pub mod fixture;
pub mod grpc;
mod http;
mod mqtt;
mod pki;
mod process;
mod program;
mod proxy;
mod random;
pub mod raw;
mod running;
mod seals;
mod sink;
mod swarm;
mod template;
mod tls;
mod tunnel;
mod wait;
mod world;

pub use http::{Answer, Http};
pub use mqtt::{Mqtt, Packet};
pub use pki::{ForeignCa, Key, Pair};
pub use process::Counts;
pub use program::{Ended, Program, Registry, free_ports};
pub use proxy::Proxy;
pub use random::Random;
pub use running::Running;
pub use sink::Sink;
pub use swarm::{Member, Swarm};
pub use template::{copy_tree, files_below};
pub use tls::Returning;
pub use tunnel::Tunnel;
pub use wait::{PATIENCE, until, within};
pub use world::{Imported, World, WorldBuilder};
