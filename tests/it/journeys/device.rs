//! Device: from the code on its label to a proven state, and out again.

use muster_agent::AgentEvent;
use muster_proto::{
    payload::ClaimResult,
    topic::{Channel, Encoding, Topic},
    v1::{self, device::State},
};
use muster_tests::{Key, Packet, Pair, World, fixture, until};
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode, SubscribeReasonCode};

fn name(serial: &str) -> String {
    format!("devices/serial:{serial}")
}

async fn suspend(world: &World, serial: &str) {
    let request = v1::SuspendDeviceRequest {
        name: name(serial),
        reason: "stolen van".into(),
        etag: String::new(),
    };
    world
        .client
        .devices
        .clone()
        .suspend_device(request)
        .await
        .unwrap();
}

async fn resume(world: &World, serial: &str) {
    let request = v1::ResumeDeviceRequest {
        name: name(serial),
        etag: String::new(),
    };
    world.client.devices.clone().resume_device(request).await.unwrap();
}

/// The answer to a CONNECT with this certificate.
async fn connects(world: &World, pair: &Pair) -> ConnectReturnCode {
    let mut mqtt = world.dial(Some(pair)).await.unwrap();
    mqtt.connect("", None).await.unwrap().code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_claims_applies_and_proves() {
    let world = World::start().await;
    let imported = world.import(&fixture::manifest("gateways.csv")).await;
    let (serial, code) = ("GW2-7000001", &imported.rows[0].activation_code);
    let mut agent = world.agent(serial, code);
    for (what, wanted) in [
        ("a key of its own", AgentEvent::KeyMade),
        ("a claim", AgentEvent::Claiming),
        ("a connection as the device", AgentEvent::Connected),
        ("its desired state", AgentEvent::DesiredReceived { generation: 1 }),
        ("that it applied it", AgentEvent::Applied { generation: 1 }),
        (
            "a report",
            AgentEvent::Reported {
                generation: 1,
                ok: true,
            },
        ),
    ] {
        agent.event(what, |event| *event == wanted).await;
    }
    let device = world.verified(serial, 1).await;
    // What the profile made of its row is on its disk.
    let network = agent.applied("network.toml");
    assert!(
        network.contains("hostname = \"gw2-7000001\"") && network.contains("code = \"SAO-04\""),
        "{network}"
    );
    assert!(agent.applied("services.json").contains("\"extension\": \"2186\""));
    // The registry knows what the device says of itself, and can explain it.
    let reported = device.reported.unwrap();
    assert_eq!(
        (
            reported.generation,
            reported.firmware.as_str(),
            reported.facets.len()
        ),
        (1, "2.3.1", 3)
    );
    let request = v1::ExplainDeviceRequest { name: name(serial) };
    let explained = world
        .client
        .devices
        .clone()
        .explain_device(request)
        .await
        .unwrap()
        .into_inner();
    let done = v1::explain_device_response::step::State::Done;
    assert!(
        explained.steps.iter().all(|step| step.state() == done),
        "{explained:?}"
    );
    let counts = world.counts().await;
    assert_eq!(
        (
            counts.connected,
            counts.states["ACTIVE"],
            counts.states["REGISTERED"]
        ),
        (1, 1, 999)
    );
    for action in ["claim_started", "claim_finished", "device_activated"] {
        assert_eq!(world.audited(action).await, 1, "{action}");
    }
    // A restart of the agent claims nothing new.
    agent.stopped().await;
    let mut again = world.agent(serial, "");
    again
        .event("the same identity", |event| *event == AgentEvent::Connected)
        .await;
    assert_eq!(
        world.device(serial).await.certificate_serial,
        device.certificate_serial
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_survives_a_restart_of_the_registry() {
    let mut world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let agent = world.agent(&serial, &code);
    let before = world.verified(&serial, 1).await;
    agent.stopped().await;
    world.stopped().await.unwrap();
    world.serve_again().await;
    let after = world.device(&serial).await;
    // All but that it is not connected.
    let presence = after.presence.clone();
    assert_eq!(v1::Device { presence, ..before }, after);
    let mut agent = world.agent(&serial, "");
    agent
        .event("a connection", |event| *event == AgentEvent::Connected)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_a_second_key_for_a_used_code_is_refused_and_reported() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let key = Key::new();
    let claim = async |key: &Key| {
        world
            .dial(None)
            .await
            .unwrap()
            .claim(&serial, &code, key.csr())
            .await
            .unwrap()
    };
    let ClaimResult::Accepted(first) = claim(&key).await else {
        panic!("the first claim is granted")
    };
    // The same key gets the same certificate, byte for byte, as often as it asks.
    for _ in 0..3 {
        let ClaimResult::Accepted(again) = claim(&key).await else {
            panic!("a repetition is granted")
        };
        assert_eq!(again.chain, first.chain);
    }
    assert_eq!(world.audited("clone_suspected").await, 0);
    let ClaimResult::Refused(refused) = claim(&Key::new()).await else {
        panic!("a second key is refused")
    };
    assert_eq!((refused.code, refused.retry_after_seconds), (4001, None));
    let audit = world.audit().await;
    let suspected: Vec<_> = audit
        .iter()
        .filter(|entry| entry["action"] == "clone_suspected")
        .collect();
    assert_eq!(suspected.len(), 1);
    assert_eq!(suspected[0]["subject"], format!("devices/{}", first.device_id));
    // The rightful holder is not disturbed.
    let ClaimResult::Accepted(still) = claim(&key).await else {
        panic!("the first key still holds")
    };
    assert_eq!(still.chain, first.chain);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_a_suspended_device_is_out_at_once_and_stays_out() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let pair = world.claim(&serial, &code).await;
    let mut live = world.dial(Some(&pair)).await.unwrap();
    assert_eq!(
        live.connect("", None).await.unwrap().code,
        ConnectReturnCode::Success
    );
    suspend(&world, &serial).await;
    // The live session ends, and says why.
    let Some(Packet::Disconnect(goodbye)) = live.hear().await else {
        panic!("a goodbye")
    };
    assert_eq!(goodbye.reason_code, DisconnectReasonCode::AdministrativeAction);
    assert_eq!(live.hear().await, None);
    assert_eq!(connects(&world, &pair).await, ConnectReturnCode::NotAuthorized);
    assert_eq!(world.device(&serial).await.state_reason, "stolen van");
    // Nor does its code let it back in.
    let again = world
        .dial(None)
        .await
        .unwrap()
        .claim(&serial, &code, Key::new().csr())
        .await
        .unwrap();
    assert!(matches!(again, ClaimResult::Refused(refused) if refused.code == 4001));
    resume(&world, &serial).await;
    assert_eq!(connects(&world, &pair).await, ConnectReturnCode::Success);
    assert_eq!(world.device(&serial).await.state(), State::Claimed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_an_agent_goes_on_after_a_suspension() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let mut agent = world.agent(&serial, &code);
    world.verified(&serial, 1).await;
    suspend(&world, &serial).await;
    agent
        .event("that it was cut", |event| {
            matches!(event, AgentEvent::Disconnected { .. })
        })
        .await;
    until("no session is left", async || {
        (world.counts().await.connected == 0).then_some(())
    })
    .await;
    resume(&world, &serial).await;
    agent
        .event("that it is back", |event| *event == AgentEvent::Connected)
        .await;
    world.verified(&serial, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_device_never_comes_back() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let pair = world.claim(&serial, &code).await;
    let mut live = world.dial(Some(&pair)).await.unwrap();
    live.connect("", None).await.unwrap();
    let request = v1::RetireDeviceRequest {
        name: name(&serial),
        reason: "scrapped".into(),
        etag: String::new(),
    };
    world.client.devices.clone().retire_device(request).await.unwrap();
    let Some(Packet::Disconnect(_)) = live.hear().await else {
        panic!("a goodbye")
    };
    assert_eq!(connects(&world, &pair).await, ConnectReturnCode::NotAuthorized);
    let request = v1::ResumeDeviceRequest {
        name: name(&serial),
        etag: String::new(),
    };
    let refused = world
        .client
        .devices
        .clone()
        .resume_device(request)
        .await
        .unwrap_err();
    assert!(refused.message().starts_with("M5001"), "{refused}");
    let request = v1::ReissueCodeRequest {
        name: name(&serial),
        ..v1::ReissueCodeRequest::default()
    };
    let refused = world
        .client
        .devices
        .clone()
        .reissue_code(request)
        .await
        .unwrap_err();
    assert!(refused.message().starts_with("M5001"), "{refused}");
    assert_eq!(world.device(&serial).await.state(), State::Retired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_values_reach_the_device_and_a_new_profile_waits_for_its_change() {
    let world = World::start().await;
    let manifest = |extension: &str| {
        format!(
            "serial,mac,model,site,position,extension\nGW2-6000001,00:1B:C5:00:00:01,GW-200,MUC-01,Roof,{extension}\n"
        )
    };
    let imported = world.import_text("one.csv", &manifest("100")).await;
    let serial = "GW2-6000001";
    let agent = world.agent(serial, &imported.rows[0].activation_code);
    let before = world.verified(serial, 1).await;
    // 1. A new revision of the profile moves no device by itself: that takes a change.
    let profile = "[[profiles]]\nname = \"gateway\"\nmessage = \"other\"\n[profiles.parameters.extension]\ntype = \"string\"\n\
                   default = \"\"\n[profiles.files]\n\"services.json\" = '{ \"other\": \"{{ extension }}\" }'\n";
    let outcomes = world.apply_text(profile).await;
    assert_eq!(outcomes[0].revision, 2);
    assert_eq!(world.device(serial).await.desired, before.desired);
    // 2. Changed values of the device do, through the revision that it has, while it is connected.
    let changed = world.import_text("one.csv", &manifest("200")).await;
    assert_eq!(changed.summary.updated, 1);
    let after = world.verified(serial, 2).await;
    let (before, after) = (before.desired.unwrap(), after.desired.unwrap());
    assert_eq!((after.generation, &after.profile), (2, &before.profile));
    assert_ne!(after.digest, before.digest);
    assert!(
        agent.applied("services.json").contains("\"extension\": \"200\""),
        "{}",
        agent.applied("services.json")
    );
    assert!(agent.applied("network.toml").contains("gw2-6000001"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_site_reaches_its_devices_connected_or_not() {
    const EDITED: &str = "[[sites]]\ncode = \"MUC-01\"\nname = \"Munich works\"\ncountry = \"DE\"\n\
                          time_zone = \"Europe/Berlin\"\n";
    let world = World::start().await;
    let manifest = "serial,mac,model,site,position\nGW2-7000001,00:1B:C5:00:00:01,GW-200,MUC-01,Roof\n\
                    GW2-7000002,00:1B:C5:00:00:02,GW-200,MUC-01,Roof\n\
                    GW2-7000003,00:1B:C5:00:00:03,GW-200,OSA-05,Roof\n";
    let imported = world.import_text("m.csv", manifest).await;
    let code = |place: usize| imported.rows[place].activation_code.as_str();
    // One is connected, one is not, one belongs elsewhere.
    let mut connected = world.agent("GW2-7000001", code(0));
    let away = world.agent("GW2-7000002", code(1));
    for serial in ["GW2-7000001", "GW2-7000002"] {
        world.verified(serial, 1).await;
    }
    away.stopped().await;
    world.apply_text(EDITED).await;
    connected
        .event("the new location", |event| {
            matches!(
                event,
                AgentEvent::Reported {
                    generation: 2,
                    ok: true
                }
            )
        })
        .await;
    world.verified("GW2-7000001", 2).await;
    assert!(connected.applied("location.json").contains("Munich works"));
    let mut away = world.agent("GW2-7000002", code(1));
    away.event("the new location", |event| {
        matches!(
            event,
            AgentEvent::Reported {
                generation: 2,
                ok: true
            }
        )
    })
    .await;
    world.verified("GW2-7000002", 2).await;
    assert_eq!(world.audited("device_retargeted").await, 2);
    let elsewhere = world.device("GW2-7000003").await;
    assert_eq!(elsewhere.desired.unwrap().generation, 1);
    // Saying the same again moves nobody.
    world.apply_text(EDITED).await;
    assert_eq!(world.device("GW2-7000001").await.desired.unwrap().generation, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_a_device_has_its_own_topics_and_no_others() {
    let world = World::start().await;
    let codes = world.gateways(2).await;
    let pair = world.claim(&codes[0].0, &codes[0].1).await;
    world.claim(&codes[1].0, &codes[1].1).await;
    let id = |device: &v1::Device| device.name.trim_start_matches("devices/").to_owned();
    let (own, other) = (
        id(&world.device(&codes[0].0).await),
        id(&world.device(&codes[1].0).await),
    );
    let mut mqtt = world.dial(Some(&pair)).await.unwrap();
    mqtt.connect(&own, None).await.unwrap();
    let topic = |id: &str, channel| Topic::Device(id, channel, Encoding::Json).to_string();
    let (code, _) = mqtt.subscribe(&topic(&own, Channel::Desired)).await.unwrap();
    assert!(matches!(code, SubscribeReasonCode::Success(_)), "{code:?}");
    for filter in [
        "#",
        "+",
        "muster/v1/#",
        "muster/v1/+/desired/json",
        "$share/g/muster/v1/+/desired",
        "$SYS/#",
        &topic(&other, Channel::Desired),
        &topic(&own, Channel::Report),
        "muster/v1/claim/result",
    ] {
        let (code, text) = mqtt.subscribe(filter).await.unwrap();
        assert_eq!(code, SubscribeReasonCode::NotAuthorized, "{filter}");
        assert!(text.starts_with("M7001"), "{filter}: {text}");
    }
    for name in [
        topic(&other, Channel::Hello),
        topic(&other, Channel::Report),
        topic(&own, Channel::Desired),
        "a/b".into(),
    ] {
        let (_, text) = mqtt.publish(&name, b"{}".to_vec()).await.unwrap();
        assert!(text.starts_with("M7001"), "{name}: {text}");
    }
    assert!(world.device(&codes[1].0).await.reported.is_none());
}
