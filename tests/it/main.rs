//! Muster from outside: house rules, and journeys over real sockets.

mod journeys;
mod programs;
mod promises;
mod tidy;
