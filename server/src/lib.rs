//! musterd: the registry, certificate authority and MQTT gate of Muster.
//!
//! **What this is.** The effects around [`muster_domain`]'s decisions: gRPC, EST, the MQTT gate, the certificate
//! authority, the store. Data flows one way: `grpc | http | mqtt -> service -> domain, store, ca`.
//!
//! **What it must not know.** The agent and the tools. Inside: only `mqtt` names the broker, only `store` names redb,
//! only `grpc` names tonic, only `http` names axum and hyper.
//!
//! **Where to start.** [`app`] lists the parts and how they hang together; [`service`] has one file for each step
//! of a journey.

pub mod app;
pub mod ca;
pub mod checked;
pub mod clock;
pub mod config;
mod descriptors;
pub mod fault;
pub mod front;
pub mod grpc;
mod http;
pub mod init;
pub mod live;
mod monitor;
pub mod mqtt;
pub mod random;
pub mod reload;
mod retry;
pub mod service;
pub mod store;
pub mod tls;
mod workers;
mod zone;
