//! The server of a simulation: a registry in a scratch directory, served in this process, with a clock that is set by hand.

use crate::{
    apply::{self, ApplyOptions, FileFormat, Kind},
    bench::{host::ANY_PORT, rows},
    client::Client,
    context::Context,
    demo::catalog,
    import::{self, ImportEvent, ImportOptions},
};
use anyhow::Context as _;
use muster_proto::v1::{AcknowledgeResultsRequest, CredentialKind};
use muster_server::{
    app::{App, AppError},
    ca::Passphrase,
    clock::Clock,
    config::Settings,
    init,
    mqtt::{Limits, door::Door},
    service::Service,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The profile that the change is about.
pub(super) const PROFILE: &str = "gateway";
/// The catalog has a first revision; each further one differs by a line.
const REVISED: &str =
    "[[profiles]]\nname = \"gateway\"\nmessage = \"Simulated\"\n[profiles.files]\n\"network.toml\" = '''\n";

/// A device as it was enrolled.
#[derive(Debug)]
pub(super) struct Member {
    /// 26 letters and digits.
    pub(super) id: String,
    /// Its certificate, DER; gone once it is connected.
    pub(super) leaf: Option<Arc<[u8]>>,
}

/// A served registry.
pub(super) struct Host {
    pub(super) client: Client,
    pub(super) service: Service,
    pub(super) door: Door<Service>,
    /// PEM.
    pub(super) roots: Vec<u8>,
    /// The server's clock.
    pub(super) millis: Arc<AtomicU64>,
    scratch: TempDir,
    stop: CancellationToken,
    running: JoinHandle<Result<(), AppError>>,
}

async fn made(scratch: &Path, millis: &Arc<AtomicU64>) -> anyhow::Result<App> {
    let (directory, passphrase) = (scratch.join("registry"), scratch.join("passphrase"));
    init::write_passphrase(&passphrase)?;
    let request = init::Request {
        directory: directory.clone(),
        offline: init::offline_beside(&directory),
        organisation: "Simulation".to_owned(),
        server_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        listen: None,
        operator: "simulation"
            .parse()
            .map_err(|why| anyhow::anyhow!("operator name {why}"))?,
    };
    let passphrase = Passphrase::read(&passphrase)?;
    let (sealed_with, clock) = (passphrase.clone(), Clock::Manual(Arc::clone(millis)));
    let now = clock.now();
    tokio::task::spawn_blocking(move || init::init(&request, &sealed_with, now)).await??;
    let settings = Settings::load(&directory)?.listening(ANY_PORT, ANY_PORT);
    Ok(App::build(settings, &passphrase, clock).await?)
}

impl Host {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("muster-fleet-").tempdir()?;
        let millis = Arc::new(AtomicU64::new(Clock::System.now().millis()));
        let app = made(scratch.path(), &millis)
            .await
            .context("cannot start the server")?;
        let (grpc, _) = app.addresses()?;
        // All come from this process: nothing tells them apart but their certificates.
        let door = app.door(Limits {
            connections: usize::MAX,
            strangers: usize::MAX,
            strangers_per_source: usize::MAX,
            ..Limits::default()
        });
        let (service, stop) = (app.service().clone(), CancellationToken::new());
        let running = tokio::spawn(app.run(stop.clone()));
        let operator = scratch.path().join("registry/operator");
        let mut context = Context::load(&operator.join("context.toml"))?;
        context.server = format!("https://{grpc}");
        Ok(Self {
            client: Client::connect(&context).await?,
            service,
            door,
            roots: std::fs::read(operator.join("root.pem"))?,
            millis,
            scratch,
            stop,
            running,
        })
    }

    /// The server's clock goes on.
    pub(super) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// Registers and certifies so many devices, in the order of their places.
    pub(super) async fn enrol(&self, size: u32) -> anyhow::Result<Vec<Member>> {
        apply::send(&self.client, catalog::resources()?, &ApplyOptions::default()).await?;
        let manifest = self.scratch.path().join("fleet.csv");
        let (path, count) = (manifest.clone(), u64::from(size));
        tokio::task::spawn_blocking(move || rows::write_with_requests(&path, count)).await??;
        let options = ImportOptions {
            credential: CredentialKind::Csr,
            ..ImportOptions::of(&manifest)
        };
        let mut issued = Vec::new();
        let summary = import::run(&self.client, options, |event| {
            if let ImportEvent::Results(rows) = event {
                issued.extend(rows.iter().map(|row| {
                    let member = Member {
                        id: row.device.trim_start_matches("devices/").to_owned(),
                        leaf: Some(row.certificate.as_slice().into()),
                    };
                    (row.row, member)
                }));
            }
        })
        .await?;
        anyhow::ensure!(
            summary.created == count && issued.len() == super::index(size)?,
            "{} of {size} devices were created",
            summary.created
        );
        let acknowledge = AcknowledgeResultsRequest {
            name: summary.name.clone(),
            resume_token: summary.token.clone(),
        };
        self.client
            .manifests
            .clone()
            .acknowledge_results(acknowledge)
            .await?;
        tokio::fs::remove_file(&manifest).await?;
        issued.sort_by_key(|(row, _)| *row);
        Ok(issued.into_iter().map(|(_, member)| member).collect())
    }

    /// Makes a further revision of the profile.
    pub(super) async fn publish(&self, revision: u32) -> anyhow::Result<()> {
        let text = format!("{REVISED}hostname = \"{{{{ device.serial }}}}\"\nrevision = {revision}\n'''\n");
        let format = Some(FileFormat::Toml);
        let resources = apply::read_text(&text, "profile.toml", Path::new(""), Kind::Any, format)?;
        apply::send(&self.client, resources, &ApplyOptions::default()).await?;
        Ok(())
    }

    /// Stops the server; whoever is still connected is told so.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.running.await??)
    }
}
