//! How large a packet may be, each way, and what is left out to make it fit.

use super::{
    super::client::{connect, publish, subscribe},
    *,
};
use crate::mqtt::{bus::Down, tests::world::report_bytes};

checks! {
    the_largest_packet_that_was_told_is_taken: V5;
    texts_are_left_out_where_they_do_not_fit: V5;
    texts_are_left_out_where_they_are_not_wanted: V5;
    what_a_client_cannot_take_is_not_sent: V5;
    a_client_that_takes_no_connack_is_closed: V5;
}

/// Maximum Packet Size as the server tells it.
fn told(said: &Said) -> usize {
    let bytes = said.property(0x27).expect("a maximum").try_into().unwrap();
    usize::try_from(u32::from_be_bytes(bytes)).unwrap()
}

/// A message to a topic that is as large as that, from its first byte to its last.
fn of_size(version: Version, topic: &str, id: u16, size: usize) -> Vec<u8> {
    let empty = publish(version, topic, 2, id, &[], b"").len();
    // The length takes one byte when empty, and one more for each seven bits.
    let longer = if size > 1 << 14 { 2 } else { 1 };
    let message = publish(version, topic, 2, id, &[], &vec![1; size - empty - longer]);
    assert_eq!(message.len(), size);
    message
}

async fn the_largest_packet_that_was_told_is_taken(world: &World, version: Version) {
    let device = world.device();
    let login = Some(("GW-1", "code"));
    for (who, login, topic) in [
        (Some(&device), None, own(&device, Channel::Report)),
        (None, login, "muster/v1/claim".into()),
    ] {
        let hello = Hello {
            login,
            ..Hello::default()
        };
        let mut client = world.dial(who, version).await;
        let most = told(&client.connect(&hello).await);
        client.send(&of_size(version, &topic, 1, most)).await;
        let said = client.hear().await;
        assert!(matches!(said, Said::PubAck(1, ..)), "{most}: {said:?}");
        // Some bytes more is past any way to count.
        let mut client = world.dial(who, version).await;
        client.connect(&hello).await;
        client.send(&of_size(version, &topic, 1, most + 4)).await;
        ends(&mut client, 0x95).await;
    }
}

/// CONNECT of a client that takes packets of so many bytes.
fn small(id: &str, most: u8) -> Hello<'_> {
    let properties: &[u8] = match most {
        10 => &[0x27, 0, 0, 0, 10],
        20 => &[0x27, 0, 0, 0, 20],
        22 => &[0x27, 0, 0, 0, 22],
        _ => panic!("no such client"),
    };
    Hello {
        id,
        properties,
        ..Hello::default()
    }
}

async fn texts_are_left_out_where_they_do_not_fit(world: &World, version: Version) {
    let (device, other) = (world.device(), world.device());
    let (id, foreign) = (device.id.to_string(), other.id.to_string());
    let mut client = world.dial(Some(&device), version).await;
    client.send(&connect(version, &small(&foreign, 20))).await;
    assert_eq!(client.hear_raw().await, Some((0x20, vec![0, 0x85, 0])), "CONNACK");
    let mut client = world.dial(Some(&device), version).await;
    let said = client.connect(&small(&id, 22)).await;
    assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{said:?}");
    let quiet = String::new;
    client.send(&publish(version, "t", 2, 1, &[], b"")).await;
    assert_eq!(client.hear().await, Said::PubAck(1, 0x87, quiet()));
    client.send(&publish(version, "t", 4, 2, &[], b"")).await;
    assert_eq!(client.hear().await, Said::PubRec(2, 0x87, quiet()));
    client.send(&packet(0x62, &[0, 3])).await;
    assert_eq!(client.hear().await, Said::PubComp(3, 0x92));
    client.send(&subscribe(version, 4, &[("t", 1)])).await;
    assert_eq!(client.hear().await, Said::SubAck(4, vec![0x87], quiet()));
    client.send(&raw_unsubscribe(version, 5, &[b"t"])).await;
    assert_eq!(client.hear().await, Said::UnsubAck(5, vec![0x11]));
    client.send(&packet(0x10, &[])).await;
    assert_eq!(client.hear_raw().await, Some((0xe0, vec![0x82, 0])), "DISCONNECT");
    assert_eq!(client.hear_raw().await, None);
}

async fn texts_are_left_out_where_they_are_not_wanted(world: &World, version: Version) {
    let device = world.device();
    for (wanted, properties) in [(true, &[][..]), (true, &[0x17, 1]), (false, &[0x17, 0])] {
        let hello = Hello {
            properties,
            ..Hello::default()
        };
        let mut client = world.dial(Some(&device), version).await;
        let said = client.connect(&hello).await;
        assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{said:?}");
        let said = client.publish("t", b"").await;
        assert!(
            matches!(&said, Said::PubAck(_, 0x87, text) if text.is_empty() != wanted),
            "{said:?}"
        );
        let said = client.subscribe("t").await;
        assert!(
            matches!(&said, Said::SubAck(_, _, text) if text.is_empty() != wanted),
            "{said:?}"
        );
        client.send(&publish(version, "t", 4, 9, &[], b"")).await;
        let said = client.hear().await;
        assert!(
            matches!(&said, Said::PubRec(_, 0x87, text) if text.is_empty() != wanted),
            "{said:?}"
        );
    }
}

async fn what_a_client_cannot_take_is_not_sent(world: &World, version: Version) {
    let hello = Hello {
        properties: &[0x27, 0, 0, 1, 0],
        ..Hello::default()
    };
    let (device, mut client) = listening(world, version, 1, &hello).await;
    world.registry.desire(device.id, &"x".repeat(256));
    for _ in 0..3 {
        ask(&mut client, &device).await;
        assert_eq!(client.ping().await, Said::PingResp);
    }
    // As if it had been sent: what fits comes, and nothing waits for an acknowledgement.
    world.registry.desire(device.id, "small");
    world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
    let said = client.hear().await;
    assert!(
        matches!(&said, Said::Publish { payload, .. } if payload == b"Postcard:small"),
        "{said:?}"
    );
    let up = own(&device, Channel::Report);
    let said = client
        .publish(&up, &report_bytes(device.id, 1, Encoding::Postcard))
        .await;
    assert!(matches!(said, Said::PubAck(_, 0, _)), "{said:?}");
}

async fn a_client_that_takes_no_connack_is_closed(world: &World, version: Version) {
    let device = world.device();
    let id = device.id.to_string();
    let mut client = world.dial(Some(&device), version).await;
    client.send(&connect(version, &small(&id, 10))).await;
    assert_eq!(client.hear_raw().await, None, "nothing, not even DISCONNECT");
}
