//! What the server promises whatever happens.

mod guesses;
mod refusals;
mod secrets;
mod upload;
