//! B6: memory that all connections share is bounded, and who needs none of it does not notice.

use super::{
    client::{Said, publish},
    world::{Device, Tls, World, hello, topic},
};
use crate::mqtt::{Limits, bus::Down, codec::Version};
use muster_proto::topic::{Channel, Encoding};

const ROOM: usize = 128 << 10;
/// Of a packet that is as large as half the room.
const LARGE: usize = 64 << 10;

/// A packet that is large and no report.
fn large(device: &Device) -> Vec<u8> {
    let up = topic(device.id, Channel::Report, Encoding::Json);
    publish(Version::V5, &up, 2, 1, &[], &vec![b'x'; LARGE])
}

async fn is_refused(client: &mut Tls) {
    let said = client.hear().await;
    assert!(matches!(said, Said::PubAck(1, 0x99, _)), "{said:?}");
}

/// Lets the gate go on until it holds at least so much.
async fn holds(world: &World, bytes: usize) -> usize {
    loop {
        let held = usize::try_from(world.bus.meter().buffers().get()).unwrap();
        assert!(held <= ROOM, "{held} bytes are held");
        if held >= bytes {
            return held;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn b6_large_packets_wait_for_each_other_and_small_ones_do_not() {
    let limits = Limits {
        inbound: ROOM,
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let device = world.device();
        let mut client = world.session(&device, Version::V5).await;
        let packet = large(&device);
        let (begun, rest) = packet.split_at(packet.len() - 100);
        client.send(begun).await;
        clients.push((client, rest.to_vec()));
    }
    // Four halves are on their way into it.
    holds(&world, ROOM - LARGE).await;
    // Packets that have just begun, or are of a few kilobytes, need nothing of it: many of them starve nobody.
    let mut begun = Vec::new();
    for bytes in [1, 100, 4 << 10] {
        let device = world.device();
        let mut client = world.session(&device, Version::V5).await;
        client.send(&large(&device)[..bytes]).await;
        begun.push(client);
    }
    let device = world.device();
    let mut small = world.session(&device, Version::V5).await;
    let up = topic(device.id, Channel::Hello, Encoding::Postcard);
    let said = small.publish(&up, &hello(Encoding::Postcard)).await;
    assert!(matches!(said, Said::PubAck(_, 0, _)), "{said:?}");
    // As soon as one is whole, another has its room: all come through.
    for (client, rest) in &mut clients {
        client.send(rest).await;
    }
    for (client, _) in &mut clients {
        is_refused(client).await;
        holds(&world, 0).await;
        assert_eq!(client.ping().await, Said::PingResp);
    }
    assert_eq!(holds(&world, 0).await, 0, "all of it is given back");
}

#[tokio::test]
async fn b6_messages_to_those_that_do_not_read_share_it_too() {
    let limits = Limits {
        outbound: ROOM,
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let device = world.device();
        // More than the sockets between take.
        world.registry.desire(device.id, &"x".repeat(LARGE));
        let mut client = world.subscribed(&device, Version::V5).await;
        world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
        client.send(&[0xc0, 0]).await;
        held.push(client);
    }
    let device = world.device();
    world.registry.desire(device.id, "state");
    let mut client = world.subscribed(&device, Version::V5).await;
    world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
    assert!(matches!(client.hear().await, Said::Publish { .. }));
    holds(&world, 0).await;
    for client in &mut held {
        // Its answer may come before the message or behind it.
        let said = [client.hear().await, client.hear().await];
        assert!(
            said.iter().any(|said| matches!(said, Said::Publish { .. })),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn what_is_sent_and_not_acknowledged_is_counted_until_it_is_or_the_session_ends() {
    let world = World::new().await;
    let (first, second) = (world.device(), world.device());
    let in_flight = || world.bus.meter().in_flight();
    for device in [&first, &second] {
        world.registry.desire(device.id, "state");
    }
    let (mut acknowledges, mut leaves) = (
        world.subscribed(&first, Version::V5).await,
        world.subscribed(&second, Version::V5).await,
    );
    for (client, device) in [(&mut acknowledges, &first), (&mut leaves, &second)] {
        world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
        assert!(matches!(client.hear().await, Said::Publish { .. }));
    }
    assert_eq!(in_flight(), 2);
    assert_eq!(world.registry.received_by(), []);
    acknowledges.send(&[0x40, 2, 0, 1]).await;
    assert_eq!(acknowledges.ping().await, Said::PingResp);
    assert_eq!((in_flight(), world.registry.received_by()), (1, vec![first.id]));
    // One that was never sent changes nothing.
    acknowledges.send(&[0x40, 2, 0, 9]).await;
    assert_eq!(acknowledges.ping().await, Said::PingResp);
    assert_eq!(in_flight(), 1);
    leaves.send(&[0xe0, 0]).await;
    world.registry.departure(second.id).await;
    assert_eq!(in_flight(), 0);
}
