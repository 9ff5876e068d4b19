//! CONNACK: the answer, and the terms.

use super::{super::client::connect, *};
use crate::mqtt::tests::world::report_bytes;

checks! {
    connack_comes_first_and_once: BOTH;
    no_session_is_ever_present: BOTH;
    a_refusing_connack_closes: BOTH;
    no_session_outlives_its_connection: BOTH;
    a_session_lasts_as_long_as_its_connection: BOTH;
    the_terms_are_told: V5;
    extended_authentication_is_refused: V5;
}

async fn connack_comes_first_and_once(world: &World, version: Version) {
    let device = world.device();
    let all = [
        connect(version, &Hello::default()),
        packet(0xc0, &[]),
        packet(0xe0, &[]),
    ]
    .concat();
    let mut client = world.dial(Some(&device), version).await;
    client.send(&all).await;
    let said = client.hear_out().await;
    assert!(
        matches!(&said[..], [Said::ConnAck { code: 0, .. }, Said::PingResp]),
        "{said:?}"
    );
}

/// The two bytes of CONNACK that both versions have.
async fn flags_and_code(client: &mut Tls) -> (u8, u8) {
    let (first, body) = client.hear_raw().await.unwrap();
    assert_eq!(first, 0x20);
    (body[0], body[1])
}

async fn no_session_is_ever_present(world: &World, version: Version) {
    let device = world.device();
    let id = device.id.to_string();
    // Whether the client asks for its session or not, and on every return.
    for clean in [true, false, false, true] {
        let mut client = world.dial(Some(&device), version).await;
        let hello = Hello {
            id: &id,
            clean,
            ..Hello::default()
        };
        client.send(&connect(version, &hello)).await;
        assert_eq!(flags_and_code(&mut client).await, (0, 0));
    }
    world.registry.bar(device.id);
    let mut client = world.dial(Some(&device), version).await;
    client.send(&connect(version, &Hello::default())).await;
    assert_eq!(
        flags_and_code(&mut client).await,
        (0, by_version(version, 5, 0x87))
    );
}

async fn a_refusing_connack_closes(world: &World, version: Version) {
    let (barred, device) = (world.device(), world.device());
    world.registry.bar(barred.id);
    let foreign = Hello {
        id: "somebody",
        ..Hello::default()
    };
    let will = Hello {
        will: Some("t"),
        ..Hello::default()
    };
    // Shut out; another's name; a will; nobody at all; unknown to the registry; and the registry itself.
    let unknown = world.stranger();
    for (who, hello, v4, v5) in [
        (Some(&barred), &Hello::default(), 5, 0x87),
        (Some(&device), &foreign, 2, 0x85),
        (Some(&device), &will, 5, 0x87),
        (None, &Hello::default(), 5, 0x87),
        (Some(&unknown), &Hello::default(), 5, 0x87),
    ] {
        let mut client = world.dial(who, version).await;
        client.send(&connect(version, hello)).await;
        assert_eq!(
            flags_and_code(&mut client).await,
            (0, by_version(version, v4, v5))
        );
        assert_eq!(client.hear_raw().await, None, "and no DISCONNECT");
    }
    world.registry.break_down();
    let mut client = world.dial(Some(&device), version).await;
    client.send(&connect(version, &Hello::default())).await;
    assert_eq!(
        flags_and_code(&mut client).await,
        (0, by_version(version, 3, 0x88))
    );
    assert_eq!(client.hear_raw().await, None);
}

async fn no_session_outlives_its_connection(world: &World, version: Version) {
    let device = world.device();
    let id = device.id.to_string();
    world.registry.desire(device.id, "state");
    // 5.0: for an hour, it asks.
    let hello = Hello {
        id: &id,
        clean: false,
        properties: &[0x11, 0, 0, 14, 16],
        ..Hello::default()
    };
    let mut client = world.dial(Some(&device), version).await;
    let said = client.connect(&hello).await;
    if is_v5(version) {
        assert_eq!(
            said.property(0x11),
            Some(&[0; 4][..]),
            "and is told that it gets none"
        );
    }
    client.subscribe(&own(&device, Channel::Desired)).await;
    ask(&mut client, &device).await;
    assert!(matches!(client.hear().await, Said::Publish { .. }));
    drop(client);
    // Back without a new start: neither its subscription nor its unacknowledged message is there.
    let mut client = world.dial(Some(&device), version).await;
    client.connect(&hello).await;
    ask(&mut client, &device).await;
    assert_eq!(client.ping().await, Said::PingResp);
    // The state itself is not lost: it is sent as soon as the device listens.
    client.subscribe(&own(&device, Channel::Desired)).await;
    assert!(matches!(client.hear().await, Said::Publish { .. }));
}

async fn a_session_lasts_as_long_as_its_connection(world: &World, version: Version) {
    let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
    let up = own(&device, Channel::Report);
    for _ in 0..50 {
        let said = client
            .publish(&up, &report_bytes(device.id, 1, Encoding::Postcard))
            .await;
        assert!(matches!(said, Said::PubAck(_, 0, _)), "{said:?}");
        assert_eq!(client.ping().await, Said::PingResp);
    }
    ask(&mut client, &device).await;
    assert!(matches!(client.hear().await, Said::Publish { qos: 1, .. }));
}

async fn the_terms_are_told(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.dial(Some(&device), version).await;
    // It asks for response information, and takes aliases.
    let hello = Hello {
        properties: &[0x19, 1, 0x22, 0, 10],
        ..Hello::default()
    };
    let said = client.connect(&hello).await;
    for (id, value) in [
        (0x21, &[0u8, 16][..]),
        (0x25, &[0]),
        (0x28, &[0]),
        (0x29, &[0]),
        (0x2a, &[0]),
    ] {
        assert_eq!(said.property(id), Some(value), "{id:#x} of {said:?}");
    }
    // All of QoS, no alias, no response information, no method, its own keep-alive.
    for id in [0x24, 0x22, 0x1a, 0x15, 0x16, 0x13, 0x11] {
        assert_eq!(said.property(id), None, "{id:#x} of {said:?}");
    }
    let Said::ConnAck { properties, .. } = &said else {
        panic!("{said:?}")
    };
    assert_eq!(
        properties.len(),
        7,
        "with Maximum Packet Size and the assigned name: {said:?}"
    );
}

async fn extended_authentication_is_refused(world: &World, version: Version) {
    let device = world.device();
    let method = [&[0x15][..], &text("SCRAM-SHA-1")].concat();
    let both = [&method[..], &[0x16], &text("data")].concat();
    for inner in [&method, &both] {
        let mut client = world.dial(Some(&device), version).await;
        client.send(&raw_connect(version, 0x02, inner, &text(""))).await;
        let said = client.hear().await;
        assert!(matches!(said, Said::ConnAck { code: 0x8c, .. }), "{said:?}");
        assert_eq!(said.property(0x15), None);
        assert_eq!(client.hear().await, Said::Closed);
    }
    let data = [&[0x16][..], &text("data")].concat();
    is_ignored(world, version, &raw_connect(version, 0x02, &data, &text(""))).await;
    // AUTH was never agreed.
    for body in [&[][..], &[0x18, 0], &[0x19, 0]] {
        refuses(world, version, &packet(0xf0, body), 0x82).await;
    }
}
