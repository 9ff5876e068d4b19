//! The three journeys of the users, each against a whole server over real sockets.

mod certificates;
mod credentials;
mod device;
mod est;
mod line;
mod lost_answers;
mod operator;
mod presence;
mod renewal;
mod terms;
mod watch;
