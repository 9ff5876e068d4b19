//! G1: kill -9 of a server at any point of claims, renewals and revocations. One registry lives through all the kills: after
//! each, what clients were told is on record, what they were not told is there as a whole or not at all, and whoever asks
//! again gets the same.
//!
//! Points are chosen by what the kernel counts of the server, between nothing and what it counts while nobody disturbs the
//! same work. By the bytes that it moves they lie in the commits of intents, certificates and revocations; by how often
//! it moves any, they lie as well in what is between: handshakes, checks of requests, signing, answers.

mod after;
mod deeds;
mod shown;

use crate::programs::{catalog, connected, import};
use deeds::{Claim, Cut, Deed, Device, Door, Look, Renewal, Revocation, Server};
use muster_domain::certificate::RevocationReason;
use muster_tests::{Counts, Ended, Key, Program, Random, Registry, fixture};
use muster_tools::records::AuditEntry;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    sync::Arc,
    time::Duration,
    vec,
};
use tokio::task::JoinSet;

/// Devices that claim in the life of one server, at the same time but two of each lane.
const CLAIMS: usize = 8;
/// Devices that renew their certificates, and devices that lose theirs.
const OTHERS: usize = 3;
/// Lives before the first kill that are measured; in one before them there is nobody to renew.
const MEASURED: u32 = 3;
/// Between two looks at a server. Only looking: no outcome depends on it.
const LOOK: Duration = Duration::from_millis(1);
/// `musterd check certificates` verifies every signature so far: after so many kills, and the last is one of them.
const CERTIFICATES_EVERY: u32 = 10;
/// How far a deed had come, by the record.
const NOTHING: &str = "nothing";
const INTENDED: &str = "intended";
const RECORDED: &str = "recorded";
/// How far a life had come.
const SOME: &str = "some claims answered";
const OVER: &str = "over";

/// How far a server has come.
type Measure = fn(&Counts) -> u64;

/// One registry, and what its clients know.
struct Trial {
    registry: Registry,
    measure: Measure,
    chance: Random,
    /// Serials and codes of devices that have not claimed.
    codes: vec::IntoIter<(String, String)>,
    /// Those who came with a certificate longest ago first.
    enrolled: VecDeque<Device>,
    /// DER of every certificate that a client was given.
    given: BTreeMap<String, Vec<u8>>,
    /// Certificates whose revocation was acknowledged.
    revoked: BTreeSet<String>,
    log: Vec<AuditEntry>,
    phases: BTreeMap<(&'static str, &'static str), u32>,
}

impl Trial {
    async fn of(lives: u32, measure: Measure, seed: u64) -> Self {
        let registry = Registry::new();
        let devices = (lives + 1 + MEASURED) * u32::try_from(CLAIMS).unwrap();
        let manifest = registry.path("cameras.csv");
        fs::write(&manifest, fixture::cameras(0, devices)).unwrap();
        let (musterd, _, _) = registry.serve("info").await;
        let client = connected(&registry).await;
        catalog(&client).await;
        let (rows, ended) = import(&client, &manifest, |_| {}).await;
        ended.unwrap();
        musterd.killed().await;
        let codes: Vec<_> = (0..devices)
            .map(fixture::camera)
            .zip(rows.into_iter().map(|row| row.activation_code))
            .collect();
        Self {
            registry,
            measure,
            chance: Random::seeded(seed),
            codes: codes.into_iter(),
            enrolled: VecDeque::new(),
            given: BTreeMap::new(),
            revoked: BTreeSet::new(),
            log: Vec::new(),
            phases: BTreeMap::new(),
        }
    }

    async fn serve(&self) -> (Program, Server) {
        let (musterd, grpc, mqtt) = self.registry.serve("info").await;
        let roots = fs::read(self.registry.path("registry/operator/root.pem")).unwrap();
        let server = Server {
            grpc,
            mqtt,
            roots: Arc::new(roots),
            operator: connected(&self.registry).await,
        };
        (musterd, server)
    }

    /// What is to do in the next life of the server: a lane goes on when its last deed is answered.
    fn plan(&mut self) -> Vec<Vec<Deed>> {
        let mut lanes: Vec<Vec<Deed>> = Vec::new();
        for lane in 0..CLAIMS / 2 {
            let claims = self.codes.by_ref().take(2).map(|(serial, code)| {
                Deed::Claim(Claim {
                    door: door(lane),
                    serial,
                    code,
                    key: Key::new(),
                    device: Err(Cut::Before),
                })
            });
            lanes.push(claims.collect());
        }
        let mut operator = Vec::new();
        for device in take(&mut self.enrolled, OTHERS) {
            let reasons = RevocationReason::ALL;
            let reason = self.chance.below(reasons.len() as u64);
            operator.push(Deed::Revoke(Revocation {
                device,
                reason: reasons[usize::try_from(reason).unwrap()],
                is_done: false,
            }));
            operator.push(Deed::Look(Look {
                first: self.log.len() as u64,
                entries: Vec::new(),
            }));
        }
        lanes.push(operator);
        for (number, device) in take(&mut self.enrolled, OTHERS).into_iter().enumerate() {
            lanes.push(vec![Deed::Renew(Renewal {
                door: door(number),
                device,
                key: Key::new(),
                // The last one is revoked in the next life, together with the certificate that it did not come with.
                comes: number + 1 < OTHERS,
                has_come: false,
            })]);
        }
        lanes
    }

    /// One life of a server: what the last one left is looked at and finished, then clients work until a count is reached,
    /// and it is killed. What they did, and what was counted by then.
    async fn life(&mut self, left: Vec<Deed>, at: u64, what: &str) -> (Vec<Deed>, u64) {
        let (musterd, server) = self.serve().await;
        self.goes_on(&server, left, what).await;
        let mut lanes = JoinSet::new();
        let before = (self.measure)(&musterd.counts().unwrap());
        for mut lane in self.plan() {
            let server = server.clone();
            lanes.spawn(async move {
                for deed in &mut lane {
                    deed.attempt(&server).await;
                }
                lane
            });
        }
        let (mut deeds, mut count) = (Vec::new(), 0);
        while !lanes.is_empty() && count < at {
            tokio::time::sleep(LOOK).await;
            count = (self.measure)(&musterd.counts().unwrap()) - before;
            while let Some(lane) = lanes.try_join_next() {
                deeds.extend(lane.unwrap());
            }
        }
        let ended = musterd.killed().await;
        assert!(!ended.log.contains("ERROR"), "{what}: {}", ended.log);
        deeds.extend(lanes.join_all().await.into_iter().flatten());
        self.count("life", progress(&deeds));
        (deeds, count)
    }

    fn count(&mut self, deed: &'static str, phase: &'static str) {
        *self.phases.entry((deed, phase)).or_default() += 1;
    }

    /// The last look, at every certificate that a client was given.
    async fn end(&mut self, left: Vec<Deed>) {
        let (musterd, server) = self.serve().await;
        self.goes_on(&server, left, "at the end").await;
        for (serial, der) in &self.given {
            let is_same = server.record(serial).await.der == *der;
            assert!(is_same, "another {serial} is on record");
        }
        musterd.killed().await;
        is_in_order(&self.registry, &["certificates"], "at the end").await;
    }
}

/// `musterd check` finds nothing. The registry is not served.
async fn is_in_order(registry: &Registry, arguments: &[&str], what: &str) {
    let Ended { code, out, log } = Program::run(registry.musterd("check").args(arguments)).await;
    let is_in_order = code == Some(0) && out.ends_with("everything is in order\n");
    assert!(is_in_order, "{what}: check {arguments:?}: {out}{log}");
}

/// One in four asks over gRPC.
const fn door(number: usize) -> Door {
    if number.is_multiple_of(4) {
        Door::Grpc
    } else {
        Door::Mqtt
    }
}

fn take(devices: &mut VecDeque<Device>, count: usize) -> Vec<Device> {
    let count = count.min(devices.len());
    devices.drain(..count).collect()
}

/// How far the clients of a server came.
fn progress(deeds: &[Deed]) -> &'static str {
    if deeds.iter().all(Deed::is_answered) {
        return OVER;
    }
    let claims = deeds.iter().filter_map(|deed| match deed {
        Deed::Claim(claim) => Some(claim.device.is_ok()),
        Deed::Renew(_) | Deed::Revoke(_) | Deed::Look(_) => None,
    });
    match claims.filter(|is_answered| *is_answered).count() {
        0 => "no claim answered",
        CLAIMS => "all claims answered",
        _ => SOME,
    }
}

/// Thousandths, one in each stretch of the whole so that none is left out, in any order.
fn points(count: u32, chance: &mut Random) -> VecDeque<u64> {
    let count = u64::from(count);
    let mut points: Vec<u64> = (0..count)
        .map(|place| (place * 1000 + chance.below(1000)) / count)
        .collect();
    for place in (1..points.len()).rev() {
        let other = usize::try_from(chance.below(place as u64 + 1)).unwrap();
        points.swap(place, other);
    }
    points.into()
}

/// What kills must have cut, and how often at least in a hundred: a kill of an idle server proves nothing. What lies between a
/// commit and its answer is short.
const LANDED: [(&str, u32); 7] = [
    (SOME, 25),
    ("handshake", 10),
    ("before the intent", 10),
    (INTENDED, 20),
    (RECORDED, 4),
    ("seen", 4),
    ("not revoked", 10),
];

/// Kills at so many points, of one server after another.
#[expect(clippy::print_stderr, reason = "where kills came is worth knowing")]
async fn all(measure: Measure, count: u32, seed: u64) {
    let late = count / 5;
    let mut trial = Trial::of(count + late, measure, seed).await;
    let (mut left, _) = trial.life(Vec::new(), u64::MAX, "first").await;
    let mut whole = 0;
    for _ in 0..MEASURED {
        let counted;
        (left, counted) = trial.life(left, u64::MAX, "undisturbed").await;
        whole += counted / u64::from(MEASURED);
    }
    trial.phases.clear();
    let mut points = points(count, &mut trial.chance);
    for number in 1.. {
        let Some(point) = points.pop_front() else { break };
        assert!(number <= count + late, "too many kills came too late");
        let what = format!("kill {number}, at {point}");
        let counted;
        (left, counted) = trial.life(left, whole * point / 1000, &what).await;
        eprintln!("{what} of {whole}: {counted}, {}", progress(&left));
        if progress(&left) == OVER {
            // What a server counts differs a little from life to life.
            points.push_back(point * 9 / 10);
        }
        // Of copies, so that it is the server that opens what was left.
        is_in_order(&trial.registry.copy(), &[], &what).await;
        if number % CERTIFICATES_EVERY == 0 {
            is_in_order(&trial.registry.copy(), &["certificates"], &what).await;
        }
    }
    trial.end(left).await;
    eprintln!("{:?}", trial.phases);
    for (phase, least) in LANDED {
        let found = trial.phases.iter().filter(|((_, found), _)| *found == phase);
        let found: u32 = found.map(|(_, count)| count).sum();
        assert!(found * 100 >= least * count, "{phase}: {found}");
    }
}

const fn moved(counts: &Counts) -> u64 {
    counts.moved
}

const fn calls(counts: &Counts) -> u64 {
    counts.calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_fifty_kills_in_commits_break_no_promise() {
    all(moved, 50, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_fifty_more_kills_in_commits_break_no_promise() {
    all(moved, 50, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_fifty_kills_at_any_step_break_no_promise() {
    all(calls, 50, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_fifty_more_kills_at_any_step_break_no_promise() {
    all(calls, 50, 4).await;
}
