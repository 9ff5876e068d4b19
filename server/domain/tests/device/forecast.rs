//! What a firmware policy would make of devices.

use super::support::{after, registered};
use muster_domain::{
    catalog::Channels,
    device::{Device, Transition},
    forecast::{Alike, EXAMPLES, Forecast, Foretold, KIND_LIMIT, Outcome, foretell},
};
use muster_firmware_policy::{Facts, FirmwarePolicy, PolicySource, Running, Timestamp, UtcOffset, evaluate};

/// Monday, at noon UTC.
const NOON: &str = "2027-02-01T12:00:00Z";

fn policy(update: &str) -> Channels {
    let text = format!(
        r#"{{"name": "p", "applies_to": {{"models": ["GW-200"]}}, "permit": {{"minimum": "2.1.0", "prereleases": true}},
            "update": {{"target": {{"version": "2.4.1", "url": "https://firmware.example/i", "size": 5,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}} {update}}}}}"#
    );
    let source: PolicySource = serde_json::from_str(&text).unwrap();
    FirmwarePolicy::parse(source).unwrap().into()
}

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

fn running(version: &str) -> Device {
    let mut device = registered();
    let reported = muster_domain::device::Reported {
        at: super::support::at(300),
        generation: 3,
        agent_version: "1.0.0".into(),
        firmware: Some(version.parse().unwrap()),
        boot_id: 1,
        facets: Vec::new(),
    };
    device.reported = Some(reported);
    device
}

fn told(policy: &Channels, device: &Device) -> Foretold {
    foretell(policy, device, Some(UtcOffset::UTC), noon()).unwrap()
}

#[test]
fn each_device_is_judged_by_what_is_known_of_it() {
    let windowed = r#", "windows": ["Mon 22:00-23:00"]"#;
    let other_model = Device {
        model: "CAM-IR".parse().unwrap(),
        ..registered()
    };
    let unknown = Device {
        factory_firmware: None,
        ..registered()
    };
    let cases = [
        ("", running("2.4.1"), Outcome::Compliant, false, &[][..], None),
        ("", running("2.3.0"), Outcome::Install, false, &["2.4.1"], None),
        (
            "",
            running("2.0.0"),
            Outcome::InstallForbidden,
            false,
            &["2.4.1"],
            None,
        ),
        ("", running("2.5.0"), Outcome::Compliant, false, &[], None),
        ("", registered(), Outcome::Install, true, &["2.4.1"], None),
        ("", unknown, Outcome::Stuck, false, &[], None),
        ("", other_model, Outcome::NotApplicable, true, &[], None),
        (
            r#", "deadline": "2027-01-01T00:00:00Z""#,
            running("2.3.0"),
            Outcome::InstallOverdue,
            false,
            &["2.4.1"],
            None,
        ),
        (
            windowed,
            running("2.3.0"),
            Outcome::Wait,
            false,
            &["2.4.1"],
            Some("2027-02-01T22:00:00Z"),
        ),
    ];
    for (update, device, outcome, assumed, versions, until) in cases {
        let told = told(&policy(update), &device);
        let found: Vec<_> = told.versions.iter().map(ToString::to_string).collect();
        let found = (told.outcome, told.is_assumed, found, told.until);
        let versions: Vec<_> = versions.iter().map(|version| (*version).to_owned()).collect();
        let until = until.map(|until| until.parse().unwrap());
        assert_eq!(
            found,
            (outcome, assumed, versions, until),
            "{update} {:?}",
            device.reported
        );
    }
}

#[test]
fn it_says_what_the_device_will_say() {
    let policy = policy(r#", "rollout": "0.1%", "stepping_stones": []"#);
    let device = running("2.3.0");
    let facts = Facts {
        device: device.id.to_string(),
        model: "GW-200".into(),
        hardware_revision: Some("B0".into()),
        labels: device.labels.clone(),
        running: Running::from_report("2.3.0"),
        utc_offset: Some(UtcOffset::UTC),
    };
    let said = evaluate(policy.policy(None), &facts, noon());
    let told = told(&policy, &device);
    assert_eq!((told.explanation, told.reasons), (said.explain(), said.reasons));
}

#[test]
fn a_retired_device_has_no_future() {
    let retired = after([Transition::Retire("scrapped".into())]);
    assert_eq!(foretell(&policy(""), &retired, None, noon()), None);
}

#[test]
fn devices_that_answer_alike_are_counted_together_whatever_their_turn() {
    let policy = policy(r#", "rollout": "0.1%""#);
    let mut halves = [Forecast::default(), Forecast::default()];
    for number in 0..100u32 {
        let mut device = running("2.3.0");
        device.id = muster_domain::ids::DeviceId::from_u128(number.into());
        device.serial = format!("GW2-{number:07}").parse().unwrap();
        let told = told(&policy, &device);
        assert_eq!(told.outcome, Outcome::Wait);
        halves[usize::from(number >= 50)].add(&told);
    }
    let [mut forecast, rest] = halves;
    forecast.append(rest);
    assert_eq!(forecast.devices(), 100);
    let kinds: Vec<_> = forecast.kinds.values().collect();
    let [
        Alike {
            count,
            assumed,
            examples,
        },
    ] = kinds.as_slice()
    else {
        panic!("{kinds:?}");
    };
    assert_eq!((*count, *assumed, examples.len()), (100, 0, EXAMPLES));
    assert_eq!(examples[0].as_str(), "GW2-0000000");
}

#[test]
fn what_no_kind_has_room_for_is_still_counted() {
    let policy = policy("");
    let mut forecast = Forecast::default();
    let devices = u32::try_from(KIND_LIMIT).unwrap() + 7;
    for number in 0..devices {
        forecast.add(&told(&policy, &running(&format!("2.3.{number}"))));
    }
    assert_eq!((forecast.kinds.len(), forecast.beyond), (KIND_LIMIT, 7));
    assert_eq!(forecast.outcomes[&Outcome::Install], u64::from(devices));
}
