//! A server in this process, and what an operator and devices do with it.

use crate::{Http, Mqtt, Pair, Running, fixture, grpc, template, wait};
use muster_agent::{Settings as AgentSettings, SettingsBuilder};
use muster_domain::{Timestamp, access::Role};
use muster_proto::v1::{self, RowResult, operator::Role as WireRole};
use muster_server::{
    app::{App, AppError},
    ca::Passphrase,
    clock::Clock,
    config::{FILE_NAME, Settings},
    reload::Reloader,
    service::Service,
};
use muster_tools::{
    Client, Context,
    apply::{self, ApplyOptions, Kind},
    import::{self, ImportEvent, ImportOptions, ImportSummary},
};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use zeroize::Zeroizing;

/// How a world begins.
#[derive(Debug, Default)]
pub struct WorldBuilder {
    clock: Clock,
    settings: Vec<(String, String)>,
    without_catalog: bool,
}

/// A registry that is served, and its operator.
#[derive(Debug)]
pub struct World {
    directory: TempDir,
    clock: Clock,
    serving: Option<Serving>,
    /// The admin's.
    pub client: Client,
}

#[derive(Debug)]
struct Serving {
    grpc: SocketAddr,
    mqtt: SocketAddr,
    lists: Option<SocketAddr>,
    service: Service,
    reloader: Reloader,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), AppError>>,
}

/// How an import ended, row by row.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The end.
    pub summary: ImportSummary,
    /// Every row, in the order of the file.
    pub rows: Vec<RowResult>,
}

impl WorldBuilder {
    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A line of the settings file in the place of another.
    #[must_use]
    pub fn setting(mut self, line: &str, instead: &str) -> Self {
        self.settings.push((line.to_owned(), instead.to_owned()));
        self
    }

    /// No models, sites, profiles and policies.
    #[must_use]
    pub const fn without_catalog(mut self) -> Self {
        self.without_catalog = true;
        self
    }

    /// Copies the template, serves it, connects, applies the catalog of the demo and the sites of the fixtures.
    pub async fn start(self) -> World {
        let directory = tempfile::Builder::new()
            .prefix("muster-world-")
            .tempdir()
            .expect("a directory");
        template::copy_tree(template::template(), directory.path());
        let file = directory.path().join("registry").join(FILE_NAME);
        let mut text = fs::read_to_string(&file).expect("settings");
        for (line, instead) in &self.settings {
            assert!(text.contains(line), "the settings have no line {line:?}");
            text = text.replace(line, instead);
        }
        fs::write(&file, text).expect("settings");
        let serving = serve(directory.path(), self.clock.clone()).await;
        let client = Client::connect(&context(directory.path(), serving.grpc, serving.mqtt))
            .await
            .expect("the server answers");
        let world = World {
            directory,
            clock: self.clock,
            serving: Some(serving),
            client,
        };
        if !self.without_catalog {
            world.apply_catalog().await;
        }
        world
    }
}

async fn serve(directory: &Path, clock: Clock) -> Serving {
    let settings = Settings::load(&directory.join("registry")).expect("settings");
    let passphrase = Passphrase::read(&directory.join("passphrase")).expect("a passphrase");
    let app = App::build(settings, &passphrase, clock)
        .await
        .expect("the server starts");
    let (grpc, mqtt) = app.addresses().expect("addresses");
    let lists = app.lists_address();
    let (service, reloader) = (app.service().clone(), app.reloader());
    let stop = CancellationToken::new();
    let ended = tokio::spawn(app.run(stop.clone()));
    Serving {
        grpc,
        mqtt,
        lists,
        service,
        reloader,
        stop,
        ended,
    }
}

fn context(directory: &Path, grpc: SocketAddr, mqtt: SocketAddr) -> Context {
    let context = Context::load(&directory.join("registry/operator/context.toml")).expect("a context");
    Context {
        server: format!("https://{grpc}"),
        mqtt: Some(mqtt.to_string()),
        ..context
    }
}

impl World {
    /// Files of the repository that hold the catalog of tests.
    pub const CATALOG: [(&str, Kind); 2] = [
        ("tools/src/demo/catalog.toml", Kind::Any),
        ("tests/fixtures/manifests/sites.csv", Kind::Sites),
    ];

    /// What most tests want: the machine's clock, default settings, the catalog.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// To begin otherwise.
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    fn serving(&self) -> &Serving {
        self.serving.as_ref().expect("the server runs")
    }

    /// Where gRPC listens.
    pub fn grpc(&self) -> SocketAddr {
        self.serving().grpc
    }

    /// Where MQTT listens.
    pub fn mqtt(&self) -> SocketAddr {
        self.serving().mqtt
    }

    /// Where revocation lists are served without TLS, if they are.
    pub fn lists(&self) -> Option<SocketAddr> {
        self.serving().lists
    }

    /// A scratch directory beside the registry.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The registry's directory.
    pub fn registry(&self) -> PathBuf {
        self.path("registry")
    }

    /// The pinned root, PEM.
    pub fn roots(&self) -> Vec<u8> {
        fs::read(self.registry().join("operator/root.pem")).expect("the root")
    }

    /// The admin's certificate and key.
    pub fn admin(&self) -> Pair {
        let read =
            |name| fs::read_to_string(self.registry().join("operator").join(name)).expect("a credential");
        Pair {
            chain: read("operator.pem"),
            key: read("operator.key"),
        }
    }

    /// Asks the server to stop; [`World::stopped`] waits for it.
    pub fn stop(&self) {
        self.serving().stop.cancel();
    }

    /// Stops the server and gives how it ended.
    pub async fn stopped(&mut self) -> Result<(), AppError> {
        let serving = self.serving.take().expect("the server runs");
        serving.stop.cancel();
        wait::within("the server stops", serving.ended)
            .await
            .expect("no panic")
    }

    /// The service behind the ports, for what a server does by itself and in its own time.
    pub fn service(&self) -> &Service {
        &self.serving().service
    }

    /// What opens the authority of the server again.
    pub(crate) fn reloader(&self) -> &Reloader {
        &self.serving().reloader
    }

    /// Serves again in the same directory, on other ports, at a time by its clock that this machine's clients need not
    /// believe in: [`World::client`] is of no use from then on.
    pub async fn serve_in_another_time(&mut self) {
        assert!(self.serving.is_none(), "it is served already");
        self.serving = Some(serve(self.directory.path(), self.clock.clone()).await);
    }

    /// Serves again in the same directory, on other ports.
    pub async fn serve_again(&mut self) {
        assert!(self.serving.is_none(), "it is served already");
        let serving = serve(self.directory.path(), self.clock.clone()).await;
        self.client = Client::connect(&context(self.directory.path(), serving.grpc, serving.mqtt))
            .await
            .expect("the server answers");
        self.serving = Some(serving);
    }

    /// A gRPC channel with any certificate or none.
    pub fn channel(&self, pair: Option<&Pair>) -> Channel {
        grpc::channel(self.grpc(), &self.roots(), pair, None)
    }

    /// The same, from another address of the loopback network.
    pub fn channel_from(&self, source: Ipv4Addr) -> Channel {
        grpc::channel(self.grpc(), &self.roots(), None, Some(IpAddr::V4(source)))
    }

    /// A raw MQTT connection with any certificate or none.
    pub async fn dial(&self, pair: Option<&Pair>) -> std::io::Result<Mqtt> {
        Mqtt::dial(self.mqtt(), &self.roots(), pair, None).await
    }

    /// A raw HTTP/1.1 connection with any certificate or none.
    pub async fn http(&self, pair: Option<&Pair>) -> std::io::Result<Http> {
        Http::dial(self.grpc(), &self.roots(), pair, None, &["http/1.1"]).await
    }

    /// Models, profile and policy of the demo, and the sites of the fixtures.
    pub async fn apply_catalog(&self) {
        for (file, kind) in Self::CATALOG {
            self.apply(&fixture::in_repository(file), kind).await;
        }
    }

    /// Applies a file of resources.
    pub async fn apply(&self, file: &Path, kind: Kind) -> Vec<v1::apply_response::Outcome> {
        let resources = apply::read_path(file, kind, None).expect("resources");
        apply::send(&self.client, resources, &ApplyOptions::default())
            .await
            .expect("resources apply")
    }

    /// Applies resources as text of TOML.
    pub async fn apply_text(&self, text: &str) -> Vec<v1::apply_response::Outcome> {
        let file = self.path("resources.toml");
        fs::write(&file, text).expect("a file");
        self.apply(&file, Kind::Any).await
    }

    /// Imports as the command line does, and keeps every row's answer.
    pub async fn import_with(&self, options: ImportOptions) -> Imported {
        let mut rows = Vec::new();
        let summary = import::run(&self.client, options, |event| {
            if let ImportEvent::Results(some) = event {
                rows.extend_from_slice(some);
            }
        });
        let summary = summary.await.expect("an import");
        Imported { summary, rows }
    }

    /// Imports a file.
    pub async fn import(&self, file: &Path) -> Imported {
        self.import_with(ImportOptions::of(file)).await
    }

    /// Imports a text.
    pub async fn import_text(&self, name: &str, text: &str) -> Imported {
        let file = self.path(name);
        fs::write(&file, text).expect("a file");
        self.import(&file).await
    }

    /// Registers gateways with serials `GW2-6000001` and on; serials and codes.
    pub async fn gateways(&self, count: u32) -> Vec<(String, String)> {
        let serial = |i: u32| format!("GW2-{}", 6_000_000 + i);
        let mut text = "Serial No.,MAC Address,Device Model,Firmware,Site,Position,Extension\n".to_owned();
        for i in 1..=count {
            let [_, high, middle, low] = i.to_be_bytes();
            text += &format!(
                "{},00:1B:C5:{high:02X}:{middle:02X}:{low:02X},GW-200,2.3.1,MUC-01,Hall 1,{i}\n",
                serial(i)
            );
        }
        let imported = self.import_text("more-gateways.csv", &text).await;
        assert_eq!(
            imported.summary.created,
            u64::from(count),
            "{:?}",
            imported.summary.causes
        );
        (1..=count)
            .map(serial)
            .zip(imported.rows.into_iter().map(|row| row.activation_code))
            .collect()
    }

    /// The device with a serial.
    pub async fn device(&self, serial: &str) -> v1::Device {
        let request = v1::GetDeviceRequest {
            name: format!("devices/serial:{serial}"),
        };
        self.client
            .devices
            .clone()
            .get_device(request)
            .await
            .expect("a device")
            .into_inner()
    }

    /// The fleet in numbers.
    pub async fn counts(&self) -> v1::Counts {
        self.client
            .fleet
            .clone()
            .get_counts(v1::GetCountsRequest {})
            .await
            .expect("counts")
            .into_inner()
    }

    /// Every entry of the audit log, as the JSON that was hashed.
    pub async fn audit(&self) -> Vec<serde_json::Value> {
        let (mut entries, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = v1::ListEntriesRequest {
                page_size: 1000,
                page_token,
                first_index: 0,
            };
            let page = self
                .client
                .audit
                .clone()
                .list_entries(request)
                .await
                .expect("entries")
                .into_inner();
            entries.extend(
                page.entries
                    .iter()
                    .map(|entry| serde_json::from_str(&entry.leaf).expect("JSON")),
            );
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return entries;
            }
        }
    }

    /// How often an action stands in the audit log.
    pub async fn audited(&self, action: &str) -> usize {
        self.audit()
            .await
            .iter()
            .filter(|entry| entry["action"] == action)
            .count()
    }

    /// Registers another operator, and gives their credentials.
    pub async fn operator(&self, name: &str, role: Role) -> Pair {
        let key = crate::Key::new();
        let role = match role {
            Role::Admin => WireRole::Admin,
            Role::Operator => WireRole::Operator,
            Role::Approver => WireRole::Approver,
            Role::Viewer => WireRole::Viewer,
            Role::Integrator => WireRole::Integrator,
        };
        let request = v1::CreateOperatorRequest {
            name: format!("operators/{name}"),
            role: role.into(),
            csr: key.csr(),
        };
        let created = self
            .client
            .access
            .clone()
            .create_operator(request)
            .await
            .expect("an operator")
            .into_inner();
        key.pair(&created.chain)
    }

    /// Claims a device's identity over MQTT with a raw client.
    pub async fn claim(&self, serial: &str, code: &str) -> Pair {
        use muster_proto::payload::ClaimResult;
        let key = crate::Key::new();
        let answer = self
            .dial(None)
            .await
            .expect("TLS")
            .claim(serial, code, key.csr())
            .await;
        match answer.expect("an answer") {
            ClaimResult::Accepted(accepted) => {
                key.pair(&accepted.chain.iter().map(|der| &der.0).collect::<Vec<_>>())
            }
            ClaimResult::Refused(refused) => panic!("{serial}: {refused:?}"),
        }
    }

    /// Settings of an agent with a state directory of its own, that comes back quickly when its connection breaks.
    pub fn agent_settings(&self, serial: &str, server: SocketAddr) -> SettingsBuilder {
        AgentSettings::builder(server.to_string(), serial, self.agent_state(serial))
            .server_name("localhost")
            .root_pem(self.roots())
            .firmware("2.3.1")
            .reconnect(Duration::from_millis(20), Duration::from_millis(200))
    }

    /// Where an agent keeps its state.
    pub fn agent_state(&self, serial: &str) -> PathBuf {
        self.path("agents").join(serial)
    }

    /// Starts an agent; `code` may be empty for one that has claimed.
    pub fn agent(&self, serial: &str, code: &str) -> Running {
        self.agent_by(serial, code, self.mqtt())
    }

    /// The same, by way of another address.
    pub fn agent_by(&self, serial: &str, code: &str, server: SocketAddr) -> Running {
        let mut settings = self.agent_settings(serial, server);
        if !code.is_empty() {
            settings = settings.code(Zeroizing::new(code.to_owned()));
        }
        Running::start(settings.build().expect("settings"))
    }

    /// Waits until a device is active and verified at a generation or a later one.
    pub async fn verified(&self, serial: &str, generation: u64) -> v1::Device {
        wait::until(
            &format!("{serial} is verified at generation {generation}"),
            async || {
                let device = self.device(serial).await;
                let verdict = device.verification.as_ref().map(v1::Verification::state);
                let newest = device.desired.as_ref().map_or(0, |desired| desired.generation);
                let proven = device.state() == v1::device::State::Active
                    && verdict == Some(v1::verification::State::Verified);
                (proven && newest >= generation).then_some(device)
            },
        )
        .await
    }

    /// The time as the server has it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut serving) = self.serving.take() {
            serving.stop.cancel();
            wait::outlive(&mut serving.ended);
        }
    }
}
