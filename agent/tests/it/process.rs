//! The agent as a process: settings files, exit codes, signals, and kills at any step.

use crate::registry::{CODE, Known, Registry};
use muster_agent::{Agent, Settings};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_muster-agent");

/// A device's files.
struct Device {
    directory: TempDir,
}

impl Device {
    fn new(registry: &Registry) -> Self {
        let device = Self {
            directory: TempDir::new().unwrap(),
        };
        fs::write(device.path("root.pem"), registry.root_pem()).unwrap();
        fs::write(device.path("code"), format!("{CODE}\n")).unwrap();
        fs::write(device.path("firmware-version"), "v2.4.0\n").unwrap();
        let directory = device.directory.path().display();
        let settings = format!(
            "server = \"{}\"\nserial = \"GW2-000001\"\nstate_directory = \"{directory}/state\"\n\
             root = \"{directory}/root.pem\"\nactivation_code_file = \"{directory}/code\"\n\
             firmware_file = \"{directory}/firmware-version\"\n",
            registry.address
        );
        fs::write(device.path("agent.toml"), settings).unwrap();
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self) -> Child {
        Command::new(PROGRAM)
            .arg("--config")
            .arg(self.path("agent.toml"))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

async fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().await.unwrap()
}

fn is_settled(known: &Known) -> bool {
    known.reports.iter().any(|report| report.generation == 1)
}

async fn terminate(child: Child) -> Output {
    let process = child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &process])
            .status()
            .await
            .unwrap()
            .success()
    );
    child.wait_with_output().await.unwrap()
}

#[tokio::test]
async fn a_process_does_the_whole_journey_and_stops_on_sigterm() {
    let registry = Registry::start().await;
    let device = Device::new(&registry);
    let child = device.start();
    let known = registry.until(is_settled).await;
    assert_eq!(known.reports[0].firmware.as_deref(), Some("2.4.0"));
    let output = terminate(child).await;
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.contains("claimed") && log.contains("SIGTERM"), "{log}");
    assert!(!log.contains(&CODE[..11]), "f4_no_code_in_logs: {log}");
    assert!(!device.path("code").exists());
    let checked = run(&["check", "--config", device.path("agent.toml").to_str().unwrap()]).await;
    assert!(
        String::from_utf8(checked.stdout)
            .unwrap()
            .contains("this device is 01jnb3zv8k6c2q4x7d9ftg")
    );
}

#[tokio::test]
async fn a_decision_that_nothing_believed_stands_behind_is_taken_back() {
    let registry = Registry::start().await;
    let device = Device::new(&registry);
    let settings = fs::read_to_string(device.path("agent.toml")).unwrap();
    let agent = Agent::new(Settings::parse(&settings).unwrap()).unwrap();
    // Of an agent before this one, say, that did not look for signatures yet.
    let decision = device.path("state/config/firmware.json");
    fs::write(&decision, r#"{"decision": {"install": {}}}"#).unwrap();
    agent.run(std::future::ready(())).await.unwrap();
    assert!(!decision.exists());
}

#[tokio::test]
async fn c4_a_process_that_is_killed_at_any_step_ends_with_one_identity() {
    type Step = (&'static str, fn(&Known) -> bool);
    let steps: [Step; 5] = [
        ("connected", |known| known.connections == 1),
        ("claimed", |known| known.claims == 1),
        ("connected again", |known| known.connections == 2),
        ("greeted", |known| known.hellos.len() == 1),
        ("reported", is_settled),
    ];
    for (name, reached) in steps {
        let registry = Registry::start().await;
        let device = Device::new(&registry);
        let mut child = device.start();
        registry.until(reached).await;
        child.kill().await.unwrap();
        registry.change(|known| known.reports.clear());
        let child = device.start();
        let known = registry.until(is_settled).await;
        assert_eq!((known.claimed.len(), known.clones), (1, 0), "{name}");
        assert_eq!(terminate(child).await.status.code(), Some(0), "{name}");
        assert!(!device.path("code").exists(), "{name}");
    }
}

#[tokio::test]
async fn exit_codes_are_as_documented() {
    let registry = Registry::start().await;
    let device = Device::new(&registry);
    let config = device.path("agent.toml");
    let config = config.to_str().unwrap();
    let check = async |arguments: &[&str], code: i32, expected: &str| {
        let output = run(arguments).await;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    };
    check(&["--help"], 0, "exit codes:").await;
    check(&["--version"], 0, env!("CARGO_PKG_VERSION")).await;
    check(&["--nonsense"], 2, "unknown argument").await;
    check(&["--config"], 2, "wants a file").await;
    check(&["--config", "/nonexistent/agent.toml"], 3, "cannot read").await;
    check(&["check", "--config", config], 0, "no identity yet").await;

    // Somebody else's agent in the same directory.
    let settings = Settings::parse(&fs::read_to_string(config).unwrap()).unwrap();
    let other = Agent::new(settings).unwrap();
    check(&["--config", config], 4, "another agent").await;
    drop(other);

    // A damaged ledger is not started over.
    let ledger = device.path("state/ledger");
    fs::write(&ledger, "damaged").unwrap();
    check(&["--config", config], 4, "ledger is damaged").await;
    fs::remove_file(&ledger).unwrap();

    let replace = |path: &Path, content: &str| fs::write(path, content).unwrap();
    replace(&device.path("root.pem"), "no certificate");
    check(&["--config", config], 3, "no certificate in the file of roots").await;
    replace(&device.path("root.pem"), &registry.root_pem());
    let settings = fs::read_to_string(config).unwrap();
    let keys = format!("firmware_keys = [{:?}]\n{settings}", device.path("root.pem"));
    replace(&device.path("agent.toml"), &keys);
    check(
        &["check", "--config", config],
        3,
        "root.pem: not a public key in PEM",
    )
    .await;
    replace(&device.path("agent.toml"), &settings);
    fs::remove_file(device.path("code")).unwrap();
    check(&["--config", config], 3, "cannot read the activation code").await;
    replace(&device.path("agent.toml"), "server = 1\nsreial = \"x\"\n");
    check(&["--config", config], 3, "sreial: is not a setting").await;
    assert_eq!(
        registry.known.borrow().connections,
        0,
        "nothing was sent by any of them"
    );
}
