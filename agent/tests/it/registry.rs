//! A registry as small as an agent allows: one TLS port, claims, desired state, reports. Its MQTT is rumqttc's
//! codec, so that the agent's own is held against another.

use crate::{
    cut::Cut,
    pki::{self, Pki},
};
use bytes::BytesMut;
use muster_proto::{
    payload::{
        self, Binary, Claim, ClaimAccepted, ClaimRefused, ClaimResult, Desired, Hello, Report, TrustBundle,
        TrustVersion, Trusted,
    },
    topic::{Channel, Encoding, Topic},
    trust,
};
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, PublicKeyData as _, SanType,
    SigningKey as _,
};
use rumqttc::mqttbytes::{
    QoS,
    v4::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode},
};
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig,
    crypto::ring::{Ticketer, default_provider},
    pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub(crate) const CODE: &str = "K7Q2M-X9F4T-3HRWC-8D5ZN-V";
const LIMIT: usize = 512 << 10;

/// All that a registry knows, for tests to look at and to change.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// Serial to (key, id, certificate).
    pub(crate) claimed: BTreeMap<String, (Vec<u8>, String, Vec<u8>)>,
    /// Claims of a serial with a second key.
    pub(crate) clones: usize,
    pub(crate) claims: usize,
    /// Refuses claims so, as long as set.
    pub(crate) refusal: Option<ClaimRefused>,
    pub(crate) hellos: Vec<(String, Hello)>,
    /// By which version devices said that they trust.
    pub(crate) trusted: Vec<u64>,
    /// What to trust.
    pub(crate) trust: Option<TrustBundle>,
    pub(crate) reports: Vec<Report>,
    /// What every device is to be, by generation; the device id is filled in.
    pub(crate) desired: Option<Desired>,
    /// Bytes to send as they are instead of sealed desired state.
    pub(crate) forged: Option<Vec<u8>>,
    /// How many bytes each next connection lives, first one first.
    pub(crate) cuts: Vec<i64>,
    pub(crate) connections: usize,
    /// How each handshake with a certificate went.
    pub(crate) handshakes: Vec<HandshakeKind>,
    /// Sessions end when this changes.
    pub(crate) kicks: usize,
    /// How many of the next connections with a certificate are not let in.
    pub(crate) turned_away: usize,
}

impl Known {
    pub(crate) fn last_report(&self, device: &str) -> Option<&Report> {
        self.reports
            .iter()
            .rev()
            .find(|report| report.device_id == device)
    }
}

#[derive(Clone)]
pub(crate) struct Registry {
    pub(crate) pki: Arc<Pki>,
    pub(crate) known: watch::Sender<Known>,
    pub(crate) address: SocketAddr,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        Self::with_certificate(|_| {}).await
    }

    /// With another certificate of its own than a good one.
    pub(crate) async fn with_certificate(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let pki = Pki::new();
        let mut params = pki::params("registry");
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let known = watch::Sender::new(Known {
            desired: Some(pki::desired("", 1)),
            ..Known::default()
        });
        let registry = Self {
            pki: Arc::new(pki),
            known,
            address: listener.local_addr().unwrap(),
        };
        let acceptor = TlsAcceptor::from(registry.tls(params));
        tokio::spawn(registry.clone().accept(listener, acceptor));
        registry
    }

    pub(crate) fn root_pem(&self) -> String {
        self.pki.root.certificate.pem()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Known)) {
        self.known.send_modify(change);
    }

    /// Waits until what the registry knows fits.
    pub(crate) async fn until(&self, fits: impl FnMut(&Known) -> bool) -> Known {
        self.known.subscribe().wait_for(fits).await.unwrap().clone()
    }

    /// The word of its root that another is trusted as well, and what stands under that one.
    pub(crate) fn trust_in_another(&self) -> (TrustBundle, Pki) {
        let new = Pki::new();
        let (old_root, new_root) = (self.pki.root.der(), new.root.der());
        let roots = [&old_root, &new_root].map(|root| trust::digest(root)).to_vec();
        let signature = self.pki.root.key.sign(&trust::signing_input(1, &roots));
        let version = TrustVersion {
            version: 1,
            roots,
            signer: trust::digest(&old_root),
            signature: Binary(signature.unwrap()),
        };
        let bundle = TrustBundle {
            certificates: [old_root, new_root].map(Binary).to_vec(),
            versions: vec![version],
        };
        (bundle, new)
    }

    fn tls(&self, params: CertificateParams) -> Arc<ServerConfig> {
        let server = self.pki.issuing.issue(params);
        let mut anchors = RootCertStore::empty();
        // The issuing authority itself is the anchor, so that a leaf alone verifies.
        anchors.add(self.pki.issuing.certificate.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let chain = vec![
            server.certificate.der().clone(),
            self.pki.issuing.certificate.der().clone(),
        ];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server.key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        config.ticketer = Ticketer::new().unwrap();
        config.send_tls13_tickets = 1;
        Arc::new(config)
    }

    async fn accept(self, listener: TcpListener, acceptor: TlsAcceptor) {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let mut cut = None;
            self.change(|known| {
                known.connections += 1;
                cut = (!known.cuts.is_empty()).then(|| known.cuts.remove(0));
            });
            tokio::spawn(self.clone().serve(acceptor.clone(), tcp, cut));
        }
    }

    async fn serve(self, acceptor: TlsAcceptor, tcp: TcpStream, cut: Option<i64>) {
        let stream = Cut::after(cut.unwrap_or(i64::MAX), tcp);
        // A connection may end anywhere; that is what is tested.
        if let Ok(stream) = acceptor.accept(stream).await {
            let peer = stream
                .get_ref()
                .1
                .peer_certificates()
                .map(|chain| chain[0].clone());
            Session {
                registry: self,
                stream,
                peer,
                inbox: BytesMut::new(),
            }
            .run()
            .await;
        }
    }
}

struct Session<S> {
    registry: Registry,
    stream: TlsStream<S>,
    peer: Option<CertificateDer<'static>>,
    inbox: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn run(mut self) -> Option<()> {
        let Packet::Connect(connect) = self.receive().await? else {
            panic!("CONNECT comes first")
        };
        assert!(connect.clean_session && connect.last_will.is_none());
        let device = self.peer.take().map(|leaf| self.holder(&leaf));
        let kicks = self.registry.known.borrow().kicks;
        let mut is_turned_away = false;
        if device.is_some() {
            let kind = self.stream.get_ref().1.handshake_kind().unwrap();
            self.registry.change(|known| {
                known.handshakes.push(kind);
                is_turned_away = known.turned_away > 0;
                known.turned_away -= usize::from(is_turned_away);
            });
        }
        let serial = match (&device, &connect.login) {
            (Some(device), None) if !is_turned_away => {
                assert_eq!(&connect.client_id, device);
                String::new()
            }
            (None, Some(login)) if login.password == CODE => login.username.clone(),
            _ => {
                self.send(Packet::ConnAck(ConnAck::new(
                    ConnectReturnCode::NotAuthorized,
                    false,
                )))
                .await?;
                return None;
            }
        };
        self.send(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)))
            .await?;
        let Packet::Subscribe(subscribe) = self.receive().await? else {
            panic!("SUBSCRIBE comes second")
        };
        let expected = match &device {
            Some(id) => Topic::Device(id, Channel::Desired, Encoding::Postcard),
            None => Topic::ClaimResult(Encoding::Postcard),
        };
        assert_eq!(subscribe.filters[0].path, expected.to_string());
        let granted = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce); subscribe.filters.len()];
        self.send(Packet::SubAck(SubAck::new(subscribe.pkid, granted)))
            .await?;
        let down = expected.to_string();
        // A change of what is desired goes out at once.
        let mut known = self.registry.known.subscribe();
        let mut told = known.borrow_and_update().desired.clone();
        loop {
            // One that came before this listened is in no change that follows.
            if device.is_some() && self.registry.known.borrow().kicks != kicks {
                return None;
            }
            let packet = tokio::select! {
                packet = self.receive() => packet?,
                changed = known.changed(), if device.is_some() => {
                    changed.ok()?;
                    let desired = known.borrow_and_update().desired.clone();
                    if desired != told {
                        told.clone_from(&desired);
                        let payload = self.sealed(device.as_ref()?);
                        self.publish(&down, payload).await?;
                    }
                    continue;
                }
            };
            match packet {
                Packet::Publish(publish) => {
                    let answer = match &device {
                        Some(device) => self.hear(device, &publish),
                        None => Some((down.clone(), self.decide(&serial, &publish))),
                    };
                    // Committed, so acknowledged.
                    self.send(Packet::PubAck(PubAck::new(publish.pkid))).await?;
                    if let Some((topic, answer)) = answer {
                        self.publish(&topic, answer).await?;
                    }
                }
                Packet::PubAck(_) => {}
                Packet::PingReq => self.send(Packet::PingResp).await?,
                Packet::Disconnect => return None,
                other => panic!("{other:?}"),
            }
        }
    }

    fn holder(&self, leaf: &[u8]) -> String {
        let known = self.registry.known.borrow();
        known
            .claimed
            .values()
            .find(|(.., der)| der == leaf)
            .expect("its own certificate")
            .1
            .clone()
    }

    /// What is said in answer, and where.
    fn hear(&self, device: &str, publish: &Publish) -> Option<(String, Vec<u8>)> {
        let down = |channel| Topic::Device(device, channel, Encoding::Postcard).to_string();
        let topic = Topic::parse(&publish.topic).unwrap();
        match topic {
            Topic::Device(id, Channel::Hello, Encoding::Postcard) if id == device => {
                let hello: Hello = payload::decode(&publish.payload, Encoding::Postcard).unwrap();
                let mut current = false;
                self.registry.change(|known| {
                    current = known
                        .desired
                        .as_ref()
                        .is_none_or(|desired| desired.generation == hello.generation);
                    known.hellos.push((device.into(), hello));
                });
                (!current).then(|| (down(Channel::Desired), self.sealed(device)))
            }
            Topic::Device(id, Channel::Trusted, Encoding::Postcard) if id == device => {
                let Trusted { version } = payload::decode(&publish.payload, Encoding::Postcard).unwrap();
                let mut trust = None;
                self.registry.change(|known| {
                    known.trusted.push(version);
                    trust.clone_from(&known.trust);
                });
                let trust = trust.filter(|trust| trust.versions.iter().any(|one| one.version > version))?;
                let payload = payload::encode(&trust, Encoding::Postcard).unwrap();
                Some((down(Channel::Trust), payload))
            }
            Topic::Device(id, Channel::Report, Encoding::Postcard) if id == device => {
                let report: Report = payload::decode(&publish.payload, Encoding::Postcard).unwrap();
                assert_eq!(report.device_id, device);
                self.registry.change(|known| known.reports.push(report));
                None
            }
            other => panic!("{other:?}"),
        }
    }

    fn sealed(&self, device: &str) -> Vec<u8> {
        let known = self.registry.known.borrow();
        if let Some(forged) = &known.forged {
            return forged.clone();
        }
        let mut desired = known.desired.clone().unwrap();
        desired.device_id = device.into();
        self.registry.pki.seal(&desired)
    }

    fn decide(&self, serial: &str, publish: &Publish) -> Vec<u8> {
        assert_eq!(
            Topic::parse(&publish.topic),
            Some(Topic::Claim(Encoding::Postcard))
        );
        let claim: Claim = payload::decode(&publish.payload, Encoding::Postcard).unwrap();
        let csr = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(claim.csr.0))
            .expect("a request with a good signature");
        let key = csr.public_key.subject_public_key_info();
        let mut result = None;
        let pki = &self.registry.pki;
        self.registry.change(|known| {
            known.claims += 1;
            result = Some(if let Some(refusal) = &known.refusal {
                ClaimResult::Refused(refusal.clone())
            } else if known.claimed.get(serial).is_some_and(|(bound, ..)| *bound != key) {
                known.clones += 1;
                ClaimResult::Refused(refused(None))
            } else {
                let number = known.claimed.len();
                let (_, id, der) = known.claimed.entry(serial.into()).or_insert_with(|| {
                    let id = format!("01jnb3zv8k6c2q4x7d9ftg{number:04}");
                    let leaf = pki::client(&id)
                        .signed_by(&csr.public_key, &pki.issuing.issuer())
                        .unwrap();
                    (key, id, leaf.der().to_vec())
                });
                ClaimResult::Accepted(ClaimAccepted {
                    device_id: id.clone(),
                    chain: vec![Binary(der.clone()), Binary(pki.issuing.der())],
                    roots: vec![Binary(pki.root.der())],
                })
            });
        });
        payload::encode(&result.unwrap(), Encoding::Postcard).unwrap()
    }

    async fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Option<()> {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.pkid = 7;
        self.send(Packet::Publish(publish)).await
    }

    async fn send(&mut self, packet: Packet) -> Option<()> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, LIMIT).unwrap();
        self.stream.write_all(&bytes).await.ok()?;
        self.stream.flush().await.ok()
    }

    async fn receive(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.inbox, LIMIT) {
                Ok(packet) => return Some(packet),
                Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("{error}"),
            }
            if self.stream.read_buf(&mut self.inbox).await.ok()? == 0 {
                return None;
            }
        }
    }
}

pub(crate) fn refused(retry_after_seconds: Option<u32>) -> ClaimRefused {
    ClaimRefused {
        code: 2001,
        reason: "CLAIM_REFUSED".into(),
        message: "serial and code do not match".into(),
        help: "check the label".into(),
        retry_after_seconds,
    }
}
