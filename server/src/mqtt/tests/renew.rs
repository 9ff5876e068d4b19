//! Renewals: asked for, answered, wanted by the registry, and all that is left to a device whose certificate has ended.

use super::{
    client::Said,
    world::{BOTH, Device, Tls, World, hello, report_bytes, topic},
};
use crate::mqtt::{bus::Down, codec::Version};
use muster_proto::{
    payload::{self, Binary, CertificateIssued, CertificateUpdate, Renew},
    topic::{Channel, Encoding},
};
use std::time::Duration;

const ENCODINGS: [Encoding; 2] = [Encoding::Postcard, Encoding::Json];

fn request(csr: &[u8], encoding: Encoding) -> Vec<u8> {
    let csr = Binary(csr.to_vec());
    payload::encode(&Renew { csr }, encoding).unwrap()
}

async fn renew(client: &mut Tls, device: &Device, csr: &[u8], encoding: Encoding) -> Said {
    let up = topic(device.id, Channel::Renew, encoding);
    client.publish(&up, &request(csr, encoding)).await
}

/// The next message, which must be of the device's certificate.
async fn update(client: &mut Tls, device: &Device, encoding: Encoding) -> CertificateUpdate {
    let said = client.hear().await;
    let Said::Publish {
        topic: on,
        id,
        payload,
        ..
    } = &said
    else {
        panic!("{said:?}")
    };
    assert_eq!(*on, topic(device.id, Channel::Certificate, encoding));
    client.acknowledge(*id).await;
    payload::decode(payload, encoding).unwrap()
}

async fn listening(world: &World, device: &Device, version: Version, encoding: Encoding) -> Tls {
    let mut client = world.session(device, version).await;
    let down = topic(device.id, Channel::Certificate, encoding);
    assert_eq!(
        client.subscribe(&down).await,
        Said::SubAck(1, vec![1], String::new())
    );
    client
}

fn is_acknowledged(said: &Said) -> bool {
    matches!(said, Said::PubAck(_, 0, _))
}

#[tokio::test]
async fn a_renewal_is_answered_in_both_versions_and_encodings() {
    let world = World::new().await;
    for version in BOTH {
        for encoding in ENCODINGS {
            let device = world.device();
            let mut client = listening(&world, &device, version, encoding).await;
            assert!(is_acknowledged(
                &renew(&mut client, &device, b"request", encoding).await
            ));
            let chain = vec![Binary(b"request".to_vec())];
            let issued = CertificateUpdate::Issued(CertificateIssued { chain });
            assert_eq!(update(&mut client, &device, encoding).await, issued);
        }
    }
    world.end().await.unwrap();
}

#[tokio::test]
async fn a_refused_renewal_says_why_and_one_too_many_says_when() {
    let world = World::new().await;
    let device = world.device();
    let encoding = Encoding::Json;
    let mut client = listening(&world, &device, Version::V4, encoding).await;
    for (csr, code, waits) in [
        (&b""[..], 4002, false),
        (&[7; 4097], 4002, false),
        (b"1", 0, false),
        (b"2", 0, false),
        (b"3", 0, false),
        (b"4", 0, false),
        (b"5", 4007, true),
    ] {
        assert!(is_acknowledged(&renew(&mut client, &device, csr, encoding).await));
        match update(&mut client, &device, encoding).await {
            CertificateUpdate::Refused(refused) => {
                assert_eq!(
                    (refused.code, refused.retry_after_seconds.is_some()),
                    (code, waits)
                );
                let wait = refused.retry_after_seconds.unwrap_or(1);
                assert!((1..=600).contains(&wait), "{wait}");
            }
            CertificateUpdate::Issued(_) => assert_eq!(code, 0),
            CertificateUpdate::Due => panic!("nobody wants it"),
        }
    }
    world.end().await.unwrap();
}

#[tokio::test]
async fn the_registry_says_that_it_wants_a_renewal() {
    let world = World::new().await;
    let device = world.device();
    let encoding = Encoding::Postcard;
    let mut client = listening(&world, &device, Version::V5, encoding).await;
    world.bus.send_down(&Down::RenewalOrdered(device.id)).unwrap();
    assert_eq!(
        update(&mut client, &device, encoding).await,
        CertificateUpdate::Due
    );
    // Whoever was away hears of it after its hello.
    world.registry.want_renewal(device.id);
    let mut client = listening(&world, &device, Version::V5, encoding).await;
    let up = topic(device.id, Channel::Hello, encoding);
    assert!(is_acknowledged(&client.publish(&up, &hello(encoding)).await));
    assert_eq!(
        update(&mut client, &device, encoding).await,
        CertificateUpdate::Due
    );
    world.end().await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_has_ended_renews_and_does_nothing_else() {
    let world = World::new().await;
    let device = world.device();
    let encoding = Encoding::Json;
    world.registry.desire(device.id, "state");
    world.registry.end_in(device.id, Duration::ZERO);
    let mut client = listening(&world, &device, Version::V5, encoding).await;
    client
        .subscribe(&topic(device.id, Channel::Desired, encoding))
        .await;
    for (channel, payload) in [
        (Channel::Hello, hello(encoding)),
        (Channel::Report, report_bytes(device.id, 1, encoding)),
    ] {
        let said = client
            .publish(&topic(device.id, channel, encoding), &payload)
            .await;
        let Said::PubAck(_, 0x87, text) = said else {
            panic!("{said:?}")
        };
        assert!(text.contains("M7005"), "{text}");
    }
    world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
    assert!(is_acknowledged(
        &renew(&mut client, &device, b"request", encoding).await
    ));
    assert!(matches!(
        update(&mut client, &device, encoding).await,
        CertificateUpdate::Issued(_)
    ));
    assert_eq!((world.registry.heard(), world.registry.sent()), (Vec::new(), 0));
    // A session that outlives its certificate is no better.
    world.registry.end_in(device.id, Duration::from_millis(1));
    let mut client = listening(&world, &device, Version::V5, encoding).await;
    let up = topic(device.id, Channel::Hello, encoding);
    while is_acknowledged(&client.publish(&up, &hello(encoding)).await) {}
    world.end().await.unwrap();
}
