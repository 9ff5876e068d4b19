//! Claim, connect, apply, report; with lost answers, drift, refusals, restarts.

use crate::registry::{CODE, Known, Registry, refused};
use muster_agent::{Agent, AgentError, AgentEvent, Settings, SettingsBuilder, StateError};
use muster_proto::payload::{Facet, FacetState, Report};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType, date_time_ymd};
use rustls::HandshakeKind;
use std::{fs, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};
use zeroize::Zeroizing;

/// An agent that runs, and how to stop it.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), AgentError>>,
    events: tokio::sync::broadcast::Receiver<AgentEvent>,
}

impl Running {
    fn start(agent: Agent) -> Self {
        let (stop, stopped) = oneshot::channel();
        let events = agent.events();
        let agent = tokio::spawn(agent.run(async {
            let _dropped = stopped.await;
        }));
        // Whoever waits for what an agent does would wait for ever for one that panicked.
        let task = tokio::spawn(async { agent.await.unwrap_or_else(|_panic| std::process::abort()) });
        Self { stop, task, events }
    }

    async fn stop(self) -> Vec<AgentEvent> {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        let mut events = self.events;
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }

    async fn until(&mut self, fits: impl Fn(&AgentEvent) -> bool) -> AgentEvent {
        loop {
            let event = self.events.recv().await.unwrap();
            if fits(&event) {
                return event;
            }
        }
    }
}

fn settings(registry: &Registry, state: &Path, serial: &str) -> SettingsBuilder {
    Settings::builder(registry.address.to_string(), serial, state)
        .root_pem(registry.root_pem())
        .code(Zeroizing::new(CODE.into()))
        .firmware("2.4.0")
        // A loop-back registry is back at once; waiting for it would only make tests slow.
        .reconnect(Duration::from_millis(10), Duration::from_millis(20))
}

fn start(registry: &Registry, state: &Path) -> Running {
    Running::start(Agent::new(settings(registry, state, "GW2-000001").build().unwrap()).unwrap())
}

fn is_good(report: &Report, generation: u64) -> bool {
    report.generation == generation
        && report
            .facets
            .iter()
            .all(|facet| facet.state == FacetState::Applied)
}

fn reported(generation: u64) -> impl Fn(&Known) -> bool {
    move |known| known.reports.iter().any(|report| is_good(report, generation))
}

fn current(state: &Path) -> String {
    fs::read_to_string(state.join("config/current/network.toml")).unwrap()
}

#[tokio::test]
async fn a_device_claims_connects_applies_and_reports() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let running = start(&registry, state.path());
    let known = registry.until(reported(1)).await;
    assert_eq!(current(state.path()), "generation = 1\n");
    let location = fs::read_to_string(state.path().join("config/current/location.json")).unwrap();
    assert!(location.contains("\"Depot 1\""), "{location}");
    assert_eq!((known.claimed.len(), known.clones, known.claims), (1, 0, 1));
    let (device, hello) = &known.hellos[0];
    assert_eq!((hello.generation, hello.firmware.as_deref()), (0, Some("2.4.0")));
    let report = known.last_report(device).unwrap();
    assert_eq!(
        report.facets.iter().map(|f| f.facet).collect::<Vec<_>>(),
        [Facet::Config, Facet::Location, Facet::Firmware]
    );

    // A change while connected goes through as well, into the other slot.
    let slot = |state: &TempDir| fs::read_link(state.path().join("config/current")).unwrap();
    let before = slot(&state);
    registry.change(|known| known.desired = Some(crate::pki::desired("", 2)));
    registry.until(reported(2)).await;
    assert_eq!(current(state.path()), "generation = 2\n");
    assert_ne!(slot(&state), before);
    let events = running.stop().await;
    let position = |wanted: &AgentEvent| {
        events
            .iter()
            .position(|event| event == wanted)
            .unwrap_or_else(|| panic!("{wanted:?} in {events:?}"))
    };
    let claimed = events
        .iter()
        .position(|event| matches!(event, AgentEvent::Claimed { .. }))
        .unwrap();
    let order = [
        position(&AgentEvent::KeyMade),
        position(&AgentEvent::Claiming),
        claimed,
        position(&AgentEvent::Connected),
        position(&AgentEvent::DesiredReceived { generation: 1 }),
        position(&AgentEvent::Applied { generation: 1 }),
        position(&AgentEvent::Applied { generation: 2 }),
    ];
    assert!(order.is_sorted(), "{events:?}");
}

#[tokio::test]
async fn a_restart_keeps_identity_and_generation() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let running = start(&registry, state.path());
    registry.until(reported(1)).await;
    running.stop().await;
    registry.change(|known| known.reports.clear());
    // No code any more, and nothing new: the device connects, looks at its files, and says that all is well.
    let settings = Settings::builder(registry.address.to_string(), "GW2-000001", state.path())
        .root_pem(registry.root_pem())
        .build()
        .unwrap();
    let agent = Agent::new(settings).unwrap();
    assert!(agent.device_id().is_some());
    let running = Running::start(agent);
    let known = registry.until(reported(1)).await;
    assert_eq!(known.claims, 1);
    assert_eq!(known.hellos.last().unwrap().1.generation, 1);
    assert_ne!(known.hellos.last().unwrap().1.boot_id, known.hellos[0].1.boot_id);
    running.stop().await;
}

#[tokio::test]
async fn c4_a_claim_whose_answer_is_lost_ends_with_one_identity_and_the_same_key() {
    // One seeded sequence of cuts each; a whole claim takes some 4 000 bytes both ways, a whole session 5 000.
    let (mut claims, mut connections) = (0, 0);
    for seed in 0..100_u64 {
        let registry = Registry::start().await;
        let state = TempDir::new().unwrap();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let cuts = (0..8).map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            i64::try_from(random % 4500).unwrap()
        });
        registry.change(|known| known.cuts = cuts.collect());
        let running = start(&registry, state.path());
        let known = registry.until(reported(1)).await;
        (claims, connections) = (claims + known.claims, connections + known.connections);
        assert_eq!((known.claimed.len(), known.clones), (1, 0), "seed {seed}");
        running.stop().await;
        assert_eq!(current(state.path()), "generation = 1\n", "seed {seed}");
    }
    assert!(
        claims > 110 && connections > 400,
        "the cuts cut: {claims} claims, {connections} connections"
    );
}

#[tokio::test]
async fn c4_an_agent_stopped_between_key_and_answer_claims_with_the_same_key() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    registry.change(|known| known.refusal = Some(refused(Some(0))));
    let running = start(&registry, state.path());
    registry.until(|known| known.claims > 0).await;
    running.stop().await;
    let key = fs::read(state.path().join("key.der")).unwrap();
    registry.change(|known| known.refusal = None);
    let running = start(&registry, state.path());
    registry.until(reported(1)).await;
    running.stop().await;
    assert_eq!(fs::read(state.path().join("key.der")).unwrap(), key);
}

#[tokio::test]
async fn the_code_is_wiped_only_when_the_identity_is_durable() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let code = state.path().join("code");
    fs::write(&code, format!("  {CODE}\n")).unwrap();
    registry.change(|known| known.refusal = Some(refused(Some(0))));
    let with_file = || {
        settings(&registry, state.path(), "GW2-000001")
            .code_file(&code)
            .build()
            .unwrap()
    };
    let mut running = Running::start(Agent::new(with_file()).unwrap());
    running
        .until(|event| matches!(event, AgentEvent::Failed { .. }))
        .await;
    assert!(code.exists(), "a refusal wipes nothing");
    registry.change(|known| known.refusal = None);
    running
        .until(|event| matches!(event, AgentEvent::Claimed { .. }))
        .await;
    assert!(!code.exists());
    assert!(state.path().join("identity").exists());
    running.stop().await;
    // One left over by a power loss goes at the next start.
    fs::write(&code, CODE).unwrap();
    let mut running = Running::start(Agent::new(with_file()).unwrap());
    running.until(|event| *event == AgentEvent::Connected).await;
    assert!(!code.exists());
    running.stop().await;
}

#[tokio::test]
async fn without_identity_and_code_an_agent_does_not_start() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let missing = settings(&registry, state.path(), "GW2-000001").code_file(state.path().join("none"));
    let error = Agent::new(missing.build().unwrap()).unwrap_err();
    assert!(matches!(error, AgentError::Code(_)), "{error:?}");
}

#[tokio::test]
async fn two_agents_do_not_share_a_state_directory() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let first = Agent::new(settings(&registry, state.path(), "GW2-000001").build().unwrap()).unwrap();
    let error = Agent::new(settings(&registry, state.path(), "GW2-000001").build().unwrap()).unwrap_err();
    assert!(
        matches!(error, AgentError::State(StateError::Locked)),
        "{error:?}"
    );
    drop(first);
    Agent::new(settings(&registry, state.path(), "GW2-000001").build().unwrap()).unwrap();
}

#[tokio::test]
async fn drift_is_reported_and_repaired() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let every = |builder: SettingsBuilder| builder.inspect_every(Duration::from_millis(10)).build().unwrap();
    let running = Running::start(Agent::new(every(settings(&registry, state.path(), "GW2-000001"))).unwrap());
    registry.until(reported(1)).await;
    fs::write(
        state.path().join("config/current/network.toml"),
        "generation = 666\n",
    )
    .unwrap();
    let drifted = |report: &Report| {
        let state = |facet| {
            &report
                .facets
                .iter()
                .find(|status| status.facet == facet)
                .unwrap()
                .state
        };
        matches!(state(Facet::Config), FacetState::Drifted { .. })
            && *state(Facet::Location) == FacetState::Applied
    };
    registry
        .until(|known| {
            let at = known.reports.iter().position(drifted);
            at.is_some_and(|at| known.reports[at..].iter().any(|report| is_good(report, 1)))
        })
        .await;
    assert_eq!(current(state.path()), "generation = 1\n");
    running.stop().await;
}

#[tokio::test]
async fn a_hook_may_refuse_and_the_device_runs_what_it_had() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    // Refuses generation 2, and says why.
    let script =
        r#"test "$MUSTER_GENERATION" != 2 || { echo "no such modem" >&2; exit 3; }; test -f "$0/modem.conf""#;
    let builder = settings(&registry, state.path(), "GW2-000001");
    let builder = builder.hook(["sh", "-c", script], Duration::from_secs(60));
    let running = Running::start(Agent::new(builder.build().unwrap()).unwrap());
    registry.until(reported(1)).await;
    registry.change(|known| known.desired = Some(crate::pki::desired("", 2)));
    let failed = |report: &Report| {
        report.generation == 2
            && matches!(&report.facets[0].state, FacetState::Failed { reason } if reason.contains("no such modem"))
    };
    registry.until(|known| known.reports.iter().any(failed)).await;
    assert_eq!(current(state.path()), "generation = 1\n");
    registry.change(|known| known.desired = Some(crate::pki::desired("", 3)));
    registry.until(reported(3)).await;
    assert_eq!(current(state.path()), "generation = 3\n");
    running.stop().await;
}

#[tokio::test]
async fn a_hook_that_does_not_end_is_ended() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let builder = settings(&registry, state.path(), "GW2-000001");
    let builder = builder.hook(
        ["sh", "-c", "echo stuck; exec sleep 1000"],
        Duration::from_millis(200),
    );
    let running = Running::start(Agent::new(builder.build().unwrap()).unwrap());
    let failed = |report: &Report| matches!(&report.facets[0].state, FacetState::Failed { reason } if reason.contains("did not end"));
    registry.until(|known| known.reports.iter().any(failed)).await;
    assert!(!state.path().join("config/current").exists());
    running.stop().await;
}

#[tokio::test]
async fn c2_a_broker_that_replays_is_not_followed() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let mut running = start(&registry, state.path());
    registry.change(|known| known.desired = Some(crate::pki::desired("", 5)));
    let known = registry.until(reported(5)).await;
    let device = known.hellos[0].0.clone();
    let old = registry.pki.seal(&crate::pki::desired(&device, 4));
    registry.change(|known| {
        known.forged = Some(old);
        known.desired = Some(crate::pki::desired("", 4));
    });
    let refused = |event: &AgentEvent| matches!(event, AgentEvent::Failed { reason } if reason.contains("generation 4 is older than 5"));
    running.until(refused).await;
    assert_eq!(current(state.path()), "generation = 5\n");
    running.stop().await;
}

#[tokio::test]
async fn a_device_that_was_made_with_an_old_root_comes_to_believe_the_new_one() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let running = start(&registry, state.path());
    let known = registry.until(reported(1)).await;
    assert_eq!(known.trusted, [0]);
    running.stop().await;
    // Desired state comes under a root that it has never heard of, and with it the word of the root that it knows.
    let (bundle, new) = registry.trust_in_another();
    registry.change(|known| {
        known.trust = Some(bundle);
        let device = known.hellos[0].0.clone();
        known.desired = Some(crate::pki::desired("", 2));
        known.forged = Some(new.seal(&crate::pki::desired(&device, 2)));
    });
    let mut running = start(&registry, state.path());
    let event = running
        .until(|event| matches!(event, AgentEvent::Trusting { .. }))
        .await;
    assert_eq!(event, AgentEvent::Trusting { version: 1 });
    let known = registry.until(reported(2)).await;
    assert_eq!(current(state.path()), "generation = 2\n");
    assert_eq!(known.trusted[..3], [0, 0, 1]);
    running.stop().await;
    // It remembers.
    let said = known.trusted.len();
    let running = start(&registry, state.path());
    let known = registry.until(|known| known.trusted.len() > said).await;
    assert_eq!(known.trusted[said], 1);
    running.stop().await;
}

#[tokio::test]
async fn a_session_is_resumed_until_something_is_other() {
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let mut running = start(&registry, state.path());
    registry.until(reported(1)).await;
    let generation = std::cell::Cell::new(1);
    // A device whose connections end before it was answered would think of its certificate.
    let settled = async || {
        generation.set(generation.get() + 1);
        registry.change(|known| known.desired = Some(crate::pki::desired("", generation.get())));
        registry.until(reported(generation.get())).await;
    };
    let next = async || {
        settled().await;
        let before = registry.known.borrow().handshakes.len();
        registry.change(|known| known.kicks += 1);
        let known = registry.until(|known| known.handshakes.len() > before).await;
        known.handshakes[before]
    };
    // 1. Again and again.
    for _ in 0..3 {
        assert_eq!(next().await, HandshakeKind::Resumed);
    }
    // 2. Who is turned away shows its certificate anew.
    settled().await;
    registry.change(|known| known.turned_away = 1);
    assert_eq!(next().await, HandshakeKind::Resumed);
    settled().await;
    assert_eq!(
        registry.known.borrow().handshakes.last(),
        Some(&HandshakeKind::Full)
    );
    // 3. Other roots judge the server anew.
    registry.change(|known| known.trust = Some(registry.trust_in_another().0));
    assert_eq!(next().await, HandshakeKind::Resumed);
    let trusting = |event: &AgentEvent| matches!(event, AgentEvent::Trusting { .. });
    running.until(trusting).await;
    assert_eq!(next().await, HandshakeKind::Full);
    assert_eq!(next().await, HandshakeKind::Resumed);
    running.stop().await;
}

#[tokio::test]
async fn c6_a_device_with_any_clock_is_enrolled() {
    // 1970, a few years ahead, 2099.
    for clock in [0_u64, 1_893_456_000, 4_070_908_800] {
        let registry = Registry::start().await;
        let state = TempDir::new().unwrap();
        let builder = settings(&registry, state.path(), "GW2-000001").clock(Arc::new(move || clock));
        let running = Running::start(Agent::new(builder.build().unwrap()).unwrap());
        registry.until(reported(1)).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn c6_a_server_certificate_that_does_not_hold_is_refused_at_any_clock() {
    type Change = (&'static str, fn(&mut CertificateParams));
    let changes: [Change; 3] = [
        ("ended", |params| params.not_after = date_time_ymd(2024, 1, 1)),
        ("for another name", |params| {
            params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 2].into())]
        }),
        ("of a client", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]
        }),
    ];
    for (name, change) in changes {
        let registry = Registry::with_certificate(change).await;
        for clock in [0_u64, 1_893_456_000, 4_070_908_800] {
            let state = TempDir::new().unwrap();
            let builder = settings(&registry, state.path(), "GW2-000001").clock(Arc::new(move || clock));
            let mut running = Running::start(Agent::new(builder.build().unwrap()).unwrap());
            let event = running
                .until(|event| matches!(event, AgentEvent::Disconnected { .. }))
                .await;
            let told = format!("{event:?}");
            assert!(
                told.contains("TLS handshake failed: invalid peer certificate"),
                "{name}: {told}"
            );
            running.stop().await;
        }
        assert_eq!(
            registry.known.borrow().claims,
            0,
            "{name}: the code was told to nobody"
        );
    }
}

#[tokio::test]
async fn a_registry_of_another_root_is_not_spoken_to() {
    let (registry, other) = (Registry::start().await, Registry::start().await);
    let state = TempDir::new().unwrap();
    let builder = settings(&registry, state.path(), "GW2-000001").root_pem(other.root_pem());
    let mut running = Running::start(Agent::new(builder.build().unwrap()).unwrap());
    let event = running
        .until(|event| matches!(event, AgentEvent::Disconnected { .. }))
        .await;
    assert!(
        matches!(&event, AgentEvent::Disconnected { reason, .. } if reason.contains("certificate")),
        "{event:?}"
    );
    running.stop().await;
    assert_eq!(registry.known.borrow().claims, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_agents_run_in_one_process() {
    const AGENTS: usize = 40;
    let registry = Registry::start().await;
    let state = TempDir::new().unwrap();
    let running: Vec<_> = (0..AGENTS)
        .map(|number| {
            let serial = format!("GW2-{number:06}");
            let settings = settings(&registry, &state.path().join(&serial), &serial);
            Running::start(Agent::new(settings.build().unwrap()).unwrap())
        })
        .collect();
    let known = registry
        .until(|known| {
            known.hellos.len() >= AGENTS
                && known
                    .claimed
                    .values()
                    .all(|(_, id, _)| known.last_report(id).is_some_and(|report| is_good(report, 1)))
        })
        .await;
    assert_eq!((known.claimed.len(), known.clones), (AGENTS, 0));
    for running in running {
        running.stop().await;
    }
}
