//! A device's life: claims, reports, transitions, and what filters see of it.

mod claims;
mod filters;
mod lives;
mod reports;
mod support;
