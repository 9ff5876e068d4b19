//! The codec against the standard's bytes, against rumqttc's, and against noise.

use super::*;
use ::bytes::BytesMut;
use proptest::prelude::*;
use rumqttc::mqttbytes::{QoS, v4};

fn decoded(bytes: &[u8]) -> Result<Option<Incoming>, Malformed> {
    decode(&mut bytes.to_vec())
}

/// What the agent writes, as another implementation reads it.
fn read_by_rumqttc(write: impl FnOnce(&mut Vec<u8>)) -> v4::Packet {
    let mut bytes = Vec::new();
    write(&mut bytes);
    let mut bytes = BytesMut::from(&bytes[..]);
    let packet = v4::Packet::read(&mut bytes, usize::MAX).unwrap();
    assert!(bytes.is_empty(), "nothing is left over");
    packet
}

fn written_by_rumqttc(packet: v4::Packet) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, usize::MAX).unwrap();
    bytes.to_vec()
}

#[test]
fn another_implementation_reads_what_is_written() {
    let login = Some(("GW2-000017", "K7Q2M"));
    let v4::Packet::Connect(packet) = read_by_rumqttc(|into| {
        connect(
            into,
            Connect {
                client_id: "",
                keep_alive: 60,
                login,
            },
        )
    }) else {
        panic!()
    };
    assert_eq!(
        (packet.client_id.as_str(), packet.keep_alive, packet.clean_session),
        ("", 60, true)
    );
    assert_eq!(packet.login, Some(v4::Login::new("GW2-000017", "K7Q2M")));
    assert_eq!(packet.last_will, None);
    let v4::Packet::Connect(packet) = read_by_rumqttc(|into| {
        connect(
            into,
            Connect {
                client_id: "id",
                keep_alive: 1,
                login: None,
            },
        )
    }) else {
        panic!()
    };
    assert_eq!((packet.client_id.as_str(), packet.login), ("id", None));
    for size in [0, 1, 100, 127, 128, 16_383, 16_384, 262_144] {
        let payload = vec![7; size];
        let v4::Packet::Publish(packet) =
            read_by_rumqttc(|into| publish_once(into, 258, "muster/v1/claim", &payload))
        else {
            panic!()
        };
        assert_eq!(
            (packet.topic.as_str(), packet.pkid, packet.qos),
            ("muster/v1/claim", 258, QoS::AtLeastOnce)
        );
        assert_eq!(
            (packet.payload.len(), packet.retain, packet.dup),
            (size, false, false)
        );
    }
    let v4::Packet::Subscribe(packet) =
        read_by_rumqttc(|into| subscribe(into, 9, &["a/b".to_owned(), "c".to_owned()]))
    else {
        panic!()
    };
    assert_eq!((packet.pkid, packet.filters.len()), (9, 2));
    assert_eq!(
        (packet.filters[0].path.as_str(), packet.filters[0].qos),
        ("a/b", QoS::AtLeastOnce)
    );
    assert_eq!(
        read_by_rumqttc(|into| acknowledge(into, 513)),
        v4::Packet::PubAck(v4::PubAck::new(513))
    );
    assert_eq!(read_by_rumqttc(ping), v4::Packet::PingReq);
    assert_eq!(read_by_rumqttc(disconnect), v4::Packet::Disconnect);
}

#[test]
fn what_another_implementation_writes_is_read() {
    let connack = v4::Packet::ConnAck(v4::ConnAck::new(v4::ConnectReturnCode::NotAuthorized, false));
    assert_eq!(
        decoded(&written_by_rumqttc(connack)),
        Ok(Some(Incoming::ConnAck { code: 5 }))
    );
    let code = v4::SubscribeReasonCode::Success(QoS::AtLeastOnce);
    let suback = v4::Packet::SubAck(v4::SubAck::new(300, vec![code]));
    assert_eq!(
        decoded(&written_by_rumqttc(suback)),
        Ok(Some(Incoming::SubAck {
            id: 300,
            codes: vec![1]
        }))
    );
    for (qos, id) in [(QoS::AtMostOnce, None), (QoS::AtLeastOnce, Some(77))] {
        let mut publish = v4::Publish::new("t/ä", qos, vec![1, 2, 3]);
        publish.pkid = id.unwrap_or(0);
        let expected = Incoming::Publish {
            topic: "t/ä".into(),
            id,
            payload: vec![1, 2, 3],
        };
        assert_eq!(
            decoded(&written_by_rumqttc(v4::Packet::Publish(publish))),
            Ok(Some(expected))
        );
    }
    assert_eq!(
        decoded(&written_by_rumqttc(v4::Packet::PingResp)),
        Ok(Some(Incoming::PingResp))
    );
}

#[test]
fn packets_come_in_pieces_and_together() {
    let one = [0x40, 2, 0, 9];
    let mut bytes = Vec::new();
    for (at, byte) in one.iter().enumerate() {
        assert_eq!(decode(&mut bytes), Ok(None), "{at}");
        bytes.push(*byte);
    }
    bytes.extend([0xd0, 0, 0x40]);
    assert_eq!(decode(&mut bytes), Ok(Some(Incoming::PubAck { id: 9 })));
    assert_eq!(decode(&mut bytes), Ok(Some(Incoming::PingResp)));
    assert_eq!(decode(&mut bytes), Ok(None));
    assert_eq!(bytes, [0x40], "the rest stays");
}

#[test]
fn what_breaks_the_protocol_is_refused() {
    for (bytes, expected) in [
        // Before anything of it is read: over the limit, and lengths that never end.
        (
            vec![0x30, 0xff, 0xff, 0xff, 0x7f],
            Malformed::TooLarge(268_435_455),
        ),
        (vec![0x30, 0x80, 0x80, 0x80, 0x80], Malformed::Length),
        (vec![0x10, 0], Malformed::Type(1)),
        (vec![0x00, 0], Malformed::Type(0)),
        (vec![0xf0, 0], Malformed::Type(15)),
        (vec![0x20, 1, 0], Malformed::Packet(2)),
        (vec![0x21, 2, 0, 0], Malformed::Packet(2)),
        (vec![0x40, 1, 0], Malformed::Packet(4)),
        (vec![0x90, 2, 0, 1], Malformed::Packet(9)),
        (vec![0xd0, 1, 0], Malformed::Packet(13)),
        // A topic longer than the packet; not text; QoS 2 and 3; an identifier of 0; one that is cut.
        (vec![0x30, 3, 0, 2, b'a'], Malformed::Packet(3)),
        (vec![0x30, 3, 0, 1, 0xff], Malformed::Packet(3)),
        (vec![0x34, 5, 0, 1, b'a', 0, 1], Malformed::Packet(3)),
        (vec![0x36, 5, 0, 1, b'a', 0, 1], Malformed::Packet(3)),
        (vec![0x32, 5, 0, 1, b'a', 0, 0], Malformed::Packet(3)),
        (vec![0x32, 4, 0, 1, b'a', 0], Malformed::Packet(3)),
    ] {
        assert_eq!(decoded(&bytes), Err(expected), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn noise_never_panics_and_never_grows(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = noise.clone();
        while let Ok(Some(_)) = decode(&mut bytes) {}
        prop_assert!(noise.ends_with(&bytes));
    }
}
