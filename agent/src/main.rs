//! `muster-agent`: the agent as a process.

use muster_agent::{AdoptError, Agent, AgentError, DeviceId, Settings, adopt, request};
use std::{
    ffi::OsString,
    fs,
    future::Future,
    io::{self, IsTerminal as _, Read, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

const HELP: &str = "\
The device side of Muster: claims an identity, applies desired state, reports back.

usage: muster-agent [check | request | adopt FILE] [--config FILE] [--verbose | --quiet]
       muster-agent --help | --version

  check            check settings, pinned roots, firmware keys and state directory, then end; connects to nothing
  request          print a certificate request for this device's key, PEM; makes the key when there is none
  adopt FILE       take over a key (PKCS#8), a certificate chain, or both, in PEM; `-` reads the standard input,
                   as in: age -d -i station.key device.pem.age | muster-agent adopt -
  --config FILE    settings (default: /etc/muster-agent/agent.toml)
  --verbose        log each step in detail
  --quiet          log warnings only

The log goes to the standard error output. SIGTERM and SIGINT stop the agent.

settings (TOML; only the first four are required):
  server = \"registry.example:8883\"
  serial = \"GW2-000017\"
  state_directory = \"/var/lib/muster-agent\"
  root = \"/etc/muster-agent/root.pem\"                 the pinned root certificates
  activation_code_file = \"/etc/muster-agent/code\"     needed until the claim is granted, then wiped
  pinned_key = true                                   instead of a code: the registry knows this device's key
  server_name = \"registry.example\"                    if other than the host of server
  firmware = \"2.4.0\"                                  what runs; or firmware_file = \"/etc/firmware-version\"
  firmware_keys = [\"/etc/muster-agent/author.pem\"]    install only images that one of these signed (P-256 public keys, at
                                                      most 4); without it, whatever the registry says
  apply_directory = \"/var/lib/muster-agent/config\"    files are found in current/ below it
  inspect_every_minutes = 10
  [reconnect]
  first_seconds = 1
  most_seconds = 300
  [hooks]
  apply = [\"/usr/bin/accept-config\"]                  gets each new slot before it goes live; other than 0 refuses
  time_limit_seconds = 60

exit codes:
  0  stopped by a signal, or the check found nothing
  2  the command line is wrong
  3  settings, pinned roots, firmware keys or activation code are wrong or missing
     (and: what is to be adopted is not for this device)
  4  the state directory cannot be used: damaged, of a newer version, or in use by another agent
  5  the system refused something that the agent needs to start
";

/// Most bytes of a file to adopt: a key and a chain of eight certificates stay far below.
const HANDOVER_LIMIT: usize = 64 << 10;
const DEFAULT_CONFIG: &str = "/etc/muster-agent/agent.toml";

/// Documented in [`HELP`].
const EXIT_USAGE: u8 = 2;
const EXIT_SETTINGS: u8 = 3;
const EXIT_STATE: u8 = 4;
const EXIT_SYSTEM: u8 = 5;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Version,
    Check(PathBuf),
    Request(PathBuf),
    Adopt(PathBuf, PathBuf),
    Run(PathBuf, LevelFilter),
}

fn main() -> ExitCode {
    match parse(std::env::args_os().skip(1)) {
        Err(message) => failed(EXIT_USAGE, &format!("{message}; see muster-agent --help")),
        Ok(Command::Help) => printed(HELP),
        Ok(Command::Version) => printed(concat!("muster-agent ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Check(config)) => match open(&config) {
            Ok(agent) => printed(&match agent.device_id() {
                Some(device) => format!("settings are good; this device is {device}\n"),
                None => "settings are good; this device has no identity yet\n".into(),
            }),
            Err((code, message)) => failed(code, &message),
        },
        Ok(Command::Request(config)) => {
            let made = settings(&config)
                .and_then(|settings| request(&settings).map_err(|error| (exit_code(&error), told(&error))));
            match made {
                Ok(pem) => printed(&pem),
                Err((code, message)) => failed(code, &message),
            }
        }
        Ok(Command::Adopt(file, config)) => match take_over(&file, &config) {
            Ok(Some(device)) => printed(&format!("this device is {device} now\n")),
            Ok(None) => printed("the key is this device's now; it claims with it when pinned_key is set\n"),
            Err((code, message)) => failed(code, &message),
        },
        Ok(Command::Run(config, level)) => run(&config, level),
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let mut adopt = None;
    let (mut check, mut request) = (false, false);
    let (mut config, mut level) = (PathBuf::from(DEFAULT_CONFIG), LevelFilter::INFO);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--help" | "-h") => return Ok(Command::Help),
            Some("--version" | "-V") => return Ok(Command::Version),
            Some("check") if !check && !request && adopt.is_none() => check = true,
            Some("request") if !check && !request && adopt.is_none() => request = true,
            Some("adopt") if !check && !request && adopt.is_none() => {
                adopt = Some(
                    arguments
                        .next()
                        .ok_or("adopt wants a file, or - for the standard input")?,
                );
            }
            Some("--config") => config = arguments.next().ok_or("--config wants a file")?.into(),
            Some("--verbose") => level = LevelFilter::DEBUG,
            Some("--quiet") => level = LevelFilter::WARN,
            // What was typed is not shown: it could be a code that does not belong here.
            _ => return Err("unknown argument".into()),
        }
    }
    Ok(match adopt {
        Some(file) => Command::Adopt(file.into(), config),
        None if check => Command::Check(config),
        None if request => Command::Request(config),
        None => Command::Run(config, level),
    })
}

fn settings(config: &Path) -> Result<Settings, (u8, String)> {
    let text = fs::read_to_string(config).map_err(|error| {
        (
            EXIT_SETTINGS,
            format!("cannot read {}: {error}", config.display()),
        )
    })?;
    Settings::parse(&text).map_err(|problems| (EXIT_SETTINGS, format!("{}:\n{problems}", config.display())))
}

fn open(config: &Path) -> Result<Agent, (u8, String)> {
    Agent::new(settings(config)?).map_err(|error| (exit_code(&error), told(&error)))
}

fn take_over(file: &Path, config: &Path) -> Result<Option<DeviceId>, (u8, String)> {
    let settings = settings(config)?;
    // The buffer has its full size at once: growing would leave copies of the key in memory.
    let mut text = Zeroizing::new(Vec::with_capacity(HANDOVER_LIMIT));
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let opened = fs::File::open(file);
        Box::new(opened.map_err(|error| (EXIT_SETTINGS, format!("cannot read {}: {error}", file.display())))?)
    };
    let limit = u64::try_from(HANDOVER_LIMIT).unwrap_or(u64::MAX);
    source
        .take(limit)
        .read_to_end(&mut text)
        .map_err(|error| (EXIT_SETTINGS, format!("cannot read {}: {error}", file.display())))?;
    adopt(&settings, &text).map_err(|error| match &error {
        AdoptError::Agent(inner) => (exit_code(inner), told(&error)),
        AdoptError::Malformed
        | AdoptError::NoKey
        | AdoptError::OtherKey
        | AdoptError::Claimed(_)
        | AdoptError::Untrusted(_) => (EXIT_SETTINGS, told(&error)),
    })
}

fn exit_code(error: &AgentError) -> u8 {
    match error {
        AgentError::Roots(_)
        | AgentError::Trust(_)
        | AgentError::Author(..)
        | AgentError::Code(_)
        | AgentError::Key => EXIT_SETTINGS,
        AgentError::Directory(..) | AgentError::State(_) => EXIT_STATE,
    }
}

fn told(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |line, source| format!("{line}: {source}"))
}

/// One thread waits for the network; fsyncs and hooks have their own.
fn run(config: &Path, level: LevelFilter) -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(io::stderr)
        // Colours are for a person at a terminal, not for a file.
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .init();
    let agent = match open(config) {
        Ok(agent) => agent,
        Err((code, message)) => return failed(code, &message),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(EXIT_SYSTEM, &format!("cannot start: {error}")),
    };
    let ran = runtime.block_on(async {
        let stopped =
            stopped().map_err(|error| (EXIT_SYSTEM, format!("cannot listen for signals: {error}")))?;
        agent
            .run(stopped)
            .await
            .map_err(|error| (exit_code(&error), told(&error)))
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => failed(code, &message),
    }
}

fn stopped() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    })
}

/// Written by hand and not with `println!`, which panics when nobody reads.
fn printed(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EXIT_SYSTEM),
    }
}

fn failed(code: u8, message: &str) -> ExitCode {
    // Where nobody reads errors, the code has to do.
    let _unread = writeln!(io::stderr(), "muster-agent: {message}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read() {
        let read = |line: &str| parse(line.split_whitespace().map(OsString::from));
        let default = || PathBuf::from(DEFAULT_CONFIG);
        assert_eq!(read(""), Ok(Command::Run(default(), LevelFilter::INFO)));
        assert_eq!(read("check"), Ok(Command::Check(default())));
        assert_eq!(read("check --config a.toml"), Ok(Command::Check("a.toml".into())));
        assert_eq!(
            read("--config a.toml --verbose"),
            Ok(Command::Run("a.toml".into(), LevelFilter::DEBUG))
        );
        assert_eq!(read("--quiet"), Ok(Command::Run(default(), LevelFilter::WARN)));
        assert_eq!(read("check --help"), Ok(Command::Help));
        assert_eq!(read("-V"), Ok(Command::Version));
        let adopted = |file: &str, config: &str| Ok(Command::Adopt(file.into(), config.into()));
        assert_eq!(read("adopt -"), adopted("-", DEFAULT_CONFIG));
        assert_eq!(read("adopt k.pem --config a.toml"), adopted("k.pem", "a.toml"));
        assert_eq!(read("request"), Ok(Command::Request(default())));
        for wrong in [
            "check request",
            "request adopt x",
            "--config",
            "check check",
            "adopt",
            "check adopt x",
            "run",
            "--code=SECRET",
        ] {
            let message = read(wrong).unwrap_err();
            assert!(!message.contains("SECRET"), "{message}");
        }
    }
}
