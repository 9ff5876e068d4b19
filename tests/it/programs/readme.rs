//! The README's sections "By hand" and "Imports", run as they are written, one after the other.
//!
//! What is changed, and nothing else: the release build is the build of this test; both listeners get free ports; a
//! command that would never end is put into the background, and what comes behind it waits until it is up.

use muster_tests::{Program, fixture, free_ports};
use std::{fs, os::unix::fs::symlink, process::Command};

/// A command of the sections, and how it must end.
struct Step {
    command: String,
    code: i32,
}

/// A section, up to the next of its level.
fn section(name: &str) -> String {
    let text = fs::read_to_string(fixture::in_repository("README.md")).unwrap();
    let behind = text
        .split(&format!("\n## {name}\n"))
        .nth(1)
        .unwrap_or_else(|| panic!("no section {name}"))
        .to_owned();
    behind.split("\n## ").next().unwrap().to_owned()
}

/// The commands of every `sh` block; a here-document belongs to its command.
fn commands() -> Vec<String> {
    let section = section("By hand") + &section("Imports");
    let mut commands = Vec::<String>::new();
    let mut document = None;
    for line in section
        .split("```sh\n")
        .skip(1)
        .flat_map(|rest| rest.split("```").next().unwrap().lines())
    {
        if let Some(end) = &document {
            let last = commands.last_mut().unwrap();
            *last += &format!("\n{line}");
            if line == end {
                document = None;
            }
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            document = line
                .split_once("<<'")
                .map(|(_, rest)| rest.trim_end_matches('\'').to_owned());
            commands.push(line.to_owned());
        }
    }
    assert!(document.is_none(), "a here-document without its end");
    commands
}

fn adapted(command: String, grpc: u16, mqtt: u16, build: &str) -> Step {
    let mut code = 0;
    let command = if command.starts_with("cargo build --release") {
        assert!(
            command.ends_with("export PATH=\"$PWD/target/release:$PATH\""),
            "{command}"
        );
        format!("export PATH=\"{build}:$PATH\"")
    } else if command.starts_with("musterd init") {
        format!("{command} --grpc 127.0.0.1:{grpc} --mqtt 127.0.0.1:{mqtt}")
    } else if command.starts_with("musterd serve") {
        assert!(command.ends_with('&'), "{command}");
        format!(
            "{command}\nuntil (exec 3<>/dev/tcp/127.0.0.1/{grpc}) 2>/dev/null; do kill -0 $! || break; sleep 0.1; done"
        )
    } else if command.starts_with("muster-agent") {
        format!("{command} &")
    } else {
        // These have rows that must be refused, and the exit code says so.
        let faulty = ["gateways-messy.csv", "cameras.xlsx", "import failed.csv"];
        if faulty.iter().any(|name| command.contains(name)) {
            code = 3;
        }
        command.replace("127.0.0.1:8883", &format!("127.0.0.1:{mqtt}"))
    };
    Step { command, code }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_typed_works_as_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["tests", "tools"] {
        symlink(
            fixture::in_repository(name).canonicalize().unwrap(),
            directory.path().join(name),
        )
        .unwrap();
    }
    let build = Program::path("musterd").parent().unwrap().display().to_string();
    let [grpc, mqtt] = free_ports();
    let steps: Vec<_> = commands()
        .into_iter()
        .map(|command| adapted(command, grpc, mqtt, &build))
        .collect();
    assert!(steps.len() >= 23, "the sections have their commands");
    // "Within a second": this waits longer, and fails if it never happens.
    let proof = "for i in $(seq 100); do muster device explain serial:GW2-7000001 -o json > proof && \
                 grep -q verified proof && ls gw/state/config/current/network.toml 2>/dev/null && break; sleep 0.1; done";
    let mut script = "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n".to_owned();
    for (place, step) in steps.iter().enumerate() {
        script += &format!("{}\necho \"@ {place} $?\"\n", step.command);
    }
    script += &format!(
        "{proof}\nmuster device explain serial:GW2-7000001\nmuster device get serial:GW2-7000001 -o json > device.json\n"
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script])
        .current_dir(directory.path())
        .env("NO_COLOR", "1")
        .env_remove("MUSTER_CONTEXT");
    let ended = Program::run(&mut bash).await;
    for (place, step) in steps.iter().enumerate() {
        let expected = format!("@ {place} {}", step.code);
        assert!(
            ended.out.lines().any(|line| line == expected),
            "{}: not {expected:?} in\n{}\n{}",
            step.command,
            ended.out,
            ended.log
        );
    }
    let device: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(directory.path().join("device.json")).unwrap()).unwrap();
    assert_eq!(
        (&device["state"], &device["verification"]["state"]),
        (&"ACTIVE".into(), &"VERIFIED".into()),
        "{device}"
    );
    let applied = directory.path().join("gw/state/config/current/network.toml");
    assert!(
        fs::read_to_string(applied)
            .unwrap()
            .contains("hostname = \"gw2-7000001\"")
    );
    assert_eq!(
        fs::read_to_string(directory.path().join("gw/code"))
            .unwrap_or_default()
            .trim(),
        "",
        "the code is wiped"
    );
}
