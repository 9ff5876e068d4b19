//! The `muster` binary.

use std::{
    io::{self, BufWriter},
    process::ExitCode,
};

fn main() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        return muster_tools::Exit::Fault.into();
    };
    let exit = runtime.block_on(async {
        let mut out = BufWriter::new(io::stdout());
        muster_tools::cli::run(std::env::args_os(), &mut out, &mut io::stderr()).await
    });
    // A thread that still waits for standard input must not hold up the end.
    runtime.shutdown_background();
    exit.into()
}
