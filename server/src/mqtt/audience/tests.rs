use super::{super::bus::Spoken, queue::MESSAGES, *};
use bytes::Bytes;
use futures_util::FutureExt as _;
use muster_domain::ids::DeviceId;
use muster_proto::payload::{self, Digest, Hello};

const KEY: SpkiDigest = SpkiDigest([1; 32]);
const DEVICE: DeviceId = DeviceId::from_u128(7);
const OTHER: DeviceId = DeviceId::from_u128(8);
const ALL: Interest = Interest::Devices(Spoken::Hello, Encoding::Postcard, None);
const JSON_OF_ONE: Interest = Interest::Devices(Spoken::Hello, Encoding::Json, Some(DEVICE));

fn name(text: &str) -> OperatorName {
    text.parse().unwrap()
}

fn hello() -> Hello {
    Hello {
        generation: 3,
        digest: Digest::default(),
        agent_version: "1".into(),
        firmware: None,
        boot_id: 9,
    }
}

fn uplink(device: DeviceId) -> Uplink {
    Uplink {
        device,
        spoken: Spoken::Hello,
        json: false,
        payload: Bytes::from(payload::encode(&hello(), Encoding::Postcard).unwrap()),
    }
}

fn seated(audience: &Arc<Audience>, id: &str, wants: &[(Interest, QoS)]) -> Seat {
    let seat = audience.enter(&name("ines"), KEY, id).unwrap();
    for (interest, qos) in wants {
        assert!(seat.subscribe(*interest, *qos));
    }
    seat
}

/// Topic and QoS of what waits.
fn heard(seat: &Seat) -> Vec<(String, QoS)> {
    let mut heard = Vec::new();
    while let Some(signal) = seat.signal(true).now_or_never() {
        let Signal::Message(message, qos) = signal else {
            panic!("{signal:?}")
        };
        heard.push((message.topic.clone(), qos));
    }
    heard
}

#[test]
fn a_message_for_each_topic_name_that_fits() {
    let audience = Arc::new(Audience::default());
    let (all, one) = (
        seated(&audience, "ines/all", &[(ALL, QoS::AtMostOnce)]),
        seated(
            &audience,
            "ines/one",
            &[(ALL, QoS::AtLeastOnce), (JSON_OF_ONE, QoS::AtMostOnce)],
        ),
    );
    audience.hear(&[uplink(DEVICE)]);
    audience.hear(&[uplink(OTHER)]);
    let topic = |device: DeviceId, end: &str| format!("muster/v1/{device}/hello{end}");
    assert_eq!(
        heard(&all),
        [
            (topic(DEVICE, ""), QoS::AtMostOnce),
            (topic(OTHER, ""), QoS::AtMostOnce)
        ]
    );
    assert_eq!(
        heard(&one),
        [
            (topic(DEVICE, ""), QoS::AtLeastOnce),
            (topic(DEVICE, "/json"), QoS::AtMostOnce),
            (topic(OTHER, ""), QoS::AtLeastOnce),
        ]
    );
}

#[test]
fn a_message_is_there_once_and_in_the_encoding_of_its_topic() {
    let audience = Arc::new(Audience::default());
    let seats: Vec<_> = (0..5)
        .map(|number| {
            let wants = [(JSON_OF_ONE, QoS::AtMostOnce)];
            seated(&audience, &format!("ines/{number}"), &wants)
        })
        .collect();
    audience.hear(&[uplink(DEVICE)]);
    let mut messages = seats.iter().map(|seat| match seat.signal(true).now_or_never() {
        Some(Signal::Message(message, _)) => message,
        other => panic!("{other:?}"),
    });
    let first = messages.next().unwrap();
    assert!(messages.all(|other| Arc::ptr_eq(&first, &other)));
    assert_eq!(payload::decode(&first.payload, Encoding::Json), Ok(hello()));
}

#[test]
fn nobody_listens_until_somebody_wants_to_hear_devices() {
    let audience = Arc::new(Audience::default());
    let seat = seated(&audience, "ines", &[(Interest::Events(None), QoS::AtLeastOnce)]);
    assert!(!audience.is_listening() && seat.hears_events());
    seat.subscribe(ALL, QoS::AtMostOnce);
    seat.subscribe(JSON_OF_ONE, QoS::AtMostOnce);
    assert!(audience.is_listening());
    seat.unsubscribe(ALL);
    assert!(audience.is_listening());
    seat.unsubscribe(JSON_OF_ONE);
    assert!(!audience.is_listening());
    seat.subscribe(ALL, QoS::AtMostOnce);
    drop(seat);
    assert!(!audience.is_listening());
    assert_eq!(audience.len(), 0);
}

#[test]
fn the_slow_one_is_cut_and_the_others_hear_on() {
    let audience = Arc::new(Audience::default());
    let slow = seated(&audience, "ines/slow", &[(ALL, QoS::AtMostOnce)]);
    let quick = seated(&audience, "ines/quick", &[(ALL, QoS::AtMostOnce)]);
    let mut count = 0;
    for _ in 0..=MESSAGES {
        audience.hear(&[uplink(DEVICE)]);
        count += heard(&quick).len();
    }
    assert_eq!(count, MESSAGES + 1);
    assert_eq!(slow.signal(true).now_or_never(), Some(Signal::Overrun(MESSAGES)));
    assert_eq!(slow.cut().now_or_never(), None, "a last word is said");
}

#[test]
fn an_equal_id_takes_over_and_another_does_not() {
    let audience = Arc::new(Audience::default());
    let first = seated(&audience, "ines", &[]);
    let other = seated(&audience, "ines/2", &[]);
    let second = seated(&audience, "ines", &[]);
    assert_eq!(first.cut().now_or_never(), Some(Cut::TakenOver));
    drop(first);
    assert_eq!(
        (second.cut().now_or_never(), other.cut().now_or_never()),
        (None, None)
    );
    assert_eq!(audience.len(), 2);
    audience.shut_out(SpkiDigest([2; 32]));
    assert_eq!(second.cut().now_or_never(), None);
    audience.shut_out(KEY);
    assert_eq!(second.signal(true).now_or_never(), Some(Signal::Cut(Cut::Kicked)));
    assert_eq!(other.cut().now_or_never(), Some(Cut::Kicked));
}

#[test]
fn an_id_is_the_name_or_begins_with_it_and_a_slash() {
    let ines = name("ines");
    for id in ["ines", "ines/", "ines/wall 3", "ines/a/b"] {
        assert!(is_own_id(&ines, id), "{id}");
    }
    let long = format!("ines/{}", "x".repeat(ID_LIMIT));
    for id in [
        "", "ine", "ines/\n", "inesx", "ines.x", "Ines", "/ines", "olga", &long,
    ] {
        assert!(!is_own_id(&ines, id), "{id}");
    }
}

#[test]
fn an_assigned_id_is_nobody_elses() {
    let audience = Arc::new(Audience::default());
    let own = seated(&audience, "ines/1", &[]);
    let assigned: Vec<_> = (0..3).map(|_| seated(&audience, "", &[])).collect();
    let ids: Vec<_> = assigned.iter().map(Seat::id).collect();
    assert_eq!(ids, ["ines/2", "ines/3", "ines/4"]);
    assert_eq!(own.cut().now_or_never(), None);
}

#[test]
fn seats_are_bounded_for_each_and_for_all() {
    let audience = Arc::new(Audience::default());
    let mut seats = Vec::new();
    for operator in 0..SESSIONS / SESSIONS_EACH {
        let (ours, key) = (
            name(&format!("o{operator}")),
            SpkiDigest([u8::try_from(operator).unwrap(); 32]),
        );
        for _ in 0..SESSIONS_EACH {
            seats.push(audience.enter(&ours, key, "").unwrap());
        }
        let refusal = audience.enter(&ours, key, "").unwrap_err();
        assert_eq!(refusal.code, Code::SubscriberCrowd);
        // Taking over is no further seat.
        let taken = seats.last().unwrap().id().to_owned();
        seats.push(audience.enter(&ours, key, &taken).unwrap());
    }
    let refusal = audience
        .enter(&name("late"), SpkiDigest([9; 32]), "")
        .unwrap_err();
    assert!(refusal.message.starts_with("the gate"), "{refusal}");
}
