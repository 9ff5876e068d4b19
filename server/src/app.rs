//! The server as a list of parts: build them, run them, stop them in order.

use crate::{
    ca::{Ca, CaError, Passphrase},
    clock::Clock,
    config::Settings,
    descriptors,
    front::{self, FrontError},
    http::serve_lists,
    live::Live,
    mqtt::{
        Limits,
        bus::{Bus, BusError},
        door::Door,
        gate,
        throttle::{ClaimRates, Rate, Throttle},
    },
    reload::Reloader,
    service::{Service, import::Files},
    store::{Store, StoreError},
    tls::{Pins, Ports, TlsError},
    workers,
};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// How often the server's own certificate is looked at; it is renewed long before its end.
const RENEWAL_CHECK: Duration = Duration::from_secs(6 * 3600);

/// Why the server cannot start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The directory holds no registry.
    #[error("{0} holds no registry; make one with `musterd init --dir {0}`")]
    NoRegistry(PathBuf),
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// The certificate authority cannot be opened.
    #[error("cannot open the certificate authority")]
    Ca(#[from] CaError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// The bus cannot be started.
    #[error("cannot start the bus")]
    Bus(#[from] BusError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory cannot be used.
    #[error("cannot use {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A part that must run ended.
    #[error("{0} ended by itself")]
    Ended(&'static str),
    /// The port of gRPC and EST failed.
    #[error("the port of gRPC and EST failed")]
    Front(#[from] FrontError),
    /// The gate failed.
    #[error("the MQTT gate failed")]
    Gate(#[from] gate::GateError),
    /// The broker behind the gate no longer answers; a supervisor should start the process again.
    #[error("the broker's router is dead")]
    RouterDead,
}

/// A server with all its parts, its ports open, not yet serving.
#[derive(Debug)]
pub struct App {
    settings: Settings,
    service: Service,
    grpc: TcpListener,
    mqtt: TcpListener,
    /// Of revocation lists, where the settings ask for one.
    http: Option<TcpListener>,
    claims: Arc<Throttle>,
    ports: Ports,
}

/// Where manifests lie until their results are acknowledged.
const BATCHES: &str = "batches";

fn batch_files(directory: &Path) -> Result<Files, AppError> {
    let path = directory.join(BATCHES);
    Files::open(&path).map_err(|source| AppError::Directory { path, source })
}

fn spool_directory(directory: &Path) -> Result<PathBuf, AppError> {
    let path = directory.join("tmp");
    match std::fs::create_dir(&path) {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(path),
        Err(source) => Err(AppError::Directory { path, source }),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, AppError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AppError::Listen { address, source })
}

impl App {
    /// Opens everything; fails before a port is open when a part cannot start.
    pub async fn build(settings: Settings, passphrase: &Passphrase, clock: Clock) -> Result<Self, AppError> {
        let database = settings.database();
        if !database.exists() {
            return Err(AppError::NoRegistry(settings.directory().to_owned()));
        }
        let ca = Ca::open(settings.directory(), passphrase)?.issuing(settings.issuance().clone());
        let store = Store::open(&database)?;
        if store.registry().await?.is_none() {
            return Err(AppError::NoRegistry(settings.directory().to_owned()));
        }
        store.note_start(clock.now());
        descriptors::raise_for(settings.connections() + Limits::default().strangers);
        let spool = spool_directory(settings.directory())?;
        let files = batch_files(settings.directory())?;
        let service = Service::new(store, Live::new(ca), clock.clone(), Bus::start()?, &spool, files);
        service.check_secret_key()?;
        let pins: Pins = {
            let registry = service.clone();
            Arc::new(move |leaf: &[u8]| registry.is_current(leaf))
        };
        let ports = Ports::new(&service.ca(), settings.server_names().clone(), clock, pins)?;
        let per_second = settings.claims_per_second();
        let source = Rate::per_second(per_second, per_second.saturating_mul(4));
        let claims = Arc::new(Throttle::new(ClaimRates {
            source,
            ..ClaimRates::default()
        }));
        let (grpc, mqtt) = (listen(settings.grpc()).await?, listen(settings.mqtt()).await?);
        let http = match settings.http() {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        Ok(Self {
            settings,
            service,
            grpc,
            mqtt,
            http,
            claims,
            ports,
        })
    }

    /// Where gRPC and MQTT listen, as bound.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.grpc.local_addr()?, self.mqtt.local_addr()?))
    }

    /// Where revocation lists are served without TLS, as bound.
    pub fn lists_address(&self) -> Option<SocketAddr> {
        self.http.as_ref()?.local_addr().ok()
    }

    /// The service behind the ports, for a process that embeds the server.
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// A way in for devices that the embedding process makes itself. It is shut when the server stops.
    pub fn door(&self, limits: Limits) -> Door<Service> {
        let service = self.service.clone();
        let (bus, stop) = (service.bus.clone(), service.stopping.clone());
        Door::new(service, bus, Arc::clone(&self.claims), limits, stop)
    }

    /// Opens the certificate authority again, while this serves.
    pub fn reloader(&self) -> Reloader {
        Reloader::new(&self.settings, self.service.clone(), self.ports.clone())
    }

    /// Serves until `stop`, or until a part fails. Then: no new connections, calls under way finish (at most the
    /// settings' time), the store closes.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AppError> {
        let Self {
            settings,
            service,
            grpc: grpc_port,
            mqtt: mqtt_port,
            http,
            claims,
            ports,
        } = self;
        let limits = Limits {
            connections: settings.connections(),
            // A second is kept for the store to close.
            drain: settings.stop_timeout().saturating_sub(Duration::from_secs(1)),
            ..Limits::default()
        };
        let parts = service.stopping.clone();
        let mut running: JoinSet<Result<(), AppError>> = JoinSet::new();
        running.spawn({
            let serve = front::serve(
                grpc_port,
                ports.web(),
                service.clone(),
                Arc::clone(&claims),
                settings.est(),
                parts.clone(),
            );
            async move { Ok(serve.await?) }
        });
        running.spawn({
            let (registry, bus, parts) = (service.clone(), service.bus.clone(), parts.clone());
            let serve = gate::serve(mqtt_port, ports.mqtt(), registry, bus, claims, limits, parts);
            async move { Ok(serve.await?) }
        });
        if let Some(port) = http {
            running.spawn(lasting(serve_lists(port, service.clone(), parts.clone())));
        }
        running.spawn(lasting(workers::revocation(service.clone(), parts.clone())));
        running.spawn(renew(service.clone(), ports, parts.clone()));
        running.spawn(lasting(workers::batches(service.clone(), parts.clone())));
        running.spawn(lasting(workers::presence(service.clone(), parts.clone())));
        running.spawn(lasting(workers::delivery(service.clone(), parts.clone())));
        running.spawn(lasting(workers::changes(service.clone(), parts.clone())));
        let dead = service.bus.clone();
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            () = dead.dead() => Err(AppError::RouterDead),
            ended = running.join_next() => match ended {
                Some(Ok(Err(error))) => Err(error),
                Some(Ok(Ok(())) | Err(_)) | None => Err(AppError::Ended("a part of the server")),
            },
        };
        parts.cancel();
        let drained = tokio::time::timeout(settings.stop_timeout(), async {
            while running.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            tracing::warn!("calls under way were cut at the stop limit");
            running.abort_all();
        }
        // Behind the last device that left.
        if let Err(error) = service.store.flush_presence().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "presence cannot be written"
            );
        }
        let closed = service.store.close().await;
        ended?;
        Ok(closed?)
    }
}

/// A part that ends with the server, and has no other end.
async fn lasting(part: impl Future<Output = ()>) -> Result<(), AppError> {
    part.await;
    Ok(())
}

/// Renews the server's certificate in time; both listeners take the new one without a restart.
async fn renew(service: Service, ports: Ports, stop: CancellationToken) -> Result<(), AppError> {
    while stop
        .run_until_cancelled(tokio::time::sleep(RENEWAL_CHECK))
        .await
        .is_some()
    {
        match ports.renew_if_due(&service.ca()) {
            Ok(true) => tracing::info!("the server certificate was renewed"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the server certificate could not be renewed"),
        }
    }
    Ok(())
}
