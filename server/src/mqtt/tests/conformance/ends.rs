//! PINGREQ, DISCONNECT, and what ends a connection.

use super::{super::client::publish, *};
use muster_domain::device::Departure;

checks! {
    every_ping_is_answered: BOTH;
    nothing_is_heard_after_disconnect: BOTH;
    nothing_follows_a_disconnect_of_the_server: V5;
    errors_close_the_connection: BOTH;
    whatever_ends_a_connection_is_told_from_the_table: V5;
}

async fn every_ping_is_answered(world: &World, version: Version) {
    let mut client = world.session(&world.device(), version).await;
    client.send(&[0xc0, 0].repeat(20)).await;
    for _ in 0..20 {
        assert_eq!(client.hear_raw().await, Some((0xd0, Vec::new())));
    }
}

async fn nothing_is_heard_after_disconnect(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    client
        .send(&[packet(0xe0, &[]), packet(0xc0, &[])].concat())
        .await;
    assert_eq!(client.hear_out().await, [], "the server closes, and says nothing");
    assert_eq!(world.registry.departure(device.id).await, Departure::Left);
}

async fn nothing_follows_a_disconnect_of_the_server(world: &World, version: Version) {
    let mut client = world.session(&world.device(), version).await;
    // It asked for a session of an hour; still no expiry is told on the way out.
    let wrong = [packet(0xd0, &[]), [0xc0, 0].repeat(20)].concat();
    client.send(&wrong).await;
    let (first, body) = client.hear_raw().await.unwrap();
    assert_eq!((first, body[0]), (0xe0, 0x82));
    assert_eq!(
        (body[2], body[1]),
        (0x1f, u8::try_from(body.len() - 2).unwrap()),
        "a text and no more"
    );
    assert_eq!(client.hear_raw().await, None);
}

async fn errors_close_the_connection(world: &World, version: Version) {
    for (bytes, reason) in [
        (packet(0x36, &text("t")), 0x81),
        (packet(0x30, &[0, 5, b't']), 0x81),
        (packet(0xc0, &[0]), 0x81),
        (packet(0x40, &[0]), 0x81),
        (packet(0xe1, &[]), 0x81),
        (packet(0x10, &[]), 0x82),
        (packet(0x90, &[0, 1, 0]), 0x82),
        (vec![0x30, 0xff, 0xff, 0xff, 0x7f], 0x95),
    ] {
        refuses(world, version, &bytes, reason).await;
    }
}

async fn whatever_ends_a_connection_is_told_from_the_table(world: &World, version: Version) {
    // By the registry, by a newer connection, by the server's own end.
    let (kicked, twice, last) = (world.device(), world.device(), world.device());
    let mut client = world.session(&kicked, version).await;
    world
        .bus
        .send_down(&crate::mqtt::bus::Down::Kick(kicked.id))
        .unwrap();
    ends(&mut client, 0x98).await;
    let mut client = world.session(&twice, version).await;
    let _newer = world.session(&twice, version).await;
    ends(&mut client, 0x8e).await;
    // A message to nowhere that nothing acknowledges.
    refuses(world, version, &publish(version, "t", 0, 0, &[], b""), 0x87).await;
    let mut client = world.session(&last, version).await;
    world.stop.cancel();
    ends(&mut client, 0x8b).await;
}
