//! The `muster` binary.

use std::{
    io::{self, BufWriter},
    process::ExitCode,
};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Silent unless RUST_LOG asks: what a command has to say, it prints.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return muster_tools::Exit::Fault.into(),
    };
    let exit = runtime.block_on(async {
        let mut out = BufWriter::new(io::stdout());
        muster_tools::cli::run(std::env::args_os(), &mut out, &mut io::stderr()).await
    });
    // A thread that still waits for standard input must not hold up the end.
    runtime.shutdown_background();
    exit.into()
}
