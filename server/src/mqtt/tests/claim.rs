//! How a device earns its identity over MQTT.

use super::{
    client::{Hello, Said, packet, publish, subscribe},
    world::{BOTH, Tls, World},
};
use crate::mqtt::codec::Version;
use muster_proto::{
    payload::{self, Binary, Claim, ClaimResult},
    topic::{Encoding, Topic},
};

const CODE: &str = "7K3M-9QRT-2VXY";

async fn claimant(world: &World, version: Version, serial: &str, code: &str) -> Tls {
    let mut client = world.dial(None, version).await;
    let said = client
        .connect(&Hello {
            login: Some((serial, code)),
            ..Hello::default()
        })
        .await;
    assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{said:?}");
    client
}

fn claim(encoding: Encoding) -> Vec<u8> {
    payload::encode(
        &Claim {
            csr: Binary(vec![1, 2, 3]),
        },
        encoding,
    )
    .unwrap()
}

/// Publishes a claim and gives its result and the identifier to acknowledge.
async fn attempt(client: &mut Tls, encoding: Encoding) -> (ClaimResult, u16) {
    let said = client
        .publish(&Topic::Claim(encoding).to_string(), &claim(encoding))
        .await;
    assert!(matches!(said, Said::PubAck(_, 0, _)), "{said:?}");
    result(client, encoding).await
}

async fn result(client: &mut Tls, encoding: Encoding) -> (ClaimResult, u16) {
    let said = client.hear().await;
    let Said::Publish {
        topic, id, payload, ..
    } = said
    else {
        panic!("not a result: {said:?}")
    };
    assert_eq!(topic, Topic::ClaimResult(encoding).to_string());
    (payload::decode(&payload, encoding).unwrap(), id)
}

fn number(result: &ClaimResult) -> u16 {
    match result {
        ClaimResult::Accepted(_) => 0,
        ClaimResult::Refused(refused) => refused.code,
    }
}

#[tokio::test]
async fn claim_then_come_back_as_a_device() {
    let world = World::new().await;
    for version in BOTH {
        for encoding in [Encoding::Postcard, Encoding::Json] {
            let device = world.device();
            world.registry.issue_code("GW-1", CODE, device.id, &device.leaf);
            let mut client = claimant(&world, version, "GW-1", CODE).await;
            let said = client.subscribe(&Topic::ClaimResult(encoding).to_string()).await;
            assert_eq!(said, Said::SubAck(1, vec![1], String::new()));
            let (result, id) = attempt(&mut client, encoding).await;
            let ClaimResult::Accepted(accepted) = result else {
                panic!("{result:?}")
            };
            assert_eq!(accepted.device_id, device.id.to_string());
            assert_eq!(accepted.chain, [Binary(device.leaf.to_vec())]);
            client.acknowledge(id).await;
            let end = client.hear_out().await;
            let goodbye = Said::Disconnect(0, "the claim is answered".into());
            assert_eq!(
                end,
                if version == Version::V5 {
                    vec![goodbye]
                } else {
                    Vec::new()
                }
            );
            drop(world.session(&device, version).await);
        }
    }
}

#[tokio::test]
async fn the_answer_waits_for_its_subscription() {
    let world = World::new().await;
    let device = world.device();
    world.registry.issue_code("GW-1", CODE, device.id, &device.leaf);
    let mut client = claimant(&world, Version::V4, "GW-1", CODE).await;
    let said = client
        .publish("muster/v1/claim", &claim(Encoding::Postcard))
        .await;
    assert_eq!(said, Said::PubAck(1, 0, String::new()));
    // QoS 0 is enough, and then nothing is waited for.
    client
        .send(&subscribe(Version::V4, 9, &[("muster/v1/claim/result", 0)]))
        .await;
    assert_eq!(client.hear().await, Said::SubAck(9, vec![0], String::new()));
    assert_eq!(number(&result(&mut client, Encoding::Postcard).await.0), 0);
    assert_eq!(client.hear().await, Said::Closed);
}

#[tokio::test]
async fn a1_unknown_and_wrong_are_answered_alike_three_times() {
    let world = World::new().await;
    let device = world.device();
    world.registry.issue_code("GW-1", CODE, device.id, &device.leaf);
    let mut answers = Vec::new();
    for (serial, code) in [("GW-1", "wrong"), ("GW-2", CODE), ("GW-1", "")] {
        let mut client = claimant(&world, Version::V5, serial, code).await;
        client.subscribe("muster/v1/claim/result").await;
        for last in [false, false, true] {
            let (result, id) = attempt(&mut client, Encoding::Postcard).await;
            assert_eq!(number(&result), 4001);
            answers.push(result);
            client.acknowledge(id).await;
            if last {
                assert_eq!(client.hear_out().await.len(), 1);
            }
        }
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(world.registry.claims(), 9);
}

#[tokio::test]
async fn a1_claims_are_throttled_before_the_registry_is_asked() {
    let world = World::new().await;
    let mut codes = Vec::new();
    for _ in 0..5 {
        let mut client = claimant(&world, Version::V5, "GW-1", "wrong").await;
        client.subscribe("muster/v1/claim/result").await;
        for _ in 0..3 {
            let (result, id) = attempt(&mut client, Encoding::Postcard).await;
            codes.push(number(&result));
            if let ClaimResult::Refused(refused) = result
                && refused.code == 4007
            {
                assert!(
                    refused
                        .retry_after_seconds
                        .is_some_and(|wait| (1..=6).contains(&wait))
                );
            }
            client.acknowledge(id).await;
        }
    }
    // Ten at once, and one more for each second that the test took.
    let tried = codes.iter().filter(|&&code| code == 4001).count();
    assert!((10..15).contains(&tried), "{codes:?}");
    assert_eq!(codes.len(), 15);
    assert_eq!(world.registry.claims(), tried);
}

#[tokio::test]
async fn what_is_no_claim_is_refused_with_its_reason() {
    let world = World::new().await;
    let long = payload::encode(
        &Claim {
            csr: Binary(vec![0; 4097]),
        },
        Encoding::Postcard,
    )
    .unwrap();
    for (message, code) in [(&b"\x01"[..], 7003), (&b"\x09nonsense"[..], 7003), (&long, 4002)] {
        let mut client = claimant(&world, Version::V5, "GW-1", CODE).await;
        client.subscribe("muster/v1/claim/result").await;
        let said = client.publish("muster/v1/claim", message).await;
        assert!(matches!(said, Said::PubAck(_, 0, _)), "{said:?}");
        assert_eq!(number(&result(&mut client, Encoding::Postcard).await.0), code);
    }
    assert_eq!(world.registry.claims(), 0);
}

#[tokio::test]
async fn a_claimant_gets_nothing_else() {
    let world = World::new().await;
    let device = world.device();
    world.registry.issue_code("GW-1", CODE, device.id, &device.leaf);
    let own = format!("muster/v1/{}/desired", device.id);
    let mut client = claimant(&world, Version::V5, "GW-1", CODE).await;
    for filter in [
        "#",
        "+/+/+",
        "muster/v1/claim",
        "muster/v1/claim/+",
        "$share/g/muster/v1/claim/result",
        &own,
    ] {
        let said = client.subscribe(filter).await;
        assert!(
            matches!(&said, Said::SubAck(_, codes, _) if *codes == [0x87]),
            "{filter}: {said:?}"
        );
    }
    for topic in [
        "muster/v1/claim/result",
        &own,
        &format!("muster/v1/{}/report", device.id),
    ] {
        let said = client.publish(topic, b"x").await;
        assert!(matches!(said, Said::PubAck(_, 0x87, _)), "{topic}: {said:?}");
    }
    // A claim over 8 KiB is not even read.
    client
        .send(&publish(Version::V5, "muster/v1/claim", 2, 99, &[], &[0; 9000]))
        .await;
    assert!(matches!(client.hear().await, Said::Disconnect(0x95, _)));
    // Without credentials there is nothing to claim with.
    let mut client = world.dial(None, Version::V5).await;
    assert!(matches!(
        client.connect(&Hello::default()).await,
        Said::ConnAck { code: 0x87, .. }
    ));
    assert_eq!(world.registry.claims(), 0);
}

#[tokio::test]
async fn packets_of_a_claimant_are_counted() {
    let world = World::new().await;
    let mut client = claimant(&world, Version::V5, "GW-1", CODE).await;
    for _ in 0..64 {
        assert_eq!(client.ping().await, Said::PingResp);
    }
    client.send(&packet(0xc0, &[])).await;
    assert!(matches!(client.hear().await, Said::Disconnect(0x97, _)));
}

#[tokio::test]
async fn a_claim_that_meets_a_fault_is_not_answered() {
    let world = World::new().await;
    world.registry.break_down();
    for version in BOTH {
        let mut client = claimant(&world, version, "GW-1", CODE).await;
        client.subscribe("muster/v1/claim/result").await;
        client
            .send(&publish(
                version,
                "muster/v1/claim",
                2,
                9,
                &[],
                &claim(Encoding::Postcard),
            ))
            .await;
        let end = client.hear_out().await;
        let told = match version {
            Version::V4 => end.is_empty(),
            Version::V5 => matches!(end[..], [Said::Disconnect(0x80, _)]),
        };
        assert!(told, "{end:?}");
    }
}

#[tokio::test]
async fn one_claim_at_a_time() {
    let world = World::new().await;
    let mut client = claimant(&world, Version::V5, "GW-1", CODE).await;
    // Never subscribed, so the answer waits.
    for id in [1, 2] {
        let bytes = publish(
            Version::V5,
            "muster/v1/claim",
            2,
            id,
            &[],
            &claim(Encoding::Postcard),
        );
        client.send(&bytes).await;
    }
    assert_eq!(client.hear().await, Said::PubAck(1, 0, String::new()));
    assert!(matches!(client.hear().await, Said::Disconnect(0x97, _)));
    assert_eq!(world.registry.claims(), 1);
}
