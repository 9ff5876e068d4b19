//! `musterd`: makes a registry and serves it.

mod commands;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use commands::authority::Authority;
use muster_domain::names::OperatorName;
use muster_server::{
    app::App,
    ca::{self, Passphrase},
    clock::Clock,
    config::{LogFormat, Settings},
    init, mqtt,
    reload::{Reloaded, Reloader},
};
use std::{
    io::IsTerminal as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The registry, certificate authority and MQTT gate of Muster.
///
/// Exit codes: 0 stopped as asked; 1 a part failed (start it again); 2 wrong arguments; 3 wrong settings or directory
/// (nothing was opened). SIGHUP makes a running server open the certificate authority again, see `musterd serve --help`. Logs go
/// to standard error; MUSTER_LOG chooses what, such as `info,muster_server=debug`.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a registry in a new directory: keys, certificates, settings, store, first operator.
    Init(Init),
    /// Serve until SIGTERM or Ctrl-C.
    ///
    /// On SIGHUP (in a systemd unit, `ExecReload=kill -HUP $MAINPID`) the passphrase is read and the certificate authority opened
    /// again, as after `musterd authority install` or `remove`. It takes the place of the one before whole, or, when anything is
    /// wrong with it, not at all; the log says which. Connections go on; sessions of devices end whose certificates come from an
    /// authority that was removed. Settings are read at the start alone.
    Serve(Directory),
    /// Check settings, keys and every invariant of the store, or every certificate on record, then exit. The server must not
    /// run.
    Check(Check),
    /// Look after the certificates of the authority itself: list, renew, rotate, remove.
    #[command(subcommand)]
    Authority(Authority),
}

#[derive(clap::Args)]
struct Init {
    /// The directory; made here, must not exist or be empty.
    #[arg(long)]
    dir: PathBuf,
    /// Directory for the root key; made here, must not exist or be empty, and lie outside of --dir. Without it: beside --dir,
    /// with the ending `-offline`. Move it to storage that is not connected to a network; to write on such storage at once,
    /// name a directory in it that does not exist yet.
    #[arg(long)]
    offline: Option<PathBuf>,
    /// File whose first line seals the private keys; made with a random passphrase if it is not there.
    #[arg(long)]
    passphrase_file: PathBuf,
    /// Stands in every certificate.
    #[arg(long, default_value = "Muster")]
    organisation: String,
    /// Name or address by which clients and devices reach the server; give it for each.
    #[arg(long = "server-name", default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned()])]
    server_names: Vec<String>,
    /// Where gRPC listens.
    #[arg(long, default_value = "127.0.0.1:8443")]
    grpc: SocketAddr,
    /// Where MQTT listens.
    #[arg(long, default_value = "127.0.0.1:8883")]
    mqtt: SocketAddr,
    /// The first operator, an admin.
    #[arg(long, default_value = "admin")]
    operator: String,
}

#[derive(clap::Args)]
struct Check {
    /// What to check; without it, everything but the signatures of certificates.
    #[arg(value_enum)]
    what: Option<What>,
    #[command(flatten)]
    directory: Directory,
}

/// What `check` can be asked for.
#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Every certificate on record, against its issuer's key, its profile and its record. A core verifies some 14,000 a second.
    Certificates,
}

#[derive(clap::Args)]
struct Directory {
    /// The directory that `init` made.
    #[arg(long)]
    dir: PathBuf,
    /// File whose first line opens the private keys. Without it: the systemd credential `muster-passphrase`.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
}

/// Settings or directory are wrong; nothing was opened.
const WRONG_SETTINGS: u8 = 3;

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("MUSTER_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("info,{}", mqtt::LOG_DIRECTIVE)));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Human => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

#[expect(clippy::print_stderr, reason = "the program's own last words")]
fn complain(error: &anyhow::Error) {
    eprintln!("musterd: {error:#}");
}

#[expect(clippy::print_stdout, reason = "the program's answer")]
fn say(line: &str) {
    println!("{line}");
}

fn passphrase(file: Option<&Path>) -> anyhow::Result<Passphrase> {
    match file {
        Some(path) => Ok(Passphrase::read(path)?),
        None => Passphrase::from_credential()?
            .context("no passphrase: give --passphrase-file, or the systemd credential muster-passphrase"),
    }
}

impl Directory {
    fn passphrase(&self) -> anyhow::Result<Passphrase> {
        passphrase(self.passphrase_file.as_deref())
    }

    fn reload(&self, reloader: &Reloader) -> anyhow::Result<Reloaded> {
        let warnings = ca::warnings(&self.dir, Clock::System.now())?;
        let reloaded = reloader.reload(&self.passphrase()?)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(reloaded)
    }
}

fn make(arguments: Init) -> anyhow::Result<()> {
    let Init {
        dir,
        offline,
        passphrase_file,
        organisation,
        server_names,
        grpc,
        mqtt,
        operator,
    } = arguments;
    let operator: OperatorName = operator
        .parse()
        .map_err(|why| anyhow::anyhow!("--operator {why}"))?;
    if !passphrase_file.exists() {
        init::write_passphrase(&passphrase_file).context("cannot write the passphrase file")?;
        say(&format!(
            "passphrase   {}  (new; keep a copy away from this machine)",
            passphrase_file.display()
        ));
    }
    let passphrase = Passphrase::read(&passphrase_file)?;
    let listen = Some((grpc, mqtt));
    let offline = offline.unwrap_or_else(|| init::offline_beside(&dir));
    let request = init::Request {
        directory: dir.clone(),
        offline: offline.clone(),
        organisation,
        server_names,
        listen,
        operator,
    };
    init::init(&request, &passphrase, Clock::System.now())?;
    let dir = dir.display();
    say(&format!("registry     {dir}"));
    say(&format!(
        "operator     {dir}/operator/context.toml  (use it: muster --context {dir}/operator/context.toml operator whoami)"
    ));
    say(&format!(
        "root key     {}  (move it off this machine; serving does not need it)",
        offline.display()
    ));
    say(&format!(
        "next         musterd serve --dir {dir} --passphrase-file {}",
        passphrase_file.display()
    ));
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Cancelled by SIGTERM or Ctrl-C.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            interrupt = tokio::signal::ctrl_c() => if let Err(error) = interrupt {
                tracing::warn!(%error, "Ctrl-C cannot be heard");
            },
        }
        tracing::info!("stopping");
        cancel.cancel();
    });
    Ok(stop)
}

/// Opens the authority again at each SIGHUP. The passphrase is read for it, and not kept.
fn reload_on_hangup(mut hangup: tokio::signal::unix::Signal, reloader: Reloader, directory: Directory) {
    let directory = Arc::new(directory);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let (reloader, directory) = (reloader.clone(), Arc::clone(&directory));
            let reloaded = tokio::task::spawn_blocking(move || directory.reload(&reloader));
            let reloaded = reloaded.await.map_err(anyhow::Error::new).flatten();
            match reloaded {
                Ok(Reloaded { changes, ended }) => {
                    let changes = if changes.is_empty() {
                        "nothing is other".to_owned()
                    } else {
                        changes.join("; ")
                    };
                    tracing::info!(
                        changes,
                        sessions_ended = ended,
                        "the certificate authority was opened again"
                    );
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the certificate authority was not opened again, and the server works with the one before; correct what is \
                     wrong, then send SIGHUP once more"
                ),
            }
        }
    });
}

/// The inner result is how serving ended; the outer, why it could not start.
fn serve(
    settings: Settings,
    passphrase: Passphrase,
    directory: Directory,
) -> anyhow::Result<anyhow::Result<()>> {
    runtime()?.block_on(async {
        // Before anything else: one that comes while the server starts must not end it.
        let hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
        let warnings = ca::warnings(settings.directory(), Clock::System.now());
        let app = App::build(settings, &passphrase, Clock::System).await?;
        for warning in warnings? {
            tracing::warn!("{warning}");
        }
        drop(passphrase);
        let (grpc, mqtt) = app.addresses()?;
        let stop = stop_signal()?;
        reload_on_hangup(hangup, app.reloader(), directory);
        tracing::info!(%grpc, %mqtt, "ready");
        let ended = app.run(stop).await;
        tracing::info!("stopped");
        Ok(ended.map_err(anyhow::Error::new))
    })
}

fn check(
    what: Option<What>,
    settings: &Settings,
    passphrase: &Passphrase,
) -> anyhow::Result<anyhow::Result<()>> {
    let broken = match what {
        None => runtime()?.block_on(init::check(settings, passphrase))?,
        Some(What::Certificates) => {
            let checked = runtime()?.block_on(init::check_certificates(settings, passphrase))?;
            say(&format!(
                "{} certificates of ours, {} of other authorities, {} not signed",
                checked.ours, checked.foreign, checked.unsigned
            ));
            checked.problems
        }
    };
    for warning in ca::warnings(settings.directory(), Clock::System.now())? {
        say(&format!("warning: {warning}"));
    }
    for line in &broken {
        say(line);
    }
    if broken.is_empty() {
        say("everything is in order");
        return Ok(Ok(()));
    }
    Ok(Err(anyhow::anyhow!("{} things are not in order", broken.len())))
}

fn run(command: Command) -> anyhow::Result<anyhow::Result<()>> {
    let opened = |directory: &Directory| -> anyhow::Result<_> {
        let settings = Settings::load(&directory.dir)?;
        Ok((settings, directory.passphrase()?))
    };
    match command {
        Command::Init(arguments) => make(arguments).map(Ok),
        Command::Serve(directory) => {
            let (settings, passphrase) = opened(&directory)?;
            log(settings.log());
            serve(settings, passphrase, directory)
        }
        Command::Check(Check { what, directory }) => {
            let (settings, passphrase) = opened(&directory)?;
            check(what, &settings, &passphrase)
        }
        Command::Authority(command) => command.run().map(Ok),
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            complain(&error);
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(WRONG_SETTINGS)
        }
    }
}
