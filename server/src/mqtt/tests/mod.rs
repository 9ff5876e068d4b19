//! The gate over real TLS sockets, and its sessions over pipes with a clock that the test moves.

mod bus;
mod claim;
mod client;
mod codec;
mod cut;
mod device;
mod isolation;
mod registry;
mod stall;
mod timing;
mod world;
