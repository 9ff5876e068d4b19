//! Deadlines and rates, with a clock that jumps to the next timer.

use super::{
    client::{Client, Hello, PATIENCE, Said, packet, publish},
    world::{PIPED, Pipe, World, hello, report_bytes, topic},
};
use crate::mqtt::{Limits, codec::Version};
use muster_proto::topic::{Channel, Encoding};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::{Instant, sleep, timeout},
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Waits for the end and says when it came and what was said.
async fn end(client: &mut Client<DuplexStream>) -> (Duration, Vec<u8>) {
    let (start, mut said) = (Instant::now(), Vec::new());
    client.stream.read_to_end(&mut said).await.unwrap();
    (start.elapsed(), said)
}

/// Timers tick in milliseconds.
fn check(took: Duration, expected: Duration) {
    assert!(
        took.abs_diff(expected) < Duration::from_millis(20),
        "took {took:?}, not {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_one_and_a_half_keep_alives() {
    // 0 and more than the longest are the longest, which 5.0 clients are told.
    for (asked, expected) in [(10, 15), (1, 1), (1200, 1800), (0, 1800), (u16::MAX, 1800)] {
        let hello = Hello {
            keep_alive: asked,
            ..Hello::default()
        };
        let mut pipe = Pipe::new(Version::V5, &hello, 1 << 16).await;
        let (took, said) = end(&mut pipe.client).await;
        check(
            took,
            if asked == 1 {
                Duration::from_millis(1500)
            } else {
                seconds(expected)
            },
        );
        assert_eq!(said[..3], [0xe0, u8::try_from(said.len() - 2).unwrap(), 0x8d]);
    }
}

#[tokio::test(start_paused = true)]
async fn any_packet_keeps_alive_and_half_a_packet_does_not() {
    let hello = Hello {
        keep_alive: 10,
        ..Hello::default()
    };
    let mut pipe = Pipe::new(Version::V4, &hello, 1 << 16).await;
    for _ in 0..10 {
        sleep(seconds(14)).await;
        assert_eq!(pipe.client.ping().await, Said::PingResp);
    }
    sleep(seconds(10)).await;
    pipe.client.send(&[0xc0]).await;
    check(end(&mut pipe.client).await.0, seconds(5));
}

#[tokio::test(start_paused = true)]
async fn b5_a_packet_that_drips_in_is_cut() {
    let hello = Hello {
        keep_alive: 1200,
        ..Hello::default()
    };
    let mut pipe = Pipe::new(Version::V5, &hello, 1 << 16).await;
    let up = topic(PIPED, Channel::Report, Encoding::Postcard);
    let message = publish(Version::V5, &up, 2, 1, &[], &[0; 1000]);
    let start = Instant::now();
    for byte in message {
        if pipe.client.stream.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(seconds(1)).await;
    }
    assert!(start.elapsed() < seconds(65), "{:?}", start.elapsed());
    pipe.session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn b5_a_consumer_that_does_not_read_is_cut() {
    // The pipe holds 64 bytes: the answer to the second ping or so blocks.
    let mut pipe = Pipe::new(
        Version::V5,
        &Hello {
            keep_alive: 1200,
            ..Hello::default()
        },
        64,
    )
    .await;
    let down = topic(PIPED, Channel::Desired, Encoding::Postcard);
    assert!(matches!(pipe.client.subscribe(&down).await, Said::SubAck(..)));
    pipe.registry.desire(PIPED, &"x".repeat(1000));
    let up = topic(PIPED, Channel::Hello, Encoding::Postcard);
    let start = Instant::now();
    pipe.client
        .send(&publish(Version::V5, &up, 0, 0, &[], &hello(Encoding::Postcard)))
        .await;
    pipe.session.await.unwrap();
    // Ten seconds for the write, and the pipe has no room for a goodbye.
    assert!(start.elapsed() < seconds(12), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn b4_a_kick_cuts_even_a_consumer_that_does_not_read() {
    let mut pipe = Pipe::new(Version::V5, &Hello::default(), 64).await;
    let down = topic(PIPED, Channel::Desired, Encoding::Postcard);
    assert!(matches!(pipe.client.subscribe(&down).await, Said::SubAck(..)));
    pipe.registry.desire(PIPED, &"x".repeat(1000));
    let up = topic(PIPED, Channel::Hello, Encoding::Postcard);
    pipe.client
        .send(&publish(Version::V5, &up, 0, 0, &[], &hello(Encoding::Postcard)))
        .await;
    sleep(seconds(1)).await;
    let start = Instant::now();
    pipe.bus.hub().deliver(crate::mqtt::bus::Down::Kick(PIPED));
    pipe.session.await.unwrap();
    assert!(start.elapsed() <= seconds(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_never_acknowledged_ends_the_session() {
    let mut pipe = Pipe::new(
        Version::V5,
        &Hello {
            keep_alive: 100,
            ..Hello::default()
        },
        1 << 16,
    )
    .await;
    let down = topic(PIPED, Channel::Desired, Encoding::Postcard);
    assert!(matches!(pipe.client.subscribe(&down).await, Said::SubAck(..)));
    pipe.registry.desire(PIPED, "state");
    let up = topic(PIPED, Channel::Hello, Encoding::Postcard);
    pipe.client.publish(&up, &hello(Encoding::Postcard)).await;
    assert!(matches!(pipe.client.hear().await, Said::Publish { .. }));
    let start = Instant::now();
    sleep(seconds(90)).await;
    assert_eq!(pipe.client.ping().await, Said::PingResp);
    end(&mut pipe.client).await;
    check(start.elapsed(), seconds(120));
}

#[tokio::test(start_paused = true)]
async fn b6_a_flood_is_read_at_its_rate_and_nothing_is_lost() {
    let mut pipe = Pipe::new(
        Version::V5,
        &Hello {
            keep_alive: 10,
            ..Hello::default()
        },
        1 << 16,
    )
    .await;
    let up = topic(PIPED, Channel::Report, Encoding::Postcard);
    let start = Instant::now();
    for _ in 0..1000 {
        let said = pipe
            .client
            .publish(&up, &report_bytes(PIPED, 1, Encoding::Postcard))
            .await;
        assert!(matches!(said, Said::PubAck(_, 0, _)), "{said:?}");
    }
    // 200 at once, 20 a second after that.
    check(start.elapsed(), seconds(40));
    assert_eq!(pipe.registry.heard().len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn b6_unreleased_messages_of_qos_2_are_bounded() {
    let mut pipe = Pipe::new(Version::V5, &Hello::default(), 1 << 16).await;
    let up = topic(PIPED, Channel::Report, Encoding::Postcard);
    let message = report_bytes(PIPED, 1, Encoding::Postcard);
    for id in 1..=16 {
        pipe.client
            .send(&publish(Version::V5, &up, 4, id, &[], &message))
            .await;
        assert_eq!(pipe.client.hear().await, Said::PubRec(id, 0, String::new()));
    }
    pipe.client
        .send(&publish(Version::V5, &up, 4, 17, &[], &message))
        .await;
    assert!(matches!(pipe.client.hear().await, Said::Disconnect(0x93, _)));
}

#[tokio::test(start_paused = true)]
async fn a_claimant_has_half_a_minute() {
    let hello = Hello {
        login: Some(("GW-1", "code")),
        keep_alive: 1000,
        ..Hello::default()
    };
    let mut pipe = Pipe::new(Version::V4, &hello, 1 << 16).await;
    let start = Instant::now();
    sleep(seconds(20)).await;
    assert_eq!(pipe.client.ping().await, Said::PingResp);
    end(&mut pipe.client).await;
    check(start.elapsed(), seconds(30));
}

#[tokio::test(start_paused = true)]
async fn a_claimant_that_leaves_its_answer_is_closed() {
    let hello = Hello {
        login: Some(("GW-1", "code")),
        ..Hello::default()
    };
    let mut pipe = Pipe::new(Version::V4, &hello, 1 << 16).await;
    sleep(seconds(20)).await;
    pipe.client.subscribe("muster/v1/claim/result").await;
    let said = pipe.client.publish("muster/v1/claim", b"\x01").await;
    assert!(matches!(said, Said::PubAck(..)), "{said:?}");
    assert!(matches!(pipe.client.hear().await, Said::Publish { .. }));
    // A claim under way is not a second one's.
    check(end(&mut pipe.client).await.0, seconds(30));
}

#[tokio::test]
async fn b5_strangers_have_until_the_deadline() {
    let world = World::with(Limits {
        connect_deadline: Duration::from_millis(100),
        ..Limits::default()
    })
    .await;
    let mut silent = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let end = timeout(PATIENCE, silent.read(&mut [0]))
        .await
        .expect("the deadline holds");
    assert_eq!(end.unwrap_or(0), 0);
    let mut half = world.dial(None, Version::V5).await;
    half.send(&packet(0x10, &[0; 50])[..20]).await;
    assert_eq!(half.hear().await, Said::Closed);
}

#[tokio::test(start_paused = true)]
async fn b6_waiting_for_its_share_is_not_silence() {
    let mut pipe = Pipe::new(
        Version::V5,
        &Hello {
            keep_alive: 1,
            ..Hello::default()
        },
        4 << 20,
    )
    .await;
    let up = topic(PIPED, Channel::Report, Encoding::Postcard);
    let start = Instant::now();
    for id in 1..=10 {
        // No report, but of full size: three seconds of the device's share each, twice the keep-alive.
        let message = publish(Version::V5, &up, 2, id, &[], &vec![1; 256 << 10]);
        pipe.client.send(&message).await;
    }
    for id in 1..=10 {
        let said = pipe.client.hear().await;
        assert!(
            matches!(said, Said::PubAck(told, 0x99, _) if told == id),
            "{said:?}"
        );
    }
    assert!(start.elapsed() > seconds(15), "{:?}", start.elapsed());
}
