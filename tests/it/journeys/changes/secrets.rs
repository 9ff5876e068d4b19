//! Secrets: named in a profile, sealed to each device, brought to a fleet and taken back by changes.

use super::{Desk, asked, profile, publish, strategy};
use muster_domain::{Code, access::Role};
use muster_proto::v1::{
    self,
    change::State,
    change_action::{self, Action},
};
use muster_tests::{Running, Sink, World, files_below, grpc, until};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

const FIRST: &str = "correct horse battery staple";
const SECOND: &str = "Tr0ub4dor and 3 more words";

async fn put(world: &World, value: &str) -> v1::Secret {
    let request = v1::PutSecretRequest {
        name: "secrets/wifi-psk".into(),
        value: value.into(),
        message: "from the safe".into(),
    };
    let put = world.client.secrets.clone().put_secret(request).await;
    put.unwrap().into_inner()
}

/// Gives gateways a profile that names the secret, the same text each time.
async fn apply(world: &World) {
    let text = "[[profiles]]\nname = \"gateway\"\nmessage = \"With a key\"\n[profiles.files]\n\
                \"network.toml\" = '''\nhostname = \"{{ device.serial }}\"\npsk = \"{{ secret(\"wifi-psk\") }}\"\n'''\n";
    world.apply_text(text).await;
}

/// A gateway whose file holds the first value.
async fn gateway(world: &World) -> (String, Running) {
    put(world, FIRST).await;
    apply(world).await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let agent = world.agent(&serial, &code);
    world.verified(&serial, 1).await;
    assert_holds(&agent, FIRST);
    (serial, agent)
}

#[track_caller]
fn assert_holds(agent: &Running, value: &str) {
    let file = agent.applied("network.toml");
    assert!(file.contains(&format!("psk = \"{value}\"\n")), "{file}");
}

/// Where the value stands that only devices see, of all files below a directory.
fn holders(directory: &Path, value: &str) -> Vec<String> {
    let value = value.as_bytes();
    let holds = |path: &Path| {
        fs::read(path)
            .unwrap()
            .windows(value.len())
            .any(|part| part == value)
    };
    let files = files_below(directory).into_iter().filter(|path| path.is_file());
    files
        .filter(|path| holds(path))
        .map(|path| path.strip_prefix(directory).unwrap().display().to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_f4_g17_a_secret_is_in_the_file_of_its_device_and_nowhere_else() {
    let logs = Sink::install();
    let mut world = World::start().await;
    // Whoever hears all that an integrator may hear.
    let ines = world.operator("ines", Role::Integrator).await;
    let mut listener = world.dial(Some(&ines)).await.unwrap();
    listener.connect("", None).await.unwrap();
    for filter in [
        "muster/v1/+/hello",
        "muster/v1/+/report",
        "muster/v1/+/presence/json",
        "muster/v1/events/#",
    ] {
        listener.subscribe(filter).await.unwrap();
    }
    let (serial, agent) = gateway(&world).await;
    let mut heard = Vec::new();
    while !heard.ends_with(b"device_activated") {
        let message = listener.message().await.unwrap();
        heard.extend_from_slice(&message.payload);
        if message.topic.ends_with(b"device_activated") {
            heard.extend_from_slice(b"device_activated");
        }
    }
    // Whatever operators may read.
    let name = "profiles/gateway".to_owned();
    let kept = world
        .client
        .catalog
        .clone()
        .get_profile(v1::GetProfileRequest { name })
        .await;
    let kept = kept.unwrap().into_inner();
    assert_eq!(kept.secrets, [("wifi-psk".to_owned(), 1)].into());
    let secrets = world.client.secrets.clone();
    let listed = secrets
        .clone()
        .list_secrets(v1::ListSecretsRequest::default())
        .await;
    let listed = listed.unwrap().into_inner();
    assert_eq!((listed.secrets.len(), listed.secrets[0].revision), (1, 1));
    let device = world.device(&serial).await;
    let audit = world.audit().await;
    assert!(audit.iter().any(|entry| entry["action"] == "secret_put"));
    let answers = format!("{kept:?} {listed:?} {device:?} {audit:?}");
    // And all that lies on disks, once nothing writes any more.
    agent.stopped().await;
    world.stopped().await.unwrap();
    let config = format!("agents/{serial}/config");
    // The slot, and the link to it.
    let held = ["a", "current"].map(|slot| format!("{config}/{slot}/network.toml"));
    assert_eq!(holders(world.registry().parent().unwrap(), FIRST), held);
    let mode = fs::metadata(world.path(&held[0])).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let lines = logs.bytes();
    assert!(
        lines.len() > 100_000,
        "the log is talkative: {} bytes",
        lines.len()
    );
    for (place, bytes) in [
        ("messages", heard),
        ("answers", answers.into_bytes()),
        ("the log", lines),
    ] {
        for form in [FIRST.to_owned(), format!("{:?}", FIRST.as_bytes()), hex(FIRST)] {
            let found = bytes.windows(form.len()).any(|part| part == form.as_bytes());
            assert!(!found, "{place}: {form}");
        }
    }
    // The store is sound, and the server starts with its key again.
    world.serve_again().await;
    assert_eq!(
        world.service().store().check().await.unwrap(),
        Vec::<String>::new()
    );
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_value_reaches_the_fleet_by_a_change_and_is_taken_back_by_a_rollback() {
    let world = World::start().await;
    let (serial, agent) = gateway(&world).await;
    assert_eq!(put(&world, SECOND).await.revision, 2);
    // Nothing moves by itself, and the same text is another revision.
    assert_eq!(
        profile(&world.device(&serial).await),
        "profiles/gateway/revisions/2"
    );
    apply(&world).await;
    let mut desk = Desk::of(&world);
    let change = desk.started(asked(publish(0), strategy(0))).await.name;
    desk.when(&change, "the device proves it", |change| {
        change.state() == State::Done
    })
    .await;
    assert_holds(&agent, SECOND);
    let request = v1::RollBackChangeRequest {
        name: change.clone(),
        ..v1::RollBackChangeRequest::default()
    };
    desk.changes.roll_back_change(request).await.unwrap();
    world.verified(&serial, 3).await;
    assert_holds(&agent, FIRST);
    // Its value is needed, and stays; the other can go.
    let retire = async |revision, force| {
        let request = v1::RetireSecretRequest {
            name: "secrets/wifi-psk".into(),
            revision,
            force,
        };
        world.client.secrets.clone().retire_secret(request).await
    };
    let refused = retire(1, false).await.unwrap_err();
    assert_eq!(grpc::refusal(&refused), Some(Code::SecretPinned));
    assert!(refused.message().contains("1 devices have"), "{refused:?}");
    let refused = retire(2, false).await.unwrap_err();
    assert!(refused.message().contains("profiles/gateway pins"), "{refused:?}");
    assert!(retire(2, true).await.unwrap().into_inner().retired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sealed_to_the_former_key_comes_anew_with_the_next_certificate() {
    let world = World::start().await;
    let (serial, agent) = gateway(&world).await;
    let sealed = world.agent_state(&serial).join("sealed");
    let before = fs::read(&sealed).unwrap();
    let mut desk = Desk::of(&world);
    let rotate = Action::RotateCertificate(change_action::RotateCertificate {});
    let name = desk.started(asked(rotate, strategy(0))).await.name;
    desk.when(&name, "it came with another certificate", |change| {
        change.state() == State::Done
    })
    .await;
    until("its secrets are sealed to the other key", async || {
        (fs::read(&sealed).unwrap() != before).then_some(())
    })
    .await;
    agent.stopped().await;
    // Somebody spoils the file while nobody looks; the agent opens what it has, and writes it again.
    let file = world.agent_state(&serial).join("config/current/network.toml");
    fs::write(&file, "psk = \"mine\"\n").unwrap();
    let agent = world.agent(&serial, "");
    until("the file is what it should be", async || {
        agent.applied("network.toml").contains(FIRST).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_secret_is_said_to_be_missing_and_another_revision_helps() {
    let world = World::start().await;
    put(&world, FIRST).await;
    apply(&world).await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let request = v1::RetireSecretRequest {
        name: "secrets/wifi-psk".into(),
        revision: 1,
        force: true,
    };
    world.client.secrets.clone().retire_secret(request).await.unwrap();
    let agent = world.agent(&serial, &code);
    let reason = until("the device says what it lacks", async || {
        let verification = world.device(&serial).await.verification?;
        (verification.state() == v1::verification::State::Failed).then_some(verification.reason)
    })
    .await;
    assert!(reason.contains("secret wifi-psk@1 has not come"), "{reason}");
    put(&world, SECOND).await;
    apply(&world).await;
    let mut desk = Desk::of(&world);
    let change = desk.started(asked(publish(0), strategy(0))).await.name;
    desk.when(&change, "the device proves it", |change| {
        change.state() == State::Done
    })
    .await;
    assert_holds(&agent, SECOND);
}
