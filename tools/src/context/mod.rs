//! Contexts: which server, which root, and whose certificate.
//!
//! A context is a small TOML file beside the credentials it names, so that a directory made by `musterd init` or
//! `muster operator create` can be carried to another machine as it is.

mod file;
mod store;

pub use file::ContextFile;
pub use store::{Collision, Contexts};

use crate::failure::Failure;
use std::{
    fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

/// Names the context when no option does.
pub const VARIABLE: &str = "MUSTER_CONTEXT";
/// Largest file of a context: a few certificates. Anything over is not one.
const FILE_LIMIT: u64 = 1 << 20;
/// Where a directory of `musterd init` has its context, and where one of `muster operator create` has it.
const IN_DIRECTORY: [&str; 2] = ["operator/context.toml", "context.toml"];

/// A context with its credentials read. `Debug` does not show the key.
#[derive(Clone)]
pub struct Context {
    /// As the user calls it; for messages.
    pub label: String,
    /// Such as `https://127.0.0.1:8443`.
    pub server: String,
    /// Where the server listens for MQTT, such as `127.0.0.1:8883`; contexts of older programs do not say.
    pub mqtt: Option<String>,
    /// The name in the server's certificate, where it differs from that in `server`.
    pub server_name: Option<String>,
    /// Root certificates, PEM.
    pub roots: Vec<u8>,
    /// The operator's certificate and those above it, PEM.
    pub certificate: Vec<u8>,
    /// The operator's private key, PEM.
    pub key: Vec<u8>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("label", &self.label)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Reads a file that should be small.
pub(crate) fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::file("read", path, &error);
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::usage(
            format!("{} is over {limit} bytes", path.display()),
            "Is it the right file?",
        ));
    }
    Ok(bytes)
}

impl Context {
    /// Reads a context file, or a directory that holds one, and the credentials it names.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let path = file_of(path)?;
        let file = ContextFile::read(&path)?;
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        let read = |name: &Path| read_small(&base.join(name), FILE_LIMIT);
        Ok(Self {
            label: path.display().to_string(),
            roots: read(&file.roots)?,
            certificate: read(&file.certificate)?,
            key: read(&file.key)?,
            server: file.server,
            mqtt: file.mqtt,
            server_name: file.server_name,
        })
    }
}

/// The context file that a path names: itself, or the one in a directory.
pub(crate) fn file_of(path: &Path) -> Result<PathBuf, Failure> {
    if path.is_dir() {
        in_directory(path)
    } else {
        Ok(path.to_owned())
    }
}

fn in_directory(directory: &Path) -> Result<PathBuf, Failure> {
    let found = IN_DIRECTORY
        .iter()
        .map(|name| directory.join(name))
        .find(|path| path.is_file());
    found.ok_or_else(|| {
        let looked = IN_DIRECTORY.join(" nor ");
        Failure::usage(
            format!("{} has neither {looked}", directory.display()),
            "Make a server with `musterd init --dir DIR`, or name its context file.",
        )
    })
}

#[cfg(test)]
mod tests;
