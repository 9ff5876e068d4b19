//! The house rules that no compiler holds: the fixed top level, and who may name whom.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn sources(directory: &str) -> Vec<PathBuf> {
    let mut open = vec![root().join(directory)];
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "{directory} has no sources");
    files
}

/// Does code (not prose, and not a text in quotes) of the file name this path?
fn names(file: &Path, word: &str) -> bool {
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"))
        .any(|line| {
            line.match_indices(word).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + word.len()..].chars().next();
                let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                let quoted = line[..at].matches('"').count() % 2 == 1;
                !quoted && !word(before) && !word(after)
            })
        })
}

/// Tests are clients, too: they make keys and speak protocols of their own.
fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests")
        || file.file_name().is_some_and(|name| name == "tests.rs")
}

#[track_caller]
fn nobody_names(word: &str, directory: &str, except: &str) {
    let found: Vec<_> = sources(directory)
        .into_iter()
        .filter(|file| {
            !is_test(file) && !file.strip_prefix(root()).unwrap().starts_with(except) && names(file, word)
        })
        .collect();
    assert!(
        found.is_empty(),
        "{word} is named in {found:?}; only {except} may"
    );
}

#[test]
fn the_top_level_is_fixed() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "proto",
        "server",
        "agent",
        "firmware-policy",
        "tools",
        "tests",
        "README.md",
        "LICENSE",
    ];
    // What builds and demos leave behind is not part of the tree.
    let made = ["target", "muster-demo"];
    let foreign: Vec<_> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            !name.starts_with('.') && !allowed.contains(&name.as_str()) && !made.contains(&name.as_str())
        })
        .collect();
    assert!(foreign.is_empty(), "not allowed at the top: {foreign:?}");
}

#[test]
fn packages_depend_in_one_direction() {
    let ours = [
        "muster-proto",
        "muster-firmware-policy",
        "muster-domain",
        "muster-server",
        "muster-agent",
        "muster-tools",
    ];
    for (package, may) in [
        ("proto", &["muster-firmware-policy"][..]),
        ("firmware-policy", &[]),
        ("server/domain", &["muster-firmware-policy"]),
        (
            "server",
            &["muster-domain", "muster-firmware-policy", "muster-proto"],
        ),
        ("agent", &["muster-proto", "muster-firmware-policy"]),
    ] {
        let manifest: toml::Table =
            toml::from_str(&fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap()).unwrap();
        let dependencies: BTreeSet<_> = ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .filter_map(|table| manifest.get(*table)?.as_table())
            .flat_map(|table| table.keys().map(String::as_str))
            .collect();
        let foreign: Vec<_> = ours
            .iter()
            .filter(|name| dependencies.contains(**name) && !may.contains(name))
            .collect();
        assert!(foreign.is_empty(), "{package} must not see {foreign:?}");
    }
}

#[test]
fn pure_packages_have_no_effects() {
    for package in ["firmware-policy", "server/domain"] {
        let text = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for effect in [
            "tokio",
            "tonic",
            "prost",
            "redb",
            "rand",
            "getrandom",
            "rumqttd",
            "tracing",
        ] {
            assert!(
                !dependencies.contains_key(effect),
                "{package} depends on {effect}"
            );
        }
        assert!(
            root().join(package).join("clippy.toml").exists(),
            "{package} has lost its clippy.toml"
        );
    }
}

#[test]
fn only_one_module_names_each_foreign_thing() {
    nobody_names("rumqttd", "server/src", "server/src/mqtt");
    nobody_names("rumqttc", "server/src", "server/src/mqtt");
    nobody_names("redb", "server/src", "server/src/store");
    nobody_names("tonic", "server/src", "server/src/grpc");
    nobody_names("axum", "server/src", "server/src/http");
    nobody_names("hyper", "server/src", "server/src/http");
    nobody_names("rcgen", "server/src", "server/src/ca");
}

#[test]
fn data_flows_one_way() {
    for (module, below) in [
        ("grpc", &["service", "store", "ca", "mqtt", "http"][..]),
        ("http", &["service", "store", "ca", "mqtt", "grpc"]),
        ("front", &["service", "store", "ca", "mqtt", "grpc", "http"]),
        ("mqtt", &["service"]),
        ("service", &["store", "ca"]),
    ] {
        for lower in below {
            let path = format!("server/src/{lower}");
            let found: Vec<_> = sources(&path)
                .into_iter()
                .filter(|file| names(file, &format!("crate::{module}")))
                .collect();
            // The gate's registry trait is the service's to implement: mqtt offers the socket, service the plug.
            let excused = module == "mqtt" && *lower == "service";
            assert!(
                found.is_empty() || excused,
                "{lower} must not know {module}: {found:?}"
            );
        }
    }
}

#[test]
fn every_crate_opens_with_what_it_is() {
    for file in [
        "proto/src/lib.rs",
        "firmware-policy/src/lib.rs",
        "server/domain/src/lib.rs",
        "server/src/lib.rs",
        "agent/src/lib.rs",
        "tools/src/lib.rs",
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for heading in [
            "**What this is.**",
            "**What it must not know.**",
            "**Where to start.**",
        ] {
            assert!(text.contains(heading), "{file} lacks {heading}");
        }
    }
}

#[test]
fn files_stay_small_enough_to_read() {
    let mut lengths: Vec<_> = [
        "proto/src",
        "firmware-policy/src",
        "server/domain/src",
        "server/src",
        "agent/src",
        "tools/src",
    ]
    .iter()
    .flat_map(|directory| sources(directory))
    .map(|file| (fs::read_to_string(&file).unwrap().lines().count(), file))
    .collect();
    lengths.sort_unstable();
    let (middle, tenth) = (&lengths[lengths.len() / 2], &lengths[lengths.len() * 9 / 10]);
    assert!(
        middle.0 <= 150,
        "half the files should be under 150 lines; the middle one is {middle:?}"
    );
    assert!(
        tenth.0 <= 450,
        "nine in ten files should be under 450 lines; this one is not: {tenth:?}"
    );
}

#[test]
fn every_package_takes_the_workspace_lints() {
    for package in [
        "proto",
        "firmware-policy",
        "server",
        "server/domain",
        "agent",
        "tools",
        "tests",
    ] {
        let text = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{package}");
    }
}
