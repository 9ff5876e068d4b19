//! CONNECT: who comes, in which words.

use super::{
    super::client::{connect, publish},
    *,
};
use crate::mqtt::tests::world::report_bytes;
use muster_proto::payload::{self, Binary, Claim, ClaimResult};
use std::time::Duration;
use tokio::time::Instant;

checks! {
    the_first_packet_is_connect: BOTH;
    a_second_connect_ends_the_connection: BOTH;
    another_protocol_name_is_not_served: BOTH;
    another_level_is_told_and_closed: BOTH;
    the_reserved_connect_flag_is_zero: BOTH;
    will_flags_agree: BOTH;
    a_will_is_refused: BOTH;
    user_name_and_password_follow_their_flags: BOTH;
    a_password_needs_a_user_name: V4;
    silence_ends_the_connection: BOTH;
    the_fields_of_connect_are_in_order: BOTH;
    a_device_is_known_by_its_certificate: BOTH;
    a_claimant_may_have_any_client_id: BOTH;
    an_empty_client_id_is_assigned: V5;
    an_empty_client_id_needs_a_clean_session: V4;
    a_newer_connection_ends_the_older: BOTH;
    a_malformed_connect_is_closed: BOTH;
    nothing_is_heard_after_a_refused_connect: BOTH;
}

const CODE: &str = "7K3M-9QRT-2VXY";

async fn the_first_packet_is_connect(world: &World, version: Version) {
    for bytes in [
        packet(0xc0, &[]),
        packet(0xe0, &[]),
        publish(version, "t", 0, 0, &[], b""),
        raw_subscribe(version, b"t", 1),
        packet(0x20, &[0, 0]),
        packet(0xf0, &[]),
    ] {
        is_ignored(world, version, &bytes).await;
    }
}

async fn a_second_connect_ends_the_connection(world: &World, version: Version) {
    refuses(world, version, &connect(version, &Hello::default()), 0x82).await;
}

async fn another_protocol_name_is_not_served(world: &World, version: Version) {
    let level = by_version(version, 4, 5);
    for name in ["MQTX", "mqtt", "MQTT ", ""] {
        let rest = [
            text(name),
            vec![level, 0x02, 0, 60],
            properties(version, &[]),
            text(""),
        ];
        is_ignored(world, version, &packet(0x10, &rest.concat())).await;
    }
}

async fn another_level_is_told_and_closed(world: &World, version: Version) {
    // What is older is told in the words of 3.1.1, what is newer in those of 5.0.
    let (levels, told): (&[(&str, u8)], &[u8]) = by_version(
        version,
        (&[("MQTT", 3), ("MQTT", 0), ("MQIsdp", 3)], &[0, 1]),
        (&[("MQTT", 6), ("MQTT", 255)], &[0, 0x84, 0]),
    );
    for (name, level) in levels {
        let mut client = world.dial(None, version).await;
        let rest = [text(name), vec![*level, 0x02, 0, 60], text("")];
        client.send(&packet(0x10, &rest.concat())).await;
        assert_eq!(
            client.hear_raw().await,
            Some((0x20, told.to_vec())),
            "{name} {level}"
        );
        assert_eq!(client.hear_raw().await, None);
    }
}

async fn the_reserved_connect_flag_is_zero(world: &World, version: Version) {
    is_ignored(world, version, &raw_connect(version, 0x03, &[], &text(""))).await;
}

async fn will_flags_agree(world: &World, version: Version) {
    // Without a will: no QoS, no retain. With one: no QoS 3, and topic and message are there.
    for flags in [0x0a, 0x12, 0x1a, 0x22, 0x1e, 0x3e] {
        is_ignored(world, version, &raw_connect(version, flags, &[], &text(""))).await;
    }
    let inner = properties(version, &[]);
    for payload in [text(""), [text(""), inner.clone(), text("t")].concat()] {
        is_ignored(world, version, &raw_connect(version, 0x06, &[], &payload)).await;
    }
    let unannounced = [text(""), inner, text("t"), text("last words")].concat();
    is_ignored(world, version, &raw_connect(version, 0x02, &[], &unannounced)).await;
}

async fn a_will_is_refused(world: &World, version: Version) {
    let device = world.device();
    let will = own(&device, Channel::Report);
    for flags in [0x06, 0x0e, 0x16, 0x26, 0x36] {
        let mut client = world.dial(Some(&device), version).await;
        let payload = [
            text(""),
            properties(version, &[]),
            text(&will),
            text("last words"),
        ]
        .concat();
        client.send(&raw_connect(version, flags, &[], &payload)).await;
        let (first, body) = client.hear_raw().await.unwrap();
        assert_eq!(
            (first, &body[..2]),
            (0x20, &[0, by_version(version, 5, 0x87)][..])
        );
        assert_eq!(client.hear_raw().await, None);
    }
    assert_eq!(world.registry.heard(), [], "no last words were ever said");
    assert_eq!(world.registry.arrivals(), 0);
}

async fn user_name_and_password_follow_their_flags(world: &World, version: Version) {
    let (id, user, code) = (text("me"), text("GW-1"), text(CODE));
    // Announced and absent; present and not announced.
    for (flags, payload) in [
        (0x82, id.clone()),
        (0xc2, [id.clone(), user.clone()].concat()),
        (0x02, [id.clone(), user.clone()].concat()),
        (0x82, [id.clone(), user.clone(), code.clone()].concat()),
    ] {
        is_ignored(world, version, &raw_connect(version, flags, &[], &payload)).await;
    }
    for (flags, payload) in [
        (0x82, [id.clone(), user.clone()].concat()),
        (0xc2, [id, user, code].concat()),
    ] {
        let mut client = world.dial(None, version).await;
        client.send(&raw_connect(version, flags, &[], &payload)).await;
        assert!(
            matches!(client.hear().await, Said::ConnAck { code: 0, .. }),
            "{flags:x}"
        );
    }
}

async fn a_password_needs_a_user_name(world: &World, version: Version) {
    let payload = [text("me"), text(CODE)].concat();
    is_ignored(world, version, &raw_connect(version, 0x42, &[], &payload)).await;
}

async fn silence_ends_the_connection(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.dial(Some(&device), version).await;
    let hello = Hello {
        keep_alive: 1,
        ..Hello::default()
    };
    let said = client.connect(&hello).await;
    assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{said:?}");
    assert_eq!(said.property(0x13), None, "the client's own keep-alive holds");
    assert_eq!(client.ping().await, Said::PingResp);
    let start = Instant::now();
    ends(&mut client, 0x8d).await;
    // From its last packet to the end; the clock of the other side began a moment earlier.
    assert!(
        start.elapsed() > Duration::from_millis(1400),
        "{:?}",
        start.elapsed()
    );
}

async fn the_fields_of_connect_are_in_order(world: &World, version: Version) {
    // A claim succeeds only if serial and code were read from where they belong.
    let device = world.device();
    world.registry.issue_code("GW-1", CODE, device.id, &device.leaf);
    let mut client = world.dial(None, version).await;
    let hello = Hello {
        id: "not a serial",
        login: Some(("GW-1", CODE)),
        ..Hello::default()
    };
    let said = client.connect(&hello).await;
    assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{said:?}");
    client.subscribe("muster/v1/claim/result").await;
    let csr = Binary(vec![1, 2, 3]);
    let claim = payload::encode(&Claim { csr }, Encoding::Postcard).unwrap();
    let said = client.publish("muster/v1/claim", &claim).await;
    assert!(matches!(said, Said::PubAck(_, 0, _)), "{said:?}");
    let Said::Publish { payload, .. } = client.hear().await else {
        panic!("no result")
    };
    let result: ClaimResult = payload::decode(&payload, Encoding::Postcard).unwrap();
    assert!(matches!(result, ClaimResult::Accepted(_)), "{result:?}");
}

async fn a_device_is_known_by_its_certificate(world: &World, version: Version) {
    let (device, other) = (world.device(), world.device());
    let (own, foreign) = (device.id.to_string(), other.id.to_string());
    let refused = by_version(version, 2, 0x85);
    for (id, expected) in [
        (own.as_str(), 0),
        ("", 0),
        (&foreign, refused),
        (&format!("{own} "), refused),
        ("a23characterlongidentit", refused),
    ] {
        let mut client = world.dial(Some(&device), version).await;
        let said = client
            .connect(&Hello {
                id,
                ..Hello::default()
            })
            .await;
        assert!(
            matches!(said, Said::ConnAck { code, .. } if code == expected),
            "{id}: {said:?}"
        );
        if expected == 0 {
            assert!(world.registry.is_online(device.id), "{id}");
            assert_eq!(client.ping().await, Said::PingResp);
        } else {
            assert_eq!(client.hear().await, Said::Closed);
        }
        assert!(!world.registry.is_online(other.id));
    }
}

async fn a_claimant_may_have_any_client_id(world: &World, version: Version) {
    let id = "0123456789abcdefghijkLMNOPQRSTUVWXYZ";
    for id in [&id[..1], &id[..23], &id[13..36], "muster/#", "é"] {
        let mut client = world.dial(None, version).await;
        let hello = Hello {
            id,
            login: Some(("GW-1", CODE)),
            ..Hello::default()
        };
        let said = client.connect(&hello).await;
        assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{id}: {said:?}");
        assert_eq!(said.property(0x12), None, "{id} keeps its name");
    }
}

async fn an_empty_client_id_is_assigned(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.dial(Some(&device), version).await;
    let said = client.connect(&Hello::default()).await;
    assert_eq!(said.property(0x12), Some(&text(&device.id.to_string())[..]));
    assert!(world.registry.is_online(device.id));
    // Two claimants at once are two.
    let mut claimants = Vec::new();
    for _ in 0..2 {
        let mut client = world.dial(None, version).await;
        let login = Some(("GW-1", CODE));
        let said = client
            .connect(&Hello {
                login,
                ..Hello::default()
            })
            .await;
        claimants.push((said.property(0x12).expect("a name").to_vec(), client));
    }
    assert_ne!(claimants[0].0, claimants[1].0);
}

async fn an_empty_client_id_needs_a_clean_session(world: &World, version: Version) {
    let device = world.device();
    for (clean, expected) in [(true, 0), (false, 2)] {
        let mut client = world.dial(Some(&device), version).await;
        let said = client
            .connect(&Hello {
                clean,
                ..Hello::default()
            })
            .await;
        assert!(
            matches!(said, Said::ConnAck { code, .. } if code == expected),
            "{said:?}"
        );
        if expected != 0 {
            assert_eq!(client.hear().await, Said::Closed);
        }
    }
}

async fn a_newer_connection_ends_the_older(world: &World, version: Version) {
    let device = world.device();
    let mut older = world.session(&device, version).await;
    let mut newer = world.session(&device, version).await;
    ends(&mut older, 0x8e).await;
    assert_eq!(newer.ping().await, Said::PingResp);
    assert!(world.registry.is_online(device.id));
}

async fn a_malformed_connect_is_closed(world: &World, version: Version) {
    let whole = connect(
        version,
        &Hello {
            id: "me",
            ..Hello::default()
        },
    );
    let body = &whole[2..];
    // Cut anywhere, with its length made to fit; and with a tail.
    for end in 0..body.len() {
        is_ignored(world, version, &packet(0x10, &body[..end])).await;
    }
    is_ignored(world, version, &packet(0x10, &[body, &[0]].concat())).await;
    is_ignored(world, version, &packet(0x10, &vec![0; 5000])).await;
}

async fn nothing_is_heard_after_a_refused_connect(world: &World, version: Version) {
    let (device, other) = (world.device(), world.device());
    let id = other.id.to_string();
    let refused = connect(
        version,
        &Hello {
            id: &id,
            ..Hello::default()
        },
    );
    let up = own(&device, Channel::Report);
    let report = report_bytes(device.id, 1, Encoding::Postcard);
    let message = publish(version, &up, 2, 1, &[], &report);
    let mut client = world.dial(Some(&device), version).await;
    client.send(&[refused, message, packet(0xc0, &[])].concat()).await;
    let said = client.hear_out().await;
    assert!(
        matches!(said[..], [Said::ConnAck { code: 2 | 0x85, .. }]),
        "{said:?}"
    );
    assert_eq!(world.registry.heard(), []);
}
