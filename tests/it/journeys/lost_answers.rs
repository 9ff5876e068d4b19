//! C4, G8: whatever byte the network breaks at, a device ends with one identity, and its code is not burnt.

use muster_proto::{payload::ClaimResult, v1::device::State};
use muster_tests::{Key, Mqtt, Proxy, Random, World};
use std::collections::BTreeSet;
use tokio::task::JoinSet;

/// Devices whose first connections are cut, each at bytes of its own.
const AGENTS: u32 = 20;
/// Cuts that each of them suffers.
const CUTS: usize = 4;
/// Cuts lie below: about what a claim's connection carries, so that most of them hit.
const BYTES: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_agents_end_enrolled_when_connections_are_cut_anywhere() {
    let world = World::start().await;
    let codes = world.gateways(AGENTS).await;
    let mut chance = Random::seeded(8);
    let (mut agents, mut proxies) = (Vec::new(), Vec::new());
    for (serial, code) in &codes {
        let allowances = (0..CUTS).map(|_| chance.below(BYTES)).collect();
        let proxy = Proxy::start(world.mqtt(), allowances).await;
        agents.push(world.agent_by(serial, code, proxy.address()));
        proxies.push(proxy);
    }
    for (serial, _) in &codes {
        world.verified(serial, 1).await;
    }
    let cuts: usize = proxies.iter().map(Proxy::cuts).sum();
    assert!(
        cuts >= usize::try_from(AGENTS).unwrap(),
        "the network broke only {cuts} times"
    );
    one_certificate_each(&world, AGENTS).await;
    for agent in agents {
        agent.stopped().await;
    }
}

/// Claims that are cut once each, at bytes all over a claim's connection.
const CLAIMS: u32 = 1000;

/// Every device has one certificate of its own, and no key was taken for a clone.
async fn one_certificate_each(world: &World, devices: u32) {
    let expected = usize::try_from(devices).unwrap();
    for (action, times) in [
        ("claim_started", expected),
        ("claim_finished", expected),
        ("clone_suspected", 0),
    ] {
        assert_eq!(world.audited(action).await, times, "{action}");
    }
    let request = muster_proto::v1::ListDevicesRequest {
        page_size: 1000,
        ..Default::default()
    };
    let devices = world
        .client
        .devices
        .clone()
        .list_devices(request)
        .await
        .unwrap()
        .into_inner()
        .devices;
    let certificates: BTreeSet<_> = devices.iter().map(|device| &device.certificate_serial).collect();
    assert_eq!(
        certificates.len(),
        expected,
        "each device has a certificate of its own"
    );
}

/// One claim by a raw client through a broken network, until an answer comes. The last certificate it saw.
async fn persist(world: &World, serial: &str, code: &str, key: &Key, allowances: Vec<u64>) -> Vec<u8> {
    let proxy = Proxy::start(world.mqtt(), allowances).await;
    loop {
        let Ok(mut mqtt) = Mqtt::dial(proxy.address(), &world.roots(), None, None).await else {
            continue;
        };
        match mqtt.claim(serial, code, key.csr()).await {
            Some(ClaimResult::Accepted(accepted)) => return accepted.chain[0].0.clone(),
            // The rate for one serial: the network broke more often than a device may ask in a second.
            Some(ClaimResult::Refused(refused)) => assert_eq!(refused.code, 4007, "{refused:?}"),
            None => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_any_byte_of_a_claim_can_be_the_last() {
    // How much a whole claim takes is measured first, so that the cuts cover all of it.
    let world = World::builder()
        .setting("claims_per_second = 50", "claims_per_second = 100000")
        .start()
        .await;
    let codes = world.gateways(CLAIMS + 1).await;
    let mut codes = codes.into_iter();
    let (serial, code) = codes.next().unwrap();
    let proxy = Proxy::start(world.mqtt(), Vec::new()).await;
    let mut mqtt = Mqtt::dial(proxy.address(), &world.roots(), None, None)
        .await
        .unwrap();
    mqtt.claim(&serial, &code, Key::new().csr()).await.unwrap();
    let whole = proxy.carried()[0];
    let mut chance = Random::seeded(88);
    let world = std::sync::Arc::new(world);
    let mut claims = JoinSet::new();
    let devices = 1 + usize::try_from(CLAIMS).unwrap();
    for (number, (serial, code)) in (0..u64::from(CLAIMS)).zip(codes) {
        // One in each stretch, so that none is left out.
        let stretch = whole.div_ceil(u64::from(CLAIMS));
        let at = number * whole / u64::from(CLAIMS) + chance.below(stretch);
        let world = std::sync::Arc::clone(&world);
        claims.spawn(async move {
            let key = Key::new();
            let first = persist(&world, &serial, &code, &key, vec![at]).await;
            // Once more over a sound network: it is the same certificate.
            assert_eq!(persist(&world, &serial, &code, &key, Vec::new()).await, first);
            assert_eq!(world.device(&serial).await.state(), State::Claimed);
        });
    }
    while let Some(claimed) = claims.join_next().await {
        claimed.unwrap();
    }
    let started = world.audited("claim_started").await;
    assert_eq!(
        (started, world.audited("claim_finished").await),
        (devices, devices)
    );
    assert_eq!(world.audited("clone_suspected").await, 0);
}
