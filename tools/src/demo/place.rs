//! The demo's directory: made once, found again.

use super::agents::Agents;
use crate::{cli::Session, context::Context, logs};
use anyhow::Context as _;
use muster_domain::manifest::{ReadOptions, Reader, Record};
use muster_server::{ca::Passphrase, clock::Clock, config::Settings, init};
use std::{
    collections::HashMap,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The manifest that comes with the program.
const GATEWAYS: &str = include_str!("../../../tests/fixtures/manifests/gateways.csv");

pub(super) struct Place {
    directory: PathBuf,
    manifest: PathBuf,
}

/// A path as it is typed from here.
fn shortest(path: &Path) -> anyhow::Result<String> {
    let here = std::env::current_dir()?;
    Ok(path.strip_prefix(&here).unwrap_or(path).display().to_string())
}

/// A port that is free now, so that the settings can name it for good.
async fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await?
        .local_addr()?)
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
            offline: init::offline_beside(&self.registry()),
            organisation: "Muster demo".to_owned(),
            server_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            listen: Some((free_port().await?, free_port().await?)),
            operator: "demo"
                .parse()
                .map_err(|why| anyhow::anyhow!("operator name {why}"))?,
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
        // Results are written as the manifest is.
        let ending = self.manifest.extension().unwrap_or_else(|| "csv".as_ref());
        self.directory.join("results").with_extension(ending)
    }

    /// Activation codes of the results file, by device.
    pub(super) fn codes(&self) -> anyhow::Result<HashMap<String, Zeroizing<String>>> {
        let options = ReadOptions {
            file_name: self.results().to_string_lossy().into_owned(),
            ..ReadOptions::default()
        };
        let mut reader = Reader::new(File::open(self.results())?, &options)?;
        let columns = reader.columns().to_vec();
        let mut codes = HashMap::new();
        let mut record = Record::default();
        while reader.read(&mut record)? {
            // In CSV the header has the names, in NDJSON each cell.
            let named = record.fields().enumerate().map(|(place, (name, value))| {
                (
                    if name.is_empty() {
                        columns.get(place).map_or("", String::as_str)
                    } else {
                        name
                    },
                    value,
                )
            });
            let cells: HashMap<&str, &str> = named.collect();
            if let (Some(device), Some(code)) = (cells.get("device"), cells.get("activation_code"))
                && !code.is_empty()
            {
                // The file names devices as people do, without the collection.
                codes.insert(format!("devices/{device}"), Zeroizing::new((*code).to_owned()));
            }
        }
        Ok(codes)
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
        Ok(Context::load(
            &self.registry().join("operator").join("context.toml"),
        )?)
    }

    /// The terminal belongs to the table; server and agents log here.
    pub(super) fn log_to_file(&self) -> anyhow::Result<()> {
        let path = self.directory.join("demo.log");
        let file = fs::OpenOptions::new().append(true).create(true).open(&path);
        logs::to_file(file.with_context(|| format!("cannot log to {}", path.display()))?);
        Ok(())
    }

    /// What to try next.
    pub(super) fn suggest(&self, agents: &Agents, session: &mut Session<'_>) -> anyhow::Result<()> {
        let program = shortest(&std::env::current_exe()?)?;
        let context = shortest(&self.registry().join("operator").join("context.toml"))?;
        let muster = format!("{program} --context {context}");
        session.say("\nThe fleet is up. In another terminal:\n")?;
        session.say(&format!("  {muster} device list --filter 'state = ACTIVE'"))?;
        session.say(&format!("  {muster} device explain serial:{}", agents.first()))?;
        session.say(&format!(
            "  {muster} device suspend serial:{} --reason 'try it'",
            agents.first()
        ))?;
        session.say(&format!(
            "\nWhat an agent applied: {}",
            self.agent(agents.first()).display()
        ))?;
        session.say("Ctrl-C ends the demo; the same command goes on from here.")?;
        Ok(())
    }
}
