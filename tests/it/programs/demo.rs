//! The commands of the first screen, and what every program says of itself.

use muster_tests::{Program, fixture};
use std::os::unix::fs::PermissionsExt as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_verifies_its_agents_and_resumes() {
    let directory = tempfile::tempdir().unwrap();
    let demo = async || {
        let mut demo = Program::command("muster");
        demo.args(["demo", "--agents", "5", "--exit", "--dir"])
            .arg(directory.path().join("demo"));
        Program::run(&mut demo).await
    };
    let first = demo().await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        format!("{}{}", first.out, first.log).contains("5 of 5 agents"),
        "{first:?}"
    );
    let again = demo().await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(
        format!("{}{}", again.out, again.log).contains("imported before"),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_program_says_how_it_ends() {
    for name in ["musterd", "muster", "muster-agent"] {
        let help = Program::muster(name, ["--help"]).await;
        assert_eq!(help.code, Some(0), "{name}");
        assert!(
            help.out.to_lowercase().contains("exit codes"),
            "{name}: {}",
            help.out
        );
        let version = Program::muster(name, ["--version"]).await;
        assert!(
            version.out.contains(env!("CARGO_PKG_VERSION")),
            "{name}: {}",
            version.out
        );
        assert_eq!(
            Program::muster(name, ["--no-such-option"]).await.code,
            Some(2),
            "{name}"
        );
    }
}

/// Lines of the README that are commands, up to a heading.
fn first_screen() -> Vec<String> {
    let text = std::fs::read_to_string(fixture::in_repository("README.md")).unwrap();
    let screen = text.split("\n## ").next().unwrap().to_owned();
    let blocks = screen
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().trim().to_owned());
    blocks.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_screen_has_two_commands_that_exist() {
    assert_eq!(first_screen(), ["cargo run --release -- demo", "tests/run"]);
    // `cargo run` runs the one default member's only program.
    let manifest: toml::Table =
        toml::from_str(&std::fs::read_to_string(fixture::in_repository("Cargo.toml")).unwrap()).unwrap();
    assert_eq!(
        manifest["workspace"]["default-members"].as_array().unwrap()[0].as_str(),
        Some("tools")
    );
    assert_eq!(Program::muster("muster", ["demo", "--help"]).await.code, Some(0));
    let script = std::fs::metadata(fixture::in_repository("tests/run")).unwrap();
    assert_eq!(script.permissions().mode() & 0o111, 0o111, "tests/run can be run");
}
