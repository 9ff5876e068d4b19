//! A gate on a port of its own, with a CA, devices and a registry.

use super::{
    super::{
        Limits,
        bus::Bus,
        codec::Version,
        gate::{GateError, GateTls, serve},
        session::{self, Parts, Peer},
        throttle::{ClaimRates, Throttle},
    },
    client::{Client, Hello, Said},
    registry::Fake,
};
use crate::{
    clock::Clock,
    live::Live,
    tls::{Shown, Whose},
};
use muster_domain::{access::Role, ids::DeviceId};
use muster_proto::{
    payload::{self, Digest, Facet, FacetState, FacetStatus, Report},
    topic::{Channel, Encoding, Topic},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::DuplexStream,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

pub(super) const BOTH: [Version; 2] = [Version::V4, Version::V5];

pub(super) type Tls = Client<TlsStream<TcpStream>>;

/// A device and what it proves itself with.
pub(super) struct Device {
    pub(super) id: DeviceId,
    pub(super) leaf: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// An operator and what they prove themselves with.
pub(super) struct Operator {
    pub(super) leaf: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

pub(super) struct World {
    pub(super) registry: Fake,
    pub(super) bus: Bus,
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
    pub(super) served: JoinHandle<Result<(), GateError>>,
    authority: Issuer<'static, KeyPair>,
    operators: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    next: std::sync::atomic::AtomicU64,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> (Issuer<'static, KeyPair>, CertificateDer<'static>) {
    let mut ca = params(name);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = ca.self_signed(&key).unwrap().der().clone();
    (Issuer::new(ca, key), root)
}

pub(super) fn topic(device: DeviceId, channel: Channel, encoding: Encoding) -> String {
    Topic::Device(&device.to_string(), channel, encoding).to_string()
}

pub(super) fn hello(encoding: Encoding) -> Vec<u8> {
    let hello = payload::Hello {
        generation: 0,
        digest: Digest::default(),
        agent_version: "0.1.0".into(),
        firmware: None,
        boot_id: 7,
    };
    payload::encode(&hello, encoding).unwrap()
}

pub(super) fn report(device: DeviceId, generation: u64) -> Report {
    Report {
        device_id: device.to_string(),
        generation,
        digest: Digest([1; 32]),
        facets: vec![FacetStatus {
            facet: Facet::Config,
            state: FacetState::Applied,
        }],
        firmware: Some("2.4.0".into()),
    }
}

pub(super) fn report_bytes(device: DeviceId, generation: u64, encoding: Encoding) -> Vec<u8> {
    payload::encode(&report(device, generation), encoding).unwrap()
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(super) async fn with(limits: Limits) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (authority, root) = authority("test ca");
        let (operators, operator_root) = self::authority("operator ca");
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        roots.add(operator_root.clone()).unwrap();
        let whose = Whose::under(vec![operator_root.to_vec()], &Clock::System).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params("localhost")
            .signed_by(&key, &authority)
            .unwrap()
            .der()
            .clone();
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (registry, bus, stop) = (Fake::default(), Bus::start().unwrap(), CancellationToken::new());
        let throttle = Arc::new(Throttle::new(ClaimRates::default()));
        let served = tokio::spawn(serve(
            listener,
            Live::new(Arc::new(GateTls {
                config: tls.into(),
                whose,
            })),
            registry.clone(),
            bus.clone(),
            throttle,
            limits,
            stop.clone(),
        ));
        let next = 1.into();
        Self {
            registry,
            bus,
            address,
            stop,
            served,
            authority,
            operators,
            root,
            next,
        }
    }

    /// An operator with a certificate, known to the registry.
    pub(super) fn operator(&self, name: &str, role: Role) -> Operator {
        let key = KeyPair::generate().unwrap();
        let leaf = params(name)
            .signed_by(&key, &self.operators)
            .unwrap()
            .der()
            .clone();
        self.registry.employ(&leaf, name, role);
        Operator {
            leaf,
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    /// A device with a certificate, known to the registry.
    pub(super) fn device(&self) -> Device {
        let device = self.stranger();
        self.registry.enroll(&device.leaf, device.id);
        device
    }

    /// A device with a certificate that the registry does not know.
    pub(super) fn stranger(&self) -> Device {
        let id = DeviceId::from_u128(self.next.fetch_add(1, std::sync::atomic::Ordering::SeqCst).into());
        let key = KeyPair::generate().unwrap();
        let leaf = params(&id.to_string())
            .signed_by(&key, &self.authority)
            .unwrap()
            .der()
            .clone();
        Device {
            id,
            leaf,
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    fn connector(&self, shows: Option<(&CertificateDer<'static>, &PrivateKeyDer<'static>)>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shows {
            Some((leaf, key)) => builder
                .with_client_auth_cert(vec![leaf.clone()], key.clone_key())
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        TlsConnector::from(Arc::new(config))
    }

    /// A TLS connection, before CONNECT.
    pub(super) async fn dial(&self, device: Option<&Device>, version: Version) -> Tls {
        let connector = self.connector(device.map(|device| (&device.leaf, &device.key)));
        self.shake_hands(connector, version).await
    }

    /// The same, as an operator.
    pub(super) async fn dial_as(&self, operator: &Operator, version: Version) -> Tls {
        let connector = self.connector(Some((&operator.leaf, &operator.key)));
        self.shake_hands(connector, version).await
    }

    async fn shake_hands(&self, connector: TlsConnector, version: Version) -> Tls {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        Client::new(connector.connect(name, tcp).await.unwrap(), version)
    }

    /// An operator's session.
    pub(super) async fn audience(&self, operator: &Operator, id: &str, version: Version) -> Tls {
        let mut client = self.dial_as(operator, version).await;
        let hello = Hello {
            id,
            ..Hello::default()
        };
        let said = client.connect(&hello).await;
        assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{said:?}");
        client
    }

    /// A device session.
    pub(super) async fn session(&self, device: &Device, version: Version) -> Tls {
        let mut client = self.dial(Some(device), version).await;
        let id = device.id.to_string();
        let said = client
            .connect(&Hello {
                id: &id,
                ..Hello::default()
            })
            .await;
        assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{said:?}");
        client
    }

    /// A device session that subscribed its desired state.
    pub(super) async fn subscribed(&self, device: &Device, version: Version) -> Tls {
        let mut client = self.session(device, version).await;
        let said = client
            .subscribe(&topic(device.id, Channel::Desired, Encoding::Postcard))
            .await;
        assert_eq!(said, Said::SubAck(1, vec![1], String::new()));
        client
    }

    /// Stops the gate and waits for its end.
    pub(super) async fn end(self) -> Result<(), GateError> {
        self.stop.cancel();
        self.served.await.unwrap()
    }
}

/// A session over a pipe, for tests that move the clock.
pub(super) struct Pipe {
    pub(super) registry: Fake,
    pub(super) bus: Bus,
    pub(super) client: Client<DuplexStream>,
    pub(super) session: JoinHandle<()>,
}

/// A device for [`Pipe`], whose certificate is a name.
pub(super) const PIPED: DeviceId = DeviceId::from_u128(0x1234);

impl Pipe {
    /// Connects as [`PIPED`] or, with `login`, as a claimant. `room` is how many bytes the pipe holds each way.
    pub(super) async fn new(version: Version, hello: &Hello<'_>, room: usize) -> Self {
        let (registry, bus) = (Fake::default(), Bus::start().unwrap());
        registry.enroll(b"leaf", PIPED);
        let throttle = Arc::new(Throttle::new(ClaimRates::default()));
        let parts = Parts::new(
            registry.clone(),
            bus.clone(),
            throttle,
            Limits::default(),
            CancellationToken::new(),
        );
        let (near, far) = tokio::io::duplex(room);
        let shown = match hello.login {
            None => Shown::Device(b"leaf".as_slice().into()),
            Some(_) => Shown::Nothing,
        };
        let session = tokio::spawn(async move {
            let source = [127, 0, 0, 1].into();
            let mut place = parts.places.enter(std::net::IpAddr::from([127, 0, 0, 1]).into());
            let (wire, connect) = session::connect(parts.wire(far)).await.unwrap();
            session::run(&parts, wire, Peer { shown, source }, connect, &mut place).await;
        });
        let mut client = Client::new(near, version);
        let said = client.connect(hello).await;
        assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{said:?}");
        Self {
            registry,
            bus,
            client,
            session,
        }
    }
}
