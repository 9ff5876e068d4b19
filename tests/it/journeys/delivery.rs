//! Desired state reaches a device that is connected, whatever is lost on the way.

use muster_proto::{
    envelope::Envelope,
    payload::{self, Hello, Report},
    topic::{Channel, Encoding, Topic},
    v1,
};
use muster_server::clock::Clock;
use muster_tests::{Mqtt, Pair, World, until};
use rumqttc::v5::mqttbytes::v5::PubAckReason;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A connected device that does only what it is told to, in a world whose clock is set by hand.
struct Slow {
    world: World,
    millis: Arc<AtomicU64>,
    serial: String,
    id: String,
    mqtt: Mqtt,
}

fn topic(id: &str, channel: Channel) -> String {
    Topic::Device(id, channel, Encoding::Json).to_string()
}

impl Slow {
    async fn start() -> Self {
        let millis = Arc::new(AtomicU64::new(Clock::System.now().millis()));
        let world = World::builder()
            .clock(Clock::Manual(Arc::clone(&millis)))
            .start()
            .await;
        let (serial, code) = world.gateways(1).await.remove(0);
        let pair = world.claim(&serial, &code).await;
        let id = world
            .device(&serial)
            .await
            .name
            .trim_start_matches("devices/")
            .to_owned();
        let mqtt = Self::connect(&world, &pair, &id).await;
        Self {
            world,
            millis,
            serial,
            id,
            mqtt,
        }
    }

    async fn connect(world: &World, pair: &Pair, id: &str) -> Mqtt {
        let mut mqtt = world.dial(Some(pair)).await.unwrap();
        mqtt.connect("", None).await.unwrap();
        mqtt.subscribe(&topic(id, Channel::Desired)).await.unwrap();
        mqtt
    }

    async fn say(&mut self, channel: Channel, message: Vec<u8>) {
        let said = self.mqtt.publish(&topic(&self.id, channel), message).await;
        assert_eq!(said.map(|(reason, _)| reason), Some(PubAckReason::Success));
    }

    async fn hello(&mut self) {
        let hello = Hello {
            generation: 0,
            digest: payload::Digest::default(),
            agent_version: "0.1.0".into(),
            firmware: None,
            boot_id: 7,
        };
        self.say(Channel::Hello, payload::encode(&hello, Encoding::Json).unwrap())
            .await;
    }

    /// The next desired state; it is acknowledged by the hearing.
    async fn desired(&mut self) -> payload::Desired {
        let publish = self.mqtt.message().await.expect("a desired state");
        let envelope: Envelope = payload::decode(&publish.payload, Encoding::Json).unwrap();
        payload::decode(&envelope.payload.0, Encoding::Json).unwrap()
    }

    fn pass(&self, seconds: u64) {
        self.millis.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    /// How many are not confirmed, and how many are sent it again.
    async fn redeliver(&self) -> (u64, u64) {
        let backlog = self.world.service().redeliver().await.unwrap();
        (backlog.unconfirmed, backlog.overdue)
    }

    async fn explained(&self) -> String {
        let name = format!("devices/serial:{}", self.serial);
        let request = v1::ExplainDeviceRequest { name };
        let explained = self.world.client.devices.clone().explain_device(request).await;
        explained.unwrap().into_inner().summary
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_confirmed_is_sent_again() {
    let mut device = Slow::start().await;
    assert_eq!(device.redeliver().await, (1, 0), "it has not even said hello");
    device.hello().await;
    let first = device.desired().await;
    assert_eq!(device.redeliver().await, (1, 0), "it has a minute for its report");
    device.pass(90);
    assert_eq!(device.redeliver().await, (1, 1));
    let second = device.desired().await;
    assert_eq!(
        (second.generation, second.digest),
        (first.generation, first.digest)
    );
    // A longer pause each time.
    device.pass(90);
    assert_eq!(device.redeliver().await, (1, 0));
    device.pass(90);
    assert_eq!(device.redeliver().await, (1, 1));
    device.desired().await;
    let told = until("the acknowledgement is noted", async || {
        let told = device.explained().await;
        told.contains("was received").then_some(told)
    })
    .await;
    assert!(told.contains("generation 1 was sent 3 times, last at "), "{told}");
    let applied = |facet| payload::FacetStatus {
        facet,
        state: payload::FacetState::Applied,
    };
    let report = Report {
        device_id: device.id.clone(),
        generation: first.generation,
        digest: first.digest,
        facets: [
            payload::Facet::Config,
            payload::Facet::Location,
            payload::Facet::Firmware,
        ]
        .map(applied)
        .into(),
        firmware: None,
    };
    device
        .say(Channel::Report, payload::encode(&report, Encoding::Json).unwrap())
        .await;
    device.pass(9000);
    assert_eq!(device.redeliver().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_nobody_told_is_found() {
    // Between its subscription and its hello nothing is due to it: as if the word that something is had been lost.
    let mut device = Slow::start().await;
    assert_eq!(device.redeliver().await, (1, 0));
    let told = device.explained().await;
    assert!(
        told.contains("claimed; waiting for its first connection") || told.contains("is sent by"),
        "{told}"
    );
    device.pass(90);
    assert_eq!(device.redeliver().await, (1, 1));
    assert_eq!(device.desired().await.generation, 1);
}
