//! The door past the network: whoever comes by it is judged, heard and kicked as by the gate.

use super::{
    client::{Client, Hello, Said},
    registry::Fake,
    world::{PIPED, hello, topic},
};
use crate::mqtt::{
    Limits,
    bus::{Bus, Down},
    codec::Version,
    door::Door,
    throttle::{ClaimRates, Throttle},
};
use muster_proto::topic::{Channel, Encoding};
use std::sync::Arc;
use tokio::{io::DuplexStream, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A door, and what is behind it.
struct House {
    registry: Fake,
    bus: Bus,
    stop: CancellationToken,
    door: Door<Fake>,
}

impl House {
    fn new() -> Self {
        let (registry, bus, stop) = (Fake::default(), Bus::start().unwrap(), CancellationToken::new());
        registry.enroll(b"leaf", PIPED);
        let throttle = Arc::new(Throttle::new(ClaimRates::default()));
        let (limits, stopped) = (Limits::default(), stop.clone());
        let door = Door::new(registry.clone(), bus.clone(), throttle, limits, stopped);
        Self {
            registry,
            bus,
            stop,
            door,
        }
    }

    fn enter(&self, leaf: &'static [u8]) -> (Client<DuplexStream>, JoinHandle<()>) {
        let (near, far) = tokio::io::duplex(1024);
        let door = self.door.clone();
        let session = tokio::spawn(async move { door.serve(far, leaf.into(), [10, 0, 0, 1].into()).await });
        (Client::new(near, Version::V5), session)
    }
}

#[tokio::test]
async fn a_door_lets_in_whom_the_gate_would() {
    let house = House::new();
    let (mut client, session) = house.enter(b"leaf");
    let said = client.connect(&Hello::default()).await;
    assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{said:?}");
    assert!(house.registry.is_online(PIPED));
    let up = topic(PIPED, Channel::Hello, Encoding::Json);
    let said = client.publish(&up, &hello(Encoding::Json)).await;
    assert!(matches!(said, Said::PubAck(1, 0, _)), "{said:?}");
    house.bus.send_down(&Down::Kick(PIPED)).unwrap();
    let said = client.hear().await;
    assert!(matches!(said, Said::Disconnect(..)), "{said:?}");
    drop(client);
    session.await.unwrap();
}

#[tokio::test]
async fn a_door_turns_away_whom_the_gate_would() {
    let house = House::new();
    let (mut client, _session) = house.enter(b"another leaf");
    let said = client.connect(&Hello::default()).await;
    assert!(matches!(said, Said::ConnAck { code: 1.., .. }), "{said:?}");
    // Nor is it a way to another's topics, or open for longer than the server is.
    let (mut client, session) = house.enter(b"leaf");
    client.connect(&Hello::default()).await;
    let said = client.subscribe("muster/v1/+/desired").await;
    assert!(
        matches!(said, Said::SubAck(1, ref codes, _) if codes[0] > 2),
        "{said:?}"
    );
    house.stop.cancel();
    let said = client.hear().await;
    assert!(matches!(said, Said::Disconnect(..)), "{said:?}");
    drop(client);
    session.await.unwrap();
    let (mut client, _session) = house.enter(b"leaf");
    assert_eq!(client.connect(&Hello::default()).await, Said::Closed);
}
