//! B1: a device against another's topics, by every way that MQTT has.

use super::{
    Seeded,
    client::{Hello, Said, packet, publish, subscribe, text},
    registry::Heard,
    world::{BOTH, Device, PIPED, Pipe, World, hello, report_bytes, topic},
};
use crate::mqtt::{bus::Down, codec::Version};
use muster_domain::ids::DeviceId;
use muster_proto::topic::{Channel, Encoding};

/// Filters with which a device might hear another's messages.
fn filters(other: DeviceId) -> Vec<String> {
    let down = topic(other, Channel::Desired, Encoding::Postcard);
    vec![
        "#".into(),
        "+/+/+/+".into(),
        "muster/#".into(),
        "muster/v1/+/desired".into(),
        "muster/v1/+/#".into(),
        format!("$share/g/{down}"),
        "$share/g/#".into(),
        "$SYS/#".into(),
        "muster/bus/down".into(),
        "muster/bus/#".into(),
        down.clone(),
        format!("{down}/json"),
        format!("{down}/"),
        format!("/{down}"),
        format!("{down}/+"),
        down.to_uppercase(),
        down.replace('d', "d\u{301}"),
        "é".into(),
        "é/#".into(),
        String::new(),
        topic(other, Channel::Report, Encoding::Postcard),
        "muster/v1/claim/result".into(),
    ]
}

async fn refused_subscriptions(world: &World, version: Version, attacker: &Device, victim: &Device) {
    let mut client = world.session(attacker, version).await;
    let code = if version == Version::V5 { 0x87 } else { 0x80 };
    for filter in filters(victim.id) {
        let said = client.subscribe(&filter).await;
        let Said::SubAck(_, codes, text) = said else {
            panic!("{filter}: {said:?}")
        };
        assert_eq!(codes, [code], "{filter}");
        assert_eq!(
            text.starts_with("M7001: "),
            version == Version::V5,
            "{filter}: {text}"
        );
    }
    // Something for the victim goes round; the attacker hears nothing of it.
    world.bus.send_down(&Down::DesiredChanged(victim.id)).unwrap();
    let up = topic(attacker.id, Channel::Hello, Encoding::Json);
    assert!(matches!(
        client.publish(&up, &hello(Encoding::Json)).await,
        Said::PubAck(_, 0, _)
    ));
    assert_eq!(client.ping().await, Said::PingResp);
}

async fn refused_messages(world: &World, version: Version, attacker: &Device, victim: &Device) {
    let report = report_bytes(victim.id, 1, Encoding::Postcard);
    let mut topics = filters(victim.id);
    topics.push(topic(victim.id, Channel::Hello, Encoding::Json));
    topics.push(topic(attacker.id, Channel::Desired, Encoding::Postcard));
    topics.push("muster/v1/claim".into());
    for name in topics {
        for flags in [0, 2, 4] {
            let mut client = world.session(attacker, version).await;
            client
                .send(&publish(version, &name, flags, 7, &[], &report))
                .await;
            let said = client.hear().await;
            let fine = match (version, flags) {
                (Version::V4, _) => said == Said::Closed,
                (Version::V5, _) if name.is_empty() => matches!(said, Said::Disconnect(0x82, _)),
                (Version::V5, 0) => {
                    matches!(&said, Said::Disconnect(0x87, text) if text.starts_with("M7001: "))
                }
                (Version::V5, 2) => {
                    matches!(&said, Said::PubAck(7, 0x87, text) if text.starts_with("M7001: "))
                }
                (Version::V5, _) => {
                    matches!(&said, Said::PubRec(7, 0x87, text) if text.starts_with("M7001: "))
                }
            };
            assert!(fine, "{version:?} {name} QoS {}: {said:?}", flags >> 1);
        }
    }
}

#[tokio::test]
async fn b1_cross_device_topics() {
    let world = World::new().await;
    let (attacker, victim) = (world.device(), world.device());
    world.registry.desire(victim.id, "secret");
    let mut target = world.subscribed(&victim, Version::V5).await;
    for version in BOTH {
        refused_subscriptions(&world, version, &attacker, &victim).await;
        refused_messages(&world, version, &attacker, &victim).await;
    }
    // The victim got its own two messages and nothing else, and nothing is recorded in its name.
    let own = topic(victim.id, Channel::Desired, Encoding::Postcard);
    let expected = |said: &Said| matches!(said, Said::Publish { topic, payload, .. } if *topic == own && payload == b"Postcard:secret");
    let said = target.hear().await;
    assert!(expected(&said), "{said:?}");
    target.acknowledge(1).await;
    let said = target.hear().await;
    assert!(expected(&said), "{said:?}");
    target.acknowledge(2).await;
    assert_eq!(target.ping().await, Said::PingResp);
    let own = |heard: &Heard| matches!(heard, Heard::Hello(device, _) if *device == attacker.id);
    assert!(
        world.registry.heard().iter().all(own),
        "{:?}",
        world.registry.heard()
    );
}

#[tokio::test]
async fn b1_will_retain_alias_and_foreign_client_id() {
    let world = World::new().await;
    let (attacker, victim) = (world.device(), world.device());
    let mut target = world.subscribed(&victim, Version::V5).await;
    let foreign = topic(victim.id, Channel::Desired, Encoding::Postcard);
    for version in BOTH {
        let v5 = version == Version::V5;
        // A will, also on its own topic: refused with CONNECT.
        for will in [&foreign, &topic(attacker.id, Channel::Report, Encoding::Postcard)] {
            let mut client = world.dial(Some(&attacker), version).await;
            let said = client
                .connect(&Hello {
                    will: Some(will),
                    ..Hello::default()
                })
                .await;
            assert!(matches!(said, Said::ConnAck { code: 5 | 0x87, .. }), "{said:?}");
            assert_eq!(client.hear().await, Said::Closed);
        }
        // The victim's id as client id: refused, and the victim's session stands.
        let id = victim.id.to_string();
        let mut client = world.dial(Some(&attacker), version).await;
        let said = client
            .connect(&Hello {
                id: &id,
                ..Hello::default()
            })
            .await;
        assert!(matches!(said, Said::ConnAck { code: 2 | 0x85, .. }), "{said:?}");
        // Retain has no effect in 3.1.1 and ends 5.0, which was told.
        let mut client = world.session(&attacker, version).await;
        let up = topic(attacker.id, Channel::Report, Encoding::Postcard);
        let own = report_bytes(attacker.id, 1, Encoding::Postcard);
        client.send(&publish(version, &up, 3, 7, &[], &own)).await;
        let said = client.hear().await;
        let expected = if v5 {
            matches!(said, Said::Disconnect(0x9a, _))
        } else {
            said == Said::PubAck(7, 0, String::new())
        };
        assert!(expected, "{said:?}");
    }
    // An alias that was never agreed, with and without a topic.
    for name in ["", &topic(attacker.id, Channel::Report, Encoding::Postcard)] {
        let mut client = world.session(&attacker, Version::V5).await;
        client
            .send(&publish(Version::V5, name, 2, 7, &[0x23, 0, 1], b"x"))
            .await;
        assert!(matches!(client.hear().await, Said::Disconnect(0x94, _)));
    }
    // Names that no client may send.
    for (version, name) in BOTH
        .into_iter()
        .flat_map(|version| [(version, &b"muster\0/v1"[..]), (version, b"\xff\xfe")])
    {
        let mut client = world.session(&attacker, version).await;
        let mut body = u16::try_from(name.len()).unwrap().to_be_bytes().to_vec();
        body.extend(name);
        body.extend([0; 4]);
        client.send(&packet(0x30, &body)).await;
        let end = client.hear_out().await;
        assert!(
            end.iter().all(|said| matches!(said, Said::Disconnect(0x81, _))),
            "{end:?}"
        );
    }
    assert_eq!(target.ping().await, Said::PingResp);
}

/// Topic names near the truth: parts of real ones, put together at random.
fn near_miss(seeded: &mut Seeded, other: DeviceId) -> String {
    let (own, other) = (PIPED.to_string(), other.to_string());
    let parts = [
        "muster", "v1", "#", "+", "", "$share", "$SYS", "desired", "report", "hello", "json", "claim",
        "result", "é", "bus", "down", "up", &other, &other, &other, &own,
    ];
    let mut name: Vec<_> = ["muster", "v1", &other, "desired"].to_vec();
    for _ in 0..=seeded.below(3) {
        let part = parts[seeded.below(parts.len())];
        match seeded.below(3) {
            0 => name.insert(seeded.below(name.len() + 1), part),
            _ => {
                let place = seeded.below(name.len());
                name[place] = part;
            }
        }
    }
    name.join("/")
}

#[tokio::test(start_paused = true)]
async fn b1_ten_thousand_near_misses() {
    let mut seeded = Seeded(41);
    let other = DeviceId::from_u128(0x5678);
    let own = [Encoding::Postcard, Encoding::Json].map(|encoding| topic(PIPED, Channel::Desired, encoding));
    let mut refused = 0;
    for version in BOTH {
        let mut pipe = Pipe::new(
            version,
            &Hello {
                keep_alive: 1000,
                ..Hello::default()
            },
            1 << 16,
        )
        .await;
        pipe.registry.desire(other, "secret");
        for round in 0..5000u16 {
            let name = near_miss(&mut seeded, other);
            if own.contains(&name) {
                continue;
            }
            // No topic of a device's own is both up and down, so as a filter each of these is forbidden.
            pipe.client
                .send(&subscribe(version, 1 + round, &[(&name, 1)]))
                .await;
            let said = pipe.client.hear().await;
            assert!(
                matches!(&said, Said::SubAck(_, codes, _) if codes[0] >= 0x80),
                "{name}: {said:?}"
            );
            refused += 1;
            pipe.bus.hub().deliver(Down::DesiredChanged(other));
            pipe.bus.hub().deliver(Down::DesiredChanged(PIPED));
        }
        assert_eq!(pipe.client.ping().await, Said::PingResp);
        assert_eq!(pipe.registry.sent(), 0, "nothing was even asked for");
        pipe.client.send(&[&text("")[..], &[0]].concat()).await;
    }
    assert!(refused > 9_900, "{refused}");
}
