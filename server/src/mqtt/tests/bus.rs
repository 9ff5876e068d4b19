//! The bus itself.

use super::super::{
    audience::{Interest, Seat, Signal as Heard},
    bus::{Bus, BusError, DOWN, Down, Spoken, Uplink},
    codec::QoS,
    hub::{Cut, Signal},
};
use super::client::PATIENCE;
use bytes::Bytes;
use futures_util::FutureExt as _;
use muster_domain::{certificate::SpkiDigest, ids::DeviceId};
use muster_proto::{
    payload::{self, Digest, Hello},
    topic::Encoding,
};
use rumqttd::Notification;

fn device(number: u128) -> DeviceId {
    DeviceId::from_u128(number)
}

/// Hears a topic on a link of its own, from `subscribed` until `each` has enough. Blocks.
fn hear(bus: &Bus, topic: &str, subscribed: impl FnOnce(), mut each: impl FnMut(&[u8]) -> bool) {
    let (mut sender, mut receiver) = bus.link("test").unwrap();
    sender.subscribe(topic).unwrap();
    let mut subscribed = Some(subscribed);
    loop {
        match receiver.recv().unwrap() {
            Some(Notification::Forward(forward)) if each(&forward.publish.payload) => return,
            Some(Notification::Unschedule) => receiver.ready().unwrap(),
            // The only acknowledgement that a link gets for a subscription.
            Some(Notification::DeviceAck(_)) => {
                subscribed.take().into_iter().for_each(|subscribed| subscribed())
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_message_reaches_its_session() {
    let bus = Bus::start().unwrap();
    let (seat, ()) = bus.hub().enter(device(1), None, || ());
    bus.send_down(&Down::DesiredChanged(device(2))).unwrap();
    bus.send_down(&Down::DesiredChanged(device(1))).unwrap();
    assert_eq!(seat.signal().await, Signal::DesiredChanged);
}

#[tokio::test]
async fn a_burst_is_not_lost() {
    let bus = Bus::start().unwrap();
    // Every fiftieth device of a burst has a session.
    let seats: Vec<_> = (0..4000)
        .map(|number| bus.hub().enter(device(number * 50), None, || ()).0)
        .collect();
    let mut sent = 0;
    while sent < 200_000 {
        match bus.send_down(&Down::DesiredChanged(device(sent))) {
            Ok(()) => sent += 1,
            Err(BusError::Full) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    for seat in &seats {
        assert_eq!(seat.signal().await, Signal::DesiredChanged);
    }
}

#[tokio::test]
async fn the_router_is_asked_to_go_on_when_it_stopped() {
    let bus = Bus::start().unwrap();
    let (seat, ()) = bus.hub().enter(device(1), None, || ());
    let sender = bus.clone();
    // Message by message, so that the router fills a link's two hundred places and stops.
    let flood = move || {
        let (mut sender, _receiver) = sender.link("flood").unwrap();
        for number in (2..20_000).chain([1]) {
            let batch = postcard::to_allocvec(&vec![Down::DesiredChanged(device(number))]).unwrap();
            sender.publish(DOWN, batch).unwrap();
        }
    };
    tokio::task::spawn_blocking(flood).await.unwrap();
    let last = tokio::time::timeout(PATIENCE, seat.signal()).await;
    assert_eq!(last, Ok(Signal::DesiredChanged));
}

fn uplink(number: u128) -> Uplink {
    let hello = Hello {
        generation: 1,
        digest: Digest::default(),
        agent_version: "x".repeat(1000),
        firmware: None,
        boot_id: 1,
    };
    Uplink {
        device: device(number),
        spoken: Spoken::Hello,
        json: false,
        payload: Bytes::from(payload::encode(&hello, Encoding::Postcard).unwrap()),
    }
}

/// An integrator who wants to hear every hello.
fn listener(bus: &Bus, id: &str, encoding: Encoding) -> Seat {
    let key = SpkiDigest([1; 32]);
    let seat = bus
        .hub()
        .audience()
        .enter(&"ines".parse().unwrap(), key, id)
        .unwrap();
    assert!(seat.subscribe(Interest::Devices(Spoken::Hello, encoding, None), QoS::AtMostOnce));
    seat
}

#[tokio::test]
async fn uplinks_are_forwarded_in_order_to_everybody_who_listens() {
    let bus = Bus::start().unwrap();
    let seats = [Encoding::Postcard, Encoding::Json].map(|encoding| {
        let id = format!("ines/{encoding:?}");
        (encoding, listener(&bus, &id, encoding))
    });
    (0..5000).for_each(|number| bus.send_up(|| uplink(number)));
    for (encoding, seat) in &seats {
        for number in 0..5000 {
            let Heard::Message(message, QoS::AtMostOnce) = seat.signal(true).await else {
                panic!("cut")
            };
            assert!(message.topic.contains(&device(number).to_string()), "{number}");
            payload::decode::<Hello>(&message.payload, *encoding).unwrap();
        }
    }
}

#[tokio::test]
async fn an_uplink_that_nobody_wants_is_not_even_made() {
    let bus = Bus::start().unwrap();
    bus.send_up(|| panic!("nobody is there"));
    let seat = listener(&bus, "ines", Encoding::Json);
    bus.send_up(|| uplink(1));
    assert!(matches!(seat.signal(true).await, Heard::Message(..)));
    drop(seat);
    bus.send_up(|| panic!("nobody is left"));
}

#[tokio::test]
async fn a_word_about_an_operator_ends_their_sessions() {
    let bus = Bus::start().unwrap();
    let seat = listener(&bus, "ines", Encoding::Json);
    let key = SpkiDigest([1; 32]);
    bus.send_down(&Down::OperatorOut(SpkiDigest([2; 32]))).unwrap();
    bus.send_down(&Down::OperatorOut(key)).unwrap();
    assert!(matches!(seat.signal(true).await, Heard::Cut(_)));
}

#[test]
fn every_gate_hears_in_order() {
    let bus = Bus::start().unwrap();
    let mut seen = Vec::new();
    let send = || (0..5000).for_each(|number| bus.send_down(&Down::Kick(device(number))).unwrap());
    hear(&bus, DOWN, send, |batch| {
        seen.extend(postcard::from_bytes::<Vec<Down>>(batch).unwrap());
        seen.len() == 5000
    });
    assert!(
        seen.into_iter()
            .eq((0..5000).map(|number| Down::Kick(device(number))))
    );
}

#[tokio::test]
async fn a_dead_router_shows() {
    let bus = Bus::start().unwrap();
    let killer = bus.clone();
    tokio::task::spawn_blocking(move || {
        let (mut sender, _receiver) = killer.link("killer").unwrap();
        // rumqttd 0.20 slices the first byte off a topic, whatever it is.
        drop(sender.publish("é/x", "x"));
    })
    .await
    .unwrap();
    bus.dead().await;
    let (seat, ()) = bus.hub().enter(device(1), None, || ());
    assert!(matches!(
        bus.send_down(&Down::Kick(device(1))),
        Err(BusError::Dead)
    ));
    // What the bus does not take reaches the sessions of this process all the same.
    assert_eq!(seat.cut().now_or_never(), Some(Cut::Kicked));
}

#[tokio::test]
async fn a_living_router_does_not() {
    let bus = Bus::start().unwrap();
    let outcome = tokio::time::timeout(std::time::Duration::from_millis(1500), bus.dead()).await;
    assert!(outcome.is_err());
}
