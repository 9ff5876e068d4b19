//! Integrators: what happens in the registry, heard over MQTT with an operator's certificate.

use muster_domain::access::Role;
use muster_proto::{
    payload::{Departure, Facet, FacetState, Hello, PayloadError, Presence, Report, decode},
    topic::{Channel, Encoding, Topic},
    v1,
};
use muster_tests::{Mqtt, Pair, World};
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, SubscribeReasonCode};
use std::collections::VecDeque;

type Decode<T> = fn(&[u8], Encoding) -> Result<T, PayloadError>;

/// An integrator who listens.
struct Listener {
    mqtt: Mqtt,
    /// Messages that came, and were not asked for yet.
    heard: VecDeque<(String, Vec<u8>)>,
}

impl Listener {
    async fn new(world: &World, pair: &Pair, filters: &[&str]) -> Self {
        let mut mqtt = world.dial(Some(pair)).await.unwrap();
        let ack = mqtt.connect("", None).await.unwrap();
        assert_eq!(ack.code, ConnectReturnCode::Success);
        for filter in filters {
            let (code, why) = mqtt.subscribe(filter).await.unwrap();
            assert!(matches!(code, SubscribeReasonCode::Success(_)), "{filter}: {why}");
        }
        Self {
            mqtt,
            heard: VecDeque::new(),
        }
    }

    /// The next message on a topic that has this in it; others wait.
    async fn on(&mut self, part: &str) -> Vec<u8> {
        if let Some(place) = self.heard.iter().position(|(topic, _)| topic.contains(part)) {
            return self.heard.remove(place).unwrap().1;
        }
        loop {
            let message = self.mqtt.message().await.expect("the connection stands");
            let topic = String::from_utf8(message.topic.to_vec()).unwrap();
            if topic.contains(part) {
                return message.payload.to_vec();
            }
            self.heard.push_back((topic, message.payload.to_vec()));
        }
    }

    async fn json<T>(&mut self, part: &str, decode: Decode<T>) -> T {
        decode(&self.on(part).await, Encoding::Json).unwrap()
    }
}

async fn suspend(world: &World, serial: &str) {
    let request = v1::SuspendDeviceRequest {
        name: format!("devices/serial:{serial}"),
        reason: "stolen van".into(),
        etag: String::new(),
    };
    let mut devices = world.client.devices.clone();
    devices.suspend_device(request).await.unwrap();
}

const EVERYTHING: [&str; 4] = [
    "muster/v1/+/hello/json",
    "muster/v1/+/report/json",
    "muster/v1/+/presence/json",
    "muster/v1/events/#",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integrator_follows_a_device_from_its_claim_to_its_end() {
    let mut world = World::start().await;
    let ines = world.operator("ines", Role::Integrator).await;
    let before = world.audit().await.len();
    let mut listener = Listener::new(&world, &ines, &EVERYTHING).await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let agent = world.agent(&serial, &code);
    let device = world.verified(&serial, 1).await;
    let id = device.name.trim_start_matches("devices/").to_owned();

    let came: Presence = listener.json("/presence/json", decode).await;
    assert_eq!((came.device_id.as_str(), came.online), (id.as_str(), true));
    assert_eq!((came.source.as_str(), came.reason), ("127.0.0.1", None));
    // The agent speaks postcard; who asks for JSON gets JSON.
    let hello: Hello = listener.json("/hello/json", decode).await;
    assert_eq!(hello.firmware.as_deref(), Some("2.3.1"));
    let report: Report = listener.json("/report/json", decode).await;
    assert_eq!((report.device_id.as_str(), report.generation), (id.as_str(), 1));
    let config = report.facets.iter().find(|status| status.facet == Facet::Config);
    assert_eq!(config.map(|status| &status.state), Some(&FacetState::Applied));

    suspend(&world, &serial).await;
    let went: Presence = listener.json("/presence/json", decode).await;
    assert_eq!((went.online, went.reason), (false, Some(Departure::ShutOut)));
    assert_eq!(went.session, came.session);
    assert!(went.at_millis >= came.at_millis);

    // The audit log: every entry since, as it was hashed, in its order.
    let entries = world.audit().await;
    assert_eq!(entries.last().unwrap()["action"], "device_suspended");
    for entry in &entries[before..] {
        let topic = format!("muster/v1/events/{}", entry["action"].as_str().unwrap());
        let told: serde_json::Value = serde_json::from_slice(&listener.on("/events/").await).unwrap();
        assert_eq!(&told, entry, "{topic}");
    }
    agent.stopped().await;

    // A server that stops says so; the sessions of the next have higher numbers.
    world.stopped().await.unwrap();
    assert_eq!(listener.mqtt.ended().await, "the server is stopping");
    world.serve_again().await;
    let mut listener = Listener::new(&world, &ines, &["muster/v1/+/presence/json"]).await;
    let mut devices = world.client.devices.clone();
    let request = v1::ResumeDeviceRequest {
        name: device.name,
        etag: String::new(),
    };
    devices.resume_device(request).await.unwrap();
    let _agent = world.agent(&serial, "");
    let back: Presence = listener.json("/presence/json", decode).await;
    assert!(
        back.online && back.session > came.session,
        "{back:?} after {came:?}"
    );
}

/// Whether they may connect, and why not.
async fn let_in(world: &World, pair: &Pair) -> Result<(), String> {
    let mut mqtt = world.dial(Some(pair)).await.unwrap();
    let ack = mqtt.connect("", None).await.unwrap();
    match ack.code {
        ConnectReturnCode::Success => Ok(()),
        _ => Err(ack
            .properties
            .and_then(|one| one.reason_string)
            .unwrap_or_default()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_an_operator_who_is_shut_out_hears_no_more() {
    let world = World::start().await;
    let disable = v1::DisableOperatorRequest {
        name: "operators/ines".into(),
    };
    let ines = world.operator("ines", Role::Integrator).await;
    let mut first = Listener::new(&world, &ines, &EVERYTHING).await;
    let mut second = Listener::new(&world, &ines, &[]).await;
    let mut access = world.client.access.clone();
    access.disable_operator(disable).await.unwrap();
    for listener in [&mut first, &mut second] {
        assert_eq!(listener.mqtt.ended().await, "the operator was shut out");
    }
    let why = let_in(&world, &ines).await.unwrap_err();
    assert!(why.starts_with("M6003: "), "{why}");

    // By the end of their certificate, which is the same.
    let vera = world.operator("vera", Role::Viewer).await;
    let mut listener = Listener::new(&world, &vera, &EVERYTHING).await;
    let list = v1::ListCertificatesRequest {
        filter: "operator = \"vera\"".into(),
        ..Default::default()
    };
    let mut certificates = world.client.certificates.clone();
    let found = certificates.list_certificates(list).await.unwrap().into_inner();
    let request = v1::RevokeCertificateRequest {
        name: found.certificates[0].name.clone(),
        reason: "key-compromise".into(),
        comment: String::new(),
    };
    certificates.revoke_certificate(request).await.unwrap();
    assert_eq!(listener.mqtt.ended().await, "the operator was shut out");
    assert!(let_in(&world, &vera).await.unwrap_err().starts_with("M6003: "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_operators_and_devices_keep_to_their_own_topics() {
    let world = World::start().await;
    let codes = world.gateways(2).await;
    let device = world.claim(&codes[0].0, &codes[0].1).await;
    let name = world.device(&codes[0].0).await.name;
    let id = name.trim_start_matches("devices/").to_owned();
    let own = |channel| Topic::Device(&id, channel, Encoding::Json).to_string();

    // Not even an admin speaks for a device, or hears what is for it.
    let mut admin = world.dial(Some(&world.admin())).await.unwrap();
    let ack = admin.connect("admin/test", None).await.unwrap();
    assert_eq!(ack.code, ConnectReturnCode::Success);
    for channel in [
        Channel::Report,
        Channel::Hello,
        Channel::Desired,
        Channel::Presence,
    ] {
        let (_, why) = admin.publish(&own(channel), b"{}".to_vec()).await.unwrap();
        assert!(why.starts_with("M7001: "), "{channel:?}: {why}");
    }
    for filter in [
        own(Channel::Desired),
        own(Channel::Certificate),
        own(Channel::Trust),
        "#".into(),
        "muster/v1/#".into(),
        "muster/v1/+/desired".into(),
        "$share/g/muster/v1/+/report".into(),
    ] {
        let (code, why) = admin.subscribe(&filter).await.unwrap();
        assert_eq!(code, SubscribeReasonCode::NotAuthorized, "{filter}");
        assert!(why.starts_with("M7001: "), "{filter}: {why}");
    }
    let mut other = world.dial(Some(&world.admin())).await.unwrap();
    let ack = other.connect(&id, None).await.unwrap();
    assert_eq!(ack.code, ConnectReturnCode::ClientIdentifierNotValid);

    // Nor does a device hear of others, or of itself.
    let mut mqtt = world.dial(Some(&device)).await.unwrap();
    mqtt.connect("", None).await.unwrap();
    for filter in [
        own(Channel::Presence),
        own(Channel::Report),
        "muster/v1/+/presence".into(),
        "muster/v1/events/#".into(),
        "muster/v1/events/device_suspended".into(),
    ] {
        let (code, why) = mqtt.subscribe(&filter).await.unwrap();
        assert_eq!(code, SubscribeReasonCode::NotAuthorized, "{filter}");
        assert!(why.starts_with("M7001: "), "{filter}: {why}");
    }
    assert_eq!(world.device(&codes[0].0).await.reported, None);
}

/// A certificate of the device CA over an operator's key is a device's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_a_device_with_an_operators_key_is_a_device() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let key = muster_tests::Key::of_pair(&world.admin());
    let request = v1::ClaimRequest {
        serial: serial.clone(),
        activation_code: code,
        csr: key.csr(),
    };
    let claimed = world.client.enrollment.clone().claim(request).await.unwrap();
    let twin = key.pair(&claimed.into_inner().chain);
    let mut mqtt = world.dial(Some(&twin)).await.unwrap();
    let ack = mqtt.connect("", None).await.unwrap();
    let id = ack.properties.unwrap().assigned_client_identifier.unwrap();
    assert_eq!(format!("devices/{id}"), world.device(&serial).await.name);
    let (code, _) = mqtt.subscribe("muster/v1/+/report").await.unwrap();
    assert_eq!(code, SubscribeReasonCode::NotAuthorized);
}
