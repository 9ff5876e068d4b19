//! How the registry hears of every end of a session.

use super::{
    client::{Hello, Said, connect, packet, publish},
    world::{BOTH, Device, PIPED, Pipe, Tls, World, hello, report_bytes, topic},
};
use crate::mqtt::{Limits, bus::Down, codec::Version};
use muster_domain::device::Departure;
use muster_proto::topic::{Channel, Encoding};
use std::time::Duration;

/// A session that the registry knows of.
async fn online(world: &World, version: Version) -> (Device, Tls) {
    let device = world.device();
    let client = world.session(&device, version).await;
    assert!(world.registry.is_online(device.id));
    (device, client)
}

async fn check(world: &World, device: &Device, expected: Departure) {
    assert_eq!(world.registry.departure(device.id).await, expected);
}

#[tokio::test]
async fn what_the_device_does() {
    let world = World::new().await;
    for version in BOTH {
        let (device, mut client) = online(&world, version).await;
        client.send(&packet(0xe0, &[])).await;
        check(&world, &device, Departure::Left).await;

        let (device, client) = online(&world, version).await;
        drop(client);
        check(&world, &device, Departure::Lost).await;

        let (device, mut client) = online(&world, version).await;
        client.send(&connect(version, &Hello::default())).await;
        check(&world, &device, Departure::Misbehaved).await;

        // No packet of any kind.
        let (device, mut client) = online(&world, version).await;
        client.send(&[0x00, 0x00]).await;
        check(&world, &device, Departure::Misbehaved).await;

        // A foreign topic, without an acknowledgement that could say no.
        let (device, mut client) = online(&world, version).await;
        client
            .send(&publish(version, "foreign", 0, 0, &[], b"words"))
            .await;
        check(&world, &device, Departure::Misbehaved).await;
    }
    // What 5.0 is refused ends 3.1.1.
    let (device, mut client) = online(&world, Version::V4).await;
    let up = topic(device.id, Channel::Report, Encoding::Postcard);
    client.publish(&up, b"\x01garbage").await;
    check(&world, &device, Departure::Misbehaved).await;
}

#[tokio::test(start_paused = true)]
async fn silence() {
    for version in BOTH {
        let hello = Hello {
            keep_alive: 10,
            ..Hello::default()
        };
        let pipe = Pipe::new(version, &hello, 1 << 16).await;
        assert!(pipe.registry.is_online(PIPED));
        assert_eq!(pipe.registry.departure(PIPED).await, Departure::Silent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_never_acknowledged() {
    for version in BOTH {
        let mut pipe = Pipe::new(version, &Hello::default(), 1 << 16).await;
        let down = topic(PIPED, Channel::Desired, Encoding::Postcard);
        assert!(matches!(pipe.client.subscribe(&down).await, Said::SubAck(..)));
        pipe.registry.desire(PIPED, "state");
        let up = topic(PIPED, Channel::Hello, Encoding::Postcard);
        pipe.client.publish(&up, &hello(Encoding::Postcard)).await;
        assert_eq!(pipe.registry.departure(PIPED).await, Departure::Silent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_does_not_read() {
    for version in BOTH {
        let mut pipe = Pipe::new(version, &Hello::default(), 64).await;
        let down = topic(PIPED, Channel::Desired, Encoding::Postcard);
        assert!(matches!(pipe.client.subscribe(&down).await, Said::SubAck(..)));
        pipe.registry.desire(PIPED, &"x".repeat(1000));
        let up = topic(PIPED, Channel::Hello, Encoding::Postcard);
        pipe.client
            .send(&publish(version, &up, 0, 0, &[], &hello(Encoding::Postcard)))
            .await;
        assert_eq!(pipe.registry.departure(PIPED).await, Departure::Lost);
    }
}

#[tokio::test]
async fn what_the_registry_does() {
    let world = World::new().await;
    for version in BOTH {
        let (device, _client) = online(&world, version).await;
        world.bus.send_down(&Down::Kick(device.id)).unwrap();
        check(&world, &device, Departure::ShutOut).await;

        // The kick was lost on the bus.
        let (device, mut client) = online(&world, version).await;
        world.registry.bar(device.id);
        let up = topic(device.id, Channel::Hello, Encoding::Postcard);
        client
            .send(&publish(version, &up, 2, 1, &[], &hello(Encoding::Postcard)))
            .await;
        check(&world, &device, Departure::ShutOut).await;

        // Shut out between the first look and its seat.
        let device = world.device();
        world.registry.bar_after_admission(device.id);
        let mut client = world.dial(Some(&device), version).await;
        client.connect(&Hello::default()).await;
        check(&world, &device, Departure::ShutOut).await;
    }
    let (device, mut client) = online(&world, Version::V4).await;
    world.registry.break_down();
    let up = topic(device.id, Channel::Report, Encoding::Postcard);
    let message = report_bytes(device.id, 1, Encoding::Postcard);
    client.publish(&up, &message).await;
    check(&world, &device, Departure::Failed).await;
}

#[tokio::test]
async fn a_device_that_is_not_let_in_was_never_here() {
    let world = World::new().await;
    let (barred, other) = (world.device(), world.device());
    world.registry.bar(barred.id);
    for version in BOTH {
        let mut client = world.dial(Some(&barred), version).await;
        client.connect(&Hello::default()).await;
        let mut client = world.dial(Some(&other), version).await;
        let id = barred.id.to_string();
        let hello = Hello {
            id: &id,
            ..Hello::default()
        };
        client.connect(&hello).await;
        assert_eq!(client.hear().await, Said::Closed);
    }
    assert_eq!(world.registry.arrivals(), 0);
}

#[tokio::test]
async fn a_takeover_leaves_the_device_online() {
    let world = World::new().await;
    for version in BOTH {
        let (device, mut first) = online(&world, version).await;
        let mut second = world.session(&device, version).await;
        // The end of the first is told before its connection ends.
        first.hear_out().await;
        assert!(world.registry.is_online(device.id));
        second.send(&packet(0xe0, &[])).await;
        check(&world, &device, Departure::Left).await;
    }
}

#[tokio::test]
async fn a_stop() {
    let world = World::new().await;
    let mut clients = Vec::new();
    for version in BOTH {
        clients.push(online(&world, version).await);
    }
    world.stop.cancel();
    for (device, _) in &clients {
        check(&world, device, Departure::Stopped).await;
    }
    world.end().await.unwrap();
}

#[tokio::test]
async fn a_cut_after_the_drain_time() {
    for version in BOTH {
        let world = World::with(Limits {
            drain: Duration::from_millis(50),
            ..Limits::default()
        })
        .await;
        let (device, mut client) = online(&world, version).await;
        let _never = world.registry.slow();
        let up = topic(device.id, Channel::Report, Encoding::Postcard);
        let message = report_bytes(device.id, 1, Encoding::Postcard);
        client.send(&publish(version, &up, 2, 9, &[], &message)).await;
        world.registry.begun().await;
        let registry = world.registry.clone();
        assert!(world.end().await.is_err());
        assert_eq!(registry.departure(device.id).await, Departure::Stopped);
    }
}

#[tokio::test]
async fn a_task_that_is_dropped() {
    for version in BOTH {
        let pipe = Pipe::new(version, &Hello::default(), 1 << 16).await;
        pipe.session.abort();
        assert_eq!(pipe.registry.departure(PIPED).await, Departure::Lost);
    }
}
