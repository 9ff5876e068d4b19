//! UNSUBSCRIBE and UNSUBACK.

use super::*;
use crate::mqtt::bus::Down;

checks! {
    an_unsubscription_is_answered_filter_by_filter: BOTH;
    an_unsubscription_has_a_filter: BOTH;
    what_is_unsubscribed_is_not_sent: BOTH;
    an_unsubscription_is_compared_byte_by_byte: BOTH;
    what_is_under_way_is_completed: BOTH;
}

/// UNSUBACK, which has codes in 5.0 only.
fn answer(version: Version, id: u16, codes: &[u8]) -> Said {
    Said::UnsubAck(id, by_version(version, Vec::new(), codes.to_vec()))
}

async fn an_unsubscription_is_answered_filter_by_filter(world: &World, version: Version) {
    let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
    let down = own(&device, Channel::Desired);
    let filters = [&b"t"[..], down.as_bytes(), b"#", down.as_bytes()];
    client.send(&raw_unsubscribe(version, 0x0102, &filters)).await;
    let expected = answer(version, 0x0102, &[0x11, 0, 0x11, 0x11]);
    assert_eq!(
        client.hear().await,
        expected,
        "each by itself, the second time it is gone"
    );
    client.send(&raw_unsubscribe(version, 3, &[b"t"])).await;
    assert_eq!(client.hear().await, answer(version, 3, &[0x11]), "there was none");
}

async fn an_unsubscription_has_a_filter(world: &World, version: Version) {
    refuses(world, version, &raw_unsubscribe(version, 1, &[]), 0x82).await;
}

async fn what_is_unsubscribed_is_not_sent(world: &World, version: Version) {
    let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
    let down = own(&device, Channel::Desired);
    client
        .send(&raw_unsubscribe(version, 1, &[down.as_bytes()]))
        .await;
    assert_eq!(client.hear().await, answer(version, 1, &[0]));
    world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
    ask(&mut client, &device).await;
    assert_eq!(client.ping().await, Said::PingResp);
}

async fn an_unsubscription_is_compared_byte_by_byte(world: &World, version: Version) {
    let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
    let down = own(&device, Channel::Desired);
    for near in [
        "#".into(),
        down.to_uppercase(),
        format!("{down}/"),
        down.replace("desired", "+"),
    ] {
        client
            .send(&raw_unsubscribe(version, 1, &[near.as_bytes()]))
            .await;
        assert_eq!(client.hear().await, answer(version, 1, &[0x11]), "{near}");
    }
    ask(&mut client, &device).await;
    assert!(
        matches!(client.hear().await, Said::Publish { .. }),
        "it is still subscribed"
    );
}

async fn what_is_under_way_is_completed(world: &World, version: Version) {
    let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
    let down = own(&device, Channel::Desired);
    ask(&mut client, &device).await;
    let Said::Publish { id, .. } = client.hear().await else {
        panic!("no message")
    };
    client
        .send(&raw_unsubscribe(version, 1, &[down.as_bytes()]))
        .await;
    assert_eq!(client.hear().await, answer(version, 1, &[0]));
    client.acknowledge(id).await;
    // The acknowledgement counts: a new subscription is served at once.
    client.send(&raw_subscribe(version, down.as_bytes(), 1)).await;
    assert_eq!(client.hear().await, Said::SubAck(1, vec![1], String::new()));
    ask(&mut client, &device).await;
    assert!(matches!(client.hear().await, Said::Publish { .. }));
}
