//! Where a command's log lines go.

use std::io;
use tracing_subscriber::EnvFilter;

/// Standard error, silent unless RUST_LOG asks: what a command has to say, it prints.
pub(crate) fn to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // A program that uses us as a library has set its own, which stays.
    drop(lines.try_init());
}

/// A file, for commands that run servers and draw on the terminal. MUSTER_LOG chooses what.
#[cfg(feature = "embedded")]
pub(crate) fn to_file(file: std::fs::File) {
    let filter = EnvFilter::try_from_env("MUSTER_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("info,{}", muster_server::mqtt::LOG_DIRECTIVE)));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(file));
    drop(lines.try_init());
}
