//! The measured server: a registry in a scratch directory, served by a process of its own.

use crate::{cli::Session, client::Client, context::Context};
use anyhow::Context as _;
use clap::Args;
use muster_server::{app::App, ca::Passphrase, clock::Clock, config::Settings, init};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
};
use tokio_util::sync::CancellationToken;

/// The hidden command that serves a benchmark.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    passphrase_file: PathBuf,
}

pub(crate) const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

impl Serve {
    /// Serves until standard input closes, so that it never outlives the benchmark.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let settings = Settings::load(&self.dir)?.listening(ANY_PORT, ANY_PORT);
        let app = App::build(settings, &Passphrase::read(&self.passphrase_file)?, Clock::System).await?;
        let (grpc, mqtt) = app.addresses()?;
        session.say(&format!("{grpc} {mqtt}"))?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let service = app.service().clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(tokio::io::stdin()).lines();
            // An error is as good as an end: nobody is there any more.
            while let Ok(Some(ids)) = lines.next_line().await {
                let ids = ids.split_whitespace().filter_map(|id| id.parse().ok());
                service.ask_to_renew(ids);
            }
            stopped.cancel();
        });
        Ok(app.run(stop).await?)
    }
}

/// A server under measurement, with its client.
pub(super) struct Host {
    child: Child,
    /// Closing it ends the child. A line of device ids tells these devices that they should renew.
    life: ChildStdin,
    directory: PathBuf,
    passphrase: PathBuf,
    pub(super) client: Client,
    pub(super) mqtt: SocketAddr,
    pub(super) root: PathBuf,
}

/// A process, and what the kernel counts of it (proc(5)).
#[derive(Debug, Clone)]
pub(crate) struct Process(PathBuf);

impl Process {
    pub(super) fn of(process: u32) -> Self {
        Self(format!("/proc/{process}").into())
    }

    pub(crate) fn of_this_process() -> Self {
        Self("/proc/self".into())
    }

    /// Bytes in memory now.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        self.line("VmRSS:")
    }

    /// Most bytes that were in memory since the start, or since the peak was forgotten.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        self.line("VmHWM:")
    }

    /// Begins to look for the peak anew.
    pub(super) fn forget_peak(&self) -> anyhow::Result<()> {
        // 5 resets the peak and nothing else.
        std::fs::write(self.0.join("clear_refs"), "5").context("cannot reset the peak of memory")
    }

    /// CPU time since its start, in seconds.
    pub(super) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(self.0.join("stat"))?;
        // Fields count from behind the name, which may hold blanks: utime and stime are the 12th and 13th there.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = fields
            .get(11..13)
            .context("short stat")?
            .iter()
            .map(|field| field.parse::<f64>())
            .sum::<Result<f64, _>>()?;
        // USER_HZ is 100 on every Linux we run on.
        Ok(ticks / 100.0)
    }

    fn line(&self, name: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(self.0.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.with_context(|| format!("no {name}"))?;
        Ok(kilobytes.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

impl Host {
    /// Makes a registry under `scratch` and starts a server on it.
    pub(super) async fn start(scratch: &Path, tune: impl FnOnce(String) -> String) -> anyhow::Result<Self> {
        let (directory, passphrase) = (scratch.join("registry"), scratch.join("passphrase"));
        init::write_passphrase(&passphrase)?;
        let request = init::Request {
            directory: directory.clone(),
            offline: init::offline_beside(&directory),
            organisation: "Bench".to_owned(),
            server_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            listen: None,
            operator: "bench"
                .parse()
                .map_err(|why| anyhow::anyhow!("operator name {why}"))?,
        };
        let sealed_with = Passphrase::read(&passphrase)?;
        tokio::task::spawn_blocking(move || init::init(&request, &sealed_with, Clock::System.now()))
            .await??;
        let settings = directory.join(muster_server::config::FILE_NAME);
        std::fs::write(&settings, tune(std::fs::read_to_string(&settings)?))?;
        Self::serve(directory, passphrase).await
    }

    /// Ends the server and starts it on the same registry: nothing of what it did before is in its memory.
    pub(super) async fn again(self) -> anyhow::Result<Self> {
        let (directory, passphrase) = self.end().await?;
        Self::serve(directory, passphrase).await
    }

    /// Ends the server; where its registry is, and the passphrase of that.
    pub(super) async fn end(self) -> anyhow::Result<(PathBuf, PathBuf)> {
        let Self {
            mut child,
            life,
            directory,
            passphrase,
            ..
        } = self;
        drop(life);
        let ended = child.wait().await?;
        anyhow::ensure!(ended.success(), "the server ended with {ended}");
        Ok((directory, passphrase))
    }

    async fn serve(directory: PathBuf, passphrase: PathBuf) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("bench-server")
            .arg("--dir")
            .arg(&directory)
            .arg("--passphrase-file")
            .arg(&passphrase)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the server process")?;
        let life = child.stdin.take().context("no pipe to the server")?;
        let mut lines = BufReader::new(child.stdout.take().context("no pipe from the server")?).lines();
        let ready = lines.next_line().await?.context("the server did not start")?;
        let (grpc, mqtt) = ready.split_once(' ').context("the server said something else")?;
        let operator = directory.join("operator");
        let mut context = Context::load(&operator.join("context.toml"))?;
        context.server = format!("https://{grpc}");
        let client = Client::connect(&context).await?;
        Ok(Self {
            child,
            life,
            client,
            mqtt: mqtt.parse()?,
            root: operator.join("root.pem"),
            directory,
            passphrase,
        })
    }

    /// The certificate of an issuing authority, PEM.
    pub(super) fn issuing(&self, id: &str) -> anyhow::Result<String> {
        let path = self.directory.join("ca/devices").join(id).join("certificate.pem");
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Has a message sent to each of these connected devices.
    pub(super) async fn push(&mut self, ids: &str) -> anyhow::Result<()> {
        self.life.write_all(ids.as_bytes()).await?;
        self.life.write_all(b"\n").await?;
        self.life.flush().await?;
        Ok(())
    }

    /// Of the server.
    pub(super) fn process(&self) -> anyhow::Result<Process> {
        let id = self.child.id().context("the server has ended")?;
        Ok(Process::of(id))
    }
}
