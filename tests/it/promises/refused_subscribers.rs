//! Refusals of integrators: for hearing too slowly, and for being too many.

use muster_domain::{Code, access::Role};
use muster_proto::{
    payload::{self, Digest, Hello},
    topic::{Channel, Encoding, Topic},
};
use muster_tests::{Pair, World};

/// Each with its text for people.
pub(super) async fn provoked() -> Vec<(Code, String)> {
    let world = World::start().await;
    let ines = world.operator("ines", Role::Integrator).await;
    vec![
        (Code::SubscriberSlow, slow(&world, &ines).await),
        (Code::SubscriberCrowd, crowd(&world, &ines).await),
    ]
}

/// As long as a message may be.
fn long_hello() -> Vec<u8> {
    let hello = Hello {
        generation: 0,
        digest: Digest::default(),
        agent_version: "x".repeat(250_000),
        firmware: None,
        boot_id: 1,
    };
    payload::encode(&hello, Encoding::Json).unwrap()
}

/// Somebody who acknowledges nothing, while devices say more than may wait.
async fn slow(world: &World, ines: &Pair) -> String {
    let mut mqtt = world.dial(Some(ines)).await.unwrap();
    mqtt.connect_taking("ines/slow", 1).await.unwrap();
    for filter in ["muster/v1/+/hello", "muster/v1/+/hello/json"] {
        mqtt.subscribe(filter).await.unwrap();
    }
    for (serial, code) in world.gateways(8).await {
        let pair = world.claim(&serial, &code).await;
        let name = world.device(&serial).await.name;
        let id = name.trim_start_matches("devices/");
        let topic = Topic::Device(id, Channel::Hello, Encoding::Json).to_string();
        let mut device = world.dial(Some(&pair)).await.unwrap();
        device.connect("", None).await.unwrap();
        for _ in 0..3 {
            device.publish(&topic, long_hello()).await.unwrap();
        }
    }
    mqtt.ended().await
}

async fn crowd(world: &World, ines: &Pair) -> String {
    let mut there = Vec::new();
    loop {
        let mut mqtt = world.dial(Some(ines)).await.unwrap();
        let ack = mqtt.connect("", None).await.unwrap();
        let why = ack
            .properties
            .as_ref()
            .and_then(|properties| properties.reason_string.clone());
        if let Some(why) = why {
            return why;
        }
        there.push(mqtt);
        assert!(there.len() < 1000, "there is no bound");
    }
}
