//! The device side of Muster.
//!
//! **What this is.** An agent that makes a key, claims an identity with a serial and an activation code, connects
//! with the certificate that it earned, and keeps its device as the registry desires: it verifies signed desired state,
//! applies it into one of two slots, asks the firmware policy, reports, and repairs what drifts. As a library, so that
//! many agents can run in one process, and as the binary `muster-agent`.
//!
//! **What it must not know.** Anything of the server: it sees the wire contract (`muster-proto`) and the policy
//! evaluation (`muster-firmware-policy`), nothing else of Muster.
//!
//! **Where to start.** [`Agent`] is the outside. Inside, `machine` decides (pure: an event in, actions out) and `driver`
//! carries out: `link` is the connection, `worker` the work on the disk. `desired` proves what came, `ledger`
//! remembers it, `apply` puts it in place, `authors` says whose firmware may run; `identity` holds key, certificate and trust, `clock` what time it is
//! believed to be. [`BareAgent`] is the machine and the proofs alone, for whoever needs a hundred thousand of them.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::{Agent, Settings};
//!
//! let settings = Settings::builder("registry.example:8883", "GW2-000017", "/var/lib/muster-agent")
//!     .root_file("/etc/muster-agent/root.pem")
//!     .code_file("/etc/muster-agent/code")
//!     .firmware("2.4.0")
//!     .build()?;
//! let agent = Agent::new(settings)?;
//! let mut events = agent.events();
//! let running = tokio::spawn(agent.run(std::future::pending()));
//! while let Ok(event) = events.recv().await {
//!     tracing::info!(?event);
//! }
//! # running.await??;
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod adopt;
mod agent;
mod apply;
mod authors;
mod bare;
mod clock;
mod config;
mod desired;
mod disk;
mod driver;
mod enroll;
mod event;
mod hpke;
mod identity;
mod ledger;
mod link;
mod machine;
mod record;
mod sealed;
mod worker;

#[cfg(test)]
mod testing;

pub use adopt::{AdoptError, adopt, request};
pub use agent::{Agent, AgentError};
pub use authors::AuthorError;
pub use bare::{BareAgent, BareError, BareTrust, Judge};
pub use clock::TimeSource;
pub use config::{Problem, Problems, Settings, SettingsBuilder};
pub use event::AgentEvent;
pub use identity::{DeviceId, TrustError};
pub use record::StateError;
