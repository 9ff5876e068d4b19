//! Changes of devices that do only what they are told to, and of a plan that somebody else approves.

use super::{Desk, asked, counts, profile, publish, revise, strategy};
use muster_domain::{Code, access::Role};
use muster_proto::{
    envelope::Envelope,
    payload::{self, Facet, FacetState, FacetStatus, Report},
    topic::{Channel, Encoding, Topic},
    v1::{self, Change, change::State, change_target, changes_client::ChangesClient},
};
use muster_server::clock::Clock;
use muster_tests::{Mqtt, Pair, World, grpc};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Devices that do what they are told to, in a world whose clock is set by hand.
pub(super) struct Hands {
    pub(super) world: World,
    millis: Arc<AtomicU64>,
    pub(super) devices: Vec<(String, Pair)>,
}

impl Hands {
    pub(super) async fn start(count: u32) -> Self {
        let millis = Arc::new(AtomicU64::new(Clock::System.now().millis()));
        let world = World::builder()
            .clock(Clock::Manual(Arc::clone(&millis)))
            .start()
            .await;
        let mut devices = Vec::new();
        for (serial, code) in world.gateways(count).await {
            let pair = world.claim(&serial, &code).await;
            devices.push((serial, pair));
        }
        Self {
            world,
            millis,
            devices,
        }
    }

    pub(super) async fn pass(&self, seconds: u64) {
        self.millis.fetch_add(seconds * 1000, Ordering::Relaxed);
        self.world.service().work_changes().await.unwrap();
    }

    /// Connects, takes its desired state and reports it as applied; the generation.
    pub(super) async fn prove(&self, device: usize) -> u64 {
        self.say(device, FacetState::Applied).await
    }

    /// The same, but for what it says of its configuration.
    pub(super) async fn say(&self, device: usize, config: FacetState) -> u64 {
        let (serial, pair) = &self.devices[device];
        let id = self.world.device(serial).await.name;
        let id = id.trim_start_matches("devices/");
        let topic = |channel| Topic::Device(id, channel, Encoding::Json).to_string();
        let mut mqtt: Mqtt = self.world.dial(Some(pair)).await.unwrap();
        mqtt.connect("", None).await.unwrap();
        mqtt.subscribe(&topic(Channel::Desired)).await.unwrap();
        let hello = payload::Hello {
            generation: 0,
            digest: payload::Digest::default(),
            agent_version: "0.1.0".into(),
            firmware: None,
            boot_id: 7,
        };
        let hello = payload::encode(&hello, Encoding::Json).unwrap();
        mqtt.publish(&topic(Channel::Hello), hello).await.unwrap();
        let publish = mqtt.message().await.expect("a desired state");
        let envelope: Envelope = payload::decode(&publish.payload, Encoding::Json).unwrap();
        let desired: payload::Desired = payload::decode(&envelope.payload.0, Encoding::Json).unwrap();
        let said = |facet| FacetStatus {
            facet,
            state: match facet {
                Facet::Config => config.clone(),
                Facet::Location | Facet::Firmware => FacetState::Applied,
            },
        };
        let report = Report {
            device_id: id.to_owned(),
            generation: desired.generation,
            digest: desired.digest,
            facets: [Facet::Config, Facet::Location, Facet::Firmware].map(said).into(),
            firmware: None,
        };
        let report = payload::encode(&report, Encoding::Json).unwrap();
        mqtt.publish(&topic(Channel::Report), report).await.unwrap();
        desired.generation
    }

    pub(super) async fn explained(&self, device: usize) -> Vec<String> {
        let request = v1::ExplainDeviceRequest {
            name: format!("devices/serial:{}", self.devices[device].0),
        };
        let explained = self.world.client.devices.clone().explain_device(request).await;
        explained.unwrap().into_inner().changes
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_goes_on_where_a_server_left_it() {
    let mut hands = Hands::start(3).await;
    revise(&hands.world, "two = true").await;
    let mut desk = Desk::of(&hands.world);
    let name = desk.started(asked(publish(2), strategy(0))).await.name;
    desk.when(&name, "the pilot is under way", |change| counts(change).sent == 2)
        .await;
    hands.world.stopped().await.unwrap();
    hands.world.serve_again().await;
    let mut desk = Desk::of(&hands.world);
    assert_eq!(counts(&desk.get(&name).await).sent, 2);
    let mut pilot = Vec::new();
    for device in 0..3 {
        let told = hands.explained(device).await.remove(0);
        if told.contains("stage 1 of 2") {
            assert!(told.contains("sent as generation 2"), "{told}");
            pilot.push(device);
        } else {
            assert!(told.contains("its turn has not come"), "{told}");
        }
    }
    for device in &pilot {
        assert_eq!(hands.prove(*device).await, 2);
    }
    let last = (0..3).find(|device| !pilot.contains(device)).unwrap();
    desk.when(&name, "the rest is under way", |change| counts(change).sent == 1)
        .await;
    assert_eq!(hands.prove(last).await, 2);
    desk.when(&name, "it is done", |change| change.state() == State::Done)
        .await;
    assert_eq!(hands.world.audited("device_retargeted").await, 3, "none twice");
}

async fn metrics(world: &World) -> String {
    let mut http = world.http(Some(&world.admin())).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    http.ask(request).await.expect("an answer").text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_silent_halt_a_change_and_are_tried_again() {
    let hands = Hands::start(2).await;
    revise(&hands.world, "two = true").await;
    let mut desk = Desk::of(&hands.world);
    let name = desk.started(asked(publish(2), strategy(0))).await.name;
    desk.when(&name, "the pilot is under way", |change| counts(change).sent == 2)
        .await;
    assert_eq!(hands.prove(0).await, 2);
    hands.pass(599).await;
    assert_eq!(desk.get(&name).await.state(), State::Running);
    hands.pass(1).await;
    let halted = desk.get(&name).await;
    assert_eq!((halted.state(), counts(&halted).timed_out), (State::Halted, 1));
    assert_eq!(halted.halt, "1 targets of stage 1 said nothing in time; 0 may");
    let seen = metrics(&hands.world).await;
    for line in [
        "muster_changes_open{state=\"HALTED\"} 1",
        "muster_change_targets{state=\"TIMED_OUT\"} 1",
        "muster_change_targets_begun_total 2",
        "muster_change_halts_total 1",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in\n{seen}");
    }
    let silent = desk.targets(&name, &[change_target::State::TimedOut]).await;
    assert_eq!(silent[0].serial, hands.devices[1].0);
    let request = v1::RetryChangeRequest {
        name: name.clone(),
        etag: halted.etag.clone(),
    };
    let retried = desk
        .changes
        .retry_change(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(retried.retried, 1);
    let stale = desk.changes.retry_change(request).await.unwrap_err();
    assert_eq!(grpc::refusal(&stale), Some(Code::EtagMismatch));
    desk.when(&name, "it is tried again", |change| counts(change).sent == 1)
        .await;
    assert_eq!(hands.prove(1).await, 3, "under another generation");
    let done = desk
        .when(&name, "it is done", |change| change.state() == State::Done)
        .await;
    assert_eq!(counts(&done).done, 2);
    // And back: what everybody had, under a higher generation.
    let request = v1::RollBackChangeRequest {
        name: name.clone(),
        etag: String::new(),
    };
    desk.changes.roll_back_change(request).await.unwrap();
    desk.when(&name, "it is rolled back", |change| {
        change.state() == State::RolledBack
    })
    .await;
    assert_eq!((hands.prove(0).await, hands.prove(1).await), (3, 4));
    let back = desk
        .when(&name, "both have said so", |change| counts(change).reverted == 2)
        .await;
    assert!(back.over || counts(&back).reverting == 0);
    for (serial, _) in &hands.devices {
        let device = hands.world.device(serial).await;
        assert_eq!(profile(&device), "profiles/gateway/revisions/1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_begins_nothing_and_an_end_leaves_what_was_sent() {
    let hands = Hands::start(3).await;
    revise(&hands.world, "two = true").await;
    let mut desk = Desk::of(&hands.world);
    let name = desk.started(asked(publish(2), strategy(3))).await.name;
    desk.when(&name, "the pilot is under way", |change| counts(change).sent == 2)
        .await;
    let request = v1::PauseChangeRequest {
        name: name.clone(),
        etag: String::new(),
    };
    let paused = desk
        .changes
        .pause_change(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((paused.state(), paused.stage), (State::Paused, 1));
    assert!(paused.next[0].starts_with("muster change resume"), "{paused:?}");
    let twice = desk.changes.pause_change(request).await.unwrap_err();
    assert_eq!(grpc::refusal(&twice), Some(Code::ChangeState));
    // Time and proof pass; the next stage stays closed.
    for device in 0..3 {
        if hands.explained(device).await[0].contains("stage 1 of 2") {
            hands.prove(device).await;
        }
    }
    hands.pass(60).await;
    let still = desk.get(&name).await;
    assert_eq!((counts(&still).done, counts(&still).waiting), (2, 1));
    let request = v1::ResumeChangeRequest {
        name: name.clone(),
        etag: still.etag,
    };
    desk.changes.resume_change(request).await.unwrap();
    desk.when(&name, "the rest is under way", |change| counts(change).sent == 1)
        .await;
    let request = v1::AbortChangeRequest {
        name: name.clone(),
        etag: String::new(),
    };
    desk.changes.abort_change(request).await.unwrap();
    hands.pass(600).await;
    let ended = desk.get(&name).await;
    assert_eq!(
        (ended.state(), counts(&ended).timed_out, ended.over),
        (State::Aborted, 1, true)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_approved_by_somebody_else_and_for_itself_alone() {
    let world = World::start().await;
    world.gateways(3).await;
    revise(&world, "two = true").await;
    let mut desk = Desk::of(&world);
    let planned = desk
        .planned(v1::CreateChangeRequest {
            approvals_needed: 1,
            ..asked(publish(2), strategy(0))
        })
        .await;
    let start = v1::StartChangeRequest {
        name: planned.name.clone(),
        plan_hash: planned.plan_hash.clone(),
        targets: 3,
    };
    let approve = v1::ApproveChangeRequest {
        name: planned.name.clone(),
        plan_hash: planned.plan_hash.clone(),
    };
    let refused = |answer: Result<_, tonic::Status>| {
        grpc::refusal(&answer.map(|_: tonic::Response<Change>| ()).unwrap_err())
    };
    assert_eq!(
        refused(desk.changes.start_change(start.clone()).await),
        Some(Code::ApprovalMissing)
    );
    assert_eq!(
        refused(desk.changes.approve_change(approve.clone()).await),
        Some(Code::ApprovalOwn)
    );
    let april = world.operator("april", Role::Approver).await;
    let mut april = ChangesClient::new(world.channel(Some(&april)));
    let another = v1::ApproveChangeRequest {
        plan_hash: vec![1; 32],
        ..approve.clone()
    };
    assert_eq!(
        refused(april.approve_change(another).await),
        Some(Code::ChangePlanMoved)
    );
    let approved = april.approve_change(approve.clone()).await.unwrap().into_inner();
    assert_eq!(approved.approvals[0].operator, "operators/april");
    // The fleet is another one meanwhile: so is the plan, and nobody has approved that.
    let more = "serial,model\nGW2-9000001,GW-200\n";
    world.import_text("more.csv", more).await;
    let request = v1::PlanChangeRequest {
        name: planned.name.clone(),
        etag: String::new(),
    };
    let other = desk.changes.plan_change(request).await.unwrap().into_inner();
    assert_ne!(other.plan_hash, planned.plan_hash);
    assert_eq!(other.approvals, []);
    assert_eq!(
        refused(desk.changes.start_change(start).await),
        Some(Code::ChangePlanMoved)
    );
    april
        .approve_change(v1::ApproveChangeRequest {
            plan_hash: other.plan_hash.clone(),
            ..approve
        })
        .await
        .unwrap();
    desk.start(&other).await;
    // None of them has claimed: they cannot prove it, and it is done when it is on record.
    let done = desk
        .when(&planned.name, "it is done", |change| {
            change.state() == State::Done
        })
        .await;
    assert_eq!(
        (counts(&done).done, done.stages[0].total),
        (counts(&other).total, 0)
    );
}
