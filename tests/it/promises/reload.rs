//! The authority is replaced under a server that runs: whole or not at all, and nobody is lost who may stay.

use muster_agent::AgentEvent;
use muster_domain::{Code, access::Role};
use muster_proto::v1;
use muster_server::ca::{self, AuthorityKind, Offline, Passphrase};
use muster_tests::{Mqtt, Pair, World, files_below, grpc};
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, Packet, PingReq};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::fs;
use tonic::transport::Channel;

/// Who signed the first certificate of a chain.
fn issuer(pair: &Pair) -> String {
    let leaf = CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap();
    ca::issuer(&leaf).expect("an issuer").to_string()
}

async fn connected(world: &World, pair: &Pair) -> Mqtt {
    let mut mqtt = world.dial(Some(pair)).await.unwrap();
    let answer = mqtt.connect("", None).await.unwrap();
    assert_eq!(answer.code, ConnectReturnCode::Success);
    mqtt
}

async fn is_let_in(world: &World, pair: &Pair) -> bool {
    let Ok(mut mqtt) = world.dial(Some(pair)).await else {
        return false;
    };
    let answer = mqtt.connect("", None).await;
    answer.is_some_and(|answer| answer.code == ConnectReturnCode::Success)
}

/// Does the session go on?
async fn answers(mqtt: &mut Mqtt) -> bool {
    let asked = mqtt.say(&Packet::PingReq(PingReq)).await;
    asked.is_ok() && matches!(mqtt.hear().await, Some(Packet::PingResp(_)))
}

async fn whoami(channel: &Channel) -> Result<String, Option<Code>> {
    let mut access = v1::access_client::AccessClient::new(channel.clone());
    let answer = access.who_am_i(v1::WhoAmIRequest {}).await;
    let answer = answer.map_err(|status| grpc::refusal(&status))?;
    Ok(answer.into_inner().name)
}

/// An error with its causes.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| format!("{error}: ")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_rotates_under_connections_that_go_on() {
    let world = World::start().await;
    let mut gateways = world.gateways(3).await.into_iter();
    let (serial, code) = gateways.next().unwrap();
    let old = world.claim(&serial, &code).await;
    let mut live = connected(&world, &old).await;
    let (watching, admin) = (world.channel(Some(&world.admin())), world.admin());
    whoami(&watching).await.unwrap();
    for kind in AuthorityKind::ALL {
        let (before, next) = (world.working(kind), world.rotate(kind));
        let reloaded = world.reload().await.unwrap();
        assert_eq!((reloaded.ended, before == next), (0, false));
        assert_eq!(reloaded.changes, [format!("{kind} {next} works")]);
    }
    assert_eq!(world.reload().await.unwrap().changes, [""; 0]);
    // 1. Who was here is here, and may come again.
    assert!(answers(&mut live).await);
    assert!(is_let_in(&world, &old).await);
    assert_eq!(whoami(&watching).await.unwrap(), "operators/admin");
    assert_eq!(
        whoami(&world.channel(Some(&admin))).await.unwrap(),
        "operators/admin"
    );
    // 2. What is new comes from the new ones, the server's own certificate too.
    let (serial, code) = gateways.next().unwrap();
    let new = world.claim(&serial, &code).await;
    assert_eq!(issuer(&new), world.working(AuthorityKind::Devices).to_string());
    assert!(is_let_in(&world, &new).await);
    let olga = world.operator("olga", Role::Viewer).await;
    assert_eq!(issuer(&olga), world.working(AuthorityKind::Operators).to_string());
    assert_eq!(
        whoami(&world.channel(Some(&olga))).await.unwrap(),
        "operators/olga"
    );
    let server = world.dial(None).await.unwrap().server_certificate();
    let servers = world.working(AuthorityKind::Servers);
    assert_eq!(ca::issuer(&server), Some(servers));
    // 3. An agent believes what the new key signed.
    let (serial, code) = gateways.next().unwrap();
    let agent = world.agent(&serial, &code);
    world.verified(&serial, 1).await;
    agent.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_fails_changes_nothing() {
    let world = World::start().await;
    let mut gateways = world.gateways(3).await.into_iter();
    let mut claimed = async || {
        let (serial, code) = gateways.next().unwrap();
        issuer(&world.claim(&serial, &code).await)
    };
    let old = claimed().await;
    let next = world.rotate(AuthorityKind::Devices).to_string();
    // 1. Another passphrase; a damaged part.
    let wrong = Passphrase::new(b"not the passphrase").unwrap();
    let refused = world.reload_with(wrong).await.unwrap_err();
    assert!(
        told(&refused).contains("the passphrase does not open"),
        "{refused:?}"
    );
    let roots = files_below(&world.registry().join("ca/roots"));
    let root = roots
        .iter()
        .find(|path| path.ends_with("certificate.pem"))
        .unwrap();
    let kept = fs::read(root).unwrap();
    fs::write(root, "no certificate").unwrap();
    let refused = world.reload().await.unwrap_err();
    assert!(told(&refused).contains("certificate.pem"), "{refused:?}");
    assert_eq!(claimed().await, old);
    // 2. Mended.
    fs::write(root, kept).unwrap();
    let reloaded = world.reload().await.unwrap();
    assert_eq!(reloaded.changes, [format!("devices {next} works")]);
    assert_eq!(claimed().await, next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_who_is_of_an_authority_that_is_gone_is_out_at_once() {
    let world = World::start().await;
    let mut gateways = world.gateways(3).await.into_iter();
    let mut claimed = async || {
        let (serial, code) = gateways.next().unwrap();
        world.claim(&serial, &code).await
    };
    let vera = world.operator("vera", Role::Admin).await;
    let as_vera = world.channel(Some(&vera));
    whoami(&as_vera).await.unwrap();
    let old = [AuthorityKind::Devices, AuthorityKind::Operators].map(|kind| world.working(kind));
    let (first, second) = (claimed().await, claimed().await);
    let mut of_old = [connected(&world, &first).await, connected(&world, &second).await];
    for kind in [AuthorityKind::Devices, AuthorityKind::Operators] {
        world.rotate(kind);
    }
    world.reload().await.unwrap();
    let third = claimed().await;
    let mut of_new = connected(&world, &third).await;
    let olga = world.operator("olga", Role::Admin).await;
    let as_olga = world.channel(Some(&olga));
    whoami(&as_olga).await.unwrap();
    // Until the server is told, nothing happens.
    for id in old {
        world.remove(id);
    }
    for mqtt in of_old.iter_mut().chain([&mut of_new]) {
        assert!(answers(mqtt).await);
    }
    let reloaded = world.reload().await.unwrap();
    assert_eq!(reloaded.ended, 2);
    assert_eq!(
        reloaded.changes,
        [
            format!("devices {} is gone", old[0]),
            format!("operators {} is gone", old[1])
        ]
    );
    // 1. Sessions end, and do not begin again.
    for mqtt in &mut of_old {
        while mqtt.hear().await.is_some() {}
    }
    for pair in [&first, &second] {
        assert!(!is_let_in(&world, pair).await);
    }
    assert!(answers(&mut of_new).await);
    assert!(is_let_in(&world, &third).await);
    // 2. Calls are refused, on connections that stand and on new ones.
    assert_eq!(whoami(&as_vera).await, Err(Some(Code::OperatorDisabled)));
    assert!(whoami(&world.channel(Some(&vera))).await.is_err());
    assert_eq!(whoami(&as_olga).await.unwrap(), "operators/olga");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_hear_of_another_root_while_they_are_connected() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let mut agent = world.agent(&serial, &code);
    world.verified(&serial, 1).await;
    let (passphrase, now) = (world.passphrase(), world.now());
    let offline = Offline::open(&world.path("registry-offline"), &passphrase).unwrap();
    let next = offline.succeed(&world.path("second"), &passphrase, now).unwrap();
    let install = |text: &str| ca::install(&world.registry(), text, &passphrase, now).unwrap();
    install(&fs::read_to_string(next).unwrap());
    let draft = ca::draft_trust(&world.registry()).unwrap();
    let (signed, version, _) = offline.vouch(&draft, now).unwrap();
    install(&signed);
    let reloaded = world.reload().await.unwrap();
    assert_eq!((version, reloaded.ended), (1, 0));
    assert_eq!(reloaded.changes.last().unwrap(), "version 1 of trust");
    let heard = |event: &AgentEvent| *event == AgentEvent::Trusting { version: 1 };
    agent.event("that it trusts both", heard).await;
    muster_tests::until("the registry knows", async || {
        (world.device(&serial).await.trust_version == 1).then_some(())
    })
    .await;
    while let Ok(event) = agent.events.try_recv() {
        assert!(!matches!(event, AgentEvent::Disconnected { .. }), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_go_on_while_authorities_come() {
    let world = World::start().await;
    let gateways = world.gateways(24).await;
    let claims = async {
        for (serial, code) in &gateways {
            let pair = world.claim(serial, code).await;
            assert!(is_let_in(&world, &pair).await);
        }
    };
    let reloads = async {
        for kind in AuthorityKind::ALL.into_iter().chain(AuthorityKind::ALL) {
            world.rotate(kind);
            world.reload().await.unwrap();
        }
    };
    tokio::join!(claims, reloads);
    let broken = world.service().store().check().await.unwrap();
    assert_eq!(broken, Vec::<String>::new());
}
