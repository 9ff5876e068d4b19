//! Integrators: what they hear, what they may not, and that they cost nobody else anything.

use super::{
    Seeded,
    client::{Hello, Said, packet, publish, subscribe},
    registry::Fake,
    world::{BOTH, Operator, Tls, World, hello, report, report_bytes, topic},
};
use crate::mqtt::{access::interest, bus::Down, codec::Version};
use muster_domain::{access::Role, audit::Action, ids::DeviceId};
use muster_proto::{
    payload::{self, Departure, FacetState, Presence, Report},
    topic::{Channel, Encoding},
};
use std::time::Duration;

fn ines(world: &World) -> Operator {
    world.operator("ines", Role::Integrator)
}

/// Topic, QoS and payload.
type Heard = (String, u8, Vec<u8>);

/// The next messages, acknowledged.
async fn messages(client: &mut Tls, count: usize) -> Vec<Heard> {
    let mut heard = Vec::new();
    while heard.len() < count {
        match client.hear().await {
            Said::Publish {
                topic,
                qos,
                id,
                payload,
            } => {
                if qos > 0 {
                    client.acknowledge(id).await;
                }
                heard.push((topic, qos, payload));
            }
            other => panic!("{other:?} after {} messages", heard.len()),
        }
    }
    heard
}

async fn one(client: &mut Tls) -> Heard {
    messages(client, 1).await.remove(0)
}

/// Subscribes at a QoS of one's choice; what was granted.
async fn subscribed(client: &mut Tls, filters: &[(&str, u8)]) -> Vec<u8> {
    let id = client.id();
    client.send(&subscribe(client.version, id, filters)).await;
    match client.hear().await {
        Said::SubAck(answered, codes, _) if answered == id => codes,
        other => panic!("{other:?}"),
    }
}

fn everything(encoding: Encoding) -> Vec<String> {
    let end = match encoding {
        Encoding::Postcard => "",
        Encoding::Json => "/json",
    };
    ["hello", "report", "presence"]
        .map(|channel| format!("muster/v1/+/{channel}{end}"))
        .into()
}

#[tokio::test]
async fn what_devices_say_is_heard_in_both_encodings() {
    let world = World::new().await;
    let (ines, device) = (ines(&world), world.device());
    for version in BOTH {
        let mut client = world.audience(&ines, "", version).await;
        let filters = [everything(Encoding::Postcard), everything(Encoding::Json)].concat();
        let asked: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
        assert_eq!(subscribed(&mut client, &asked).await, [1; 6]);

        let twins =
            |channel| [Encoding::Postcard, Encoding::Json].map(|one| (topic(device.id, channel, one), one));
        let mut speaker = world.session(&device, version).await;
        for (name, encoding) in twins(Channel::Presence) {
            let (heard, 1, bytes) = one(&mut client).await else {
                panic!("QoS")
            };
            assert_eq!(heard, name);
            let came: Presence = payload::decode(&bytes, encoding).unwrap();
            assert!(came.online && came.reason.is_none());
            assert_eq!(
                (came.device_id, came.source),
                (device.id.to_string(), "127.0.0.1".into())
            );
        }
        // Said in one encoding, heard in both.
        for said in [Encoding::Postcard, Encoding::Json] {
            let up = topic(device.id, Channel::Hello, said);
            assert!(matches!(
                speaker.publish(&up, &hello(said)).await,
                Said::PubAck(_, 0, _)
            ));
            for (name, encoding) in twins(Channel::Hello) {
                assert_eq!(one(&mut client).await, (name, 1, hello(encoding)));
            }
            let up = topic(device.id, Channel::Report, said);
            let message = report_bytes(device.id, 7, said);
            assert!(matches!(
                speaker.publish(&up, &message).await,
                Said::PubAck(_, 0, _)
            ));
            for (name, encoding) in twins(Channel::Report) {
                let (heard, _, bytes) = one(&mut client).await;
                assert_eq!(heard, name);
                let heard: Report = payload::decode(&bytes, encoding).unwrap();
                assert_eq!(heard, report(device.id, 7));
            }
        }
        // What is refused is not told on.
        let up = topic(device.id, Channel::Report, Encoding::Postcard);
        if version == Version::V5 {
            let refused = speaker
                .publish(&up, &report_bytes(device.id, 666, Encoding::Postcard))
                .await;
            assert!(matches!(refused, Said::PubAck(_, 0x83, _)), "{refused:?}");
        }
        speaker.send(&packet(0xe0, &[])).await;
        for (name, encoding) in twins(Channel::Presence) {
            let (heard, _, bytes) = one(&mut client).await;
            assert_eq!(heard, name);
            let went: Presence = payload::decode(&bytes, encoding).unwrap();
            assert_eq!((went.online, went.reason), (false, Some(Departure::Left)));
        }
    }
}

#[tokio::test]
async fn every_role_hears_and_only_what_it_subscribed() {
    let world = World::new().await;
    let (device, other) = (world.device(), world.device());
    let names = ["ada", "olga", "april", "vera", "ines"];
    let mut clients = Vec::new();
    for (name, role) in names.into_iter().zip(Role::ALL) {
        let mut client = world
            .audience(&world.operator(name, role), name, Version::V5)
            .await;
        let filter = topic(device.id, Channel::Hello, Encoding::Json);
        assert_eq!(subscribed(&mut client, &[(&filter, 0)]).await, [0]);
        clients.push(client);
    }
    for speaks in [&other, &device] {
        let mut speaker = world.session(speaks, Version::V5).await;
        let up = topic(speaks.id, Channel::Hello, Encoding::Postcard);
        speaker.publish(&up, &hello(Encoding::Postcard)).await;
    }
    for client in &mut clients {
        let expected = topic(device.id, Channel::Hello, Encoding::Json);
        assert_eq!(one(client).await, (expected, 0, hello(Encoding::Json)));
        assert_eq!(client.ping().await, Said::PingResp);
    }
}

#[tokio::test]
async fn a_takeover_of_a_device_is_no_departure() {
    let world = World::new().await;
    let (ines, device) = (ines(&world), world.device());
    let mut client = world.audience(&ines, "ines", Version::V5).await;
    subscribed(&mut client, &[("muster/v1/+/presence/json", 1)]).await;
    let mut first = world.session(&device, Version::V5).await;
    let mut second = world.session(&device, Version::V5).await;
    first.hear_out().await;
    second.send(&packet(0xe0, &[])).await;
    let heard = messages(&mut client, 3).await;
    let heard = heard.iter().map(|(_, _, bytes)| {
        let heard: Presence = payload::decode(bytes, Encoding::Json).unwrap();
        (heard.session, heard.online)
    });
    assert_eq!(heard.collect::<Vec<_>>(), [(1, true), (2, true), (2, false)]);
}

/// Filters with which an integrator might hear what is for devices alone, or what the bus carries.
fn forbidden_filters(device: DeviceId) -> Vec<String> {
    let mut filters: Vec<_> = [
        "#",
        "+",
        "+/+/+/+",
        "muster/#",
        "muster/v1/#",
        "muster/v1/+/#",
        "muster/v1/+/+",
        "muster/v1/+/desired",
        "muster/v1/+/desired/json",
        "muster/v1/+/cert",
        "muster/v1/+/renew",
        "muster/v1/+/trust",
        "muster/v1/claim",
        "muster/v1/claim/result",
        "$share/g/muster/v1/+/report",
        "$SYS/#",
        "muster/bus/up",
        "muster/bus/#",
        "muster/v1/events/+",
        "muster/v1/events",
        "é/#",
        "",
    ]
    .map(str::to_owned)
    .into();
    for channel in [
        Channel::Desired,
        Channel::Certificate,
        Channel::Trust,
        Channel::Renew,
    ] {
        filters.push(topic(device, channel, Encoding::Postcard));
        filters.push(topic(device, channel, Encoding::Json));
    }
    filters
}

#[tokio::test]
async fn b1_an_integrator_hears_nothing_that_is_for_devices() {
    let world = World::new().await;
    let (ines, device) = (ines(&world), world.device());
    world.registry.desire(device.id, "secret");
    for version in BOTH {
        let mut client = world.audience(&ines, "", version).await;
        let code = if version == Version::V5 { 0x87 } else { 0x80 };
        for filter in forbidden_filters(device.id) {
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
        // A good filter among bad ones is granted.
        let granted = subscribed(&mut client, &[("#", 1), ("muster/v1/+/hello", 2), ("+", 0)]).await;
        assert_eq!(granted, [code, 1, code]);
        let mut target = world.subscribed(&device, version).await;
        let up = topic(device.id, Channel::Hello, Encoding::Postcard);
        target
            .send(&publish(version, &up, 0, 0, &[], &hello(Encoding::Postcard)))
            .await;
        assert!(matches!(target.hear().await, Said::Publish { .. }));
        assert_eq!(one(&mut client).await.0, up);
        assert_eq!(client.ping().await, Said::PingResp);
    }
}

/// The filters that there are, written down again.
fn is_filter(filter: &str, id: &str) -> bool {
    let parts: Vec<_> = filter.split('/').collect();
    match parts[..] {
        ["muster", "v1", "events", kind] => ["#", "device_suspended"].contains(&kind),
        ["muster", "v1", who, channel] | ["muster", "v1", who, channel, "json"] => {
            (who == "+" || who == id) && ["hello", "report", "presence"].contains(&channel)
        }
        _ => false,
    }
}

#[test]
fn b1_a_hundred_thousand_near_misses_of_a_filter() {
    let mut seeded = Seeded(47);
    let id = DeviceId::from_u128(0x5678).to_string();
    let parts = [
        "muster",
        "v1",
        "#",
        "+",
        "",
        "$share",
        "$SYS",
        "desired",
        "cert",
        "trust",
        "renew",
        "report",
        "hello",
        "presence",
        "json",
        "claim",
        "events",
        "device_suspended",
        "é",
        "bus",
        "up",
        &id,
        &id,
    ];
    let (mut granted, mut refused) = (0, 0);
    for _ in 0..100_000 {
        let mut filter: Vec<_> = match seeded.below(3) {
            0 => vec!["muster", "v1", "events", "#"],
            1 => vec!["muster", "v1", "+", "report"],
            _ => vec!["muster", "v1", &id, "presence", "json"],
        };
        for _ in 0..seeded.below(3) {
            let part = parts[seeded.below(parts.len())];
            let place = seeded.below(filter.len());
            match seeded.below(3) {
                0 => filter.insert(place, part),
                1 => filter[place] = part,
                _ => drop(filter.remove(place)),
            }
            if filter.is_empty() {
                break;
            }
        }
        let filter = filter.join("/");
        let expected = is_filter(&filter, &id);
        let found = interest(&filter, Role::Integrator).is_some();
        assert_eq!(found, expected, "{filter}");
        if found { granted += 1 } else { refused += 1 }
    }
    assert!(granted > 10_000 && refused > 10_000, "{granted} {refused}");
}

#[tokio::test]
async fn b1_an_integrator_says_nothing() {
    let world = World::new().await;
    let (admin, device) = (world.operator("ada", Role::Admin), world.device());
    let message = report_bytes(device.id, 1, Encoding::Postcard);
    for version in BOTH {
        for name in [
            topic(device.id, Channel::Report, Encoding::Postcard),
            topic(device.id, Channel::Desired, Encoding::Postcard),
            topic(device.id, Channel::Presence, Encoding::Json),
            "muster/v1/events/device_suspended".into(),
            "muster/v1/claim".into(),
            "muster/bus/down".into(),
            "é/x".into(),
        ] {
            for flags in [0, 1, 2, 4] {
                let mut client = world.audience(&admin, "", version).await;
                client
                    .send(&publish(version, &name, flags, 7, &[], &message))
                    .await;
                let said = client.hear().await;
                let says_no = |text: &str| text.starts_with("M7001: ");
                let fine = match (version, flags) {
                    (Version::V4, _) => said == Said::Closed,
                    (Version::V5, 0 | 1) => matches!(&said, Said::Disconnect(0x87, text) if says_no(text)),
                    (Version::V5, 2) => matches!(&said, Said::PubAck(7, 0x87, text) if says_no(text)),
                    (Version::V5, _) => matches!(&said, Said::PubRec(7, 0x87, text) if says_no(text)),
                };
                assert!(fine, "{version:?} {name} {flags}: {said:?}");
            }
        }
        // Nor a last will.
        let mut client = world.dial_as(&admin, version).await;
        let will = topic(device.id, Channel::Presence, Encoding::Json);
        let hello = Hello {
            will: Some(&will),
            ..Hello::default()
        };
        assert!(matches!(
            client.connect(&hello).await,
            Said::ConnAck { code: 5 | 0x87, .. }
        ));
    }
    assert_eq!(world.registry.heard(), []);
}

#[tokio::test]
async fn b1_a_device_hears_nothing_that_is_for_integrators() {
    let world = World::new().await;
    let (device, other) = (world.device(), world.device());
    for version in BOTH {
        let mut client = world.session(&device, version).await;
        let code = if version == Version::V5 { 0x87 } else { 0x80 };
        for filter in [
            topic(device.id, Channel::Presence, Encoding::Postcard),
            topic(device.id, Channel::Presence, Encoding::Json),
            topic(device.id, Channel::Report, Encoding::Json),
            topic(other.id, Channel::Presence, Encoding::Postcard),
            topic(other.id, Channel::Hello, Encoding::Postcard),
            "muster/v1/+/presence".into(),
            "muster/v1/+/report".into(),
            "muster/v1/events/#".into(),
            "muster/v1/events/device_suspended".into(),
        ] {
            assert_eq!(subscribed(&mut client, &[(&filter, 1)]).await, [code], "{filter}");
        }
        for name in [
            topic(device.id, Channel::Presence, Encoding::Json),
            "muster/v1/events/device_suspended".into(),
        ] {
            let mut client = world.session(&device, version).await;
            let said = client.publish(&name, b"{}").await;
            let fine = match version {
                Version::V4 => said == Said::Closed,
                Version::V5 => matches!(said, Said::PubAck(_, 0x87, _)),
            };
            assert!(fine, "{name}: {said:?}");
        }
    }
}

#[tokio::test]
async fn b1_a_certificate_opens_only_its_own_kind_of_session() {
    let world = World::new().await;
    let (ines, device) = (ines(&world), world.device());
    // The registry would let either in as the other: it is not even asked.
    world.registry.enroll(&ines.leaf, device.id);
    world.registry.employ(&device.leaf, "mallory", Role::Admin);
    let id = device.id.to_string();
    for version in BOTH {
        let mut client = world.dial_as(&ines, version).await;
        let hello = Hello {
            id: &id,
            ..Hello::default()
        };
        let said = client.connect(&hello).await;
        assert!(matches!(said, Said::ConnAck { code: 2 | 0x85, .. }), "{said:?}");
        let mut client = world.session(&device, version).await;
        let refused = if version == Version::V5 { 0x87 } else { 0x80 };
        assert_eq!(
            subscribed(&mut client, &[("muster/v1/+/report", 1)]).await,
            [refused]
        );
        let mut client = world.dial(Some(&device), version).await;
        let hello = Hello {
            id: "mallory",
            ..Hello::default()
        };
        let said = client.connect(&hello).await;
        assert!(matches!(said, Said::ConnAck { code: 2 | 0x85, .. }), "{said:?}");
    }
}

#[tokio::test]
async fn the_client_id_is_the_operators_name_or_begins_with_it() {
    let world = World::new().await;
    let ines = ines(&world);
    for version in BOTH {
        let v5 = version == Version::V5;
        for (id, expected) in [
            ("", true),
            ("ines", true),
            ("ines/wall 3", true),
            ("ines2", false),
            ("olga", false),
        ] {
            let mut client = world.dial_as(&ines, version).await;
            let hello = Hello {
                id,
                ..Hello::default()
            };
            let said = client.connect(&hello).await;
            let refused = if v5 { 0x85 } else { 2 };
            let code = if expected { 0 } else { refused };
            assert!(
                matches!(said, Said::ConnAck { code: told, .. } if told == code),
                "{id} {said:?}"
            );
            if v5 && id.is_empty() {
                assert!(said.property(0x12).unwrap()[2..].starts_with(b"ines/"));
                // Wildcards are there.
                assert_eq!(said.property(0x28), Some(&[1][..]));
            }
        }
    }
}

#[tokio::test]
async fn equal_ids_take_over_and_others_stand_side_by_side() {
    let world = World::new().await;
    let ines = ines(&world);
    let mut first = world.audience(&ines, "ines", Version::V5).await;
    let mut other = world.audience(&ines, "ines/2", Version::V5).await;
    let mut unnamed = world.audience(&ines, "", Version::V4).await;
    let mut second = world.audience(&ines, "ines", Version::V5).await;
    assert!(matches!(first.hear().await, Said::Disconnect(0x8e, _)));
    for client in [&mut other, &mut unnamed, &mut second] {
        assert_eq!(client.ping().await, Said::PingResp);
    }
    let mut crowd = Vec::new();
    let refused = loop {
        let mut client = world.dial_as(&ines, Version::V5).await;
        match client.connect(&Hello::default()).await {
            Said::ConnAck { code: 0, .. } => crowd.push(client),
            refused => break refused,
        }
        assert!(crowd.len() < 100);
    };
    assert!(matches!(refused, Said::ConnAck { code: 0x97, .. }), "{refused:?}");
    assert!(refused.property(0x1f).unwrap()[2..].starts_with(b"M7007: "));
    // One leaves, one may come.
    let mut left = crowd.pop().unwrap();
    left.send(&packet(0xe0, &[])).await;
    left.hear_out().await;
    world.audience(&ines, "", Version::V5).await;
}

#[tokio::test]
async fn b4_whoever_is_shut_out_hears_no_more() {
    let world = World::new().await;
    for version in BOTH {
        // By a word on the bus.
        let ines = ines(&world);
        let mut client = world.audience(&ines, "", version).await;
        world
            .bus
            .send_down(&Down::OperatorOut(Fake::key(&ines.leaf)))
            .unwrap();
        let said = client.hear().await;
        let fine = match version {
            Version::V4 => said == Said::Closed,
            Version::V5 => matches!(said, Said::Disconnect(0x98, _)),
        };
        assert!(fine, "{said:?}");

        // The word was lost: at the next ping, or with the next subscription.
        let mut pinging = world.audience(&ines, "", version).await;
        let mut asking = world.audience(&ines, "", version).await;
        world.registry.dismiss(&ines.leaf);
        let ends = [pinging.ping().await, asking.subscribe("muster/v1/+/report").await];
        for said in ends {
            let fine = match version {
                Version::V4 => said == Said::Closed,
                Version::V5 => matches!(&said, Said::Disconnect(0x87, text) if text.starts_with("M6003: ")),
            };
            assert!(fine, "{said:?}");
        }

        // And does not come back.
        let mut client = world.dial_as(&ines, version).await;
        let said = client.connect(&Hello::default()).await;
        assert!(matches!(said, Said::ConnAck { code: 5 | 0x87, .. }), "{said:?}");
    }
}

#[tokio::test]
async fn b4_another_authority_has_everyone_looked_at_again() {
    let world = World::new().await;
    for version in BOTH {
        let (stays, goes) = (ines(&world), ines(&world));
        let mut spared = world.audience(&stays, "", version).await;
        let mut client = world.audience(&goes, "", version).await;
        world.registry.dismiss(&goes.leaf);
        world.bus.shut_out(|_| true);
        let said = client.hear().await;
        let fine = match version {
            Version::V4 => said == Said::Closed,
            Version::V5 => matches!(&said, Said::Disconnect(0x87, text) if text.starts_with("M6003: ")),
        };
        assert!(fine, "{said:?}");
        assert_eq!(spared.ping().await, Said::PingResp);
    }
}

#[tokio::test]
async fn a_session_ends_with_its_certificate() {
    let world = World::new().await;
    let ines = ines(&world);
    world
        .registry
        .operator_ends_in(&ines.leaf, Duration::from_millis(50));
    let mut client = world.audience(&ines, "", Version::V5).await;
    let said = client.hear().await;
    assert!(
        matches!(&said, Said::Disconnect(0x87, text) if text.starts_with("M7005: ")),
        "{said:?}"
    );
}

#[tokio::test]
async fn no_more_is_sent_than_the_client_takes_unacknowledged() {
    let world = World::new().await;
    let (ines, device) = (ines(&world), world.device());
    let mut client = world.dial_as(&ines, Version::V5).await;
    // Receive maximum of 2.
    let said = client
        .connect(&Hello {
            properties: &[0x21, 0, 2],
            ..Hello::default()
        })
        .await;
    assert!(matches!(said, Said::ConnAck { code: 0, .. }));
    subscribed(
        &mut client,
        &[("muster/v1/+/hello", 1), ("muster/v1/events/#", 1)],
    )
    .await;
    let mut speaker = world.session(&device, Version::V5).await;
    let up = topic(device.id, Channel::Hello, Encoding::Postcard);
    for _ in 0..5 {
        speaker.publish(&up, &hello(Encoding::Postcard)).await;
    }
    world.registry.happens(Action::DeviceSuspended, "devices/x");
    for _ in 0..3 {
        let mut ids = Vec::new();
        for _ in 0..2 {
            match client.hear().await {
                Said::Publish { id, .. } => ids.push(id),
                other => panic!("{other:?}"),
            }
        }
        // Not a third one, whatever it is.
        assert_eq!(client.ping().await, Said::PingResp);
        for id in ids {
            client.acknowledge(id).await;
        }
    }
    assert_eq!(client.ping().await, Said::PingResp);
}

#[tokio::test]
async fn the_audit_log_is_told_as_it_was_hashed_from_now_on_without_gaps() {
    let world = World::new().await;
    let ines = ines(&world);
    world.registry.happens(Action::RegistryCreated, "registry");
    let mut all = world.audience(&ines, "ines/all", Version::V5).await;
    let mut some = world.audience(&ines, "ines/some", Version::V4).await;
    assert_eq!(subscribed(&mut all, &[("muster/v1/events/#", 1)]).await, [1]);
    let filters = [
        ("muster/v1/events/device_suspended", 1),
        ("muster/v1/events/device_retired", 0),
    ];
    assert_eq!(subscribed(&mut some, &filters).await, [1, 0]);
    let mut expected = Vec::new();
    for number in 0..300 {
        let (action, name) = match number % 3 {
            0 => (Action::DeviceSuspended, "device_suspended"),
            1 => (Action::DeviceRetired, "device_retired"),
            _ => (Action::BatchPlanned, "batch_planned"),
        };
        let entry = world.registry.happens(action, &format!("devices/{number}"));
        expected.push((format!("muster/v1/events/{name}"), entry.leaf));
    }
    let heard = messages(&mut all, expected.len()).await;
    for (heard, (topic, leaf)) in heard.iter().zip(&expected) {
        assert_eq!(
            (&heard.0, heard.1, heard.2.as_slice()),
            (topic, 1, leaf.as_bytes())
        );
    }
    expected.retain(|(topic, _)| !topic.ends_with("planned"));
    let heard = messages(&mut some, expected.len()).await;
    for (heard, (topic, leaf)) in heard.iter().zip(&expected) {
        let qos = u8::from(topic.ends_with("suspended"));
        assert_eq!(
            (&heard.0, heard.1, heard.2.as_slice()),
            (topic, qos, leaf.as_bytes())
        );
    }
    // Nothing after the end of a subscription, and what happened meanwhile is not told with the next.
    all.send(&packet(
        0xa2,
        &[&[0, 9, 0][..], &super::client::text("muster/v1/events/#")].concat(),
    ))
    .await;
    assert_eq!(all.hear().await, Said::UnsubAck(9, vec![0]));
    world.registry.happens(Action::BatchPlanned, "batches/1");
    assert_eq!(all.ping().await, Said::PingResp);
    assert_eq!(subscribed(&mut all, &[("muster/v1/events/#", 0)]).await, [0]);
    let last = world.registry.happens(Action::BatchFinished, "batches/1");
    assert_eq!(
        one(&mut all).await,
        (
            "muster/v1/events/batch_finished".into(),
            0,
            last.leaf.into_bytes()
        )
    );
}

/// A report as long as may be.
fn long_report(device: DeviceId, generation: u64) -> Vec<u8> {
    let mut long = report(device, generation);
    long.facets[0].state = FacetState::Failed {
        reason: "x".repeat(250_000),
    };
    payload::encode(&long, Encoding::Postcard).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slow_are_cut_and_slow_nobody_else() {
    const DEVICES: usize = 20;
    const REPORTS: usize = 3;
    let world = World::new().await;
    let ines = ines(&world);
    // One does not read at all, one does not acknowledge, one is quick.
    let mut deaf = world.audience(&ines, "ines/deaf", Version::V4).await;
    let mut mute = world.dial_as(&ines, Version::V5).await;
    let hello = Hello {
        properties: &[0x21, 0, 2],
        ..Hello::default()
    };
    assert!(matches!(
        mute.connect(&hello).await,
        Said::ConnAck { code: 0, .. }
    ));
    let mut quick = world.audience(&ines, "ines/quick", Version::V5).await;
    for (client, qos) in [(&mut deaf, 0), (&mut mute, 1), (&mut quick, 1)] {
        assert_eq!(subscribed(client, &[("muster/v1/+/report", qos)]).await, [qos]);
    }
    let reading = tokio::spawn(async move { messages(&mut quick, DEVICES * REPORTS).await.len() });
    for _ in 0..DEVICES {
        let device = world.device();
        let mut speaker = world.session(&device, Version::V5).await;
        let up = topic(device.id, Channel::Report, Encoding::Postcard);
        for generation in 1..=REPORTS {
            let message = long_report(device.id, u64::try_from(generation).unwrap());
            let said = speaker.publish(&up, &message).await;
            assert!(matches!(said, Said::PubAck(_, 0, _)), "{said:?}");
        }
    }
    assert_eq!(reading.await.unwrap(), DEVICES * REPORTS);
    // It hears what it had room for, and why there is no more.
    let said = mute.hear_out().await;
    let Some(Said::Disconnect(0x97, why)) = said.last() else {
        panic!("{} packets, the last is {:?}", said.len(), said.last())
    };
    assert!(
        why.starts_with("M7006: ") && why.contains("messages waited"),
        "{why}"
    );
    assert_eq!(said.len(), 3);
    drop(deaf);
}
