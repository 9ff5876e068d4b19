//! The statements of both specifications, each against the gate: raw bytes over TLS, in the versions that say so.
//!
//! Which statement is proved by which check, and why one is not ours, stands in `tests/fixtures/mqtt/conformance.toml`;
//! [`table`] holds that file and these checks together. Checks stand by the packet that they are about.

mod connack;
mod connect;
mod deliver;
mod ends;
mod frames;
mod publish;
mod release;
mod sizes;
mod subscribe;
mod table;
mod unsubscribe;

use super::{
    client::{Hello, Said, packet, properties, text},
    world::{BOTH, Device, Tls, World, hello, topic},
};
use crate::mqtt::codec::Version;
use muster_proto::topic::{Channel, Encoding};

/// A check, and the versions that it holds in.
#[derive(Debug)]
struct Check {
    name: &'static str,
    versions: &'static [Version],
}

const V4: [Version; 1] = [Version::V4];
const V5: [Version; 1] = [Version::V5];

/// Makes a test of each check, and a list of all.
macro_rules! checks {
    ($($name:ident: $versions:expr;)*) => {
        pub(super) const CHECKS: &[super::Check] = &[
            $(super::Check { name: stringify!($name), versions: &$versions }),*
        ];

        mod test {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    for version in $versions {
                        super::$name(&World::new().await, version).await;
                    }
                }
            )*
        }
    };
}
use checks;

const fn is_v5(version: Version) -> bool {
    matches!(version, Version::V5)
}

/// What a version answers where only 5.0 has reasons.
fn by_version<T>(version: Version, v4: T, v5: T) -> T {
    if is_v5(version) { v5 } else { v4 }
}

/// A topic of a device's own.
fn own(device: &Device, channel: Channel) -> String {
    topic(device.id, channel, Encoding::Postcard)
}

/// The server ends the connection; in 5.0 its last word is DISCONNECT with that reason, in 3.1.1 it has none.
async fn ends(client: &mut Tls, reason: u8) {
    let said = client.hear_out().await;
    match (client.version, said.as_slice()) {
        (Version::V4, []) => {}
        (Version::V5, [Said::Disconnect(told, _)]) if *told == reason => {}
        (version, said) => panic!("{version:?}: not the end with {reason:#x}: {said:?}"),
    }
}

/// A device in session says that, and its connection ends.
async fn refuses(world: &World, version: Version, bytes: &[u8], reason: u8) {
    let mut client = world.session(&world.device(), version).await;
    client.send(bytes).await;
    let said = client.hear_out().await;
    let fine = match (version, said.as_slice()) {
        (Version::V4, []) => true,
        (Version::V5, [Said::Disconnect(told, _)]) => *told == reason,
        _ => false,
    };
    assert!(
        fine,
        "{version:?}, {bytes:x?}: not the end with {reason:#x}: {said:?}"
    );
}

/// Somebody without a certificate begins with that, and the connection closes without a word.
async fn is_ignored(world: &World, version: Version, bytes: &[u8]) {
    let mut client = world.dial(None, version).await;
    client.send(bytes).await;
    let said = client.hear_out().await;
    assert_eq!(said, [], "{version:?}, {bytes:x?}");
}

/// CONNECT with any flags, and with what follows the properties.
fn raw_connect(version: Version, flags: u8, inner: &[u8], payload: &[u8]) -> Vec<u8> {
    let level = by_version(version, 4, 5);
    let head = [text("MQTT"), vec![level, flags, 0, 60]].concat();
    packet(
        0x10,
        &[head, properties(version, inner), payload.to_vec()].concat(),
    )
}

/// SUBSCRIBE with one filter, whatever its bytes.
fn raw_subscribe(version: Version, filter: &[u8], options: u8) -> Vec<u8> {
    let body = [
        &[0, 1][..],
        &properties(version, &[]),
        &binary(filter),
        &[options],
    ]
    .concat();
    packet(0x82, &body)
}

/// UNSUBSCRIBE of any filters.
fn raw_unsubscribe(version: Version, id: u16, filters: &[&[u8]]) -> Vec<u8> {
    let mut body = [&id.to_be_bytes()[..], &properties(version, &[])].concat();
    for filter in filters {
        body.extend(binary(filter));
    }
    packet(0xa2, &body)
}

/// Bytes with their length.
fn binary(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

/// A device in session that listens for its desired state at a quality of service, with one waiting for it.
async fn listening(world: &World, version: Version, qos: u8, hello: &Hello<'_>) -> (Device, Tls) {
    let device = world.device();
    world.registry.desire(device.id, "state");
    let mut client = world.dial(Some(&device), version).await;
    let said = client.connect(hello).await;
    assert!(matches!(said, Said::ConnAck { code: 0, .. }), "{said:?}");
    let down = own(&device, Channel::Desired);
    client.send(&raw_subscribe(version, down.as_bytes(), qos)).await;
    let said = client.hear().await;
    assert_eq!(said, Said::SubAck(1, vec![qos.min(1)], String::new()));
    (device, client)
}

/// Says hello at QoS 0, which makes the server send what it has; nothing answers it.
async fn ask(client: &mut Tls, device: &Device) {
    let up = own(device, Channel::Hello);
    let said = super::client::publish(client.version, &up, 0, 0, &[], &hello(Encoding::Postcard));
    client.send(&said).await;
}
