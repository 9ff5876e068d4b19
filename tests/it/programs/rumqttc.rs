//! Somebody else's MQTT client: a device on stock rumqttc, in both versions, against a server in a process of its own.
//!
//! rumqttc is built without TLS (its own has open advisories, and takes no stream), so a tunnel of this machine seals what it
//! says, and shows the device's certificate.

use super::{catalog, connected, import};
use muster_proto::{
    envelope::{CONFIG_SIGNING_EKU_DER, Envelope},
    payload::{self, Desired, Digest, Facet, FacetState, FacetStatus, Hello, Report},
    topic::{Channel, Encoding, Topic},
    v1::{GetDeviceRequest, device::State},
};
use muster_tests::{Key, Mqtt, Registry, Tunnel, fixture, within};
use rumqttc::{
    mqttbytes as bytes4,
    v5::mqttbytes::{QoS as QoS5, v5 as packets5},
};
use rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use std::{fs, time::Duration};

/// More than any envelope of these tests.
const PACKETS: usize = 64 << 10;

/// What a device waits for.
#[derive(Debug)]
enum Heard {
    Connected,
    Granted,
    Acknowledged,
    Message(String, Vec<u8>),
}

/// A stock client of either version.
trait Stock {
    fn new(id: &str, port: u16) -> Self;
    async fn subscribe(&self, topic: String);
    async fn publish(&self, topic: String, payload: Vec<u8>);
    async fn heard(&mut self) -> Heard;
}

struct V4(rumqttc::AsyncClient, rumqttc::EventLoop);

impl Stock for V4 {
    fn new(id: &str, port: u16) -> Self {
        let mut options = rumqttc::MqttOptions::new(id, "127.0.0.1", port);
        options
            .set_keep_alive(Duration::from_secs(60))
            .set_max_packet_size(PACKETS, PACKETS);
        let (client, events) = rumqttc::AsyncClient::new(options, 10);
        Self(client, events)
    }

    async fn subscribe(&self, topic: String) {
        self.0.subscribe(topic, bytes4::QoS::AtLeastOnce).await.unwrap();
    }

    async fn publish(&self, topic: String, payload: Vec<u8>) {
        let qos = bytes4::QoS::AtLeastOnce;
        self.0.publish(topic, qos, false, payload).await.unwrap();
    }

    async fn heard(&mut self) -> Heard {
        use bytes4::v4::{ConnectReturnCode, Packet, SubscribeReasonCode};
        loop {
            let event = within("an event", self.1.poll()).await.unwrap();
            let rumqttc::Event::Incoming(packet) = event else {
                continue;
            };
            return match packet {
                Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => Heard::Connected,
                Packet::SubAck(ack) if matches!(ack.return_codes[..], [SubscribeReasonCode::Success(_)]) => {
                    Heard::Granted
                }
                Packet::PubAck(_) => Heard::Acknowledged,
                Packet::Publish(message) => Heard::Message(message.topic, message.payload.to_vec()),
                other => panic!("{other:?}"),
            };
        }
    }
}

struct V5(rumqttc::v5::AsyncClient, rumqttc::v5::EventLoop);

impl Stock for V5 {
    fn new(id: &str, port: u16) -> Self {
        let mut options = rumqttc::v5::MqttOptions::new(id, "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(60));
        let (client, events) = rumqttc::v5::AsyncClient::new(options, 10);
        Self(client, events)
    }

    async fn subscribe(&self, topic: String) {
        self.0.subscribe(topic, QoS5::AtLeastOnce).await.unwrap();
    }

    async fn publish(&self, topic: String, payload: Vec<u8>) {
        self.0
            .publish(topic, QoS5::AtLeastOnce, false, payload)
            .await
            .unwrap();
    }

    async fn heard(&mut self) -> Heard {
        use packets5::{ConnectReturnCode, Packet, PubAckReason, SubscribeReasonCode};
        loop {
            let event = within("an event", self.1.poll()).await.unwrap();
            let rumqttc::v5::Event::Incoming(packet) = event else {
                continue;
            };
            return match packet {
                Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => Heard::Connected,
                Packet::SubAck(ack) if matches!(ack.return_codes[..], [SubscribeReasonCode::Success(_)]) => {
                    Heard::Granted
                }
                Packet::PubAck(ack) if ack.reason == PubAckReason::Success => Heard::Acknowledged,
                Packet::Publish(message) => {
                    let topic = String::from_utf8(message.topic.to_vec()).unwrap();
                    Heard::Message(topic, message.payload.to_vec())
                }
                other => panic!("{other:?}"),
            };
        }
    }
}

/// Opens an envelope as a device must: by the root that it pinned, for the usage of configuration.
fn open(root: &[u8], envelope: &[u8], encoding: Encoding) -> Desired {
    let root = CertificateDer::from_pem_slice(root).unwrap();
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    let trust = |certificate: &[u8]| {
        let certificate = CertificateDer::from(certificate);
        let signer = webpki::EndEntityCert::try_from(&certificate).map_err(|error| error.to_string())?;
        let usage = webpki::KeyUsage::required(CONFIG_SIGNING_EKU_DER);
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        signer
            .verify_for_usage(algorithms, &[anchor], &[], UnixTime::now(), usage, None, None)
            .map_err(|error| error.to_string())?;
        Ok(signer.subject_public_key_info().to_vec())
    };
    Envelope::open(envelope, encoding, trust).unwrap()
}

/// Hello, desired state, report: what a device does, in one encoding.
async fn live<S: Stock>(id: &str, port: u16, root: &[u8], encoding: Encoding) {
    let topic = |channel| Topic::Device(id, channel, encoding).to_string();
    let mut client = S::new(id, port);
    assert!(matches!(client.heard().await, Heard::Connected));
    client.subscribe(topic(Channel::Desired)).await;
    assert!(matches!(client.heard().await, Heard::Granted));
    let hello = Hello {
        generation: 0,
        digest: Digest::default(),
        agent_version: "rumqttc".into(),
        firmware: Some("2.3.1".into()),
        boot_id: 7,
    };
    client
        .publish(topic(Channel::Hello), payload::encode(&hello, encoding).unwrap())
        .await;
    // The message and the acknowledgement come in either order.
    let mut envelope = None;
    for _ in 0..2 {
        match client.heard().await {
            Heard::Message(on, content) => {
                assert_eq!(on, topic(Channel::Desired));
                envelope = Some(content);
            }
            other => assert!(matches!(other, Heard::Acknowledged), "{other:?}"),
        }
    }
    let desired = open(root, &envelope.expect("a desired state"), encoding);
    assert_eq!(desired.device_id, id);
    let facet = |facet| FacetStatus {
        facet,
        state: FacetState::Applied,
    };
    let report = Report {
        device_id: id.into(),
        generation: desired.generation,
        digest: desired.digest,
        facets: [Facet::Config, Facet::Location, Facet::Firmware]
            .map(facet)
            .to_vec(),
        firmware: Some("2.3.1".into()),
    };
    client
        .publish(
            topic(Channel::Report),
            payload::encode(&report, encoding).unwrap(),
        )
        .await;
    assert!(matches!(client.heard().await, Heard::Acknowledged));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_on_rumqttc_is_verified_in_both_versions_and_encodings() {
    let registry = Registry::new();
    let (musterd, _, mqtt) = registry.serve("info").await;
    let client = connected(&registry).await;
    catalog(&client).await;
    let (rows, ended) = import(&client, &fixture::manifest("gateways.csv"), |_| {}).await;
    ended.unwrap();
    let root = fs::read(registry.path("registry/operator/root.pem")).unwrap();
    let cases = [
        (4, Encoding::Json),
        (4, Encoding::Postcard),
        (5, Encoding::Json),
        (5, Encoding::Postcard),
    ];
    for (row, (version, encoding)) in cases.into_iter().enumerate() {
        let (serial, code) = (format!("GW2-{}", 7_000_001 + row), &rows[row].activation_code);
        let name = format!("devices/serial:{serial}");
        let request = GetDeviceRequest { name };
        let device = async || {
            client
                .devices
                .clone()
                .get_device(request.clone())
                .await
                .unwrap()
                .into_inner()
        };
        let id = device().await.name.replace("devices/", "");
        let key = Key::new();
        let mut claimant = Mqtt::dial(mqtt, &root, None, None).await.unwrap();
        let payload::ClaimResult::Accepted(accepted) =
            claimant.claim(&serial, code, key.csr()).await.expect("an answer")
        else {
            panic!("{serial} is refused")
        };
        let pair = key.pair(&accepted.chain.iter().map(|der| &der.0).collect::<Vec<_>>());
        let tunnel = Tunnel::new(mqtt, root.clone(), Some(pair)).await;
        let port = tunnel.address().port();
        match version {
            4 => live::<V4>(&id, port, &root, encoding).await,
            _ => live::<V5>(&id, port, &root, encoding).await,
        }
        // The acknowledgement said that the report is recorded.
        let device = device().await;
        let verdict = device.verification.as_ref().unwrap().state();
        assert_eq!(device.state(), State::Active, "{version} {encoding:?}");
        assert_eq!(
            verdict,
            muster_proto::v1::verification::State::Verified,
            "{version} {encoding:?}"
        );
        assert_eq!(device.reported.unwrap().agent_version, "rumqttc");
    }
    musterd.killed().await;
}
