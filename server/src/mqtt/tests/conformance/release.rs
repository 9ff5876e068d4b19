//! QoS 2 towards the server: received, held, released. And the reasons that a client may give.

use super::{super::client::publish, *};
use crate::mqtt::tests::world::report_bytes;

checks! {
    qos_2_is_recorded_once: BOTH;
    a_released_identifier_is_free: BOTH;
    a_refused_identifier_is_free: V5;
    every_release_is_answered: BOTH;
    no_more_than_the_receive_maximum_is_held: V5;
    a_client_gives_only_reasons_of_the_table: V5;
    what_answers_no_message_ends_the_connection: BOTH;
}

/// A device in session, and a message of QoS 2 from it.
struct Sender {
    device: Device,
    client: Tls,
    topic: String,
}

impl Sender {
    async fn new(world: &World, version: Version) -> Self {
        let device = world.device();
        let client = world.session(&device, version).await;
        let topic = own(&device, Channel::Report);
        Self {
            device,
            client,
            topic,
        }
    }

    /// Sends one; 666 is a generation that the registry refuses.
    async fn send(&mut self, flags: u8, id: u16, generation: u64) {
        let report = report_bytes(self.device.id, generation, Encoding::Postcard);
        let message = publish(self.client.version, &self.topic, flags, id, &[], &report);
        self.client.send(&message).await;
    }

    async fn is_received(&mut self, id: u16) {
        assert_eq!(self.client.hear().await, Said::PubRec(id, 0, String::new()));
    }

    async fn is_released(&mut self, id: u16) {
        self.client.send(&packet(0x62, &id.to_be_bytes())).await;
        assert_eq!(self.client.hear().await, Said::PubComp(id, 0));
    }
}

async fn qos_2_is_recorded_once(world: &World, version: Version) {
    let mut sender = Sender::new(world, version).await;
    // With the flag of a repetition and without: the identifier is what counts.
    for flags in [4, 12, 4] {
        sender.send(flags, 9, 1).await;
        sender.is_received(9).await;
    }
    assert_eq!(world.registry.heard().len(), 1);
    sender.is_released(9).await;
}

async fn a_released_identifier_is_free(world: &World, version: Version) {
    let mut sender = Sender::new(world, version).await;
    for (round, flags) in [(1, 4), (2, 12)] {
        sender.send(flags, 9, round).await;
        sender.is_received(9).await;
        sender.is_released(9).await;
        assert_eq!(world.registry.heard().len(), usize::try_from(round).unwrap());
    }
}

async fn a_refused_identifier_is_free(world: &World, version: Version) {
    let mut sender = Sender::new(world, version).await;
    sender.send(4, 9, 666).await;
    assert!(matches!(sender.client.hear().await, Said::PubRec(9, 0x83, _)));
    assert_eq!(world.registry.heard(), []);
    sender.send(12, 9, 1).await;
    sender.is_received(9).await;
    assert_eq!(world.registry.heard().len(), 1);
}

async fn every_release_is_answered(world: &World, version: Version) {
    let mut sender = Sender::new(world, version).await;
    sender.send(4, 9, 1).await;
    sender.is_received(9).await;
    sender.is_released(9).await;
    for id in [9u16, 10, u16::MAX] {
        sender.client.send(&packet(0x62, &id.to_be_bytes())).await;
        let code = by_version(version, 0, 0x92);
        assert_eq!(sender.client.hear().await, Said::PubComp(id, code));
    }
}

async fn no_more_than_the_receive_maximum_is_held(world: &World, version: Version) {
    for flags in [2, 4] {
        let mut sender = Sender::new(world, version).await;
        for id in 1..=16 {
            sender.send(4, id, 1).await;
            sender.is_received(id).await;
        }
        // The quota is used up: what does not count goes on, and a release makes room.
        assert_eq!(sender.client.ping().await, Said::PingResp);
        sender.send(0, 0, 1).await;
        sender.is_released(3).await;
        sender.send(4, 17, 1).await;
        sender.is_received(17).await;
        sender.send(flags, 18, 1).await;
        ends(&mut sender.client, 0x93).await;
    }
}

async fn a_client_gives_only_reasons_of_the_table(world: &World, version: Version) {
    for (first, code) in [
        (0x40, 0x01),
        (0x40, 0x92),
        (0x62, 0x10),
        (0x62, 0x80),
        (0xe0, 0x03),
        (0xe0, 0x8e),
    ] {
        let body: &[u8] = if first == 0xe0 { &[code] } else { &[0, 1, code] };
        refuses(world, version, &packet(first, body), 0x82).await;
    }
    for (first, body) in [
        (0x40, &[0, 1, 0x80][..]),
        (0x40, &[0, 1, 0x10, 0]),
        (0x62, &[0, 1, 0x92, 0]),
    ] {
        let mut client = world.session(&world.device(), version).await;
        client.send(&packet(first, body)).await;
        if first == 0x62 {
            assert_eq!(client.hear().await, Said::PubComp(1, 0x92));
        }
        assert_eq!(client.ping().await, Said::PingResp);
    }
    for code in [0x00, 0x04, 0x80, 0x99] {
        let mut client = world.session(&world.device(), version).await;
        client.send(&packet(0xe0, &[code])).await;
        assert_eq!(client.hear_out().await, [], "{code:#x} is a way to leave");
    }
}

async fn what_answers_no_message_ends_the_connection(world: &World, version: Version) {
    // The server sends nothing at QoS 2, and asks for nothing.
    for (first, body) in [
        (0x50, &[0, 1][..]),
        (0x70, &[0, 1]),
        (0x20, &[0, 0]),
        (0x90, &[0, 1, 0]),
        (0xb0, &[0, 1]),
        (0xd0, &[]),
    ] {
        refuses(world, version, &packet(first, body), 0x82).await;
    }
}
