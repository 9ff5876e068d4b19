//! Slots under hostile names, changes behind the agent's back, and crashes.

use super::*;
use crate::sealed::Secrets;
use crate::{
    authors::Authors,
    clock::Believed,
    disk::{Disk, Place, RealDisk, simulated::SimulatedDisk},
    testing::{DEVICE, desired},
};
use muster_firmware_policy::{FirmwarePolicy, Running};
use muster_proto::payload::{Desired, Facet, FacetState, File, Firmware};
use std::{collections::BTreeMap, fs, path::Path};

fn mark(generation: u64) -> Mark {
    Mark {
        generation,
        digest: Digest([1; 32]),
        content: Digest([2; 32]),
    }
}

fn real() -> (tempfile::TempDir, RealDisk) {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(&directory.path().join("config")).unwrap();
    (directory, disk)
}

fn apply(disk: &dyn Disk, desired: &Desired) -> Result<Applied, ApplyError> {
    commit(
        disk,
        stage(disk, desired, mark(desired.generation), &Secrets::default())?,
    )
}

/// Every file below a directory with its content, links by their targets.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if kind.is_dir() {
            found.extend(
                tree(&path)
                    .into_iter()
                    .map(|(below, content)| (format!("{name}/{below}"), content)),
            );
        } else if kind.is_symlink() {
            found.insert(
                name,
                fs::read_link(&path)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
                    .into_bytes(),
            );
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn slots_take_turns_and_current_names_the_whole_one() {
    let (directory, disk) = real();
    for generation in 1..=4 {
        let applied = apply(&disk, &desired(DEVICE, generation)).unwrap();
        assert_eq!(inspect(&disk, &applied), None);
        let tree = tree(&directory.path().join("config"));
        let slot = if generation % 2 == 1 { "a" } else { "b" };
        assert_eq!(tree["current"], slot.as_bytes());
        assert_eq!(
            tree[&format!("{slot}/network.toml")],
            format!("generation = {generation}\n").as_bytes()
        );
        assert!(tree.contains_key(&format!("{slot}/location.json")));
    }
    // What is no longer desired is gone.
    let mut bare = desired(DEVICE, 5);
    bare.files.truncate(1);
    bare.location = None;
    apply(&disk, &bare).unwrap();
    let names: Vec<_> = tree(&directory.path().join("config"))
        .into_keys()
        .filter(|name| name.starts_with("a/"))
        .collect();
    assert_eq!(names, ["a/network.toml"]);
}

/// 200 and more names that point elsewhere, or are nothing for a file system.
fn hostile_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        ".",
        "..",
        "...",
        ".hidden",
        "/",
        "//",
        "/etc/passwd",
        "../x",
        "../../x",
        "a/../../x",
        "a/b",
        "./a",
        "a/.",
        "a/..",
        "..\\x",
        "a\\b",
        "C:\\x",
        "c:x",
        "\\\\host\\share",
        "a\0",
        "\0",
        "a\0.toml",
        "../\0",
        "a\n",
        "a\r",
        "a\t",
        "\u{1b}[2J",
        "a b",
        " a",
        "a ",
        "A",
        "Network.toml",
        "ä",
        "ａ",
        "\u{202e}txt",
        "\u{202e}",
        "a\u{0301}",
        "..%2fx",
        "%2e%2e/x",
        "~",
        "~root",
        "$HOME",
        "`x`",
        "$(x)",
        "*",
        "?",
        "a*",
        "[a]",
        "{a,b}",
        "a;b",
        "a|b",
        "a&b",
        "a>b",
        "a<b",
        "'",
        "\"",
        "#",
        "!",
        "@",
        "=",
        "+",
        ",",
        ":",
        "a:b",
        "-\0",
        "location.json",
        "current/x",
        "a/network.toml",
        "b/x",
        "/dev/null",
        "/proc/self/mem",
        "/dev/stdout",
        "../current",
        "../ledger",
        "../key.der",
        "....//x",
        "..;/x",
        "file:///x",
        "http://x/",
        "con\u{2024}",
        "\u{2215}etc",
        "a\u{2044}b",
        "\u{ff0e}\u{ff0e}/x",
        "\u{feff}a",
        "\u{7f}",
    ]
    .map(String::from)
    .into();
    names.extend((1..=40).map(|depth| format!("{}x", "../".repeat(depth))));
    names.extend((0..32_u8).map(|control| format!("a{}b", char::from(control))));
    names.extend((129..=170).map(|length| "a".repeat(length)));
    names.extend([
        "a".repeat(4096),
        "../".repeat(1000),
        format!("{}/x", "a".repeat(300)),
    ]);
    names
}

#[test]
fn c3_hostile_names_write_nothing() {
    let (directory, disk) = real();
    apply(&disk, &desired(DEVICE, 1)).unwrap();
    fs::write(directory.path().join("outside"), "untouched").unwrap();
    let before = tree(directory.path());
    let names = hostile_names();
    assert!(names.len() >= 200, "{}", names.len());
    for name in names {
        let mut hostile = desired(DEVICE, 2);
        hostile.files.push(File {
            key: name.clone(),
            content: "hostile".into(),
        });
        let error = apply(&disk, &hostile).unwrap_err();
        assert!(matches!(error, ApplyError::Name(2)), "{name:?}: {error}");
        assert_eq!(tree(directory.path()), before, "{name:?}");
    }
}

#[test]
fn c3_links_in_the_slots_are_not_followed() {
    let (directory, disk) = real();
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("network.toml"), "untouched").unwrap();
    let root = directory.path().join("config");
    // The slots themselves, a file in one, and `current` lead out.
    for slot in ["a", "b", "current", ".current.new"] {
        std::os::unix::fs::symlink(&outside, root.join(slot)).unwrap();
    }
    let applied = apply(&disk, &desired(DEVICE, 1)).unwrap();
    assert_eq!(
        fs::read_to_string(outside.join("network.toml")).unwrap(),
        "untouched"
    );
    assert_eq!(tree(&outside).len(), 1);
    assert_eq!(inspect(&disk, &applied), None);
    fs::remove_file(root.join("current/modem.conf")).unwrap();
    std::os::unix::fs::symlink(outside.join("network.toml"), root.join("current/modem.conf")).unwrap();
    assert!(inspect(&disk, &applied).is_some(), "a link is drift");
    apply(&disk, &desired(DEVICE, 2)).unwrap();
    assert_eq!(
        fs::read_to_string(outside.join("network.toml")).unwrap(),
        "untouched"
    );
}

#[test]
fn limits_hold() {
    let (_directory, disk) = real();
    let check = |files: Vec<File>, expected: &str| {
        let error = apply(
            &disk,
            &Desired {
                files,
                ..desired(DEVICE, 1)
            },
        )
        .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let file = |key: String| File {
        key,
        content: String::new(),
    };
    check(
        (0..65).map(|number| file(format!("f{number}"))).collect(),
        "65 files",
    );
    check(vec![file("a".into()), file("a".into())], "two files are named a");
    check(vec![file("a".into()), file("A".into())], "file 1");
    let most = (0..64).map(|number| file(format!("f{number}"))).collect();
    apply(
        &disk,
        &Desired {
            files: most,
            ..desired(DEVICE, 1)
        },
    )
    .unwrap();
}

#[test]
fn every_kind_of_drift_is_seen() {
    type Change = (&'static str, Facet, fn(&Path));
    let changes: [Change; 7] = [
        ("was changed", Facet::Config, |root| {
            fs::write(root.join("current/network.toml"), "x").unwrap()
        }),
        ("is missing", Facet::Config, |root| {
            fs::remove_file(root.join("current/modem.conf")).unwrap()
        }),
        ("was changed", Facet::Location, |root| {
            fs::write(root.join("current/location.json"), "{}").unwrap()
        }),
        ("does not name a slot", Facet::Config, |root| {
            fs::remove_file(root.join("current")).unwrap()
        }),
        ("is missing", Facet::Location, |root| {
            fs::remove_dir_all(root.join("a")).unwrap()
        }),
        ("cannot be read", Facet::Config, |root| {
            fs::remove_file(root.join("a/modem.conf")).unwrap();
            fs::create_dir(root.join("a/modem.conf")).unwrap();
        }),
        ("does not name a slot", Facet::Config, |root| {
            fs::remove_file(root.join("current")).unwrap();
            fs::create_dir(root.join("current")).unwrap();
        }),
    ];
    for (reason, facet, change) in changes {
        let (directory, disk) = real();
        let wanted = desired(DEVICE, 1);
        let applied = apply(&disk, &wanted).unwrap();
        change(&directory.path().join("config"));
        let drift = inspect(&disk, &applied).expect(reason);
        assert!(drift.reason.contains(reason), "{drift:?}");
        assert_eq!(drift.facet, facet);
        // Applying again mends all of them.
        assert_eq!(inspect(&disk, &apply(&disk, &wanted).unwrap()), None, "{reason}");
    }
}

fn with_policy(window: &str) -> Desired {
    let policy: FirmwarePolicy = serde_json::from_value(serde_json::json!({
        "name": "gw-200-stable",
        "applies_to": { "models": ["GW-200"] },
        "permit": { "minimum": "2.0.0" },
        "update": {
            "target": { "version": "2.4.1", "url": "https://firmware.example/2.4.1.img", "sha256": "5a".repeat(32), "size": 1000 },
            "windows": [window]
        }
    }))
    .unwrap();
    let firmware = Firmware {
        name: "gw-200-stable".into(),
        revision: 3,
        model: "GW-200".into(),
        hardware: None,
        labels: BTreeMap::new(),
        policy,
    };
    Desired {
        firmware: Some(firmware),
        ..desired(DEVICE, 1)
    }
}

#[test]
fn a_policy_that_selects_by_label_is_for_the_devices_that_carry_it() {
    let disk = SimulatedDisk::new();
    let check = |ring: Option<&str>, expected: bool| {
        let mut wanted = with_policy("Mon-Sun 00:00-24:00");
        let firmware = wanted.firmware.as_mut().unwrap();
        let mut source = firmware.policy.to_source();
        source.applies_to.labels = BTreeMap::from([("ring".to_owned(), vec!["early".to_owned()])]);
        firmware.policy = FirmwarePolicy::parse(source).unwrap();
        firmware.labels = ring
            .map(|ring| ("ring".to_owned(), ring.to_owned()))
            .into_iter()
            .collect();
        let running = Running::from_report("2.3.0");
        let assessment = assess(
            &disk,
            &wanted,
            &Authors::Any,
            running,
            Believed::Shown(1_772_452_800),
        );
        let is_for_it = matches!(assessment.state, FacetState::Waiting { .. });
        assert_eq!(is_for_it, expected, "{ring:?}: {:?}", assessment.state);
    };
    check(Some("early"), true);
    check(Some("late"), false);
    check(None, false);
}

#[test]
fn the_firmware_facet_follows_the_policy_and_the_clock() {
    let disk = SimulatedDisk::new();
    // A Monday, 12:00 UTC; local time at the site is an hour ahead.
    let noon = 1_772_452_800;
    let check = |running: &str, now: u64, expected: &str, again: Option<u64>| {
        let assessment = assess(
            &disk,
            &with_policy("Mon-Fri 22:00-05:00"),
            &Authors::Any,
            Running::from_report(running),
            Believed::Shown(now),
        );
        let state = match &assessment.state {
            FacetState::Applied => "applied".to_owned(),
            FacetState::Waiting { reason } => format!("waiting: {reason}"),
            FacetState::Failed { reason } => format!("failed: {reason}"),
            FacetState::Drifted { .. } => unreachable!(),
        };
        assert!(state.starts_with(expected), "{running}: {state}");
        assert_eq!(
            assessment.again_in.map(|again| again.as_secs()),
            again,
            "{running}"
        );
        let file: serde_json::Value =
            serde_json::from_slice(&disk.read(&Place::fixed("firmware.json"), 9999).unwrap().unwrap())
                .unwrap();
        assert_eq!(file["policy"], "gw-200-stable");
    };
    check("2.4.1", noon, "applied", None);
    check(
        "2.3.0",
        noon,
        "waiting: Wait with the installation of 2.4.1 until 2026-03-02T21:00:00Z.",
        Some(9 * 3600),
    );
    check(
        "2.3.0",
        noon + 10 * 3600,
        "waiting: Install 2.4.1, before the window closes",
        Some(6 * 3600),
    );
    check(
        "no version",
        noon,
        "failed: The device cannot meet the policy by itself.",
        None,
    );
    // Nothing new, nothing written.
    let before = disk.operations();
    check("no version", noon, "failed", None);
    assert_eq!(disk.operations(), before);
    let none = assess(
        &disk,
        &desired(DEVICE, 1),
        &Authors::Any,
        Running::Unreported,
        Believed::Shown(noon),
    );
    assert_eq!((none.state, none.again_in), (FacetState::Applied, None));
    assert_eq!(disk.read(&Place::fixed("firmware.json"), 9999).unwrap(), None);
}
