//! Roots: a device says by which it trusts, and hears of newer ones.

use super::{
    client::Said,
    registry::Heard,
    world::{BOTH, World, topic},
};
use crate::mqtt::codec::Version;
use muster_proto::{
    payload::{self, Binary, Digest, TrustBundle, TrustVersion, Trusted},
    topic::{Channel, Encoding},
};
use std::time::Duration;

fn bundle() -> TrustBundle {
    TrustBundle {
        certificates: vec![Binary(vec![1])],
        versions: vec![TrustVersion {
            version: 1,
            roots: vec![Digest([1; 32])],
            signer: Digest([2; 32]),
            signature: Binary(vec![3]),
        }],
    }
}

#[tokio::test]
async fn a_device_is_sent_what_it_does_not_trust_yet() {
    let world = World::new().await;
    world.registry.trust(bundle());
    for version in BOTH {
        for encoding in [Encoding::Postcard, Encoding::Json] {
            let device = world.device();
            let mut client = world.session(&device, version).await;
            let (up, down) = (
                topic(device.id, Channel::Trusted, encoding),
                topic(device.id, Channel::Trust, encoding),
            );
            let said = client.subscribe(&down).await;
            assert_eq!(said, Said::SubAck(1, vec![1], String::new()));
            let mut say = async |version: u64| {
                let bytes = payload::encode(&Trusted { version }, encoding).unwrap();
                let said = client.publish(&up, &bytes).await;
                assert!(matches!(said, Said::PubAck(_, 0, _)), "{said:?}");
                let heard = Heard::Trusted(device.id, Trusted { version });
                assert_eq!(world.registry.heard().last(), Some(&heard));
            };
            // Who has it hears nothing: what comes next is the answer to the next word.
            say(1).await;
            say(0).await;
            let Said::Publish {
                topic: on, payload, ..
            } = client.hear().await
            else {
                panic!("nothing of roots")
            };
            assert_eq!(on, down);
            assert_eq!(payload::decode(&payload, encoding), Ok(bundle()));
        }
    }
    world.end().await.unwrap();
}

#[tokio::test]
async fn a_device_that_is_here_hears_of_other_roots() {
    let world = World::new().await;
    for version in BOTH {
        let device = world.device();
        let mut client = world.session(&device, version).await;
        let down = topic(device.id, Channel::Trust, Encoding::Json);
        client.subscribe(&down).await;
        world.registry.trust(bundle());
        world.bus.trust_changed();
        let Said::Publish { topic, payload, .. } = client.hear().await else {
            panic!("nothing of roots")
        };
        assert_eq!(topic, down);
        assert_eq!(payload::decode(&payload, Encoding::Json), Ok(bundle()));
    }
    world.end().await.unwrap();
}

#[tokio::test]
async fn roots_are_neither_for_others_nor_for_an_ended_certificate() {
    let world = World::new().await;
    world.registry.trust(bundle());
    let (device, other) = (world.device(), world.device());
    let encoding = Encoding::Postcard;
    let bytes = payload::encode(&Trusted { version: 0 }, encoding).unwrap();
    let mut client = world.session(&device, Version::V5).await;
    for (up, code) in [
        (topic(other.id, Channel::Trusted, encoding), 0x87),
        (topic(device.id, Channel::Trust, encoding), 0x87),
    ] {
        let said = client.publish(&up, &bytes).await;
        assert!(
            matches!(said, Said::PubAck(_, told, _) if told == code),
            "{said:?}"
        );
    }
    let said = client
        .publish(&topic(device.id, Channel::Trusted, encoding), b"\x02")
        .await;
    assert!(matches!(said, Said::PubAck(_, 0x99, _)), "{said:?}");
    world.registry.end_in(device.id, Duration::ZERO);
    let mut client = world.session(&device, Version::V5).await;
    let said = client
        .publish(&topic(device.id, Channel::Trusted, encoding), &bytes)
        .await;
    let Said::PubAck(_, 0x87, text) = said else {
        panic!("{said:?}")
    };
    assert!(text.contains("M7005"), "{text}");
    assert_eq!(world.registry.heard(), Vec::new());
    world.end().await.unwrap();
}
