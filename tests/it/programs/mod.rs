//! Our binaries as processes.
