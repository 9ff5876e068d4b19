//! What the server promises whatever happens.

mod batches;
mod guesses;
mod race;
mod refusals;
mod secrets;
mod upload;
