//! B5, B6: those who hold connections, and those who hammer them.

use super::{
    client::{Hello, PATIENCE, Said, connect, packet, publish, subscribe},
    world::{Device, Tls, World, hello, report_bytes, topic},
};
use crate::mqtt::{Limits, bus::Down, codec::Version};
use muster_domain::ids::DeviceId;
use muster_proto::topic::{Channel, Encoding};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const STALLED: usize = 200;

/// No stall ends by itself in these tests.
fn patient() -> Limits {
    Limits {
        connect_deadline: Duration::from_secs(3600),
        ..Limits::default()
    }
}

/// A new device comes, is heard and gets its state, while all the others stall.
async fn is_served(world: &World) {
    let device = world.device();
    world.registry.desire(device.id, "state");
    let mut client = world.subscribed(&device, Version::V5).await;
    let up = topic(device.id, Channel::Hello, Encoding::Postcard);
    assert!(matches!(
        client.publish(&up, &hello(Encoding::Postcard)).await,
        Said::PubAck(_, 0, _)
    ));
    assert!(matches!(client.hear().await, Said::Publish { .. }));
}

/// Connections that stall, each in its way.
#[derive(Default)]
struct Stalled {
    tcp: Vec<TcpStream>,
    tls: Vec<Tls>,
    devices: Vec<(DeviceId, Tls)>,
}

impl Stalled {
    async fn silent(&mut self, world: &World) {
        self.tcp.push(TcpStream::connect(world.address).await.unwrap());
    }

    async fn half_handshake(&mut self, world: &World) {
        let mut tcp = TcpStream::connect(world.address).await.unwrap();
        // The head of a ClientHello that never comes.
        tcp.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
        self.tcp.push(tcp);
    }

    async fn half_connect(&mut self, world: &World) {
        let mut client = world.dial(None, Version::V5).await;
        let whole = half_said();
        client.send(&whole[..whole.len() / 2]).await;
        self.tls.push(client);
    }

    /// A device that asks for its state and does not read it.
    async fn deaf(&mut self, world: &World) {
        let device = world.device();
        world.registry.desire(device.id, &"x".repeat(100_000));
        let mut client = world.session(&device, Version::V5).await;
        let down = topic(device.id, Channel::Desired, Encoding::Postcard);
        client.send(&subscribe(Version::V5, 1, &[(&down, 1)])).await;
        let up = topic(device.id, Channel::Hello, Encoding::Postcard);
        client
            .send(&publish(Version::V5, &up, 2, 2, &[], &hello(Encoding::Postcard)))
            .await;
        self.devices.push((device.id, client));
    }

    /// Not one of them was closed meanwhile: who said nothing hears nothing, and half a CONNECT can be finished.
    async fn still_stalls(&mut self, world: &World) {
        for tcp in &self.tcp {
            let end = tcp.try_read(&mut [0]);
            assert!(
                end.as_ref()
                    .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
                "{end:?}"
            );
        }
        for client in &mut self.tls {
            let whole = half_said();
            client.send(&whole[whole.len() / 2..]).await;
            assert!(matches!(client.hear().await, Said::ConnAck { code: 0, .. }));
        }
        assert!(
            self.devices
                .iter()
                .all(|(device, _)| world.bus.is_connected(*device))
        );
    }
}

/// The CONNECT of which claimants say half.
fn half_said() -> Vec<u8> {
    let hello = Hello {
        login: Some(("GW-1", "code")),
        ..Hello::default()
    };
    connect(Version::V5, &hello)
}

#[tokio::test]
async fn b5_a_device_is_served_among_silent_sockets() {
    let (world, mut stalled) = (World::with(patient()).await, Stalled::default());
    for _ in 0..STALLED {
        stalled.silent(&world).await;
    }
    is_served(&world).await;
    stalled.still_stalls(&world).await;
}

#[tokio::test]
async fn b5_a_device_is_served_among_half_handshakes() {
    let (world, mut stalled) = (World::with(patient()).await, Stalled::default());
    for _ in 0..STALLED {
        stalled.half_handshake(&world).await;
    }
    is_served(&world).await;
    stalled.still_stalls(&world).await;
}

#[tokio::test]
async fn b5_a_device_is_served_among_half_connects() {
    let (world, mut stalled) = (World::with(patient()).await, Stalled::default());
    for _ in 0..STALLED {
        stalled.half_connect(&world).await;
    }
    is_served(&world).await;
    stalled.still_stalls(&world).await;
}

#[tokio::test]
async fn b5_a_device_is_served_among_those_that_do_not_read() {
    let (world, mut stalled) = (World::with(patient()).await, Stalled::default());
    for _ in 0..STALLED {
        stalled.deaf(&world).await;
    }
    is_served(&world).await;
    stalled.still_stalls(&world).await;
}

#[tokio::test]
async fn b5_devices_are_served_among_a_thousand_of_each() {
    let (world, mut stalled) = (World::with(patient()).await, Stalled::default());
    for _ in 0..1000 {
        stalled.silent(&world).await;
        stalled.half_handshake(&world).await;
        stalled.half_connect(&world).await;
        stalled.deaf(&world).await;
    }
    for _ in 0..20 {
        is_served(&world).await;
    }
    stalled.still_stalls(&world).await;
}

#[tokio::test]
async fn b5_the_oldest_strangers_give_way_when_they_fill_the_house() {
    let limits = Limits {
        strangers: 50,
        strangers_per_source: 40,
        ..patient()
    };
    let world = World::with(limits).await;
    let first = world.device();
    let mut settled = world.session(&first, Version::V5).await;
    // A claimant is a stranger too, and this one is the oldest.
    let mut claimant = world.dial(None, Version::V5).await;
    let login = Some(("GW-1", "code"));
    claimant
        .connect(&Hello {
            login,
            ..Hello::default()
        })
        .await;
    let mut held = Vec::new();
    for _ in 0..STALLED {
        held.push(TcpStream::connect(world.address).await.unwrap());
    }
    is_served(&world).await;
    assert!(matches!(claimant.hear().await, Said::Disconnect(0x97, _)));
    for evicted in &mut held[..STALLED - 40] {
        // Closed or reset; a stranger that keeps its place would hang here.
        let end = timeout(PATIENCE, evicted.read(&mut [0]))
            .await
            .expect("the oldest are evicted");
        assert_eq!(end.unwrap_or(0), 0);
    }
    assert_eq!(
        settled.ping().await,
        Said::PingResp,
        "a device's place is its own"
    );
}

#[tokio::test]
async fn connections_are_bounded() {
    let world = World::with(Limits {
        connections: 2,
        ..Limits::default()
    })
    .await;
    let (one, two, three) = (world.device(), world.device(), world.device());
    let _held = (
        world.session(&one, Version::V5).await,
        world.session(&two, Version::V5).await,
    );
    for (version, expected) in [(Version::V5, 0x97), (Version::V4, 3)] {
        let mut client = world.dial(Some(&three), version).await;
        let said = client.connect(&Hello::default()).await;
        assert!(
            matches!(said, Said::ConnAck { code, .. } if code == expected),
            "{said:?}"
        );
    }
}

/// What killed rumqttd's own listener: subscribe, flood, disconnect, and a topic that begins with two bytes.
async fn abuse(world: &World, device: &Device, version: Version) {
    let mut client = world.session(device, version).await;
    let (down, up) = (
        topic(device.id, Channel::Desired, Encoding::Postcard),
        topic(device.id, Channel::Report, Encoding::Postcard),
    );
    let report = report_bytes(device.id, 1, Encoding::Postcard);
    let mut burst = subscribe(version, 1, &[(&down, 1)]);
    for id in 2..40 {
        burst.extend(publish(version, &up, 2, id, &[], &report));
        burst.extend(packet(0xc0, &[]));
    }
    burst.extend(packet(0xe0, &[]));
    client.send(&burst).await;
    drop(client);
    let mut client = world.session(device, version).await;
    client.send(&publish(version, "é/x", 2, 1, &[], &report)).await;
    assert!(matches!(
        client.hear().await,
        Said::Closed | Said::PubAck(1, 0x87, _)
    ));
}

#[tokio::test]
async fn b6_floods_and_disconnects_leave_the_bus_alive() {
    let world = World::new().await;
    for round in 0..24 {
        let device = world.device();
        let version = if round % 2 == 0 { Version::V4 } else { Version::V5 };
        abuse(&world, &device, version).await;
    }
    // The bus still carries.
    let device = world.device();
    let mut client = world.subscribed(&device, Version::V5).await;
    world.registry.desire(device.id, "state");
    world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
    assert!(matches!(client.hear().await, Said::Publish { .. }));
}

#[tokio::test]
async fn b6_a_packet_over_the_limit_is_refused_by_its_length() {
    let world = World::new().await;
    let device = world.device();
    let mut client = world.session(&device, Version::V5).await;
    // 256 MiB are announced; nothing of it follows.
    client.send(&[0x32, 0xff, 0xff, 0xff, 0x7f]).await;
    assert!(matches!(client.hear().await, Said::Disconnect(0x95, _)));
    // The largest payload fits, property flood and all.
    let mut client = world.session(&device, Version::V5).await;
    let up = topic(device.id, Channel::Report, Encoding::Postcard);
    let said = client.publish(&up, &vec![1; 256 << 10]).await;
    assert!(matches!(said, Said::PubAck(1, 0x99, _)), "{said:?}");
}
