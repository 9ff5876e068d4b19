//! A server that answers as it is told, with a CA of its own.

use crate::play::{self, Event, Played, Point, Script};
use muster_domain::{
    Timestamp,
    audit::{self, Action, Actor},
};
use muster_proto::v1::{self, access_server, audit_server, fleet_server, manifests_server};
use muster_tools::Exit;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{Certificate, Identity, Server, ServerTlsConfig},
};

/// What the server saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) batches: Played,
    pub(crate) operators: Vec<v1::CreateOperatorRequest>,
}

#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    /// Flips a bit of this audit entry's leaf.
    pub(crate) altered: Arc<Mutex<Option<u64>>>,
    /// What happens on the way, the next first.
    pub(crate) plan: Arc<Mutex<Vec<(Point, Event)>>>,
    /// A point was reached at which everything stops.
    pub(crate) stopped: Arc<Notify>,
    /// Is the file whole?
    pub(crate) whole: Arc<tokio::sync::watch::Sender<bool>>,
    /// Breaks the connections that are open.
    pub(crate) cuts: Arc<tokio::sync::watch::Sender<u64>>,
}

/// Entries of the audit log.
pub(crate) const ENTRIES: u64 = 5;

#[tonic::async_trait]
impl audit_server::Audit for Fake {
    async fn list_entries(
        &self,
        request: Request<v1::ListEntriesRequest>,
    ) -> Result<Response<v1::ListEntriesResponse>, Status> {
        let asked = request.into_inner();
        let first = if asked.page_token.is_empty() {
            asked.first_index
        } else {
            asked.page_token.parse().unwrap()
        };
        // Pages of two, whatever was asked for.
        let end = ENTRIES.min(first + 2);
        let altered = *self.altered.lock().unwrap();
        let entry = |index| {
            let event = audit::Event::new(
                Timestamp::from_seconds(index),
                Actor::System,
                Action::CatalogApplied,
                "models/a",
            );
            let entry = event.entry(index);
            let mut wire = v1::AuditEntry {
                index,
                leaf: entry.leaf,
                leaf_hash: entry.hash.to_vec(),
            };
            if altered == Some(index) {
                wire.leaf = wire.leaf.replace("models/a", "models/b");
            }
            wire
        };
        let next_page_token = if end < ENTRIES {
            end.to_string()
        } else {
            String::new()
        };
        let entries = (first..end).map(entry).collect();
        Ok(Response::new(v1::ListEntriesResponse {
            entries,
            next_page_token,
            size: ENTRIES,
        }))
    }
}

/// One device that would install 2.4.1, and one that nobody knows enough of.
fn forecast() -> [v1::ForecastFirmwareResponse; 3] {
    use v1::{firmware_forecast::Alike, forecast_firmware_response as response, foretold_device::Outcome};
    let device = v1::ForetoldDevice {
        device: "devices/01h455vb4pex5vsknk084sn02q".into(),
        serial: "GW2-1".into(),
        outcome: Outcome::Install.into(),
        running: "2.3.1".into(),
        versions: vec!["2.3.5".into(), "2.4.1".into()],
        reasons: vec!["behind_target".into()],
        explanation: "Install 2.3.5, then 2.4.1.".into(),
        channel: "beta".into(),
        ..v1::ForetoldDevice::default()
    };
    let install = Alike {
        outcome: Outcome::Install.into(),
        running: "2.3.1".into(),
        versions: device.versions.clone(),
        why: "It is behind.".into(),
        count: 1,
        examples: vec!["GW2-1".into()],
        channel: "beta".into(),
        ..Alike::default()
    };
    let stuck = Alike {
        outcome: Outcome::Stuck.into(),
        why: "It has not said what it runs.".into(),
        count: 1,
        examples: vec!["GW2-2".into()],
        ..Alike::default()
    };
    let whole = v1::FirmwareForecast {
        devices: 2,
        outcomes: [("INSTALL".to_owned(), 1), ("STUCK".to_owned(), 1)].into(),
        alike: vec![install, stuck],
        beyond: 0,
        time: Some(prost_types::Timestamp::default()),
    };
    [
        response::Part::LookedAt(2),
        response::Part::Devices(response::Devices {
            devices: vec![device],
        }),
        response::Part::Forecast(whole),
    ]
    .map(|part| v1::ForecastFirmwareResponse { part: Some(part) })
}

#[tonic::async_trait]
impl fleet_server::Fleet for Fake {
    type ForecastFirmwareStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<v1::ForecastFirmwareResponse, Status>>>;

    async fn forecast_firmware(
        &self,
        request: Request<v1::ForecastFirmwareRequest>,
    ) -> Result<Response<Self::ForecastFirmwareStream>, Status> {
        use v1::forecast_firmware_request::Policy;
        let asked = request.into_inner();
        let mut parts: Vec<_> = forecast().map(Ok).into();
        match asked.policy {
            Some(Policy::Name(name)) if name == "firmwarePolicies/gw/revisions/3" => {}
            Some(Policy::SourceJson(source)) if source.contains("2.4.1") => {}
            other => return Err(Status::invalid_argument(format!("{other:?}"))),
        }
        if asked.filter == "cut" {
            parts.truncate(1);
        }
        Ok(Response::new(tokio_stream::iter(parts)))
    }

    async fn get_counts(&self, _: Request<v1::GetCountsRequest>) -> Result<Response<v1::Counts>, Status> {
        let counts = |pairs: &[(&str, u64)]| {
            pairs
                .iter()
                .map(|&(key, count)| (key.to_owned(), count))
                .collect()
        };
        Ok(Response::new(v1::Counts {
            devices: 3,
            states: counts(&[("ACTIVE", 2), ("REGISTERED", 1)]),
            verifications: counts(&[("VERIFIED", 2)]),
            models: counts(&[("GW-200", 3)]),
            sites: counts(&[]),
            connected: 2,
            online: 2,
        }))
    }
}

#[tonic::async_trait]
impl access_server::Access for Fake {
    async fn create_operator(
        &self,
        request: Request<v1::CreateOperatorRequest>,
    ) -> Result<Response<v1::CreateOperatorResponse>, Status> {
        let asked = request.into_inner();
        if asked.name == "operators/taken" {
            return Err(Status::already_exists("M6004: name: is taken"));
        }
        let operator = v1::Operator {
            name: asked.name.clone(),
            role: asked.role,
            enabled: true,
            key: vec![1, 2],
        };
        self.seen.lock().unwrap().operators.push(asked);
        Ok(Response::new(v1::CreateOperatorResponse {
            operator: Some(operator),
            chain: vec![vec![1, 2, 3], vec![4]],
        }))
    }

    async fn list_operators(
        &self,
        _: Request<v1::ListOperatorsRequest>,
    ) -> Result<Response<v1::ListOperatorsResponse>, Status> {
        Err(Status::permission_denied("M6002: needs role admin"))
    }

    async fn disable_operator(
        &self,
        _: Request<v1::DisableOperatorRequest>,
    ) -> Result<Response<v1::Operator>, Status> {
        Err(Status::failed_precondition("M6005: last admin"))
    }

    async fn who_am_i(&self, _: Request<v1::WhoAmIRequest>) -> Result<Response<v1::Operator>, Status> {
        Ok(Response::new(v1::Operator {
            name: "operators/alice".into(),
            role: v1::operator::Role::Admin.into(),
            enabled: true,
            key: vec![0xab],
        }))
    }
}

/// A running fake, and a directory with a context for it.
pub(crate) struct Bench {
    pub(crate) fake: Fake,
    pub(crate) address: SocketAddr,
    directory: tempfile::TempDir,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key of a leaf, PEM.
fn leaf(issuer: &CertifiedIssuer<'static, KeyPair>, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut parameters =
        CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    parameters.extended_key_usages = vec![purpose];
    let certificate = parameters.signed_by(&key, issuer).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Writes a context that names the address.
fn write_context(directory: &Path, address: SocketAddr, root: &str, certificate: &str, key: &str) {
    std::fs::create_dir_all(directory).unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
    write("root.pem", root);
    write("operator.pem", certificate);
    write("operator.key", key);
    let text = format!(
        "server = \"https://{address}\"\nroots = \"root.pem\"\ncertificate = \"operator.pem\"\nkey = \"operator.key\"\n"
    );
    write("context.toml", &text);
}

impl Bench {
    pub(crate) async fn start(script: Script) -> Self {
        // The workspace knows two providers; tonic's server asks which one the process means. The first answer stays.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let issuer = authority("fake root");
        let (server, server_key) = leaf(&issuer, ExtendedKeyUsagePurpose::ServerAuth);
        let (operator, operator_key) = leaf(&issuer, ExtendedKeyUsagePurpose::ClientAuth);
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(server, server_key))
            .client_ca_root(Certificate::from_pem(issuer.pem()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = listener.local_addr().unwrap();
        let fake = Fake {
            script: Arc::new(Mutex::new(script)),
            seen: Arc::default(),
            altered: Arc::default(),
            plan: Arc::default(),
            stopped: Arc::default(),
            whole: Arc::new(tokio::sync::watch::channel(false).0),
            cuts: Arc::new(tokio::sync::watch::channel(0).0),
        };
        let address = play::wire(inner, &fake.cuts).await;
        let serving = Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(manifests_server::ManifestsServer::new(fake.clone()))
            .add_service(audit_server::AuditServer::new(fake.clone()))
            .add_service(fleet_server::FleetServer::new(fake.clone()))
            .add_service(access_server::AccessServer::new(fake.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(async move { serving.await.unwrap() });
        let directory = tempfile::tempdir().unwrap();
        write_context(
            &directory.path().join("operator"),
            address,
            &issuer.pem(),
            &operator,
            &operator_key,
        );
        // Another world: its root did not sign our server, our root did not sign its operator.
        let other = authority("other root");
        let (stranger, stranger_key) = leaf(&other, ExtendedKeyUsagePurpose::ClientAuth);
        write_context(
            &directory.path().join("wrong-root"),
            address,
            &other.pem(),
            &operator,
            &operator_key,
        );
        write_context(
            &directory.path().join("wrong-key"),
            address,
            &issuer.pem(),
            &stranger,
            &stranger_key,
        );
        let closed = SocketAddr::from(([127, 0, 0, 1], 1));
        write_context(
            &directory.path().join("nobody"),
            closed,
            &issuer.pem(),
            &operator,
            &operator_key,
        );
        Self {
            fake,
            address,
            directory,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Names in the directory, without those made by `start`.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let made = ["operator", "wrong-root", "wrong-key", "nobody"];
        let mut names: Vec<_> = names.filter(|name| !made.contains(&name.as_str())).collect();
        names.sort_unstable();
        names
    }

    pub(crate) async fn client(&self) -> muster_tools::Client {
        muster_tools::Client::connect(&muster_tools::Context::load(self.directory.path()).unwrap())
            .await
            .unwrap()
    }

    /// Runs a command; `DIR/` in arguments and answers stands for the directory.
    pub(crate) async fn muster(&self, arguments: &[&str]) -> (Exit, String, String) {
        let base = format!("{}/", self.directory.path().display());
        let mut line = vec![OsString::from("muster")];
        if !arguments.contains(&"--context") {
            line.extend([OsString::from("--context"), OsString::from(&base)]);
        }
        line.extend(
            arguments
                .iter()
                .map(|argument| OsString::from(argument.replace("DIR/", &base))),
        );
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let exit = muster_tools::cli::run(line, &mut out, &mut notes).await;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&base, "DIR/");
        (exit, text(out), text(notes))
    }
}
