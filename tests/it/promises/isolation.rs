//! B1, G10: a device against another, ten thousand times, by every way that MQTT has. It hears nothing, changes nothing, and
//! its victim misses nothing.

use futures_util::future::join_all;
use muster_proto::v1;
use muster_tests::{Mqtt, Pair, Random, World, raw, until};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

const ATTEMPTS: u64 = 10_000;
/// Attempts at once.
const ATTACKERS: u64 = 4;
/// Attempts of one session, so that it stays below its rate: each is a packet and a ping.
const OF_A_SESSION: u32 = 90;

/// What one attempt sends.
enum Attempt {
    /// As the first packet of a connection.
    Connect(Vec<u8>),
    /// In a session.
    Packet(Vec<u8>),
}

/// Who attacks whom, in which version.
struct Attack<'a> {
    level: u8,
    own: &'a str,
    victim: &'a str,
    chance: Random,
}

type Vector = fn(&mut Attack<'_>) -> Attempt;

const VECTORS: [(&str, Vector); 12] = [
    ("wildcards", wildcards),
    ("a share", share),
    ("its topic", topic),
    ("its topic's twin", twin),
    ("a message in its name", message),
    ("a retained message", retained),
    ("a will", will),
    ("an alias", alias),
    ("its client id", client_id),
    ("hostile names", hostile_names),
    ("a payload that names it", payload_of_another),
    ("the claimants' topics", claim),
];

const CHANNELS: [&str; 8] = [
    "hello", "desired", "sealed", "report", "renew", "cert", "trusted", "trust",
];

impl Attack<'_> {
    fn pick<'p>(&mut self, of: &[&'p str]) -> &'p str {
        let place = self.chance.below(of.len() as u64);
        of[usize::try_from(place).unwrap()]
    }

    /// A topic of the victim, in either encoding.
    fn topic(&mut self) -> String {
        let channel = self.pick(&CHANNELS);
        let twin = self.pick(&["", "/json"]);
        format!("muster/v1/{}/{channel}{twin}", self.victim)
    }

    fn id(&mut self) -> u16 {
        u16::try_from(1 + self.chance.below(65_535)).unwrap()
    }

    fn qos(&mut self) -> u8 {
        u8::try_from(self.chance.below(3)).unwrap()
    }

    fn subscribe(&mut self, filter: &str) -> Attempt {
        let (id, qos) = (self.id(), self.qos());
        Attempt::Packet(raw::subscribe(self.level, id, filter.as_bytes(), qos))
    }

    /// A message that the victim itself could send.
    fn publish(&mut self, topic: &[u8], retain: u8, inner: &[u8]) -> Attempt {
        let (id, qos) = (self.id(), self.qos());
        let content = if topic.ends_with(b"json") {
            report(self.victim)
        } else {
            hello()
        };
        let flags = qos << 1 | retain;
        Attempt::Packet(raw::publish(
            self.level,
            topic,
            flags,
            id,
            inner,
            content.as_bytes(),
        ))
    }
}

fn hello() -> String {
    format!(
        r#"{{"generation": 0, "digest": "{}", "agent_version": "0.1.0", "firmware": "2.3.1", "boot_id": 7}}"#,
        "0".repeat(64)
    )
}

fn report(device: &str) -> String {
    format!(
        r#"{{"device_id": "{device}", "generation": 1, "digest": "{}", "facets": [{{"facet": "config", "state": "applied"}}], "firmware": "2.3.1"}}"#,
        "0".repeat(64)
    )
}

fn wildcards(attack: &mut Attack<'_>) -> Attempt {
    let mut levels: Vec<String> = attack.topic().split('/').map(str::to_owned).collect();
    let place = usize::try_from(attack.chance.below(levels.len() as u64)).unwrap();
    if attack.chance.below(2) == 0 {
        levels.truncate(place);
        levels.push("#".into());
    } else {
        levels[place] = "+".into();
    }
    let filter = levels.join("/");
    attack.subscribe(&filter)
}

fn share(attack: &mut Attack<'_>) -> Attempt {
    let (group, topic) = (attack.pick(&["g", "muster", "$share"]), attack.topic());
    attack.subscribe(&format!("$share/{group}/{topic}"))
}

fn topic(attack: &mut Attack<'_>) -> Attempt {
    let channel = attack.pick(&CHANNELS);
    attack.subscribe(&format!("muster/v1/{}/{channel}", attack.victim))
}

fn twin(attack: &mut Attack<'_>) -> Attempt {
    let channel = attack.pick(&CHANNELS);
    attack.subscribe(&format!("muster/v1/{}/{channel}/json", attack.victim))
}

fn message(attack: &mut Attack<'_>) -> Attempt {
    let topic = attack.topic();
    attack.publish(topic.as_bytes(), 0, &[])
}

fn retained(attack: &mut Attack<'_>) -> Attempt {
    let topic = attack.topic();
    attack.publish(topic.as_bytes(), 1, &[])
}

fn will(attack: &mut Attack<'_>) -> Attempt {
    let topic = attack.topic();
    let id = attack.own.as_bytes();
    Attempt::Connect(raw::connect(attack.level, id, Some(topic.as_bytes()), None))
}

/// An alias with the victim's topic, or alone, as if it had been agreed; 3.1.1 has only the empty name.
fn alias(attack: &mut Attack<'_>) -> Attempt {
    let topic = if attack.chance.below(2) == 0 && attack.level == 5 {
        attack.topic()
    } else {
        String::new()
    };
    let [high, low] = attack.id().to_be_bytes();
    attack.publish(topic.as_bytes(), 0, &[0x23, high, low])
}

fn client_id(attack: &mut Attack<'_>) -> Attempt {
    let id = match attack.chance.below(4) {
        0 => attack.victim.to_uppercase() + " ",
        1 => format!("devices/{}", attack.victim),
        _ => attack.victim.to_owned(),
    };
    Attempt::Connect(raw::connect(attack.level, id.as_bytes(), None, None))
}

fn hostile_names(attack: &mut Attack<'_>) -> Attempt {
    let mut name = attack.topic().into_bytes();
    let place = usize::try_from(attack.chance.below(name.len() as u64)).unwrap();
    let harm: &[u8] = match attack.chance.below(6) {
        0 => b"\0",
        1 => b"#",
        2 => b"+",
        3 => b"\xff",
        4 => b"\xed\xa0\x80",
        _ => "\u{feff}".as_bytes(),
    };
    name.splice(place..place, harm.iter().copied());
    match attack.chance.below(3) {
        0 => Attempt::Connect(raw::connect(attack.level, &name, None, None)),
        1 => Attempt::Packet(raw::subscribe(attack.level, 1, &name, 1)),
        _ => attack.publish(&name, 0, &[]),
    }
}

/// On the attacker's own topic, at a QoS that is answered.
fn payload_of_another(attack: &mut Attack<'_>) -> Attempt {
    let (own, id) = (format!("muster/v1/{}/report/json", attack.own), attack.id());
    let content = report(attack.victim);
    Attempt::Packet(raw::publish(
        attack.level,
        own.as_bytes(),
        2,
        id,
        &[],
        content.as_bytes(),
    ))
}

fn claim(attack: &mut Attack<'_>) -> Attempt {
    let twin = attack.pick(&["", "/json"]);
    if attack.chance.below(2) == 0 {
        attack.subscribe(&format!("muster/v1/claim/result{twin}"))
    } else {
        attack.publish(format!("muster/v1/claim{twin}").as_bytes(), 0, &[])
    }
}

/// An attacker's connection.
struct Session<'w> {
    world: &'w World,
    pair: &'w Pair,
    open: Option<(u8, Mqtt, u32)>,
}

impl Session<'_> {
    async fn dial(&self) -> Mqtt {
        self.world.dial(Some(self.pair)).await.expect("TLS")
    }

    async fn opened(&mut self, level: u8) -> &mut Mqtt {
        let fresh = matches!(&self.open, Some((of, _, used)) if *of == level && *used < OF_A_SESSION);
        if !fresh {
            let mut mqtt = self.dial().await;
            mqtt.send(&raw::connect(level, b"", None, None))
                .await
                .expect("CONNECT");
            let (first, body) = mqtt.hear_raw().await.expect("CONNACK");
            assert_eq!((first, body[1]), (0x20, 0));
            self.open = Some((level, mqtt, 0));
        }
        let (_, mqtt, used) = self.open.as_mut().expect("it is open");
        *used += 1;
        mqtt
    }

    async fn attempt(&mut self, level: u8, attempt: Attempt) -> Result<(), String> {
        match attempt {
            Attempt::Connect(bytes) => {
                self.open = None;
                let mut mqtt = self.dial().await;
                drop(mqtt.send(&[&bytes[..], &raw::PING].concat()).await);
                is_refused(level, &mut mqtt).await.map(|_| ())
            }
            Attempt::Packet(bytes) => {
                let mqtt = self.opened(level).await;
                drop(mqtt.send(&[&bytes[..], &raw::PING].concat()).await);
                if !is_refused(level, mqtt).await? {
                    self.open = None;
                }
                Ok(())
            }
        }
    }
}

/// Hears until the ping is answered or the connection ends, and says whether it still stands. Nothing may be delivered,
/// granted or acknowledged.
async fn is_refused(level: u8, mqtt: &mut Mqtt) -> Result<bool, String> {
    let mut said = false;
    while let Some((first, body)) = mqtt.hear_raw().await {
        let code = match first {
            raw::PONG if said => return Ok(true),
            // What nothing answers: QoS 0.
            raw::PONG => return Err("nobody said no".into()),
            0x20 => body[1],
            0x40 | 0x50 if level == 5 => body.get(2).copied().unwrap_or(0),
            0x90 => *body.last().expect("a code"),
            0xe0 => body[0],
            _ => return Err(format!("heard {first:#x} {body:x?}")),
        };
        let refused = if first == 0x20 && level == 4 {
            code != 0
        } else {
            code >= 0x80
        };
        if !refused {
            return Err(format!("{first:#x} with code {code:#x}"));
        }
        said = true;
    }
    Ok(false)
}

/// Attempts of one attacker, counted by vector.
async fn attack(
    world: &World,
    own: (&str, &Pair),
    victim: &str,
    next: &AtomicU64,
) -> BTreeMap<&'static str, u64> {
    let mut session = Session {
        world,
        pair: own.1,
        open: None,
    };
    let mut done = BTreeMap::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= ATTEMPTS {
            return done;
        }
        // Both versions of each vector by turns, some of each in a row, so that sessions are used.
        let (name, vector) = VECTORS[usize::try_from(number / 50).unwrap() % VECTORS.len()];
        let level = if number % 50 < 25 { 4 } else { 5 };
        let mut attack = Attack {
            level,
            own: own.0,
            victim,
            chance: Random::seeded(number << 8),
        };
        let attempt = vector(&mut attack);
        if let Err(heard) = session.attempt(level, attempt).await {
            panic!("attempt {number}, {name}, level {level}: {heard}");
        }
        *done.entry(name).or_default() += 1;
    }
}

/// A victim that listens in both encodings, and hears only what is its own.
struct Victim {
    mqtt: Mqtt,
    id: String,
}

impl Victim {
    async fn new(world: &World, pair: &Pair, id: &str) -> Self {
        let mut mqtt = world.dial(Some(pair)).await.expect("TLS");
        mqtt.connect(id, None).await.expect("CONNACK");
        for channel in ["desired", "sealed", "cert", "trust"] {
            let (code, text) = mqtt
                .subscribe(&format!("muster/v1/{id}/{channel}/json"))
                .await
                .expect("SUBACK");
            assert!(text.is_empty(), "{code:?}: {text}");
        }
        let mut victim = Self { mqtt, id: id.into() };
        victim.hears_its_state().await;
        victim
    }

    /// Says hello and is sent its desired state, and nothing else.
    async fn hears_its_state(&mut self) {
        let topic = format!("muster/v1/{}/hello/json", self.id);
        self.mqtt
            .publish(&topic, hello().into_bytes())
            .await
            .expect("PUBACK");
        let heard = self.mqtt.message().await.expect("its state");
        assert_eq!(heard.topic, format!("muster/v1/{}/desired/json", self.id));
        self.hears_nothing().await;
    }

    async fn hears_nothing(&mut self) {
        self.mqtt.send(&raw::PING).await.expect("its session stands");
        let heard = self.mqtt.hear_raw().await.map(|(first, _)| first);
        assert_eq!(heard, Some(raw::PONG));
    }
}

/// What the registry has of a device, and what its log says of it.
async fn known(world: &World, serial: &str, id: &str) -> (v1::Device, usize) {
    let entries = world.audit().await;
    let about = entries.iter().filter(|entry| entry.to_string().contains(id));
    (world.device(serial).await, about.count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_ten_thousand_attempts_on_another_device() {
    let world = World::start().await;
    let mut devices = Vec::new();
    for (serial, code) in world.gateways(1 + u32::try_from(ATTACKERS).unwrap()).await {
        let pair = world.claim(&serial, &code).await;
        let id = world.device(&serial).await.name.replace("devices/", "");
        devices.push((serial, id, pair));
    }
    let (serial, victim, pair) = devices.pop().unwrap();
    let mut watching = Victim::new(&world, &pair, &victim).await;
    // Its arrival is written behind its back.
    until("the victim is online", async || {
        world.device(&serial).await.presence.map(|_| ())
    })
    .await;
    let before = known(&world, &serial, &victim).await;
    let next = AtomicU64::new(0);
    let attacks = devices
        .iter()
        .map(|(_, own, pair)| attack(&world, (own, pair), &victim, &next));
    let done = join_all(attacks).await;
    // Not a word, from anybody.
    watching.hears_nothing().await;
    assert_eq!(known(&world, &serial, &victim).await, before, "its record");
    // And what is its own still comes.
    watching.hears_its_state().await;
    let mut counted = BTreeMap::<_, u64>::new();
    for (name, count) in done.into_iter().flatten() {
        *counted.entry(name).or_default() += count;
    }
    assert_eq!(counted.values().sum::<u64>(), ATTEMPTS, "{counted:?}");
    assert!(
        counted.len() == VECTORS.len() && counted.values().all(|count| *count >= 800),
        "{counted:?}"
    );
    println!("{counted:?}: 0 delivered, 0 changed");
}
