//! Settings: from a file or from code, checked once, then only read.

mod builder;
mod file;

pub use builder::SettingsBuilder;

use crate::{apply::Hook, clock::TimeSource};
use rustls::pki_types::ServerName;
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use zeroize::Zeroizing;

/// Everything that is wrong with settings, each thing with its name. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which setting, such as `hooks.apply`; empty for the file as a whole.
    pub setting: String,
    /// What is wrong with it.
    pub message: String,
}

impl Problems {
    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.setting.as_str() {
            "" => f.write_str(&self.message),
            setting => write!(f, "{setting}: {}", self.message),
        }
    }
}

/// Where the activation code is.
#[derive(Clone)]
pub(crate) enum CodeSource {
    /// None is set: the device has its identity already.
    Absent,
    /// In memory, for simulators and demonstrations.
    Text(Zeroizing<String>),
    /// In a file that is wiped once the identity is durable.
    File(PathBuf),
    /// There is none: the registry has pinned this device's key, and the request proves that it is held.
    Key,
}

impl CodeSource {
    /// Does the key alone earn the identity?
    pub(crate) const fn is_key(&self) -> bool {
        matches!(self, Self::Key)
    }
}

/// Where the pinned roots are.
#[derive(Debug, Clone)]
enum RootSource {
    Pem(Vec<u8>),
    File(PathBuf),
}

/// Where the running firmware version is.
#[derive(Debug, Clone)]
pub(crate) enum FirmwareSource {
    Unknown,
    Text(String),
    File(PathBuf),
}

/// Checked settings of an agent.
#[derive(Clone)]
pub struct Settings {
    server: String,
    server_name: ServerName<'static>,
    serial: String,
    state_directory: PathBuf,
    apply_directory: Option<PathBuf>,
    code: CodeSource,
    roots: RootSource,
    firmware: FirmwareSource,
    firmware_keys: Option<Vec<PathBuf>>,
    hook: Option<Hook>,
    reconnect: (Duration, Duration),
    inspect_every: Duration,
    clock: TimeSource,
}

impl Settings {
    /// Settings by code: the registry's `host:port`, the device's serial, and a directory that is this agent's alone.
    pub fn builder(
        server: impl Into<String>,
        serial: impl Into<String>,
        state_directory: impl Into<PathBuf>,
    ) -> SettingsBuilder {
        SettingsBuilder::new(server.into(), serial.into(), state_directory.into())
    }

    /// Settings from the text of an `agent.toml`. Unknown settings are mistakes; all mistakes are told at once.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        file::parse(text)
    }

    /// Where the registry listens, `host:port`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The name that the registry's certificate must carry.
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }

    /// The serial that the factory gave this device.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Where key, identity and ledger are kept.
    pub fn state_directory(&self) -> &Path {
        &self.state_directory
    }

    /// Where desired state is applied; `config` below the state directory by default.
    pub fn apply_directory(&self) -> PathBuf {
        self.apply_directory
            .clone()
            .unwrap_or_else(|| self.state_directory.join("config"))
    }

    /// First and greatest delay before a lost connection is tried again.
    pub fn reconnect(&self) -> (Duration, Duration) {
        self.reconnect
    }

    /// How often what runs is compared with what was applied.
    pub fn inspect_every(&self) -> Duration {
        self.inspect_every
    }

    pub(crate) fn code(&self) -> &CodeSource {
        &self.code
    }

    /// The code has served.
    pub(crate) fn forget_code(&mut self) {
        self.code = CodeSource::Absent;
    }

    /// The pinned roots, PEM.
    pub(crate) fn roots(&self) -> io::Result<Vec<u8>> {
        match &self.roots {
            RootSource::Pem(pem) => Ok(pem.clone()),
            RootSource::File(path) => fs::read(path),
        }
    }

    pub(crate) fn firmware(&self) -> &FirmwareSource {
        &self.firmware
    }

    /// Files with the keys of the firmware's authors; `None` where any image will do.
    pub(crate) fn firmware_keys(&self) -> Option<&[PathBuf]> {
        self.firmware_keys.as_deref()
    }

    pub(crate) fn hook(&self) -> Option<&Hook> {
        self.hook.as_ref()
    }

    pub(crate) fn clock(&self) -> TimeSource {
        TimeSource::clone(&self.clock)
    }
}

impl fmt::Debug for CodeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Text(_) => f.write_str("Text"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Key => f.write_str("Key"),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("server", &self.server)
            .field("serial", &self.serial)
            .field("state_directory", &self.state_directory)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
