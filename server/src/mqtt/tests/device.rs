//! What a device is here for: hello, desired state, report.

use super::{
    client::{Hello, Said, packet, publish},
    registry::Heard,
    world::{BOTH, World, hello, report, report_bytes, topic},
};
use crate::mqtt::{bus::Down, codec::Version};
use muster_proto::topic::{Channel, Encoding};

fn desired(said: &Said) -> (&str, &[u8], u16) {
    let Said::Publish {
        topic,
        qos: 1,
        id,
        payload,
    } = said
    else {
        panic!("not a message: {said:?}")
    };
    (topic, payload, *id)
}

#[tokio::test]
async fn hello_desired_report_in_both_versions_and_encodings() {
    let world = World::new().await;
    for version in BOTH {
        for encoding in [Encoding::Postcard, Encoding::Json] {
            let device = world.device();
            world.registry.desire(device.id, "first");
            let mut client = world.session(&device, version).await;
            let down = topic(device.id, Channel::Desired, encoding);
            assert_eq!(
                client.subscribe(&down).await,
                Said::SubAck(1, vec![1], String::new())
            );
            let said = client
                .publish(&topic(device.id, Channel::Hello, encoding), &hello(encoding))
                .await;
            assert_eq!(said, Said::PubAck(2, 0, String::new()));
            let said = client.hear().await;
            let expected = format!("{encoding:?}:first");
            let (on, payload, id) = desired(&said);
            assert_eq!((on, payload), (down.as_str(), expected.as_bytes()));
            client.acknowledge(id).await;
            let up = topic(device.id, Channel::Report, encoding);
            let said = client.publish(&up, &report_bytes(device.id, 3, encoding)).await;
            assert_eq!(said, Said::PubAck(3, 0, String::new()));
            let heard = world.registry.heard();
            assert_eq!(
                heard.last(),
                Some(&Heard::Report(device.id, report(device.id, 3)))
            );
            // A change finds its way through the bus.
            world.registry.desire(device.id, "second");
            world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
            let said = client.hear().await;
            let expected = format!("{encoding:?}:second");
            assert_eq!(desired(&said).1, expected.as_bytes());
            assert!(world.bus.is_connected(device.id));
        }
    }
    world.end().await.unwrap();
}

#[tokio::test]
async fn secrets_come_before_the_desired_state_that_needs_them() {
    let world = World::new().await;
    for encoding in [Encoding::Postcard, Encoding::Json] {
        let device = world.device();
        world.registry.desire(device.id, "state");
        world.registry.seal(device.id, "secrets");
        let mut client = world.session(&device, Version::V5).await;
        let [state, secrets] =
            [Channel::Desired, Channel::Sealed].map(|channel| topic(device.id, channel, encoding));
        client.subscribe(&state).await;
        client.subscribe(&secrets).await;
        client
            .publish(&topic(device.id, Channel::Hello, encoding), &hello(encoding))
            .await;
        for round in 0..2 {
            for (expected_on, expected) in [(&secrets, "secrets"), (&state, "state")] {
                let said = client.hear().await;
                let (on, payload, id) = desired(&said);
                assert_eq!(
                    (on, payload),
                    (
                        expected_on.as_str(),
                        format!("{encoding:?}:{expected}").as_bytes()
                    )
                );
                client.acknowledge(id).await;
            }
            if round == 0 {
                world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
            }
        }
    }
    world.end().await.unwrap();
}

#[tokio::test]
async fn a_device_that_hears_no_secrets_is_not_told_what_needs_them() {
    let world = World::new().await;
    let device = world.device();
    world.registry.desire(device.id, "state");
    world.registry.seal(device.id, "secrets");
    let mut client = world.session(&device, Version::V5).await;
    client
        .subscribe(&topic(device.id, Channel::Desired, Encoding::Json))
        .await;
    let said = client
        .publish(
            &topic(device.id, Channel::Hello, Encoding::Json),
            &hello(Encoding::Json),
        )
        .await;
    assert_eq!(said, Said::PubAck(2, 0, String::new()));
    // The answer to what was asked later comes, and nothing before it.
    client.send(&packet(0xc0, &[])).await;
    assert_eq!(client.hear().await, Said::PingResp);
    // It learns to.
    client
        .subscribe(&topic(device.id, Channel::Sealed, Encoding::Json))
        .await;
    world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
    assert_eq!(desired(&client.hear().await).1, b"Json:secrets");
    world.end().await.unwrap();
}

#[tokio::test]
async fn desired_state_waits_for_the_subscription_and_comes_again_on_reconnect() {
    let world = World::new().await;
    let device = world.device();
    world.registry.desire(device.id, "state");
    for _ in 0..2 {
        let mut client = world.session(&device, Version::V5).await;
        let up = topic(device.id, Channel::Hello, Encoding::Postcard);
        assert_eq!(
            client.publish(&up, &hello(Encoding::Postcard)).await,
            Said::PubAck(1, 0, String::new())
        );
        let down = topic(device.id, Channel::Desired, Encoding::Postcard);
        assert_eq!(
            client.subscribe(&down).await,
            Said::SubAck(2, vec![1], String::new())
        );
        assert_eq!(desired(&client.hear().await).1, b"Postcard:state");
        // Not acknowledged: the connection ends instead.
    }
}

#[tokio::test]
async fn only_the_newest_desired_state_is_pending() {
    let world = World::new().await;
    let device = world.device();
    let mut client = world.subscribed(&device, Version::V5).await;
    world.registry.desire(device.id, "1");
    world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
    let first = client.hear().await;
    for change in 2..50 {
        world.registry.desire(device.id, &change.to_string());
        world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
    }
    // Until the first is acknowledged nothing follows.
    assert_eq!(client.ping().await, Said::PingResp);
    client.acknowledge(desired(&first).2).await;
    let mut last = desired(&client.hear().await).1.to_vec();
    let mut messages = 2;
    while last != b"Postcard:49" {
        // The bus may still have been on its way.
        client.acknowledge(u16::try_from(messages).unwrap()).await;
        last = desired(&client.hear().await).1.to_vec();
        messages += 1;
    }
    assert!(messages < 10, "{messages} messages for one state");
}

#[tokio::test]
async fn qos_2_is_recorded_once() {
    let world = World::new().await;
    for version in BOTH {
        let device = world.device();
        let mut client = world.session(&device, version).await;
        let up = topic(device.id, Channel::Report, Encoding::Postcard);
        let message = report_bytes(device.id, 3, Encoding::Postcard);
        let before = world.registry.heard().len();
        for dup in [0, 8] {
            client
                .send(&publish(version, &up, 4 | dup, 9, &[], &message))
                .await;
            assert_eq!(client.hear().await, Said::PubRec(9, 0, String::new()));
        }
        for known in [true, false] {
            client.send(&packet(0x62, &[0, 9])).await;
            let code = if known || version == Version::V4 { 0 } else { 0x92 };
            assert_eq!(client.hear().await, Said::PubComp(9, code));
        }
        assert_eq!(world.registry.heard().len(), before + 1);
        // QoS 0 is recorded too, and never answered.
        client.send(&publish(version, &up, 0, 0, &[], &message)).await;
        assert_eq!(client.ping().await, Said::PingResp);
        assert_eq!(world.registry.heard().len(), before + 2);
    }
}

#[tokio::test]
async fn b2_a_report_about_another_device_is_refused() {
    let world = World::new().await;
    for encoding in [Encoding::Postcard, Encoding::Json] {
        let (device, other) = (world.device(), world.device());
        let mut client = world.session(&device, Version::V5).await;
        let up = topic(device.id, Channel::Report, encoding);
        let said = client.publish(&up, &report_bytes(other.id, 3, encoding)).await;
        let text = "M7003: device_id: is not the device of this connection";
        assert_eq!(said, Said::PubAck(1, 0x99, text.into()));
        // On the other's topic, with the other's id.
        let said = client
            .publish(
                &topic(other.id, Channel::Report, encoding),
                &report_bytes(other.id, 3, encoding),
            )
            .await;
        assert!(matches!(said, Said::PubAck(2, 0x87, _)), "{said:?}");
    }
    assert_eq!(world.registry.heard(), []);
}

#[tokio::test]
async fn a_refusal_is_told_to_5_and_ends_311() {
    let world = World::new().await;
    let device = world.device();
    let up = topic(device.id, Channel::Report, Encoding::Postcard);
    let wrong = report_bytes(device.id, 666, Encoding::Postcard);
    let mut client = world.session(&device, Version::V5).await;
    let text = "M5002: generation 666 was never issued";
    assert_eq!(
        client.publish(&up, &wrong).await,
        Said::PubAck(1, 0x83, text.into())
    );
    let said = client.publish(&up, b"\x01garbage").await;
    assert!(
        matches!(&said, Said::PubAck(2, 0x99, text) if text.starts_with("M7003: ")),
        "{said:?}"
    );
    client.send(&publish(Version::V5, &up, 4, 9, &[], &wrong)).await;
    assert_eq!(client.hear().await, Said::PubRec(9, 0x83, text.into()));
    // The identifier of a refused message is free again.
    assert_eq!(client.ping().await, Said::PingResp);
    let mut client = world.session(&device, Version::V4).await;
    assert_eq!(client.publish(&up, &wrong).await, Said::Closed);
}

#[tokio::test]
async fn the_identity_is_the_certificates() {
    let world = World::new().await;
    let (device, other) = (world.device(), world.device());
    for version in BOTH {
        let v5 = version == Version::V5;
        for (id, code) in [
            (device.id.to_string(), 0),
            (String::new(), 0),
            (other.id.to_string(), if v5 { 0x85 } else { 2 }),
            ("#".into(), if v5 { 0x85 } else { 2 }),
        ] {
            let mut client = world.dial(Some(&device), version).await;
            let said = client
                .connect(&Hello {
                    id: &id,
                    ..Hello::default()
                })
                .await;
            assert!(
                matches!(said, Said::ConnAck { code: told, .. } if told == code),
                "{id} {said:?}"
            );
            if v5 && id.is_empty() {
                assert_eq!(
                    said.property(0x12).unwrap()[2..],
                    *device.id.to_string().as_bytes()
                );
            }
            if v5 && code != 0 {
                assert!(
                    said.property(0x1f).unwrap()[2..].starts_with(b"M7002: "),
                    "{said:?}"
                );
            }
        }
    }
    assert!(!world.bus.is_connected(other.id));
}

#[tokio::test]
async fn a_device_that_is_not_let_in_is_told_so() {
    let world = World::new().await;
    let (barred, unknown) = (world.device(), world.stranger());
    world.registry.bar(barred.id);
    for device in [&barred, &unknown] {
        for (version, code) in [(Version::V4, 5), (Version::V5, 0x87)] {
            let mut client = world.dial(Some(device), version).await;
            let said = client.connect(&Hello::default()).await;
            assert!(
                matches!(said, Said::ConnAck { code: told, .. } if told == code),
                "{said:?}"
            );
            assert_eq!(client.hear().await, Said::Closed);
        }
    }
}

#[tokio::test]
async fn the_terms_are_told() {
    let world = World::new().await;
    let device = world.device();
    let mut client = world.dial(Some(&device), Version::V5).await;
    // Session expiry of an hour.
    let said = client
        .connect(&Hello {
            keep_alive: 0,
            properties: &[0x11, 0, 0, 14, 16],
            ..Hello::default()
        })
        .await;
    for (id, value) in [
        (0x11, &[0u8; 4][..]),
        (0x13, &1200u16.to_be_bytes()),
        (0x21, &[0, 16]),
        (0x25, &[0]),
        (0x27, &(257u32 * 1024 + 2).to_be_bytes()),
        (0x28, &[0]),
        (0x29, &[0]),
        (0x2a, &[0]),
    ] {
        assert_eq!(said.property(id), Some(value), "{id:#x} of {said:?}");
    }
    assert_eq!(said.property(0x22), None, "topic alias maximum is 0 when absent");
}

#[tokio::test]
async fn unsubscribed_is_not_sent() {
    let world = World::new().await;
    for version in BOTH {
        let device = world.device();
        world.registry.desire(device.id, "state");
        let mut client = world.subscribed(&device, version).await;
        let down = topic(device.id, Channel::Desired, Encoding::Postcard);
        let mut body = vec![0, 7];
        body.extend(if version == Version::V5 {
            vec![0]
        } else {
            Vec::new()
        });
        body.extend(super::client::text(&down));
        for code in [0x00, 0x11] {
            client.send(&packet(0xa2, &body)).await;
            let codes = if version == Version::V5 {
                vec![code]
            } else {
                Vec::new()
            };
            assert_eq!(client.hear().await, Said::UnsubAck(7, codes));
        }
        let up = topic(device.id, Channel::Hello, Encoding::Postcard);
        assert!(matches!(
            client.publish(&up, &hello(Encoding::Postcard)).await,
            Said::PubAck(..)
        ));
        assert_eq!(client.ping().await, Said::PingResp);
    }
}

#[tokio::test]
async fn b4_a_device_that_is_shut_out_while_it_connects_does_not_slip_in() {
    let world = World::new().await;
    for (version, code) in [(Version::V4, 5), (Version::V5, 0x87)] {
        let device = world.device();
        world.registry.bar_after_admission(device.id);
        let mut client = world.dial(Some(&device), version).await;
        let said = client.connect(&Hello::default()).await;
        assert!(
            matches!(said, Said::ConnAck { code: told, .. } if told == code),
            "{said:?}"
        );
        assert_eq!(client.hear().await, Said::Closed);
        assert!(!world.bus.is_connected(device.id));
    }
}

#[tokio::test]
async fn a_fault_is_not_acknowledged_as_recorded() {
    let world = World::new().await;
    let (device, late) = (world.device(), world.device());
    let up = topic(device.id, Channel::Report, Encoding::Postcard);
    let message = report_bytes(device.id, 1, Encoding::Postcard);
    let mut new = world.session(&device, Version::V5).await;
    world.registry.break_down();
    let said = new.publish(&up, &message).await;
    let told = |text: &str| text.contains("reference") && !text.contains("on purpose");
    assert!(
        matches!(&said, Said::PubAck(1, 0x80, text) if told(text)),
        "{said:?}"
    );
    for (version, code) in [(Version::V4, 3), (Version::V5, 0x88)] {
        let mut client = world.dial(Some(&late), version).await;
        let said = client.connect(&Hello::default()).await;
        assert!(
            matches!(said, Said::ConnAck { code: told, .. } if told == code),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn what_a_refusal_quotes_is_cut_and_harmless() {
    let world = World::new().await;
    let device = world.device();
    let mut client = world.session(&device, Version::V5).await;
    let up = topic(device.id, Channel::Hello, Encoding::Json);
    let message = format!(r#"{{"\u0000\n\u001b[2J{}": 1}}"#, "x".repeat(100_000));
    let said = client.publish(&up, message.as_bytes()).await;
    let Said::PubAck(1, 0x99, text) = said else {
        panic!("{said:?}")
    };
    assert!(text.contains("unknown field `???[2Jxxx"), "{text:?}");
    assert!(text.len() < 200 && !text.contains(char::is_control), "{text:?}");
}
