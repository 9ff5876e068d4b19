//! What the server promises whatever happens.

mod batches;
mod crowd;
mod expiry;
mod guesses;
mod hostile;
mod isolation;
mod kills;
mod kills_of_changes;
mod kills_of_claims;
mod linters;
mod mappings;
mod race;
mod refusals;
mod refused_batches;
mod refused_changes;
mod refused_credentials;
mod refused_subscribers;
mod reload;
mod resumption;
mod secrets;
mod upload;
