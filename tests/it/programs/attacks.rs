//! B6: what kills rumqttd's own listener within a dozen tries, for a minute against a server in a process of its own. It
//! lives, its memory stays, and a new device is served.

use super::{catalog, connected, import};
use muster_proto::payload::ClaimResult;
use muster_tests::{Counts, Key, Mqtt, Pair, Program, Random, Registry, fixture, raw};
use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::time::sleep_until;

/// Each attack goes on for so long, all of them at once.
const MINUTE: Duration = Duration::from_secs(60);
/// From then on memory is looked at: caches and pools are filled.
const WARM: Duration = Duration::from_secs(20);
/// What memory may grow by after that.
const GROWTH: u64 = 8 << 20;

/// A server, and devices that turned on it.
struct Target {
    mqtt: SocketAddr,
    roots: Vec<u8>,
    until: Instant,
}

struct Device {
    id: String,
    pair: Pair,
}

impl Target {
    async fn dial(&self, pair: Option<&Pair>) -> Option<Mqtt> {
        Mqtt::dial(self.mqtt, &self.roots, pair, None).await.ok()
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// Sends it all and a goodbye, and leaves without a look at the answers, or waits for the end.
    async fn strike(&self, pair: Option<&Pair>, bytes: &[u8], waits: bool) {
        let Some(mut mqtt) = self.dial(pair).await else {
            return;
        };
        drop(mqtt.send(&[bytes, &raw::BYE].concat()).await);
        while waits && mqtt.hear_raw().await.is_some() {}
    }

    /// A topic that begins with a character of many bytes.
    async fn long_characters(&self, device: &Device) -> u64 {
        let mut rounds = 0;
        while self.goes_on() {
            for (level, topic) in [
                (4, "é/x"),
                (5, "é"),
                (4, "\u{10ffff}/#"),
                (5, "€"),
                (5, "$share/é/é"),
            ] {
                let all = [
                    raw::connect(level, b"", None, None),
                    raw::subscribe(level, 1, topic.as_bytes(), 1),
                    raw::publish(level, topic.as_bytes(), 2, 1, &[], b"x"),
                    raw::publish(level, topic.as_bytes(), 0, 0, &[], b"x"),
                ];
                self.strike(Some(&device.pair), &all.concat(), true).await;
                rounds += 1;
            }
        }
        rounds
    }

    /// Subscribe, flood, disconnect.
    async fn floods(&self, device: &Device) -> u64 {
        let mut rounds = 0;
        let (down, up) = (
            format!("muster/v1/{}/desired/json", device.id),
            format!("muster/v1/{}/hello/json", device.id),
        );
        let hello = format!(
            r#"{{"generation": 0, "digest": "{}", "agent_version": "x", "firmware": "2.3.1", "boot_id": 7}}"#,
            "0".repeat(64)
        );
        while self.goes_on() {
            let level = if rounds % 2 == 0 { 4 } else { 5 };
            let mut all = raw::connect(level, b"", None, None);
            all.extend(raw::subscribe(level, 1, down.as_bytes(), 1));
            for id in 2..100 {
                all.extend(raw::publish(level, up.as_bytes(), 2, id, &[], hello.as_bytes()));
                all.extend(raw::PING);
            }
            // Every other time it does not stay for the answers.
            self.strike(Some(&device.pair), &all, rounds % 4 < 2).await;
            rounds += 1;
        }
        rounds
    }

    /// Ids, names and topics that mean harm, from a device and from nobody.
    async fn poisons(&self, device: &Device, other: &Device) -> u64 {
        let mut chance = Random::seeded(11);
        let long = vec![b'a'; 65_535];
        let poisons: [&[u8]; 13] = [
            b"#",
            b"+",
            b"a/#/b",
            b"$SYS/#",
            b"\0",
            b"\xff\xfe",
            b"../../etc/passwd",
            b"C:\\nul",
            b"' OR 1=1 --",
            b"%s%s%n",
            "\u{202e}é".as_bytes(),
            &long,
            other.id.as_bytes(),
        ];
        let mut rounds = 0;
        while self.goes_on() {
            let level = if rounds % 2 == 0 { 4 } else { 5 };
            let poison = poisons[usize::try_from(chance.below(poisons.len() as u64)).unwrap()];
            // As a device, in its id, in a topic, in a filter; twice at once under its own id.
            let hello = raw::connect(level, poison, None, None);
            let all = [
                raw::connect(level, device.id.as_bytes(), None, None),
                raw::subscribe(level, 1, poison, 1),
                raw::publish(level, poison, 2, 1, &[], poison),
            ];
            let all = all.concat();
            tokio::join!(
                self.strike(Some(&device.pair), &hello, true),
                self.strike(Some(&device.pair), &all, true),
                self.strike(Some(&device.pair), &all, false),
            );
            // As nobody, in every field; what is longer than a CONNECT may be is refused by its length.
            let claim = [
                raw::connect(level, poison, None, Some((poison, poison))),
                raw::publish(level, b"muster/v1/claim", 2, 1, &[], poison),
                raw::publish(level, poison, 0, 0, &[], poison),
            ];
            self.strike(None, &claim.concat(), true).await;
            rounds += 1;
        }
        rounds
    }

    /// Looks at the server's memory until the end: what it held when warm, and the most that it held after.
    async fn memory(&self, musterd: &Program) -> (u64, u64) {
        let resident = || musterd.counts().map_or(0, |counts: Counts| counts.resident);
        let start = self.until - MINUTE;
        sleep_until((start + WARM).into()).await;
        let warm = resident();
        let mut most = warm;
        let mut next = start + WARM;
        while self.goes_on() {
            next += Duration::from_secs(1);
            sleep_until(next.into()).await;
            most = most.max(resident());
        }
        (warm, most)
    }
}

async fn device(target: &Target, client: &muster_tools::Client, serial: &str, code: &str) -> Device {
    let key = Key::new();
    let answer = target
        .dial(None)
        .await
        .expect("TLS")
        .claim(serial, code, key.csr())
        .await;
    let Some(ClaimResult::Accepted(accepted)) = answer else {
        panic!("{serial}: {answer:?}")
    };
    let request = muster_proto::v1::GetDeviceRequest {
        name: format!("devices/serial:{serial}"),
    };
    let known = client
        .devices
        .clone()
        .get_device(request)
        .await
        .unwrap()
        .into_inner();
    Device {
        id: known.name.replace("devices/", ""),
        pair: key.pair(&accepted.chain.iter().map(|der| &der.0).collect::<Vec<_>>()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b6_a_minute_of_what_kills_brokers() {
    let registry = Registry::new();
    let (mut musterd, _, mqtt) = registry.serve("warn,musterd=info").await;
    let client = connected(&registry).await;
    catalog(&client).await;
    let (rows, ended) = import(&client, &fixture::manifest("gateways.csv"), |_| {}).await;
    ended.unwrap();
    let serial = |row: u32| format!("GW2-{}", 7_000_001 + row);
    let mut target = Target {
        mqtt,
        roots: fs::read(registry.path("registry/operator/root.pem")).unwrap(),
        until: Instant::now(),
    };
    let mut devices = Vec::new();
    for row in 0..4u32 {
        let code = &rows[usize::try_from(row).unwrap()].activation_code;
        devices.push(device(&target, &client, &serial(row), code).await);
    }
    target.until = Instant::now() + MINUTE;
    let [one, two, three, four] = &devices[..] else {
        panic!("four devices")
    };
    let (characters, floods, poisons, (warm, most)) = tokio::join!(
        target.long_characters(one),
        target.floods(two),
        target.poisons(three, four),
        target.memory(&musterd),
    );
    let mib = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap()) / 1024.0;
    println!(
        "{characters} topics, {floods} floods, {poisons} poisons; {:.1} MiB when warm, {:.1} MiB at most after",
        mib(warm),
        mib(most)
    );
    assert!(!musterd.has_ended(), "{}", musterd.log());
    assert!(characters.min(floods).min(poisons) >= 12, "it was attacked");
    assert!(most - warm < GROWTH, "memory grew by {:.1} MiB", mib(most - warm));
    assert!(!musterd.log().contains("panicked"), "{}", musterd.log());
    // A new device comes as if nothing had been.
    super::verified(&registry, &client, mqtt, (&serial(5), &rows[5].activation_code)).await;
    musterd.signal("TERM");
    assert_eq!(musterd.ended().await.code, Some(0));
}
