//! SUBSCRIBE and SUBACK.

use super::{super::client::subscribe, *};

checks! {
    every_subscription_is_answered_filter_by_filter: BOTH;
    reserved_subscription_options_are_malformed: BOTH;
    a_subscription_has_a_filter: BOTH;
    subscription_options_are_taken: V5;
    a_repeat_replaces_the_subscription: BOTH;
    wildcards_are_refused: BOTH;
    shares_are_refused: V5;
    no_local_has_no_place_in_a_share: V5;
    subscription_identifiers_are_refused: V5;
    filters_are_compared_byte_by_byte: BOTH;
    an_empty_filter_is_refused: BOTH;
}

/// The code of a filter that is not granted.
fn refused(version: Version) -> u8 {
    by_version(version, 0x80, 0x87)
}

async fn every_subscription_is_answered_filter_by_filter(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    let down = own(&device, Channel::Desired);
    let json = topic(device.id, Channel::Desired, Encoding::Json);
    let certificate = own(&device, Channel::Certificate);
    let filters = [("t", 1), (&*down, 0), ("#", 2), (&*json, 1), (&*certificate, 2)];
    client.send(&subscribe(version, 0x0102, &filters)).await;
    let no = refused(version);
    let said = client.hear().await;
    assert!(
        matches!(&said, Said::SubAck(0x0102, codes, _) if *codes == [no, 0, no, 1, 1]),
        "{said:?}"
    );
    // As if each had come alone: the granted ones bring messages.
    world.registry.desire(device.id, "state");
    ask(&mut client, &device).await;
    for expected in [down, json] {
        let said = client.hear().await;
        assert!(
            matches!(&said, Said::Publish { topic, .. } if *topic == expected),
            "{said:?}"
        );
    }
}

async fn reserved_subscription_options_are_malformed(world: &World, version: Version) {
    let reserved: &[u8] = by_version(
        version,
        &[4, 8, 16, 32, 64, 128, 3, 0xff],
        &[64, 128, 0xc0, 3, 0x43],
    );
    for options in reserved {
        refuses(world, version, &raw_subscribe(version, b"t", *options), 0x81).await;
    }
    if is_v5(version) {
        refuses(world, version, &raw_subscribe(version, b"t", 0x30), 0x82).await;
    }
}

async fn a_subscription_has_a_filter(world: &World, version: Version) {
    refuses(world, version, &subscribe(version, 1, &[]), 0x82).await;
    // A filter without its options is none.
    let half = [&[0, 1][..], &properties(version, &[]), &text("t")].concat();
    refuses(world, version, &packet(0x82, &half), 0x81).await;
}

async fn subscription_options_are_taken(world: &World, version: Version) {
    // No local, retain as published, each retain handling: nothing is retained, and nobody's messages are local.
    for options in [0x04, 0x08, 0x0c, 0x10, 0x20, 0x2c] {
        let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
        let down = own(&device, Channel::Desired);
        client
            .send(&raw_subscribe(version, down.as_bytes(), options | 1))
            .await;
        assert_eq!(client.hear().await, Said::SubAck(1, vec![1], String::new()));
        ask(&mut client, &device).await;
        let (first, _) = client.hear_raw().await.unwrap();
        assert_eq!(first, 0x32, "options {options:#x}");
    }
}

async fn a_repeat_replaces_the_subscription(world: &World, version: Version) {
    let (device, mut client) = listening(world, version, 1, &Hello::default()).await;
    let down = own(&device, Channel::Desired);
    for (qos, first) in [(0, 0x30), (1, 0x32)] {
        client.send(&raw_subscribe(version, down.as_bytes(), qos)).await;
        assert_eq!(client.hear().await, Said::SubAck(1, vec![qos], String::new()));
        ask(&mut client, &device).await;
        assert_eq!(client.hear_raw().await.unwrap().0, first);
        assert_eq!(client.ping().await, Said::PingResp, "once, not once for each");
    }
}

async fn wildcards_are_refused(world: &World, version: Version) {
    let device = world.device();
    world.registry.desire(device.id, "state");
    let mut client = world.session(&device, version).await;
    let down = own(&device, Channel::Desired);
    // Well formed, badly formed, and around its own topic.
    for filter in [
        "#".into(),
        "+".into(),
        "/#".into(),
        "$SYS/#".into(),
        "a#".into(),
        "#/a".into(),
        "a/#/b".into(),
        "a+".into(),
        "+a/b".into(),
        format!("{down}/#"),
        format!("{down}+"),
        down.replace("/v1/", "/+/"),
    ] {
        let said = client.subscribe(&filter).await;
        let no = refused(version);
        assert!(
            matches!(&said, Said::SubAck(_, codes, _) if *codes == [no]),
            "{filter}: {said:?}"
        );
    }
    ask(&mut client, &device).await;
    assert_eq!(client.ping().await, Said::PingResp, "nothing matches");
}

async fn shares_are_refused(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    let down = own(&device, Channel::Desired);
    for name in ["group/", "", "/", "a+/", "#/", "group"] {
        let said = client.subscribe(&format!("$share/{name}{down}")).await;
        let no = refused(version);
        assert!(
            matches!(&said, Said::SubAck(_, codes, _) if *codes == [no]),
            "{name}: {said:?}"
        );
    }
}

async fn no_local_has_no_place_in_a_share(world: &World, version: Version) {
    refuses(
        world,
        version,
        &raw_subscribe(version, b"$share/group/t", 0x05),
        0x82,
    )
    .await;
}

async fn subscription_identifiers_are_refused(world: &World, version: Version) {
    for inner in [&[0x0b, 0][..], &[0x0b, 1], &[0x0b, 0xff, 0xff, 0xff, 0x7f]] {
        let body = [&[0, 1][..], &properties(version, inner), &text("t"), &[1]].concat();
        refuses(world, version, &packet(0x82, &body), 0xa1).await;
    }
}

async fn filters_are_compared_byte_by_byte(world: &World, version: Version) {
    let device = world.device();
    let mut client = world.session(&device, version).await;
    let down = own(&device, Channel::Desired);
    for near in [
        down.to_uppercase(),
        format!("{down}/"),
        format!("/{down}"),
        format!("{down} "),
        down.replace("desired", "de\u{300}sired"),
        down.replace("muster", "mu\u{17f}ter"),
        down.replace('/', "//"),
        format!("./{down}"),
    ] {
        let said = client.subscribe(&near).await;
        let no = refused(version);
        assert!(
            matches!(&said, Said::SubAck(_, codes, _) if *codes == [no]),
            "{near}: {said:?}"
        );
    }
    let said = client.subscribe(&down).await;
    assert!(
        matches!(&said, Said::SubAck(_, codes, _) if *codes == [1]),
        "{said:?}"
    );
}

async fn an_empty_filter_is_refused(world: &World, version: Version) {
    let mut client = world.session(&world.device(), version).await;
    let no = refused(version);
    let said = client.subscribe("").await;
    assert!(
        matches!(&said, Said::SubAck(_, codes, _) if *codes == [no]),
        "{said:?}"
    );
}
