//! What the server promises whatever happens.

mod guesses;
mod race;
mod refusals;
mod secrets;
mod upload;
