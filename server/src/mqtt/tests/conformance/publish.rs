//! PUBLISH from a client.

use super::{super::client::publish, *};
use crate::mqtt::tests::{registry::Heard, world::report_bytes};

checks! {
    a_message_is_answered_by_its_quality: BOTH;
    qos_0_is_never_a_repetition: BOTH;
    qos_3_is_malformed: BOTH;
    nothing_is_retained: BOTH;
    a_topic_name_holds_no_wildcard: BOTH;
    a_topic_name_is_not_empty: BOTH;
    the_longest_topic_name_is_no_harm: BOTH;
    publish_properties_are_taken: V5;
    a_response_topic_is_a_name: V5;
    a_content_type_is_text: V5;
    no_alias_is_taken: V5;
    a_client_sends_no_subscription_identifier: V5;
    a_refused_message_is_told_or_ends_the_connection: BOTH;
    a_fault_is_told_or_ends_the_connection: BOTH;
    a_repeated_identifier_is_a_new_message: BOTH;
    answers_come_in_order: BOTH;
}

/// Reports of a device that were recorded, by generation.
fn recorded(world: &World, device: &Device) -> Vec<u64> {
    let of = |heard| match heard {
        Heard::Report(id, report) if id == device.id => Some(report.generation),
        _ => None,
    };
    world.registry.heard().into_iter().filter_map(of).collect()
}

fn report(device: &Device, generation: u64) -> Vec<u8> {
    report_bytes(device.id, generation, Encoding::Postcard)
}

async fn a_message_is_answered_by_its_quality(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    let up = own(&device, Channel::Report);
    client
        .send(&publish(version, &up, 0, 0, &[], &report(&device, 1)))
        .await;
    assert_eq!(client.ping().await, Said::PingResp, "nothing answers QoS 0");
    client
        .send(&publish(version, &up, 2, 5, &[], &report(&device, 2)))
        .await;
    assert_eq!(client.hear().await, Said::PubAck(5, 0, String::new()));
    client
        .send(&publish(version, &up, 4, 5, &[], &report(&device, 3)))
        .await;
    assert_eq!(client.hear().await, Said::PubRec(5, 0, String::new()));
    // It is recorded before it is acknowledged.
    assert_eq!(recorded(world, &device), [1, 2, 3]);
    client.send(&packet(0x62, &[0, 5])).await;
    assert_eq!(client.hear().await, Said::PubComp(5, 0));
}

async fn qos_0_is_never_a_repetition(world: &World, version: Version) {
    refuses(world, version, &publish(version, "t", 8, 0, &[], b""), 0x81).await;
}

async fn qos_3_is_malformed(world: &World, version: Version) {
    for flags in [6, 7, 14, 15] {
        refuses(world, version, &publish(version, "t", flags, 1, &[], b""), 0x81).await;
    }
}

async fn nothing_is_retained(world: &World, version: Version) {
    let device = world.device();
    let up = own(&device, Channel::Report);
    for content in [report(&device, 1), Vec::new()] {
        let message = publish(version, &up, 3, 1, &[], &content);
        if is_v5(version) {
            refuses(world, version, &message, 0x9a).await;
            let mut client = world.session(&device, version).await;
            client.send(&message).await;
            ends(&mut client, 0x9a).await;
        } else if !content.is_empty() {
            let mut client = world.session(&device, version).await;
            client.send(&message).await;
            assert_eq!(client.hear().await, Said::PubAck(1, 0, String::new()));
        }
    }
    // A new subscription brings nothing old, whatever is asked for.
    let (_, mut client) = listening(world, version, 1, &Hello::default()).await;
    assert_eq!(client.ping().await, Said::PingResp);
}

async fn a_topic_name_holds_no_wildcard(world: &World, version: Version) {
    let device = world.device();
    let up = own(&device, Channel::Report);
    for name in [
        "#".into(),
        "+".into(),
        format!("{up}/#"),
        up.replace("/v1/", "/+/"),
        format!("{up}+"),
    ] {
        let mut client = world.session(&device, version).await;
        client
            .send(&publish(version, &name, 2, 1, &[], &report(&device, 1)))
            .await;
        let said = client.hear().await;
        let refused = match version {
            Version::V4 => said == Said::Closed,
            Version::V5 => matches!(said, Said::PubAck(1, 0x87, _)),
        };
        assert!(refused, "{name}: {said:?}");
        let message = publish(version, &name, 0, 0, &[], &report(&device, 1));
        refuses(world, version, &message, 0x87).await;
    }
    assert_eq!(world.registry.heard(), []);
}

async fn a_topic_name_is_not_empty(world: &World, version: Version) {
    for flags in [0, 2, 4] {
        refuses(world, version, &publish(version, "", flags, 1, &[], b""), 0x82).await;
    }
}

async fn the_longest_topic_name_is_no_harm(world: &World, version: Version) {
    let name = "é".repeat(32_767) + "e";
    refuses(world, version, &publish(version, &name, 0, 0, &[], b""), 0x87).await;
    let mut client = world.session(&world.device(), version).await;
    let said = client.subscribe(&name).await;
    let refused = by_version(version, 0x80, 0x87);
    assert!(
        matches!(&said, Said::SubAck(_, codes, _) if *codes == [refused]),
        "{said:?}"
    );
}

async fn publish_properties_are_taken(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    let up = own(&device, Channel::Report);
    let inner = [
        &[0x01, 1, 0x02, 0, 0, 0, 0][..],
        &[0x03],
        &text("text/plain"),
        &[0x08],
        &text("answers/here"),
        &[0x09],
        &text("\0\u{1}"),
        &[0x26],
        &text("key"),
        &text("one"),
        &[0x26],
        &text("key"),
        &text("two"),
    ]
    .concat();
    // Expired when it came, were it one to wait: it is recorded at once.
    for (id, flags) in [(1, 2), (2, 4), (3, 4)] {
        let message = publish(version, &up, flags, id, &inner, &report(&device, id.into()));
        client.send(&message).await;
        let said = client.hear().await;
        assert!(
            matches!(said, Said::PubAck(_, 0, _) | Said::PubRec(_, 0, _)),
            "{said:?}"
        );
    }
    client.send(&packet(0x62, &[0, 2])).await;
    assert_eq!(client.hear().await, Said::PubComp(2, 0));
    assert_eq!(recorded(world, &device), [1, 2, 3]);
}

async fn a_response_topic_is_a_name(world: &World, version: Version) {
    for (topic, reason) in [
        (&b"answers/#"[..], 0x82),
        (b"answers/+/here", 0x82),
        (b"\xff", 0x81),
        (b"a\0", 0x81),
    ] {
        let inner = [&[0x08][..], &binary(topic)].concat();
        refuses(world, version, &publish(version, "t", 2, 1, &inner, b""), reason).await;
    }
}

async fn a_content_type_is_text(world: &World, version: Version) {
    for bad in [&b"\xff"[..], b"\xed\xa0\x80", b"\0"] {
        let inner = [&[0x03][..], &binary(bad)].concat();
        refuses(world, version, &publish(version, "t", 2, 1, &inner, b""), 0x81).await;
    }
}

async fn no_alias_is_taken(world: &World, version: Version) {
    for name in ["", "t"] {
        for alias in [0u16, 1, u16::MAX] {
            let [high, low] = alias.to_be_bytes();
            let message = publish(version, name, 2, 1, &[0x23, high, low], b"");
            refuses(world, version, &message, 0x94).await;
        }
    }
}

async fn a_client_sends_no_subscription_identifier(world: &World, version: Version) {
    refuses(
        world,
        version,
        &publish(version, "t", 2, 1, &[0x0b, 1], b""),
        0x82,
    )
    .await;
}

async fn a_refused_message_is_told_or_ends_the_connection(world: &World, version: Version) {
    let device = world.device();
    let up = own(&device, Channel::Report);
    // Unknown to the registry; not a message; another's topic.
    let others = own(&world.device(), Channel::Report);
    for (name, content, reason) in [
        (&up, report(&device, 666), 0x83),
        (&up, b"garbage".to_vec(), 0x99),
        (&others, report(&device, 1), 0x87),
    ] {
        for flags in [2, 4] {
            let mut client = world.session(&device, version).await;
            client
                .send(&publish(version, name, flags, 1, &[], &content))
                .await;
            let said = client.hear().await;
            let refused = match (version, &said) {
                (Version::V4, Said::Closed) => true,
                (Version::V5, Said::PubAck(1, code, _)) => flags == 2 && *code == reason,
                (Version::V5, Said::PubRec(1, code, _)) => flags == 4 && *code == reason,
                _ => false,
            };
            assert!(refused, "{version:?} {name}: {said:?}");
        }
    }
    assert_eq!(world.registry.heard(), []);
}

async fn a_fault_is_told_or_ends_the_connection(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    let up = own(&device, Channel::Report);
    world.registry.break_down();
    let said = client.publish(&up, &report(&device, 1)).await;
    let told = match version {
        Version::V4 => said == Said::Closed,
        Version::V5 => matches!(said, Said::PubAck(1, 0x80, _)),
    };
    assert!(told, "{said:?}");
}

async fn a_repeated_identifier_is_a_new_message(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    let up = own(&device, Channel::Report);
    for (generation, flags) in [(1, 2), (2, 10), (3, 2)] {
        let message = publish(version, &up, flags, 7, &[], &report(&device, generation));
        client.send(&message).await;
        assert_eq!(client.hear().await, Said::PubAck(7, 0, String::new()));
    }
    assert_eq!(recorded(world, &device), [1, 2, 3]);
}

async fn answers_come_in_order(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    let up = own(&device, Channel::Report);
    let mut burst = Vec::new();
    for id in 1..=10u16 {
        let flags = if id % 2 == 0 { 4 } else { 2 };
        burst.extend(publish(version, &up, flags, id, &[], &report(&device, id.into())));
    }
    client.send(&burst).await;
    for id in 1..=10 {
        let expected = if id % 2 == 0 { Said::PubRec } else { Said::PubAck };
        assert_eq!(client.hear().await, expected(id, 0, String::new()));
    }
    assert_eq!(recorded(world, &device), (1..=10).collect::<Vec<_>>());
}
