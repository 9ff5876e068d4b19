//! PUBLISH to a client.

use super::{super::client::subscribe, *};
use crate::mqtt::bus::Down;

checks! {
    a_change_reaches_who_listens: BOTH;
    messages_have_a_fresh_identifier_and_no_flags: BOTH;
    the_topic_is_the_one_that_was_subscribed: BOTH;
    the_quality_is_the_granted_one: BOTH;
    nothing_is_sent_again: BOTH;
    no_more_than_the_receive_maximum_is_under_way: V5;
    a_failing_acknowledgement_is_one: V5;
    no_alias_and_no_identifier_is_sent: V5;
}

/// The next message: its first byte, topic, identifier and content.
async fn message(client: &mut Tls) -> (u8, String, u16, Vec<u8>) {
    let (first, body) = client.hear_raw().await.expect("a message");
    assert_eq!(first >> 4, 3, "{first:#x} {body:x?}");
    let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    let topic = String::from_utf8(body[2..end].to_vec()).unwrap();
    let mut rest = &body[end..];
    let mut id = 0;
    if first & 6 != 0 {
        id = u16::from_be_bytes([rest[0], rest[1]]);
        rest = &rest[2..];
    }
    if is_v5(client.version) {
        assert_eq!(rest[0], 0, "no properties: {rest:x?}");
        rest = &rest[1..];
    }
    (first, topic, id, rest.to_vec())
}

fn change(world: &World, device: &Device, content: &str) {
    world.registry.desire(device.id, content);
    world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
}

async fn a_change_reaches_who_listens(world: &World, version: Version) {
    let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
    for round in 1..=3u16 {
        change(world, &device, &format!("change {round}"));
        let (_, _, id, content) = message(&mut client).await;
        assert_eq!(content, format!("Postcard:change {round}").into_bytes());
        client.acknowledge(id).await;
    }
}

async fn messages_have_a_fresh_identifier_and_no_flags(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    world.registry.desire(device.id, "state");
    let json = topic(device.id, Channel::Desired, Encoding::Json);
    let filters = [(&*own(&device, Channel::Desired), 1), (&*json, 1)];
    client.send(&subscribe(version, 1, &filters)).await;
    client.hear().await;
    ask(&mut client, &device).await;
    let (one, two) = (message(&mut client).await, message(&mut client).await);
    assert_eq!(
        (one.0, two.0),
        (0x32, 0x32),
        "QoS 1, not a repetition, not retained"
    );
    assert!(
        one.2 != 0 && two.2 != 0 && one.2 != two.2,
        "both are under way: {one:?} {two:?}"
    );
    client.acknowledge(two.2).await;
    client.acknowledge(one.2).await;
    ask(&mut client, &device).await;
    let (first, _, id, _) = message(&mut client).await;
    assert!(first == 0x32 && id != 0);
}

async fn the_topic_is_the_one_that_was_subscribed(world: &World, version: Version) {
    for encoding in [Encoding::Postcard, Encoding::Json] {
        let device = world.device();
        world.registry.desire(device.id, "state");
        let mut client = world.session(&device, version).await;
        let down = topic(device.id, Channel::Desired, encoding);
        client.subscribe(&down).await;
        ask(&mut client, &device).await;
        assert_eq!(message(&mut client).await.1, down);
        assert_eq!(client.ping().await, Said::PingResp, "and on no other");
    }
}

async fn the_quality_is_the_granted_one(world: &World, version: Version) {
    // QoS 2 is granted as 1: `listening` has seen the code.
    for (asked, first) in [(0, 0x30), (1, 0x32), (2, 0x32)] {
        let (device, mut client) = listening(world, version, asked, &Hello::default()).await;
        ask(&mut client, &device).await;
        assert_eq!(message(&mut client).await.0, first, "{asked}");
    }
}

async fn nothing_is_sent_again(world: &World, version: Version) {
    let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
    ask(&mut client, &device).await;
    message(&mut client).await;
    // Unacknowledged, whatever is asked meanwhile.
    for _ in 0..5 {
        ask(&mut client, &device).await;
        assert_eq!(client.ping().await, Said::PingResp);
    }
    drop(client);
    // A new connection is a new session: the newest state as a new message, not as a repetition.
    let mut client = world.subscribed(&device, version).await;
    ask(&mut client, &device).await;
    assert_eq!(message(&mut client).await.0, 0x32);
}

async fn no_more_than_the_receive_maximum_is_under_way(world: &World, version: Version) {
    let device = world.device();
    world.registry.desire(device.id, "state");
    let mut client = world.dial(Some(&device), version).await;
    let hello = Hello {
        properties: &[0x21, 0, 1],
        ..Hello::default()
    };
    client.connect(&hello).await;
    let json = topic(device.id, Channel::Desired, Encoding::Json);
    let filters = [(&*own(&device, Channel::Desired), 1), (&*json, 1)];
    client.send(&subscribe(version, 1, &filters)).await;
    client.hear().await;
    ask(&mut client, &device).await;
    let (_, first, id, _) = message(&mut client).await;
    // The other one waits, and nothing else does.
    assert_eq!(client.ping().await, Said::PingResp);
    let said = client.subscribe("t").await;
    assert!(matches!(said, Said::SubAck(..)), "{said:?}");
    client.acknowledge(id).await;
    let (_, second, ..) = message(&mut client).await;
    assert_ne!(first, second);
}

async fn a_failing_acknowledgement_is_one(world: &World, version: Version) {
    let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
    ask(&mut client, &device).await;
    let (_, _, id, _) = message(&mut client).await;
    client
        .send(&packet(0x40, &[&id.to_be_bytes()[..], &[0x80]].concat()))
        .await;
    assert_eq!(client.ping().await, Said::PingResp, "it is not sent again");
    change(world, &device, "next");
    assert_eq!(message(&mut client).await.3, b"Postcard:next");
}

async fn no_alias_and_no_identifier_is_sent(world: &World, version: Version) {
    let hello = Hello {
        properties: &[0x22, 0, 10],
        ..Hello::default()
    };
    let (device, mut client) = listening(world, version, 1, &hello).await;
    for round in 0..3 {
        change(world, &device, &format!("{round}"));
        // With its topic each time, and without a property.
        let (_, topic, id, _) = message(&mut client).await;
        assert_eq!(topic, own(&device, Channel::Desired));
        client.acknowledge(id).await;
    }
}
