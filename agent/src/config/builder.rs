//! Settings step by step; everything is checked at the end, and every mistake is told.

use super::{CodeSource, FirmwareSource, Problem, Problems, RootSource, Settings};
use crate::{
    apply::Hook,
    clock::{TimeSource, system_time},
};
use muster_proto::firmware::AUTHOR_KEYS_LIMIT;
use rustls::pki_types::ServerName;
use std::{path::PathBuf, time::Duration};
use zeroize::Zeroizing;

/// First and greatest delay before a lost connection is tried again, unless set.
const RECONNECT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// What these delays may be: shorter is a tight loop, longer a device that seems dead.
const RECONNECT_RANGE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(24 * 3600));
/// How often what runs is inspected, unless set.
const INSPECT_EVERY: Duration = Duration::from_secs(600);
/// How often that may be.
const INSPECT_RANGE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(24 * 3600));
/// How long a hook may take, unless set, and at most: reports wait for it.
pub(super) const HOOK_LIMIT: Duration = Duration::from_secs(60);
const HOOK_RANGE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(600));
/// Longest serial in bytes.
const SERIAL_LIMIT: usize = 128;

/// Collects [`Settings`].
#[derive(Debug)]
pub struct SettingsBuilder {
    server: String,
    server_name: Option<String>,
    serial: String,
    state_directory: PathBuf,
    apply_directory: Option<PathBuf>,
    code: CodeSource,
    roots: Option<RootSource>,
    firmware: FirmwareSource,
    /// `None`: any image will do.
    firmware_keys: Option<Vec<PathBuf>>,
    hook: Option<(Vec<String>, Duration)>,
    reconnect: (Duration, Duration),
    inspect_every: Duration,
    clock: Clock,
    pub(super) problems: Vec<Problem>,
}

/// A source of time, without a `Debug` of its own.
struct Clock(TimeSource);

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl SettingsBuilder {
    pub(super) fn new(server: String, serial: String, state_directory: PathBuf) -> Self {
        Self {
            server,
            server_name: None,
            serial,
            state_directory,
            apply_directory: None,
            code: CodeSource::Absent,
            roots: None,
            firmware: FirmwareSource::Unknown,
            firmware_keys: None,
            hook: None,
            reconnect: RECONNECT,
            inspect_every: INSPECT_EVERY,
            clock: Clock(system_time()),
            problems: Vec::new(),
        }
    }

    /// The name that the registry's certificate must carry; the host of the server unless set.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The activation code itself.
    #[must_use]
    pub fn code(mut self, code: Zeroizing<String>) -> Self {
        self.code = CodeSource::Text(code);
        self
    }

    /// A file with the activation code. It is wiped once the identity is durable.
    #[must_use]
    pub fn code_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.code = CodeSource::File(path.into());
        self
    }

    /// No activation code: the registry has pinned this device's key.
    #[must_use]
    pub fn pinned_key(mut self) -> Self {
        self.code = CodeSource::Key;
        self
    }

    /// The pinned roots, PEM.
    #[must_use]
    pub fn root_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(RootSource::Pem(pem.into()));
        self
    }

    /// A file with the pinned roots, PEM.
    #[must_use]
    pub fn root_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots = Some(RootSource::File(path.into()));
        self
    }

    /// The firmware version that runs.
    #[must_use]
    pub fn firmware(mut self, version: impl Into<String>) -> Self {
        self.firmware = FirmwareSource::Text(version.into());
        self
    }

    /// A file with the firmware version that runs; read again each time it is wanted.
    #[must_use]
    pub fn firmware_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.firmware = FirmwareSource::File(path.into());
        self
    }

    /// Files with the public keys of the firmware's authors, each one key in PEM: images that none of them signed are not
    /// for this device. Without this any image is.
    #[must_use]
    pub fn firmware_keys(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.firmware_keys = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    /// Where desired state is applied.
    #[must_use]
    pub fn apply_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.apply_directory = Some(path.into());
        self
    }

    /// A command that gets each new slot before it goes live and may refuse it.
    #[must_use]
    pub fn hook(
        mut self,
        command: impl IntoIterator<Item = impl Into<String>>,
        time_limit: Duration,
    ) -> Self {
        self.hook = Some((command.into_iter().map(Into::into).collect(), time_limit));
        self
    }

    /// First and greatest delay before a lost connection is tried again.
    #[must_use]
    pub fn reconnect(mut self, first: Duration, most: Duration) -> Self {
        self.reconnect = (first, most);
        self
    }

    /// How often what runs is compared with what was applied.
    #[must_use]
    pub fn inspect_every(mut self, every: Duration) -> Self {
        self.inspect_every = every;
        self
    }

    /// Another source of the time of day than the system's, seconds since 1970; for simulations.
    #[must_use]
    pub fn clock(mut self, clock: TimeSource) -> Self {
        self.clock = Clock(clock);
        self
    }

    /// Checks everything.
    pub fn build(mut self) -> Result<Settings, Problems> {
        let server_name = self.checked_server();
        self.check_serial();
        if self.state_directory.as_os_str().is_empty() {
            self.problem("state_directory", "must be set");
        }
        if self.roots.is_none() {
            self.problem("root", "must be set");
        }
        let (first, most) = self.reconnect;
        self.check_range("reconnect.first_seconds", first, RECONNECT_RANGE);
        self.check_range("reconnect.most_seconds", most, RECONNECT_RANGE);
        if first > most {
            self.problem(
                "reconnect.first_seconds",
                "must not be greater than reconnect.most_seconds",
            );
        }
        let every = self.inspect_every;
        self.check_range("inspect_every_minutes", every, INSPECT_RANGE);
        self.check_firmware_keys();
        let hook = self.checked_hook();
        match (server_name, self.roots) {
            (Some(server_name), Some(roots)) if self.problems.is_empty() => Ok(Settings {
                server: self.server,
                server_name,
                serial: self.serial,
                state_directory: self.state_directory,
                apply_directory: self.apply_directory,
                code: self.code,
                roots,
                firmware: self.firmware,
                firmware_keys: self.firmware_keys,
                hook,
                reconnect: self.reconnect,
                inspect_every: self.inspect_every,
                clock: self.clock.0,
            }),
            _ => Err(Problems(self.problems)),
        }
    }

    pub(super) fn problem(&mut self, setting: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            setting: setting.into(),
            message: message.into(),
        });
    }

    fn checked_server(&mut self) -> Option<ServerName<'static>> {
        let host = match self.server.rsplit_once(':') {
            _ if self.server.is_empty() => {
                self.problem("server", "must be set");
                return None;
            }
            // An IPv6 address stands in brackets (RFC 3986, 3.2.2).
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0) => {
                host.trim_start_matches('[').trim_end_matches(']').to_owned()
            }
            _ => {
                self.problem("server", "must be host:port");
                return None;
            }
        };
        let (setting, name) = match &self.server_name {
            Some(name) => ("server_name", name.clone()),
            None => ("server", host),
        };
        match ServerName::try_from(name) {
            Ok(name) => Some(name),
            Err(_) => {
                self.problem(setting, "is neither a host name nor an address");
                None
            }
        }
    }

    fn check_serial(&mut self) {
        if self.serial.is_empty() {
            self.problem("serial", "must be set");
        } else if self.serial.len() > SERIAL_LIMIT || self.serial.chars().any(char::is_control) {
            self.problem(
                "serial",
                format!("must be at most {SERIAL_LIMIT} bytes without control characters"),
            );
        }
    }

    fn check_range(&mut self, setting: &str, value: Duration, (least, most): (Duration, Duration)) {
        if !(least..=most).contains(&value) {
            self.problem(setting, format!("must lie between {least:?} and {most:?}"));
        }
    }

    /// A list of none would say that no image will do, and might be meant to say that any will.
    fn check_firmware_keys(&mut self) {
        let Some(paths) = &self.firmware_keys else { return };
        if !(1..=AUTHOR_KEYS_LIMIT).contains(&paths.len()) {
            self.problem(
                "firmware_keys",
                format!("must name 1 to {AUTHOR_KEYS_LIMIT} files, or be left out"),
            );
        }
    }

    fn checked_hook(&mut self) -> Option<Hook> {
        let (command, time_limit) = self.hook.take()?;
        self.check_range("hooks.time_limit_seconds", time_limit, HOOK_RANGE);
        let mut words = command.into_iter();
        match words.next() {
            Some(program) if !program.is_empty() => Some(Hook {
                program,
                arguments: words.collect(),
                time_limit,
            }),
            _ => {
                self.problem("hooks.apply", "must name a command");
                None
            }
        }
    }
}
