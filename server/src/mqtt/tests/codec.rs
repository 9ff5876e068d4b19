//! The codec against another one, and against bytes that mean harm.

use super::{
    Seeded,
    client::{Hello, connect, packet, publish, subscribe, text},
    world::BOTH,
};
use crate::mqtt::codec::{
    ConnAck, DecodeError, Frame, Outgoing, Packet, Publish, QoS, Reason, Subscribe, SubscribeFilter,
    Unsubscribe, Version, frame,
};
use bytes::BytesMut;
use rumqttc::{mqttbytes, v5::mqttbytes::v5};

const LIMIT: usize = 300 << 10;

fn cut(bytes: &[u8]) -> Result<Frame, DecodeError> {
    frame(&mut bytes.into(), LIMIT).map(|frame| frame.expect("a whole packet"))
}

fn read(bytes: &[u8], version: Version) -> Result<Packet, DecodeError> {
    cut(bytes)?.packet(version)
}

fn filters(qos: &[QoS]) -> Vec<SubscribeFilter> {
    let filter = |(number, &qos): (usize, &QoS)| SubscribeFilter {
        filter: format!("a/{number}"),
        qos,
    };
    qos.iter().enumerate().map(filter).collect()
}

fn expected() -> [Packet; 5] {
    let payload = b"content".as_slice().into();
    [
        Packet::Publish(Publish {
            topic: "a/b".into(),
            qos: QoS::AtLeastOnce,
            packet_id: 7,
            retain: true,
            payload,
        }),
        Packet::Subscribe(Subscribe {
            packet_id: 7,
            filters: filters(&[QoS::AtMostOnce, QoS::ExactlyOnce]),
        }),
        Packet::Unsubscribe(Unsubscribe {
            packet_id: 7,
            filters: vec!["a/b".into()],
        }),
        Packet::PubAck(7),
        Packet::PingReq,
    ]
}

#[test]
fn reads_what_another_codec_writes_in_311() {
    use mqttbytes::v4::{self, Packet as Other};
    let filter = |number: usize, qos| v4::SubscribeFilter::new(format!("a/{number}"), qos);
    let mut message = v4::Publish::new("a/b", mqttbytes::QoS::AtLeastOnce, *b"content");
    (message.pkid, message.retain) = (7, true);
    let mut wanted = v4::Subscribe::new_many([
        filter(0, mqttbytes::QoS::AtMostOnce),
        filter(1, mqttbytes::QoS::ExactlyOnce),
    ]);
    wanted.pkid = 7;
    let mut unwanted = v4::Unsubscribe::new("a/b");
    unwanted.pkid = 7;
    let sent = [
        Other::Publish(message),
        Other::Subscribe(wanted),
        Other::Unsubscribe(unwanted),
        Other::PubAck(v4::PubAck::new(7)),
        Other::PingReq,
    ];
    for (sent, expected) in sent.into_iter().zip(expected()) {
        let mut bytes = BytesMut::new();
        sent.write(&mut bytes, LIMIT).unwrap();
        assert_eq!(read(&bytes, Version::V4), Ok(expected));
    }
}

#[test]
fn reads_what_another_codec_writes_in_5() {
    use rumqttc::v5::mqttbytes::QoS as QoS5;
    use v5::Packet as Other;
    let qos = QoS5::AtLeastOnce;
    let filter = |number: usize, qos| v5::Filter::new(format!("a/{number}"), qos);
    let user = vec![("k".to_owned(), "v".to_owned()); 3];
    let properties = v5::PublishProperties {
        message_expiry_interval: Some(60),
        content_type: Some("text".into()),
        correlation_data: Some("x".into()),
        user_properties: user.clone(),
        ..Default::default()
    };
    let mut message = v5::Publish::new("a/b", qos, "content", Some(properties));
    (message.pkid, message.retain) = (7, true);
    let properties = v5::SubscribeProperties {
        id: None,
        user_properties: user.clone(),
    };
    let both = [filter(0, QoS5::AtMostOnce), filter(1, QoS5::ExactlyOnce)];
    let mut wanted = v5::Subscribe::new_many(both, Some(properties));
    wanted.pkid = 7;
    let properties = v5::UnsubscribeProperties {
        user_properties: user.clone(),
    };
    let mut unwanted = v5::Unsubscribe::new("a/b", Some(properties));
    unwanted.pkid = 7;
    let properties = v5::PubAckProperties {
        reason_string: Some("well".into()),
        user_properties: user,
    };
    let sent = [
        Other::Publish(message),
        Other::Subscribe(wanted),
        Other::Unsubscribe(unwanted),
        Other::PubAck(v5::PubAck::new(7, Some(properties))),
        Other::PingReq(v5::PingReq),
    ];
    for (sent, expected) in sent.into_iter().zip(expected()) {
        let mut bytes = BytesMut::new();
        sent.write(&mut bytes, None).unwrap();
        assert_eq!(read(&bytes, Version::V5), Ok(expected));
    }
}

#[test]
fn reads_connect_of_another_codec() {
    use mqttbytes::v4::{self, Packet as Other};
    let mut connect = v4::Connect::new("me");
    connect.set_login("GW-1", "code");
    let mut bytes = BytesMut::new();
    Other::Connect(connect).write(&mut bytes, LIMIT).unwrap();
    let read = cut(&bytes).unwrap().connect().unwrap();
    assert_eq!(
        (read.version, read.client_id.as_str(), read.keep_alive),
        (Version::V4, "me", 10)
    );
    assert_eq!(
        (read.username.as_deref(), read.password.as_deref()),
        (Some("GW-1"), Some(&b"code".to_vec()))
    );
    assert!(
        !format!("{read:?}").contains("code"),
        "a code must not reach a log"
    );
    let properties = v5::ConnectProperties {
        session_expiry_interval: Some(9),
        receive_maximum: Some(2),
        max_packet_size: Some(1000),
        request_problem_info: Some(0),
        ..v5::ConnectProperties::new()
    };
    let connect = v5::Connect {
        keep_alive: 30,
        client_id: String::new(),
        clean_start: true,
        properties: Some(properties),
    };
    let mut bytes = BytesMut::new();
    v5::Packet::Connect(connect, None, Some(v5::Login::new("u", "p")))
        .write(&mut bytes, None)
        .unwrap();
    let read = cut(&bytes).unwrap().connect().unwrap();
    assert_eq!(
        (read.version, read.receive_maximum, read.maximum_packet),
        (Version::V5, 2, 1000)
    );
    assert!(
        read.clean && read.session_expiry && !read.problem_information && !read.authentication && !read.will
    );
}

#[test]
fn another_codec_reads_what_is_written() {
    let connack = ConnAck {
        reason: Reason::Success,
        text: "",
        assigned_id: Some("id"),
        keep_alive: Some(9),
        session_expiry: true,
        receive_maximum: 16,
        wildcards: true,
        maximum_packet: 1000,
    };
    let sent = [
        Outgoing::ConnAck(connack),
        Outgoing::ConnAck(ConnAck::refused(Reason::NotAuthorized, "no")),
        Outgoing::Publish {
            topic: "a/b",
            packet_id: Some(7),
            payload: &[9; 200],
        },
        Outgoing::Publish {
            topic: "a/b",
            packet_id: None,
            payload: b"",
        },
        Outgoing::PubAck(7, Reason::Success, ""),
        Outgoing::PubAck(7, Reason::NotAuthorized, "no"),
        Outgoing::PubRec(7, Reason::PayloadFormatInvalid, "no"),
        Outgoing::PubComp(7, Reason::PacketIdentifierNotFound),
        Outgoing::SubAck(7, &[Some(QoS::AtLeastOnce), None], "no"),
        Outgoing::UnsubAck(7, &[true]),
        Outgoing::PingResp,
        Outgoing::Disconnect(Reason::ServerShuttingDown, "bye"),
    ];
    for packet in sent {
        let mut bytes = BytesMut::from(packet.encode(Version::V5).as_slice());
        let read = v5::Packet::read(&mut bytes, None).unwrap();
        assert!(bytes.is_empty(), "{packet:?}");
        let name = format!("{packet:?}");
        let end = name.find(['(', ' ']).unwrap_or(name.len());
        assert!(
            format!("{read:?}").starts_with(&name[..end]),
            "{packet:?}: {read:?}"
        );
        let mut bytes = BytesMut::from(packet.encode(Version::V4).as_slice());
        if !bytes.is_empty() {
            mqttbytes::v4::Packet::read(&mut bytes, LIMIT).unwrap();
            assert!(bytes.is_empty(), "{packet:?}");
        }
    }
    assert_eq!(Outgoing::Disconnect(Reason::Success, "").encode(Version::V4), b"");
    let long = "é".repeat(400);
    let bytes = Outgoing::PubAck(7, Reason::NotAuthorized, &long).encode(Version::V5);
    assert_eq!(bytes.len(), 2 + 1 + 3 + 2 + 3 + 512);
}

#[test]
fn malformed_packets_are_refused_for_their_reason() {
    let malformed = |bytes: &[u8], version| match read(bytes, version) {
        Err(error) => error.reason(),
        Ok(packet) => panic!("read as {packet:?}"),
    };
    let property = |bytes: &[u8]| publish(Version::V5, "t", 0, 0, bytes, b"");
    for version in BOTH {
        for bytes in [
            packet(0x36, &text("t")),                           // QoS 3
            packet(0x32, &[text("t"), vec![0, 0, 0]].concat()), // packet identifier 0
            packet(0x30, &[0, 5, b't']),                        // ends too early
            packet(0x30, &[0, 1, 0xff, 0]),                     // not UTF-8
            packet(0x30, &[text("a\0b"), vec![0]].concat()),    // NUL
            packet(0x83, &[]),                                  // reserved bits
            packet(0x60, &[0, 1]),                              // PUBREL without its bit
            packet(0xc0, &[0]),                                 // PINGREQ with a body
            packet(0x40, &[0, 1, 0, 0, 0]),                     // PUBACK with a tail
            subscribe(version, 1, &[("t", 3)]),                 // QoS 3
            subscribe(version, 1, &[("t", 0xc0)]),              // reserved options
            packet(0xa2, &[0]),
            packet(0x00, &[]),              // no such packet
            packet(0xf1, &[]),              // AUTH with a reserved bit
            packet(0x38, &[0, 1, b't', 0]), // QoS 0, repeated
        ] {
            assert_eq!(malformed(&bytes, version), Reason::MalformedPacket, "{bytes:x?}");
        }
        for bytes in [
            subscribe(version, 1, &[]),
            packet(0x50, &[0, 1]),
            packet(0x70, &[0, 1]),
            packet(0x20, &[0, 0]),
            packet(0xd0, &[]),
            packet(0xf0, &[]),
        ] {
            assert_eq!(malformed(&bytes, version), Reason::ProtocolError, "{bytes:x?}");
        }
        let many = vec![("t", 0); 33];
        assert_eq!(
            malformed(&subscribe(version, 1, &many), version),
            Reason::QuotaExceeded
        );
        assert!(read(&subscribe(version, 1, &many[1..]), version).is_ok());
    }
    for (bytes, reason) in [
        (property(&[0x23, 0, 1]), Reason::TopicAliasInvalid),
        (property(&[0x0b, 1]), Reason::ProtocolError),
        (property(&[0x11, 0, 0, 0, 1]), Reason::MalformedPacket),
        (property(&[0x01, 2]), Reason::ProtocolError),
        (property(&[0x01, 1, 0x01, 1]), Reason::ProtocolError),
        (property(&[0x02, 0, 0]), Reason::MalformedPacket),
        (
            packet(0x82, &[&[0, 1, 2, 0x0b, 1][..], &text("t"), &[0]].concat()),
            Reason::SubscriptionIdentifiersNotSupported,
        ),
    ] {
        assert_eq!(malformed(&bytes, Version::V5), reason, "{bytes:x?}");
    }
    assert!(
        read(
            &property(&[0x26, 0, 1, b'k', 0, 0, 0x26, 0, 1, b'k', 0, 0]),
            Version::V5
        )
        .is_ok()
    );
}

#[test]
fn malformed_connects_are_refused() {
    let reason = |bytes: &[u8]| {
        cut(bytes)
            .and_then(Frame::connect)
            .map(|_| ())
            .map_err(|error| error.reason())
    };
    let raw = |level: u8, flags: u8, rest: &[u8]| {
        packet(
            0x10,
            &[text("MQTT"), vec![level, flags, 0, 0], rest.to_vec()].concat(),
        )
    };
    let empty_v5 = [0, 0, 0];
    assert_eq!(reason(&raw(4, 2, &[0, 0])), Ok(()));
    assert_eq!(reason(&raw(5, 2, &empty_v5)), Ok(()));
    for flags in [0x03, 0x1a, 0x22, 0x1e] {
        assert_eq!(
            reason(&raw(5, flags, &empty_v5)),
            Err(Reason::MalformedPacket),
            "{flags:#x}"
        );
    }
    // A password alone is allowed by 5.0 only.
    assert_eq!(reason(&raw(4, 0x42, &[0, 0, 0, 0])), Err(Reason::MalformedPacket));
    assert_eq!(reason(&raw(5, 0x42, &[0, 0, 0, 0, 0])), Ok(()));
    for level in [0, 3, 6, 0x84] {
        assert_eq!(
            reason(&raw(level, 2, &[0, 0])),
            Err(Reason::UnsupportedVersion),
            "{level}"
        );
    }
    let old = packet(0x10, &[text("MQIsdp"), vec![3, 2, 0, 0, 0, 0]].concat());
    assert_eq!(reason(&old), Err(Reason::UnsupportedVersion));
    assert_eq!(
        reason(&raw(4, 2, &[0, 0, 0])),
        Err(Reason::MalformedPacket),
        "a tail"
    );
    assert_eq!(
        reason(&raw(5, 2, &[3, 0x21, 0, 0, 0, 0])),
        Err(Reason::ProtocolError),
        "receive maximum 0"
    );
    assert_eq!(
        reason(&packet(0xc0, &[])),
        Err(Reason::ProtocolError),
        "PINGREQ first"
    );
}

#[test]
fn the_limit_holds_before_the_body_comes() {
    for (announced, taken) in [(&[0x30, 0x80, 0x01][..], true), (&[0x30, 0x81, 0x01], false)] {
        let mut buffer = BytesMut::from(announced);
        assert_eq!(frame(&mut buffer, 128).is_ok(), taken);
    }
    let mut buffer = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]);
    assert_eq!(
        frame(&mut buffer, LIMIT).unwrap_err(),
        DecodeError::TooLarge {
            length: (1 << 21) - 1,
            limit: LIMIT
        },
        "refused at the third byte of the length"
    );
    let mut buffer = BytesMut::from(&[0x30, 0x80, 0x80, 0x80, 0x80][..]);
    assert!(matches!(
        frame(&mut buffer, LIMIT),
        Err(DecodeError::Malformed(_))
    ));
}

#[test]
fn a_stream_cut_anywhere_reads_the_same() {
    let sent = [
        publish(Version::V5, "a/b", 2, 7, &[], &[1; 300]),
        packet(0xc0, &[]),
        subscribe(Version::V5, 8, &[("a", 1)]),
    ]
    .concat();
    for split in 0..=sent.len() {
        let (mut buffer, mut packets) = (BytesMut::new(), Vec::new());
        for part in [&sent[..split], &sent[split..]] {
            buffer.extend_from_slice(part);
            while let Some(frame) = frame(&mut buffer, LIMIT).unwrap() {
                packets.push(frame.packet(Version::V5).unwrap());
            }
        }
        assert_eq!((packets.len(), buffer.len()), (3, 0), "cut at {split}");
    }
}

/// Feeds bytes as a connection would: CONNECT first or not, until an error.
fn feed(bytes: &[u8], version: Version, first: bool) -> usize {
    let (mut buffer, mut read) = (BytesMut::from(bytes), 0);
    let mut first = first;
    while let Ok(Some(frame)) = frame(&mut buffer, LIMIT) {
        let fine = if first {
            frame.connect().is_ok()
        } else {
            frame.packet(version).is_ok()
        };
        first = false;
        if !fine {
            break;
        }
        read += 1;
    }
    read
}

#[test]
fn b6_no_bytes_panic() {
    let mut seeded = Seeded(0x6d75_7374_6572);
    let hello = Hello {
        id: "id",
        login: Some(("user", "code")),
        will: Some("w"),
        properties: &[],
        ..Hello::default()
    };
    let mut read = 0;
    for version in BOTH {
        let properties: &[u8] = if version == Version::V5 {
            &[0x26, 0, 1, b'k', 0, 1, b'v', 0x01, 1]
        } else {
            &[]
        };
        let corpus = [
            connect(version, &hello),
            publish(version, "muster/v1/x/report", 2, 7, properties, b"payload"),
            publish(version, "t", 0, 0, &[], b""),
            subscribe(version, 9, &[("a/b", 1), ("#", 0)]),
            packet(0x40, &[0, 1]),
            packet(0x62, &[0, 1, 0, 0]),
            packet(0xe0, &[]),
        ];
        for round in 0..40_000 {
            let mut bytes = corpus[seeded.below(corpus.len())].clone();
            for _ in 0..1 + seeded.below(4) {
                let place = seeded.below(bytes.len());
                match seeded.below(6) {
                    0 => bytes[place] = seeded.byte(),
                    1 => bytes[place] ^= 1 << seeded.below(8),
                    2 => bytes.insert(place, seeded.byte()),
                    3 if bytes.len() > 2 => drop(bytes.remove(place)),
                    4 => bytes.truncate(place.max(2)),
                    _ => bytes[place] = [0, 0x7f, 0x80, 0xff][seeded.below(4)],
                }
            }
            // Lengths that fit bring the damage past the framing.
            if round % 2 == 0 && bytes.len() < 128 {
                bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
            }
            read += feed(&bytes, version, round % 3 == 0);
        }
        for _ in 0..40_000 {
            let bytes: Vec<_> = (0..seeded.below(64)).map(|_| seeded.byte()).collect();
            read += feed(&bytes, version, false) + feed(&bytes, version, true);
        }
    }
    assert!(
        read > 10_000,
        "{read} of the mutants were packets: the corpus lost its bite"
    );
}
