//! Tests of the store.
//!
//! `conformance` asks what every store must answer, through the public operations alone, so that a second store passes the
//! same functions. The other files test what is special to the embedded one.

mod build;
mod conformance;
mod crash;
mod disk;
mod drive;
mod golden;
mod group;
mod presence;
mod property;
mod race;
mod speed;
