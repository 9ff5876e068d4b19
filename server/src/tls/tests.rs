use super::{tickets::tickets, *};
use crate::ca::{CertificationRequest, InitOptions, Passphrase, certificate_serial, init};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, SupportedProtocolVersion,
    client::Resumption,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use std::sync::{LazyLock, atomic::AtomicU64};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{TlsConnector, client};

const NOW: Timestamp = Timestamp::from_seconds(1_795_478_400);
const DAY: Duration = Duration::from_secs(86_400);

/// Certificates with their keys, PKCS#8 DER.
struct Holder {
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
}

struct Fixture {
    ca: Ca,
    device: Holder,
    operator: Holder,
}

fn localhost() -> ServerNames {
    ServerNames::parse(&["localhost"]).unwrap()
}

fn make() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::new(b"correct horse battery staple").unwrap();
    let options = InitOptions {
        organisation: "Example GmbH".to_owned(),
        passphrase: &passphrase,
        now: NOW,
        operator: "alice".parse().unwrap(),
    };
    let offline = tempfile::tempdir().unwrap();
    let made = init(directory.path(), offline.path(), options).unwrap();
    let operator = Holder {
        key: PrivatePkcs8KeyDer::from_pem_slice(made.operator.key_pem.as_bytes())
            .unwrap()
            .secret_pkcs8_der()
            .to_vec(),
        chain: made.operator.chain,
    };
    // What the port sees of a device: a client certificate under the device CA.
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    let request = CertificationRequest::parse(request.der()).unwrap();
    let leaf = device::issue(&made.ca, &request);
    let mut chain = vec![leaf];
    chain.extend(made.ca.device_anchors());
    Fixture {
        ca: made.ca,
        device: Holder {
            chain,
            key: key.serialize_der(),
        },
        operator,
    }
}

mod device {
    use super::*;
    use muster_domain::{
        activation::ActivationCode,
        claim::{self, Decision, Presented},
        desired::Target,
        device::{ClaimIntent, ClaimWindow, Credential, Device, Lifecycle, Origin, Verification},
        ids::{BatchId, DeviceId},
    };

    pub(super) fn issue(ca: &Ca, request: &CertificationRequest) -> Vec<u8> {
        let code = ActivationCode::from_random([7; 15]).hash(ca.code_key());
        let device = Device {
            id: DeviceId::new(NOW, 1),
            serial: "GW2-7000001".parse().unwrap(),
            mac: None,
            model: "GW-200".parse().unwrap(),
            hardware: None,
            factory_firmware: None,
            site: None,
            position: None,
            labels: Default::default(),
            variables: Default::default(),
            kept: Default::default(),
            origin: Origin {
                batch: BatchId::new(NOW, 1),
                row: 2,
            },
            created: NOW,
            updated: NOW,
            revision: 1,
            lifecycle: Lifecycle::Registered {
                credential: Credential::Code {
                    hash: code,
                    window: ClaimWindow::ALWAYS,
                    bound: None,
                    intent: None,
                },
            },
            target: Target {
                generation: 1,
                digest: [0; 32],
                profile: None,
                firmware_policy: None,
            },
            reported: None,
            verification: Verification::Pending,
            alarm: None,
            renew_from: None,
            trust: 0,
            groups: std::collections::BTreeSet::new(),
            presence: None,
        };
        let (not_before, not_after) =
            ca.validity(muster_domain::certificate::CertificateProfile::Device, NOW);
        let spki = request.digest();
        let fresh = ClaimIntent {
            spki,
            certificate: ca.fresh_serial(NOW).unwrap(),
            not_before,
            not_after,
            profile: muster_domain::certificate::CertificateProfile::Device,
            issuer: None,
            source: None,
        };
        let Decision::Issue(permit) = claim::decide(&device, &Presented { code, spki }, fresh, NOW) else {
            panic!("a right claim")
        };
        ca.issue_device(permit, &device, request).unwrap()
    }
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(make);

fn clock(at: Timestamp) -> Clock {
    Clock::Manual(Arc::new(AtomicU64::new(at.millis())))
}

#[derive(Clone, Copy)]
enum Port {
    Web,
    Mqtt,
}

/// Nothing is pinned.
fn nobody() -> Pins {
    Arc::new(|_: &[u8]| false)
}

fn server(port: Port, identity: &Arc<ServerIdentity>, at: Timestamp) -> Arc<ServerConfig> {
    pinning(port, identity, at, |_| false)
}

fn pinning(
    port: Port,
    identity: &Arc<ServerIdentity>,
    at: Timestamp,
    pins: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
) -> Arc<ServerConfig> {
    match port {
        Port::Web => web_config(&FIXTURE.ca, identity, &clock(at), Arc::new(pins)),
        Port::Mqtt => mqtt_config(
            &FIXTURE.ca,
            identity,
            &clock(at),
            Arc::new(pins),
            tickets().unwrap(),
        ),
    }
    .unwrap()
}

fn client(
    holder: Option<&Holder>,
    at: Timestamp,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(FIXTURE.ca.roots().remove(0)))
        .unwrap();
    let config =
        ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(clock(at)))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
    match holder {
        None => config.with_no_client_auth(),
        Some(Holder { chain, key }) => {
            let chain = chain.iter().cloned().map(CertificateDer::from).collect();
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
            config.with_client_auth_cert(chain, key).unwrap()
        }
    }
}

type Ends = (
    Result<TlsStream<TcpStream>, HandshakeError>,
    io::Result<client::TlsStream<TcpStream>>,
);

/// Both ends of one handshake over a real socket.
async fn handshake(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> Ends {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(server);
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        accept(&acceptor, tcp, HANDSHAKE_DEADLINE).await
    };
    let asking = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(client)
            .connect(ServerName::try_from("localhost").unwrap(), tcp)
            .await
    };
    tokio::join!(serving, asking)
}

async fn check(port: Port, holder: Option<&Holder>, at: Timestamp, expected: Result<Option<&[u8]>, &str>) {
    let identity = ServerIdentity::new(&FIXTURE.ca, localhost(), NOW).unwrap();
    for version in [&TLS12, &TLS13] {
        // The client's clock is right: what is tried is the server's judgement.
        let (served, _) = handshake(
            server(port, &identity, at),
            Arc::new(client(holder, NOW, version)),
        )
        .await;
        match (&served, expected) {
            (Ok(stream), Ok(leaf)) => assert_eq!(peer_leaf(stream).as_deref(), leaf),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (served, expected) => panic!("{served:?} instead of {expected:?}"),
        }
    }
}

fn leaf(holder: &Holder) -> Result<Option<&[u8]>, &str> {
    Ok(Some(&holder.chain[0]))
}

#[tokio::test]
async fn each_port_knows_its_own_certificates() {
    let Fixture { device, operator, .. } = &*FIXTURE;
    for port in [Port::Web, Port::Mqtt] {
        check(port, None, NOW, Ok(None)).await;
    }
    check(Port::Mqtt, Some(device), NOW, leaf(device)).await;
    check(Port::Web, Some(operator), NOW, leaf(operator)).await;
    check(Port::Web, Some(device), NOW, leaf(device)).await;
    check(Port::Mqtt, Some(operator), NOW, leaf(operator)).await;
    for port in [Port::Web, Port::Mqtt] {
        check(port, Some(&make().operator), NOW, Err("UnknownIssuer")).await;
    }
}

#[test]
fn it_is_told_whose_certificate_was_shown() {
    let Fixture { ca, device, operator } = &*FIXTURE;
    let whose = Whose::new(ca, &clock(NOW)).unwrap();
    let chain = |holder: &Holder| -> Vec<_> {
        let chain = holder.chain.iter().cloned();
        chain.map(CertificateDer::from).collect()
    };
    assert_eq!(whose.shown(&[]), Shown::Nothing);
    let leaf = |holder: &Holder| holder.chain[0].as_slice().into();
    assert_eq!(whose.shown(&chain(device)), Shown::Device(leaf(device)));
    for certificates in [chain(operator), chain(operator)[..1].to_vec()] {
        assert_eq!(whose.shown(&certificates), Shown::Operator(leaf(operator)));
    }
    // Whatever is not plainly an operator's is a device's.
    let other = make().operator;
    assert_eq!(whose.shown(&chain(&other)), Shown::Device(leaf(&other)));
    let later = Whose::new(ca, &clock(NOW.plus(10_000 * DAY))).unwrap();
    assert_eq!(later.shown(&chain(operator)), Shown::Device(leaf(operator)));
}

#[tokio::test]
async fn strange_ended_and_unfit_certificates_are_refused() {
    let device = &FIXTURE.device;
    let stranger = make();
    check(Port::Mqtt, Some(&stranger.device), NOW, Err("UnknownIssuer")).await;
    check(Port::Mqtt, Some(device), NOW.plus(364 * DAY), leaf(device)).await;
    check(Port::Mqtt, Some(device), NOW.plus(366 * DAY), Err("expired")).await;
    check(Port::Mqtt, Some(device), NOW.minus(DAY), Err("not valid yet")).await;
    // The certificate of another, without the key to it.
    let thief = Holder {
        chain: device.chain.clone(),
        key: KeyPair::generate().unwrap().serialize_der(),
    };
    let chain = thief.chain.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(thief.key));
    let signing = aws_lc_rs::sign::any_ecdsa_type(&key).unwrap();
    let identity = ServerIdentity::new(&FIXTURE.ca, localhost(), NOW).unwrap();
    for version in [&TLS12, &TLS13] {
        let mut config = client(None, NOW, version);
        config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(CertifiedKey::new(
            Vec::clone(&chain),
            Arc::clone(&signing),
        )));
        let (served, _) = handshake(server(Port::Mqtt, &identity, NOW), Arc::new(config)).await;
        let error = served.unwrap_err().to_string();
        assert!(error.contains("BadSignature"), "{error}");
    }
}

/// A client that keeps its sessions.
fn resuming(holder: Option<&Holder>, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut config = client(holder, NOW, version);
    config.resumption = Resumption::in_memory_sessions(1);
    Arc::new(config)
}

/// One handshake and the first byte, before which tickets come: was it resumed, whom did the server see, and how many tickets
/// of TLS 1.3 did it give?
async fn kind(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> (HandshakeKind, Option<Vec<u8>>, u32) {
    let (served, asked) = handshake(Arc::clone(server), Arc::clone(client)).await;
    let (mut served, mut asked) = (served.unwrap(), asked.unwrap());
    served.write_all(b"x").await.unwrap();
    asked.read_u8().await.unwrap();
    let kind = served.get_ref().1.handshake_kind().unwrap();
    (
        kind,
        peer_leaf(&served),
        asked.get_ref().1.tls13_tickets_received(),
    )
}

#[tokio::test]
async fn b4_only_the_port_that_judges_again_resumes_sessions() {
    let identity = ServerIdentity::new(&FIXTURE.ca, localhost(), NOW).unwrap();
    let device = &FIXTURE.device;
    for holder in [None, Some(device)] {
        for version in [&TLS12, &TLS13] {
            let (web, client) = (server(Port::Web, &identity, NOW), resuming(holder, version));
            let leaf = holder.map(|holder| holder.chain[0].clone());
            for _ in 0..3 {
                assert_eq!(kind(&web, &client).await, (HandshakeKind::Full, leaf.clone(), 0));
            }
            let (mqtt, client) = (server(Port::Mqtt, &identity, NOW), resuming(holder, version));
            let tickets = u32::from(version == &TLS13);
            assert_eq!(
                kind(&mqtt, &client).await,
                (HandshakeKind::Full, leaf.clone(), tickets)
            );
            for _ in 0..3 {
                let resumed = (HandshakeKind::Resumed, leaf.clone(), tickets);
                assert_eq!(kind(&mqtt, &client).await, resumed);
            }
            // A ticket of one port is nothing to the other, and neither is one of another process.
            assert_eq!(kind(&web, &client).await, (HandshakeKind::Full, leaf.clone(), 0));
            let client = resuming(holder, version);
            kind(&mqtt, &client).await;
            let other = server(Port::Mqtt, &identity, NOW);
            assert_eq!(kind(&other, &client).await.0, HandshakeKind::Full);
        }
    }
}

#[tokio::test]
async fn a_ticket_outlives_what_the_ports_are_derived_from() {
    let ports = Ports::new(&FIXTURE.ca, localhost(), clock(NOW), nobody()).unwrap();
    for version in [&TLS12, &TLS13] {
        let client = resuming(Some(&FIXTURE.device), version);
        kind(&ports.mqtt().current().config, &client).await;
        let before = ports.mqtt().current();
        ports.take(ports.derive(&FIXTURE.ca).unwrap());
        assert!(!Arc::ptr_eq(&before, &ports.mqtt().current()));
        let (resumed, leaf, _) = kind(&ports.mqtt().current().config, &client).await;
        assert_eq!(resumed, HandshakeKind::Resumed);
        assert_eq!(leaf.as_ref(), Some(&FIXTURE.device.chain[0]));
    }
}

#[tokio::test]
async fn who_shows_much_is_given_no_ticket() {
    let identity = ServerIdentity::new(&FIXTURE.ca, localhost(), NOW).unwrap();
    let server = server(Port::Mqtt, &identity, NOW);
    let Holder { chain, key } = &FIXTURE.device;
    let long = Holder {
        chain: [chain.as_slice(), &vec![chain[1].clone(); 8]].concat(),
        key: key.clone(),
    };
    for version in [&TLS12, &TLS13] {
        let client = resuming(Some(&long), version);
        for _ in 0..2 {
            let full = (HandshakeKind::Full, Some(chain[0].clone()), 0);
            assert_eq!(kind(&server, &client).await, full);
        }
    }
}

#[tokio::test]
async fn b5_a_silent_peer_is_let_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    let identity = ServerIdentity::new(&FIXTURE.ca, localhost(), NOW).unwrap();
    let acceptor = TlsAcceptor::from(server(Port::Mqtt, &identity, NOW));
    let served = accept(&acceptor, tcp, Duration::from_millis(20)).await;
    assert!(matches!(served, Err(HandshakeError::Late)), "{served:?}");
    let mut silent = silent;
    assert_eq!(
        silent.read(&mut [0; 1]).await.unwrap(),
        0,
        "the connection is closed"
    );
}

#[tokio::test]
async fn a_client_at_the_wrong_port_is_told() {
    let identity = ServerIdentity::new(&FIXTURE.ca, localhost(), NOW).unwrap();
    for (port, own, other) in [
        (Port::Web, HTTP_2, MQTT),
        (Port::Web, HTTP_1_1, MQTT),
        (Port::Mqtt, MQTT, HTTP_2),
    ] {
        for (offered, expected) in [
            (vec![], true),
            (vec![own], true),
            (vec![other, own], true),
            (vec![other], false),
        ] {
            let mut config = client(None, NOW, &TLS13);
            config.alpn_protocols = offered.into_iter().map(<[u8]>::to_vec).collect();
            let (served, _) = handshake(server(port, &identity, NOW), Arc::new(config)).await;
            assert_eq!(served.is_ok(), expected);
        }
    }
}

#[tokio::test]
async fn the_server_certificate_is_renewed_while_serving() {
    // An authority of its own: its clock moves.
    let own = make();
    let identity = ServerIdentity::new(&own.ca, localhost(), NOW).unwrap();
    let config = mqtt_config(&own.ca, &identity, &clock(NOW), nobody(), tickets().unwrap()).unwrap();
    let serial = async |at: Timestamp| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(own.ca.roots().remove(0))).unwrap();
        let details =
            ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(clock(at)));
        let client = details
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let (_, asked) = handshake(Arc::clone(&config), Arc::new(client.with_no_client_auth())).await;
        asked.map(|stream| certificate_serial(&stream.get_ref().1.peer_certificates().unwrap()[0]).unwrap())
    };
    let first = serial(NOW).await.unwrap();
    assert!(!identity.renew_if_due(&own.ca, NOW.plus(59 * DAY)).unwrap());
    assert_eq!(serial(NOW.plus(59 * DAY)).await.unwrap(), first);
    assert!(serial(NOW.plus(91 * DAY)).await.is_err(), "it ends");
    assert!(identity.renew_if_due(&own.ca, NOW.plus(60 * DAY)).unwrap());
    assert_ne!(serial(NOW.plus(60 * DAY)).await.unwrap(), first);
    serial(NOW.plus(91 * DAY)).await.unwrap();
    assert!(!identity.renew_if_due(&own.ca, NOW.plus(61 * DAY)).unwrap());
}

/// A certificate of somebody else's authority, with a key of this kind.
fn foreign(algorithm: &'static rcgen::SignatureAlgorithm, from: i64, days: i64) -> Holder {
    let authority = KeyPair::generate().unwrap();
    let mut issuer = CertificateParams::default();
    issuer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::new(issuer, authority);
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut leaf = CertificateParams::new(vec!["esp-test-cn".to_owned()]).unwrap();
    let start = rcgen::date_time_ymd(1970, 1, 1) + DAY * u32::try_from(from).unwrap();
    leaf.not_before = start;
    leaf.not_after = start + DAY * u32::try_from(days).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    Holder {
        chain: vec![leaf.der().to_vec()],
        key: key.serialize_der(),
    }
}

/// Days from the epoch to `NOW`.
const TODAY: i64 = 1_795_478_400 / 86_400;

#[tokio::test]
async fn a_pinned_certificate_of_others_is_let_in() {
    let identity = ServerIdentity::new(&FIXTURE.ca, localhost(), NOW).unwrap();
    let p256 = foreign(&rcgen::PKCS_ECDSA_P256_SHA256, TODAY - 1, 10);
    let p384 = foreign(&rcgen::PKCS_ECDSA_P384_SHA384, TODAY - 1, 10);
    let ended = foreign(&rcgen::PKCS_ECDSA_P256_SHA256, TODAY - 10, 9);
    let later = foreign(&rcgen::PKCS_ECDSA_P256_SHA256, TODAY + 1, 10);
    let thief = Holder {
        chain: p256.chain.clone(),
        key: FIXTURE.device.key.clone(),
    };
    for (port, holder, is_pinned, expected) in [
        (Port::Mqtt, &p256, true, true),
        (Port::Mqtt, &p384, true, true),
        (Port::Mqtt, &p256, false, false),
        // Of what is on record the registry judges the validity too: a device may come back to renew.
        (Port::Mqtt, &ended, true, true),
        (Port::Mqtt, &ended, false, false),
        (Port::Mqtt, &later, true, true),
        (Port::Mqtt, &later, false, false),
        (Port::Web, &p256, true, true),
        (Port::Web, &p256, false, false),
        (Port::Mqtt, &thief, true, false),
    ] {
        for version in [&TLS12, &TLS13] {
            let pinned = holder.chain[0].clone();
            let server = pinning(port, &identity, NOW, move |leaf| is_pinned && leaf == pinned);
            let (served, _) = handshake(server, Arc::new(showing(holder, version))).await;
            let shown = served.ok().and_then(|stream| peer_leaf(&stream));
            assert_eq!(shown.as_deref(), expected.then_some(holder.chain[0].as_slice()));
        }
    }
}

/// A client that shows a certificate whether or not it fits its key.
fn showing(holder: &Holder, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(FIXTURE.ca.roots().remove(0)))
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(holder.key.clone()));
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let chain = holder.chain.iter().cloned().map(CertificateDer::from).collect();
    let certified = Arc::new(CertifiedKey::new(chain, key));
    ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(clock(NOW)))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)))
}
