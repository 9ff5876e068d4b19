//! `muster` against a server of its own: whole commands over real TLS, as a user types them.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod batches;
mod fake;
mod files;
mod imports;
mod killed;
mod play;
mod reads;
