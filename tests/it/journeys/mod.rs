//! The three journeys of the users, each against a whole server over real sockets.

mod certificates;
pub(crate) mod changes;
mod credentials;
mod delivery;
mod device;
mod est;
mod firmware;
mod groups;
mod integrators;
mod line;
mod lost_answers;
mod metrics;
mod operator;
mod presence;
mod profiles;
mod renewal;
mod terms;
mod watch;
