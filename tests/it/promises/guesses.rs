//! A1: codes cannot be guessed, wrong answers tell nothing, and guessing locks nobody out.

use muster_domain::Code;
use muster_proto::{
    payload::ClaimResult,
    v1::{self, device::State},
};
use muster_tests::{Key, Random, World, grpc};
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::task::JoinSet;
use tonic_types::StatusExt as _;

/// Guesses in all, and the addresses they come from.
const GUESSES: u32 = 10_000;
const SOURCES: u32 = 20;
/// Devices that guesses are made for; they claim afterwards.
const TARGETS: u32 = 8;
/// Claims a second from one address for one serial, and at once.
const PER_SECOND: u32 = 1;
const BURST: u32 = 10;

/// A code that looks right: 24 digits and their check symbol.
fn guess(chance: &mut Random) -> String {
    let mut bytes = [0; 15];
    bytes
        .iter_mut()
        .for_each(|byte| *byte = chance.next().to_be_bytes()[0]);
    muster_domain::activation::ActivationCode::from_random(bytes).reveal()
}

/// Guesses from one address as fast as answers come; how often each refusal was the answer.
async fn attack(world: Arc<World>, source: u32, serials: Arc<Vec<String>>) -> BTreeMap<Code, u32> {
    let address = Ipv4Addr::new(127, 0, 1, u8::try_from(source + 1).unwrap());
    let channel = world.channel_from(address);
    let (mut chance, csr) = (Random::seeded(u64::from(source)), Key::new().csr());
    let mut answers = BTreeMap::new();
    for _ in 0..GUESSES / SOURCES {
        let target = usize::try_from(chance.below(u64::from(TARGETS))).unwrap();
        let request = v1::ClaimRequest {
            serial: serials[target].clone(),
            activation_code: guess(&mut chance),
            csr: csr.clone(),
        };
        let refused = grpc::call(&channel, "muster.v1.Enrollment/Claim", &request)
            .await
            .unwrap_err();
        *answers
            .entry(grpc::refusal(&refused).expect("a refusal"))
            .or_default() += 1;
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_g9_guesses_at_full_speed_claim_nothing_and_lock_out_nobody() {
    let world = Arc::new(World::start().await);
    let mut devices = world.gateways(TARGETS + 1000).await;
    let rightful = devices.split_off(usize::try_from(TARGETS).unwrap());
    let serials: Arc<Vec<_>> = Arc::new(devices.iter().map(|(serial, _)| serial.clone()).collect());
    let (start, over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    // Rightful devices claim one after the other, as long as the attack lasts; each is let in at its first try.
    let line = tokio::spawn({
        let (world, over) = (Arc::clone(&world), Arc::clone(&over));
        async move {
            let mut claimed = 0u32;
            for (serial, code) in rightful {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                world.claim(&serial, &code).await;
                claimed += 1;
            }
            claimed
        }
    });
    let mut attackers = JoinSet::new();
    for source in 0..SOURCES {
        attackers.spawn(attack(Arc::clone(&world), source, Arc::clone(&serials)));
    }
    let mut answers = BTreeMap::<Code, u32>::new();
    while let Some(attacked) = attackers.join_next().await {
        attacked
            .unwrap()
            .into_iter()
            .for_each(|(code, times)| *answers.entry(code).or_default() += times);
    }
    let seconds = u32::try_from(start.elapsed().as_secs()).unwrap() + 1;
    over.store(true, Ordering::Relaxed);
    let claimed = line.await.unwrap();
    assert!(
        claimed >= 10,
        "only {claimed} rightful devices claimed during the attack"
    );
    let tried = answers.remove(&Code::ClaimRefused).unwrap_or_default();
    let throttled = answers.remove(&Code::ClaimThrottled).unwrap_or_default();
    assert!(answers.is_empty(), "other answers: {answers:?}");
    assert_eq!(tried + throttled, GUESSES);
    let most = SOURCES * TARGETS * (BURST + PER_SECOND * seconds);
    assert!(
        tried <= most,
        "{tried} guesses were tried in {seconds} s; at most {most} may be"
    );
    assert_eq!(
        world.audited("claim_finished").await,
        usize::try_from(claimed).unwrap()
    );
    // The devices that were guessed at still claim, with the codes from their labels.
    for (serial, code) in &devices {
        world.claim(serial, code).await;
        assert_eq!(world.device(serial).await.state(), State::Claimed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_every_wrong_claim_gets_the_same_answer() {
    let world = World::start().await;
    let mut devices = world.gateways(3).await;
    let (used, used_code) = devices.remove(0);
    let (open, open_code) = devices.remove(0);
    let (suspended, suspended_code) = devices.remove(0);
    world.claim(&used, &used_code).await;
    let request = v1::SuspendDeviceRequest {
        name: format!("devices/serial:{suspended}"),
        ..v1::SuspendDeviceRequest::default()
    };
    world
        .client
        .devices
        .clone()
        .suspend_device(request)
        .await
        .unwrap();
    let wrong = guess(&mut Random::seeded(1));
    let (mut over_grpc, mut over_mqtt) = (Vec::new(), Vec::new());
    for (why, serial, code) in [
        ("unknown serial", "GW2-1111111", wrong.as_str()),
        ("no serial at all", "", wrong.as_str()),
        ("hostile serial", "GW2'; DROP", wrong.as_str()),
        ("wrong code", open.as_str(), wrong.as_str()),
        ("no code", open.as_str(), ""),
        ("mistyped code", open.as_str(), "7Q2RK-0XW4M"),
        ("another device's code", open.as_str(), used_code.as_str()),
        ("used code", used.as_str(), used_code.as_str()),
        ("wrong code for a used one", used.as_str(), wrong.as_str()),
        ("suspended device", suspended.as_str(), suspended_code.as_str()),
    ] {
        let request = v1::ClaimRequest {
            serial: serial.into(),
            activation_code: code.into(),
            csr: Key::new().csr(),
        };
        let status = world.client.enrollment.clone().claim(request).await.unwrap_err();
        assert_eq!(grpc::refusal(&status), Some(Code::ClaimRefused), "{why}");
        // The order of the details' map is nobody's choice; what is in it must be the same.
        let info = status.get_error_details().error_info().cloned().expect("details");
        let info = (info.reason, info.domain, info.metadata);
        over_grpc.push((
            why,
            (
                status.code(),
                status.message().to_owned(),
                info,
                status.details().len(),
            ),
        ));
        // Without one of the two there is no claim over MQTT: CONNECT itself is turned away.
        if !serial.is_empty() && !code.is_empty() {
            let answer = world
                .dial(None)
                .await
                .unwrap()
                .claim(serial, code, Key::new().csr())
                .await;
            over_mqtt.push((why, answer.expect("an answer")));
        }
    }
    for (why, answer) in &over_grpc {
        assert_eq!(answer, &over_grpc[0].1, "{why}");
    }
    assert!(matches!(&over_mqtt[0].1, ClaimResult::Refused(refused) if refused.code == 4001));
    for (why, answer) in &over_mqtt {
        assert_eq!(answer, &over_mqtt[0].1, "{why}");
    }
    // The code itself was good all the time.
    world.claim(&open, &open_code).await;
}
