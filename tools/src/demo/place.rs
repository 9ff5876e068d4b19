//! The demo's directory: made once, found again.

use super::agents::Agents;
use crate::{context::Context, output};
use anyhow::Context as _;
use muster_server::{ca::Passphrase, clock::Clock, config::Settings, init};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Mutex,
};
use tracing_subscriber::EnvFilter;

/// The manifest that comes with the program.
const GATEWAYS: &str = include_str!("../../../tests/fixtures/manifests/gateways.csv");

pub(super) struct Place {
    directory: PathBuf,
    manifest: PathBuf,
}

/// A port that is free now, so that the settings can name it for good.
async fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?)
}

impl Place {
    pub(super) async fn prepare(directory: &Path, manifest: Option<&Path>) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let own = directory.join("gateways.csv");
        let place = Self {
            directory: directory.to_owned(),
            manifest: manifest.map_or_else(|| own.clone(), Path::to_owned),
        };
        if manifest.is_none() && !own.exists() {
            fs::write(&own, GATEWAYS)?;
        }
        if !place.registry().exists() {
            place.init().await?;
        }
        Ok(place)
    }

    async fn init(&self) -> anyhow::Result<()> {
        let passphrase = self.directory.join("passphrase");
        if !passphrase.exists() {
            init::write_passphrase(&passphrase)?;
        }
        let request = init::Request {
            directory: self.registry(),
            organisation: "Muster demo".to_owned(),
            server_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            listen: Some((free_port().await?, free_port().await?)),
            operator: "demo".parse().map_err(|why| anyhow::anyhow!("operator name {why}"))?,
        };
        let passphrase = Passphrase::read(&passphrase)?;
        // Key sealing is made to be slow, so it stays off the async threads.
        tokio::task::spawn_blocking(move || init::init(&request, &passphrase, Clock::System.now())).await??;
        Ok(())
    }

    pub(super) fn registry(&self) -> PathBuf {
        self.directory.join("registry")
    }

    pub(super) fn results(&self) -> PathBuf {
        self.directory.join("results.csv")
    }

    pub(super) fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// The state directory of one agent.
    pub(super) fn agent(&self, serial: &str) -> PathBuf {
        // A serial may hold a slash.
        self.directory.join("agents").join(serial.replace('/', "_"))
    }

    pub(super) fn root(&self) -> PathBuf {
        self.registry().join("operator").join("root.pem")
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings::load(&self.registry())?)
    }

    pub(super) fn passphrase(&self) -> anyhow::Result<Passphrase> {
        Ok(Passphrase::read(&self.directory.join("passphrase"))?)
    }

    pub(super) fn context(&self) -> anyhow::Result<Context> {
        Ok(Context::load(&self.registry().join("operator").join("context.toml"))?)
    }

    /// The terminal belongs to the table; server and agents log here.
    pub(super) fn log_to_file(&self) -> anyhow::Result<()> {
        let path = self.directory.join("demo.log");
        let file = fs::OpenOptions::new().append(true).create(true).open(&path)?;
        let filter = EnvFilter::try_from_env("MUSTER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file));
        lines.try_init().map_err(|error| anyhow::anyhow!("cannot log to {}: {error}", path.display()))
    }

    /// What to try next.
    pub(super) fn suggest(&self, agents: &Agents) -> anyhow::Result<()> {
        let program = std::env::current_exe()?;
        let program = program.strip_prefix(std::env::current_dir()?).unwrap_or(&program).display();
        let context = self.registry().join("operator").join("context.toml");
        let muster = format!("{program} --context {}", context.display());
        output::note("\nThe fleet is up. In another terminal:\n")?;
        output::note(&format!("  {muster} device list --filter 'state = ACTIVE'"))?;
        output::note(&format!("  {muster} device explain serial:{}", agents.first()))?;
        output::note(&format!("  {muster} device suspend serial:{} --reason 'try it'", agents.first()))?;
        output::note(&format!("\nWhat an agent applied: {}", self.agent(agents.first()).display()))?;
        output::note("Ctrl-C ends the demo; the same command goes on from here.")?;
        Ok(())
    }
}
