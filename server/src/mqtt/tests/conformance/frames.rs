//! Strings, lengths, identifiers, properties: what packets are made of.

use super::{
    super::client::{publish, subscribe},
    *,
};
use crate::mqtt::tests::{registry::Heard, world::report_bytes};

checks! {
    text_in_connect_is_utf8: BOTH;
    text_in_topics_is_utf8: BOTH;
    text_holds_no_null: BOTH;
    a_byte_order_mark_is_a_character: BOTH;
    padded_lengths_are_malformed: V5;
    text_pairs_are_utf8: V5;
    reserved_header_bits_are_malformed: BOTH;
    packet_identifiers_are_not_zero: BOTH;
    qos_0_has_no_packet_identifier: BOTH;
    answers_carry_the_identifier_of_the_question: BOTH;
    no_properties_are_a_length_of_zero: V5;
    properties_have_their_places: V5;
    packets_come_in_any_pieces: BOTH;
}

/// A surrogate, an overlong NUL, a byte that no UTF-8 has, a character that ends too early.
const NOT_UTF8: [&[u8]; 4] = [b"a\xed\xa0\x80", b"\xc0\x80", b"a\xffb", b"\xe2\x82"];

async fn text_in_connect_is_utf8(world: &World, version: Version) {
    for bad in NOT_UTF8 {
        let (bad, fine) = (binary(bad), text("fine"));
        for (flags, payload) in [
            (0x02, bad.clone()),
            (0x82, [fine.clone(), bad.clone()].concat()),
            (
                0x06,
                [fine.clone(), properties(version, &[]), bad, text("last words")].concat(),
            ),
        ] {
            is_ignored(world, version, &raw_connect(version, flags, &[], &payload)).await;
        }
    }
}

async fn text_in_topics_is_utf8(world: &World, version: Version) {
    for bad in NOT_UTF8 {
        refuses(world, version, &raw_subscribe(version, bad, 1), 0x81).await;
        refuses(world, version, &raw_unsubscribe(version, 1, &[bad]), 0x81).await;
        let message = [binary(bad), properties(version, &[])].concat();
        refuses(world, version, &packet(0x30, &message), 0x81).await;
    }
}

async fn text_holds_no_null(world: &World, version: Version) {
    let bad = b"a\0b";
    is_ignored(world, version, &raw_connect(version, 0x02, &[], &binary(bad))).await;
    refuses(world, version, &raw_subscribe(version, bad, 1), 0x81).await;
    refuses(world, version, &raw_unsubscribe(version, 1, &[bad]), 0x81).await;
    let message = [binary(bad), properties(version, &[])].concat();
    refuses(world, version, &packet(0x30, &message), 0x81).await;
}

async fn a_byte_order_mark_is_a_character(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    let down = own(&device, Channel::Desired);
    for marked in [format!("\u{feff}{down}"), format!("{down}\u{feff}")] {
        let said = client.subscribe(&marked).await;
        assert!(
            matches!(&said, Said::SubAck(_, codes, _) if codes[0] >= 0x80),
            "another topic: {said:?}"
        );
    }
}

async fn padded_lengths_are_malformed(world: &World, version: Version) {
    refuses(world, version, &[0xc0, 0x80, 0x00], 0x81).await;
    refuses(world, version, &[0xc0, 0x80, 0x80, 0x80, 0x00], 0x81).await;
    let message = [text("t"), vec![0x80, 0x00]].concat();
    refuses(world, version, &packet(0x30, &message), 0x81).await;
    // More than four bytes are no length in either version.
    refuses(world, version, &[0xc0, 0x80, 0x80, 0x80, 0x80, 0x00], 0x81).await;
}

async fn text_pairs_are_utf8(world: &World, version: Version) {
    for (key, value) in [(&b"\xff"[..], &b"v"[..]), (b"k", b"\xed\xbf\xbf"), (b"k\0", b"")] {
        let pair = [&[0x26][..], &binary(key), &binary(value)].concat();
        refuses(world, version, &publish(version, "t", 0, 0, &pair, b""), 0x81).await;
        is_ignored(world, version, &raw_connect(version, 0x02, &pair, &text(""))).await;
    }
}

async fn reserved_header_bits_are_malformed(world: &World, version: Version) {
    let identifier = [0, 1];
    let filter = [&[0, 1][..], &properties(version, &[]), &text("t")].concat();
    let wanted = [&filter[..], &[1]].concat();
    for (kind, right, body) in [
        (0x40u8, 0u8, &identifier[..]),
        (0x60, 2, &identifier),
        (0x80, 2, &wanted),
        (0xa0, 2, &filter),
        (0xc0, 0, &[]),
        (0xe0, 0, &[]),
        (0xf0, 0, &[0, 0]),
    ] {
        for bits in (0..16).filter(|bits| *bits != right) {
            refuses(world, version, &packet(kind | bits, body), 0x81).await;
        }
    }
    for first in [0x11, 0x12, 0x18] {
        let mut hello = raw_connect(version, 0x02, &[], &text(""));
        hello[0] = first;
        is_ignored(world, version, &hello).await;
    }
    refuses(world, version, &packet(0x00, &[]), 0x81).await;
}

async fn packet_identifiers_are_not_zero(world: &World, version: Version) {
    for bytes in [
        publish(version, "t", 2, 0, &[], b""),
        publish(version, "t", 4, 0, &[], b""),
        subscribe(version, 0, &[("t", 1)]),
        raw_unsubscribe(version, 0, &[b"t"]),
    ] {
        refuses(world, version, &bytes, 0x81).await;
    }
}

async fn qos_0_has_no_packet_identifier(world: &World, version: Version) {
    // What follows topic and properties is the message, in both directions.
    let (device, mut client) = listening(world, version, 0, &Hello::default()).await;
    ask(&mut client, &device).await;
    let (first, body) = client.hear_raw().await.unwrap();
    let head = [text(&own(&device, Channel::Desired)), properties(version, &[])].concat();
    assert_eq!(first, 0x30);
    assert_eq!(body, [&head[..], b"Postcard:state"].concat());
    let heard = world.registry.heard();
    assert!(
        matches!(&heard[..], [Heard::Hello(of, _)] if *of == device.id),
        "{heard:?}"
    );
}

async fn answers_carry_the_identifier_of_the_question(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    let (up, down) = (own(&device, Channel::Report), own(&device, Channel::Desired));
    let report = report_bytes(device.id, 1, Encoding::Postcard);
    for id in [1u16, 0x1234, u16::MAX] {
        client.send(&publish(version, &up, 2, id, &[], &report)).await;
        assert_eq!(client.hear().await, Said::PubAck(id, 0, String::new()));
        client.send(&publish(version, &up, 4, id, &[], &report)).await;
        assert_eq!(client.hear().await, Said::PubRec(id, 0, String::new()));
        client.send(&packet(0x62, &id.to_be_bytes())).await;
        assert_eq!(client.hear().await, Said::PubComp(id, 0));
        client.send(&subscribe(version, id, &[(&down, 1)])).await;
        assert_eq!(client.hear().await, Said::SubAck(id, vec![1], String::new()));
        client
            .send(&raw_unsubscribe(version, id, &[down.as_bytes()]))
            .await;
        assert!(matches!(client.hear().await, Said::UnsubAck(told, _) if told == id));
    }
}

async fn no_properties_are_a_length_of_zero(world: &World, version: Version) {
    let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
    let down = own(&device, Channel::Desired);
    ask(&mut client, &device).await;
    let (_, body) = client.hear_raw().await.unwrap();
    assert_eq!(body[2 + down.len() + 2], 0, "PUBLISH: {body:x?}");
    client
        .send(&raw_unsubscribe(version, 7, &[down.as_bytes()]))
        .await;
    assert_eq!(client.hear_raw().await, Some((0xb0, vec![0, 7, 0, 0])));
    client.send(&raw_subscribe(version, down.as_bytes(), 1)).await;
    assert_eq!(client.hear_raw().await, Some((0x90, vec![0, 1, 0, 1])));
    // And a client's are read so: a message that begins with what would be a property.
    let up = own(&device, Channel::Report);
    client
        .send(&publish(version, &up, 2, 9, &[], &[0x23, 0, 1]))
        .await;
    assert!(matches!(client.hear().await, Said::PubAck(9, 0x99, _)));
}

async fn properties_have_their_places(world: &World, version: Version) {
    let message = |inner: &[u8]| publish(version, "t", 0, 0, inner, b"");
    // Of another packet, of no packet, twice, cut short.
    for inner in [&[0x11, 0, 0, 0, 1][..], &[0x7f, 0], &[0x00], &[0x80, 0x01]] {
        refuses(world, version, &message(inner), 0x81).await;
    }
    refuses(world, version, &message(&[0x02, 0, 0]), 0x81).await;
    refuses(world, version, &message(&[0x01, 1, 0x01, 1]), 0x82).await;
    let over = packet(0x30, &[text("t"), vec![5, 0x01, 1]].concat());
    refuses(world, version, &over, 0x81).await;
    for inner in [
        &[0x21, 0, 1, 0x21, 0, 1][..],
        &[0x21, 0, 0],
        &[0x27, 0, 0, 0, 0],
        &[0x17, 2],
        &[0x19, 2],
        &[0x02, 0, 0, 0, 1],
    ] {
        is_ignored(world, version, &raw_connect(version, 0x02, inner, &text(""))).await;
    }
}

async fn packets_come_in_any_pieces(world: &World, version: Version) {
    let device = world.device();
    let up = own(&device, Channel::Report);
    let report = report_bytes(device.id, 1, Encoding::Postcard);
    let all = [
        raw_connect(version, 0x02, &[], &text("")),
        publish(version, &up, 2, 1, &[], &report),
        packet(0xc0, &[]),
    ]
    .concat();
    for size in [1, 7, all.len()] {
        let mut client = world.dial(Some(&device), version).await;
        for piece in all.chunks(size) {
            client.send(piece).await;
        }
        assert!(
            matches!(client.hear().await, Said::ConnAck { code: 0, .. }),
            "{size}"
        );
        assert_eq!(client.hear().await, Said::PubAck(1, 0, String::new()), "{size}");
        assert_eq!(client.hear().await, Said::PingResp, "{size}");
    }
}
