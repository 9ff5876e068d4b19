//! Sessions that end from outside: kick, takeover, bar, stop.

use super::{
    client::{Hello, Said, publish},
    registry::Heard,
    world::{BOTH, PIPED, Pipe, World, hello, report, report_bytes, topic},
};
use crate::mqtt::{Limits, bus::Down, codec::Version, gate::GateError};
use muster_proto::topic::{Channel, Encoding};
use std::time::Duration;

fn told(version: Version, code: u8, end: &[Said]) {
    match (version, end) {
        (Version::V4, []) => {}
        (Version::V5, [Said::Disconnect(told, _)]) if *told == code => {}
        _ => panic!("{version:?} was told {end:?}, not {code:#x}"),
    }
}

#[tokio::test]
async fn b4_a_kick_cuts_the_session_at_once() {
    let world = World::new().await;
    for version in BOTH {
        let (device, other) = (world.device(), world.device());
        let (mut client, mut spared) = (
            world.session(&device, version).await,
            world.session(&other, version).await,
        );
        world.bus.send_down(&Down::Kick(device.id)).unwrap();
        told(version, 0x98, &client.hear_out().await);
        assert_eq!(spared.ping().await, Said::PingResp);
        world.registry.bar(device.id);
        let mut client = world.dial(Some(&device), version).await;
        let said = client.connect(&Hello::default()).await;
        assert!(matches!(said, Said::ConnAck { code: 5 | 0x87, .. }), "{said:?}");
        assert!(!world.bus.is_connected(device.id));
    }
}

#[tokio::test]
async fn b4_each_message_asks_the_registry() {
    let world = World::new().await;
    for version in BOTH {
        for channel in [Channel::Hello, Channel::Report] {
            let device = world.device();
            let mut client = world.session(&device, version).await;
            // The kick was lost on the bus.
            world.registry.bar(device.id);
            let message = match channel {
                Channel::Hello => hello(Encoding::Json),
                _ => report_bytes(device.id, 1, Encoding::Json),
            };
            client
                .send(&publish(
                    version,
                    &topic(device.id, channel, Encoding::Json),
                    2,
                    1,
                    &[],
                    &message,
                ))
                .await;
            told(version, 0x87, &client.hear_out().await);
        }
        let device = world.device();
        let mut client = world.subscribed(&device, version).await;
        world.registry.desire(device.id, "secret");
        world.registry.bar(device.id);
        world.bus.send_down(&Down::DesiredChanged(device.id)).unwrap();
        told(version, 0x87, &client.hear_out().await);
    }
    assert_eq!(world.registry.heard(), []);
}

#[tokio::test]
async fn a_newer_connection_takes_over() {
    let world = World::new().await;
    for version in BOTH {
        let device = world.device();
        let mut first = world.session(&device, version).await;
        let mut second = world.session(&device, version).await;
        told(version, 0x8e, &first.hear_out().await);
        assert_eq!(second.ping().await, Said::PingResp);
        assert!(world.bus.is_connected(device.id));
        drop(second);
    }
}

#[tokio::test]
async fn stopping_says_goodbye_and_finishes_what_is_under_way() {
    let world = World::new().await;
    let (device, busy) = (world.device(), world.device());
    let mut idle = world.session(&device, Version::V5).await;
    let mut old = world.session(&world.device(), Version::V4).await;
    let mut stranger = world.dial(None, Version::V5).await;
    let mut client = world.session(&busy, Version::V5).await;
    let slow = world.registry.slow();
    let up = topic(busy.id, Channel::Report, Encoding::Postcard);
    client
        .send(&publish(
            Version::V5,
            &up,
            2,
            9,
            &[],
            &report_bytes(busy.id, 1, Encoding::Postcard),
        ))
        .await;
    world.registry.begun().await;
    world.stop.cancel();
    assert_eq!(
        idle.hear_out().await,
        [Said::Disconnect(0x8b, "the server is stopping".into())]
    );
    assert_eq!(old.hear_out().await, []);
    assert_eq!(stranger.hear_out().await, []);
    slow.notify_one();
    let end = client.hear_out().await;
    assert_eq!(end[0], Said::PubAck(9, 0, String::new()));
    told(Version::V5, 0x8b, &end[1..]);
    assert_eq!(
        world.registry.heard(),
        [Heard::Report(busy.id, report(busy.id, 1))]
    );
    assert!(
        tokio::net::TcpStream::connect(world.address).await.is_err(),
        "the port is closed"
    );
    world.end().await.unwrap();
}

#[tokio::test]
async fn what_does_not_end_is_cut_after_the_drain_time() {
    let world = World::with(Limits {
        drain: Duration::from_millis(50),
        ..Limits::default()
    })
    .await;
    let device = world.device();
    let mut client = world.session(&device, Version::V5).await;
    let _never = world.registry.slow();
    let up = topic(device.id, Channel::Report, Encoding::Postcard);
    client
        .send(&publish(
            Version::V5,
            &up,
            2,
            9,
            &[],
            &report_bytes(device.id, 1, Encoding::Postcard),
        ))
        .await;
    world.registry.begun().await;
    let ended = world.end().await;
    assert!(matches!(ended, Err(GateError::Undrained(1))), "{ended:?}");
    assert_eq!(client.hear_out().await, []);
}

#[tokio::test]
async fn a_kick_does_not_wait_for_the_registry() {
    let mut pipe = Pipe::new(Version::V5, &Hello::default(), 1 << 16).await;
    let _never = pipe.registry.slow();
    let up = topic(PIPED, Channel::Report, Encoding::Postcard);
    pipe.client
        .send(&publish(
            Version::V5,
            &up,
            2,
            9,
            &[],
            &report_bytes(PIPED, 1, Encoding::Postcard),
        ))
        .await;
    pipe.registry.begun().await;
    pipe.bus.send_down(&Down::Kick(PIPED)).unwrap();
    told(Version::V5, 0x98, &pipe.client.hear_out().await);
    assert_eq!(pipe.registry.heard(), []);
}
