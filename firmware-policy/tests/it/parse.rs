//! What a policy must be, and what its author is told.

use muster_firmware_policy::{
    BlockedSource, FirmwarePolicy, PolicySource, SelectorSource, UnreadableVersion, WhenForbidden,
};

use crate::builder::{artifact, blocked, checked, policy_with, signed, stone};

/// What the author of a policy is told, line by line.
fn check(source: PolicySource, expected: &[&str]) {
    let told: Vec<String> = match FirmwarePolicy::parse(source) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(told, expected);
}

const WRITTEN: &str = r#"
name = "gw-200-stable"

[applies_to]
models = ["GW-200"]
hardware_revisions = ["B", "C*"]
labels.region = ["eu", "uk"]

[permit]
range = ">=1.0.0, <3.0.0"
minimum = "2.0.0"

[[permit.blocked]]
version = "2.2.0"
because = "it loses the modem"

[update]
windows = ["Mon-Fri 22:00-05:00", "Sat,Sun 00:00-24:00"]
rollout = "12.5%"
deadline = "2026-04-01T00:00:00+02:00"
when_forbidden = "at-once"
unreadable_version = "treat-as-oldest"

[update.target]
version = "2.4.1"
url = "https://firmware.example/gw-200/2.4.1.img"
sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"
size = 18_874_368
signature = "MAYCAQECAQE="

[[update.stepping_stones]]
below = "2.0.0"
[update.stepping_stones.through]
version = "1.9.7"
url = "https://firmware.example/gw-200/1.9.7.img"
sha256 = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
size = 16_777_216
"#;

#[test]
fn a_policy_is_written_in_toml() {
    let policy = checked(toml::from_str(WRITTEN).unwrap());
    let update = policy.update().unwrap();
    assert_eq!(policy.name(), "gw-200-stable");
    assert_eq!(
        policy.permit().blocked[0].because.as_deref(),
        Some("it loses the modem")
    );
    assert_eq!(update.rollout.basis_points(), 1_250);
    assert_eq!(update.rollout_salt, "gw-200-stable");
    assert_eq!(update.deadline.unwrap().to_string(), "2026-03-31T22:00:00Z");
    assert_eq!(update.when_forbidden, WhenForbidden::AtOnce);
    assert_eq!(update.unreadable_version, UnreadableVersion::TreatAsOldest);
    assert_eq!(update.stepping_stones[0].through.size.get(), 16_777_216);
    assert_eq!(
        update.target.signature.unwrap().to_der(),
        [0x30, 6, 2, 1, 1, 2, 1, 1]
    );
    assert_eq!(update.stepping_stones[0].through.signature, None);
    // The canonical text reads back to the same policy.
    let written = toml::to_string(&policy).unwrap();
    assert_eq!(
        toml::from_str::<FirmwarePolicy>(&written).unwrap(),
        policy,
        "{written}"
    );
}

#[test]
fn a_misspelt_field_is_refused() {
    let misspelt = WRITTEN.replace("deadline", "dead_line");
    let error = toml::from_str::<FirmwarePolicy>(&misspelt).unwrap_err();
    assert!(error.message().contains("unknown field `dead_line`"), "{error}");
}

#[test]
fn all_problems_are_reported_at_once() {
    let mut source = policy_with(|update| {
        update.windows = vec![
            "22:00-05:00".into(),
            "Mo 22:00-05:00".into(),
            "05:00-05:00".into(),
        ];
        update.rollout = Some("125%".into());
        update.rollout_salt = Some("a b".into());
        update.deadline = Some("tomorrow".into());
        update.target.url = "https://me:secret@firmware.example/".into();
        update.target.sha256 = "abc".into();
        update.target.size = 0;
        update.target.signature = Some("no base64".into());
        let mut through = stone("2.0.0+b7", "1.9");
        through.through.signature = Some("A".repeat(344));
        update.stepping_stones = vec![through];
    });
    source.name = "-".into();
    source.applies_to = SelectorSource {
        models: Vec::new(),
        hardware_revisions: vec!["*B".into()],
        labels: [("region".into(), Vec::new())].into(),
    };
    source.permit.range = Some("about 2".into());
    source.permit.minimum = Some("2".into());
    source.permit.blocked = vec![
        blocked("2.2.0"),
        BlockedSource {
            version: "x".into(),
            because: Some("bell\u{7}".into()),
        },
        blocked("2.2.0"),
    ];
    check(
        source,
        &[
            "name: must be letters, digits, '-', '_' and '.', and start with a letter or digit",
            "applies_to.models: must not be empty",
            "applies_to.hardware_revisions[0]: may have a '*' only at the end",
            "applies_to.labels.region: must not be empty",
            "permit.range: is not a version range such as \">=2.0.0, <3.0.0\": unexpected character 'a' while \
             parsing major version number",
            "permit.minimum: is not a version such as 2.4.1: unexpected end of input while parsing major \
             version number",
            "permit.blocked[1].version: is not a version such as 2.4.1: unexpected character 'x' while parsing \
             major version number",
            "permit.blocked[1].because: contains a control character",
            "permit.blocked[2].version: repeats permit.blocked[0].version",
            "update.windows[1]: is not a window such as \"Mon-Fri 22:00-05:00\"",
            "update.windows[2]: starts and ends at the same time; a whole day is written 00:00-24:00",
            "update.rollout: is not a percentage from \"0%\" to \"100%\" with at most two decimals",
            "update.rollout_salt: must be letters, digits, '-', '_' and '.', and start with a letter or digit",
            "update.deadline: is not a time such as \"2026-03-01T00:00:00Z\"",
            "update.target.url: carries credentials, which devices would write to logs",
            "update.target.sha256: is not a SHA-256 digest of 64 hexadecimal digits",
            "update.target.size: must be the artifact's size in bytes, at least 1",
            "update.target.signature: is not base64 with padding, on one line",
            "update.stepping_stones[0].below: names a build, but builds have no order: leave out the '+' part",
            "update.stepping_stones[0].through.version: is not a version such as 2.4.1: unexpected end of \
             input while parsing minor version number",
            "update.stepping_stones[0].through.signature: is not a signature by a P-256 key, as `openssl dgst -sha256 \
             -sign` makes it",
        ],
    );
}

#[test]
fn the_target_must_be_permitted() {
    for (target, expected) in [
        ("2.4.1", None),
        (
            "2.5.0-rc.1",
            Some("is a pre-release: name it in permit.range or set permit.prereleases"),
        ),
        ("3.0.0", Some("is outside the permitted range >=1.0.0, <3.0.0")),
        ("1.9.9", Some("is below permit.minimum 2.0.0")),
        ("2.2.0", Some("is blocked: permit.blocked lists 2.2.0")),
        ("2.2.0+b7", Some("is blocked: permit.blocked lists 2.2.0")),
        // One build is blocked, so the target must say which build it means.
        ("2.3.0", Some("is blocked: permit.blocked lists 2.3.0+bad")),
        ("2.3.0+good", None),
    ] {
        let mut source = policy_with(|update| update.target.version = target.into());
        source.permit.minimum = Some("2.0.0".into());
        source.permit.blocked = vec![blocked("2.2.0"), blocked("2.3.0+bad")];
        let expected: Vec<String> = expected
            .iter()
            .map(|text| format!("update.target.version: {text}"))
            .collect();
        check(source, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn stepping_stones_must_be_permitted_but_for_the_minimum() {
    let mut source =
        policy_with(|update| update.stepping_stones = vec![stone("2.0.0", "1.9.7"), stone("1.0.0", "0.9.0")]);
    source.permit.minimum = Some("2.0.0".into());
    source.permit.blocked = vec![blocked("1.9.7")];
    check(
        source,
        &[
            "update.stepping_stones[0].through.version: is blocked: permit.blocked lists 1.9.7",
            "update.stepping_stones[1].through.version: is outside the permitted range >=1.0.0, <3.0.0",
        ],
    );
}

#[test]
fn a_stepping_stone_must_not_lead_past_another() {
    let with = |stones: [(&str, &str); 2]| {
        policy_with(|update| {
            update.stepping_stones = stones.map(|(below, through)| stone(below, through)).into()
        })
    };
    check(with([("1.5.0", "1.5.0"), ("2.0.0", "1.9.7")]), &[]);
    check(with([("2.2.0", "2.1.0"), ("1.5.0", "1.5.0")]), &[]);
    check(
        with([("2.0.0", "2.3.0"), ("2.2.0", "2.1.0")]),
        &[
            "update.stepping_stones[0].through.below: would be skipped: devices that pass \
           update.stepping_stones[1].through land on 2.1.0, which is not below this version",
        ],
    );
}

#[test]
fn a_version_has_one_image() {
    let mut larger = artifact("2.4.1");
    larger.size += 1;
    let mut source = policy_with(|update| update.stepping_stones = vec![stone("1.5.0", "2.4.1")]);
    check(source.clone(), &[]);
    for other in [larger, signed("2.4.1")] {
        source.update.as_mut().unwrap().stepping_stones[0].through = other;
        check(
            source.clone(),
            &[
                "update.stepping_stones[0].through: describes the version of update.target with another artifact",
            ],
        );
    }
}

#[test]
fn lists_and_texts_are_bounded() {
    let mut source = policy_with(|update| update.windows = vec!["22:00-05:00".into(); 257]);
    source.name = "n".repeat(65);
    source.applies_to.models = vec!["m".repeat(129)];
    source.permit.range = Some(" ".repeat(257));
    source.permit.blocked = (0..100_000).map(|n| blocked(&format!("0.0.{n}"))).collect();
    check(
        source,
        &[
            "name: is longer than 64 bytes",
            "applies_to.models[0]: is longer than 128 bytes",
            "permit.range: is longer than 256 bytes",
            "permit.blocked: has more than 256 entries",
            "update.windows: has more than 256 entries",
        ],
    );
}
