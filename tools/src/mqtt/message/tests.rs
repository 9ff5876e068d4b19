use super::*;
use muster_proto::{
    payload::{Digest, FacetStatus},
    topic::Encoding,
};

const ID: &str = "01m8qedc00m5zjs7ab7sc0c7vq";
const HEARD: &str = "2026-12-01T10:00:00.5Z";

fn of_device<T: Serialize>(channel: Channel, said: &T, encoding: Encoding) -> Message {
    let topic = Topic::Device(ID, channel, encoding).to_string();
    let payload = payload::encode(said, encoding).unwrap();
    Message::read(&topic, &payload, HEARD)
}

fn check<T: Serialize>(channel: Channel, said: &T, expected: &str) {
    for encoding in [Encoding::Postcard, Encoding::Json] {
        let mut message = of_device(channel, said, encoding);
        message.serial = Some("GW2-6000001".into());
        assert_eq!(message.to_string(), expected);
    }
}

fn report() -> Report {
    let status = |facet, state| FacetStatus { facet, state };
    let reason = "window opens\nat night".to_owned();
    Report {
        device_id: ID.into(),
        generation: 300,
        digest: Digest([1; 32]),
        facets: vec![
            status(Facet::Config, FacetState::Applied),
            status(Facet::Firmware, FacetState::Waiting { reason }),
        ],
        firmware: Some("2.4.1".into()),
    }
}

fn presence(reason: Option<Departure>) -> Presence {
    Presence {
        device_id: ID.into(),
        online: reason.is_none(),
        at_millis: 1_796_119_261_250,
        reason,
        source: "192.0.2.7".into(),
        session: 7,
    }
}

#[test]
fn a_line_says_when_who_and_what() {
    let hello = Hello {
        generation: 3,
        digest: Digest([1; 32]),
        agent_version: "0.1.0".into(),
        firmware: Some("2.3.1".into()),
        boot_id: 9,
    };
    let begin = "2026-12-01T10:00:00Z  01m8qedc00m5zjs7ab7sc0c7vq  GW2-6000001  ";
    check(
        Channel::Hello,
        &hello,
        &format!("{begin}hello     generation 3, agent 0.1.0, runs 2.3.1"),
    );
    // Whatever a device says, it stays one line.
    check(
        Channel::Report,
        &report(),
        &format!(
            "{begin}report    generation 300, config applied, firmware waiting (window opens\\nat night), runs 2.4.1"
        ),
    );
    let at = begin.replace("10:00:00", "10:01:01");
    check(
        Channel::Presence,
        &presence(None),
        &format!("{at}presence  online, from 192.0.2.7"),
    );
    check(
        Channel::Presence,
        &presence(Some(Departure::ShutOut)),
        &format!("{at}presence  offline: it was shut out"),
    );
}

#[test]
fn an_entry_of_the_audit_log_is_a_line_without_a_device() {
    let leaf = r#"{"index":7,"at_millis":1796119261250,"actor":{"operator":"olga"},"action":"device_suspended","subject":"devices/x","detail":{"reason":"stolen"}}"#;
    let message = Message::read("muster/v1/events/device_suspended", leaf.as_bytes(), HEARD);
    assert_eq!(message.index(), Some(7));
    assert_eq!(
        message.to_string(),
        "2026-12-01T10:01:01Z  event     #7 device_suspended devices/x by operators/olga, reason stolen"
    );
    let newer = Message::read("muster/v1/events/x", br#"{"index":8}"#, HEARD);
    assert_eq!(
        newer.to_string(),
        r#"2026-12-01T10:00:00Z  event     {"index":8}"#
    );
}

#[test]
fn what_cannot_be_read_is_shown_as_that() {
    for (topic, payload, expected) in [
        ("muster/v1/+/x", "", "muster/v1/+/x is not a topic"),
        ("muster/v1/01m8qedc00m5zjs7ab7sc0c7vq/cert", "", "not a channel"),
        ("muster/v1/01m8qedc00m5zjs7ab7sc0c7vq/hello", "x", "version 120"),
        ("muster/v1/events/x", "{", "EOF"),
    ] {
        let message = Message::read(topic, payload.as_bytes(), HEARD);
        assert!(message.to_string().contains(expected), "{message}");
    }
    let topic = "a\u{1b}[2J";
    let message = Message::read(topic, b"", HEARD);
    assert!(!message.to_string().contains('\u{1b}'));
}

#[test]
fn as_json_a_message_is_what_it_says() {
    let message = of_device(Channel::Presence, &presence(None), Encoding::Postcard);
    assert_eq!(
        serde_json::to_string(&message).unwrap(),
        r#"{"time":"2026-12-01T10:01:01.25Z","device":"01m8qedc00m5zjs7ab7sc0c7vq","kind":"presence","message":{"device_id":"01m8qedc00m5zjs7ab7sc0c7vq","online":true,"at_millis":1796119261250,"reason":null,"source":"192.0.2.7","session":7}}"#
    );
}
