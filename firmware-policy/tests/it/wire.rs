//! Serialised forms: every type survives postcard and JSON, and neither format changes unnoticed.

use std::fmt::Debug;

use muster_firmware_policy::{Decision, Evaluation, Facts, FirmwarePolicy, PolicySource, Reason, Standing};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::builder::{
    SIGNATURE, blocked, checked, evaluate_at_noon, gateway, policy, policy_with, signed, stone, summary,
};

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = postcard::to_allocvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), value);
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
}

fn rich_policy() -> PolicySource {
    let mut source = policy_with(|update| {
        update.stepping_stones = vec![stone("2.0.0", "1.9.7")];
        update.windows = vec!["Mon-Fri 22:00-05:00".into()];
        update.rollout = Some("12.5%".into());
        update.deadline = Some("2026-04-01T00:00:00Z".into());
        update.target = signed("2.4.1");
    });
    source
        .applies_to
        .labels
        .insert("region".into(), vec!["eu".into()]);
    source.permit.minimum = Some("2.0.0".into());
    source.permit.blocked = vec![blocked("2.2.0")];
    source
}

#[test]
fn policies_and_facts_survive() {
    survives(&policy());
    survives(&checked(policy()));
    survives(&rich_policy());
    survives(&checked(rich_policy()));
    for running in ["2.4.1-rc.1+b7", "build 7", ""] {
        survives(&gateway(running));
    }
}

#[test]
fn evaluations_survive() {
    for running in ["1.0.0", "2.2.0", "2.4.1", "2.5.0", "3.0.0", "build 7", ""] {
        for source in [policy(), rich_policy()] {
            survives(&evaluate_at_noon(&source, &gateway(running)));
        }
    }
}

#[test]
fn reading_a_policy_checks_it_again() {
    let mut source = rich_policy();
    source.permit.blocked.push(blocked("2.4.1"));
    let bytes = postcard::to_allocvec(&source).unwrap();
    assert!(postcard::from_bytes::<FirmwarePolicy>(&bytes).is_err());
    let json = serde_json::to_string(&source).unwrap();
    let error = serde_json::from_str::<FirmwarePolicy>(&json)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("update.target.version: is blocked: permit.blocked lists 2.4.1"),
        "{error}"
    );
}

#[test]
fn values_out_of_range_are_refused_on_the_wire() {
    let mut facts = serde_json::to_value(gateway("2.4.1")).unwrap();
    facts["utc_offset"] = 86_400.into();
    assert!(serde_json::from_value::<Facts>(facts.clone()).is_err());
    facts["utc_offset"] = 3_600.into();
    facts["running"] = serde_json::json!({ "version": "2.4" });
    assert!(serde_json::from_value::<Facts>(facts).is_err());
}

/// What was written before images could be signed is read, and what is not signed is written as it was then: digests of
/// policies are taken from their text.
#[test]
fn text_has_no_signature_where_there_is_none() {
    let unsigned = serde_json::to_value(checked(policy())).unwrap();
    let target = unsigned["update"]["target"].as_object().unwrap();
    let fields: Vec<_> = target.keys().map(String::as_str).collect();
    assert_eq!(fields, ["sha256", "size", "url", "version"]);
    let signed = serde_json::to_value(checked(rich_policy())).unwrap();
    assert_eq!(signed["update"]["target"]["signature"], SIGNATURE);
}

/// The bytes of one policy and one evaluation. They are stored and travel inside signed envelopes, so a
/// change here needs a new version of whatever carries them, not new bytes in this test.
#[test]
fn postcard_bytes_never_change() {
    let bytes = postcard::to_allocvec(&checked(rich_policy())).unwrap();
    assert_eq!(
        bytes.escape_ascii().to_string(),
        POLICY.escape_ascii().to_string()
    );

    let open = policy_with(|update| {
        update.stepping_stones = vec![stone("2.0.0", "1.9.7")];
        update.windows = vec!["Mon 11:00-13:00".into()];
    });
    let bytes = postcard::to_allocvec(&evaluate_at_noon(&open, &gateway("0.9.0"))).unwrap();
    assert_eq!(
        bytes.escape_ascii().to_string(),
        EVALUATION.escape_ascii().to_string()
    );
}

const POLICY: &[u8] =
    b"\rgw-200-stable\x01\x06GW-200\x00\x01\x06region\x01\x02eu\x01\x0f>=1.0.0, <3.0.0\x00\x01\x052.0.0\
    \x01\x052.2.0\x00\x01\x00\x00\x00\x01\x13Mon-Fri 22:00-05:00\x01\x0512.5%\x01\rgw-200-stable\x01\
    \x142026-04-01T00:00:00Z\x052.4.1)https://firmware.example/gw-200/2.4.1.img@5a5a5a5a5a5a5a5a5a5a5a\
    5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\x80\x80\x80\x08\x01\x0cMAYCAQECAQE=\x01\x052.0.0\x051.9.7\
    )https://firmware.example/gw-200/1.9.7.img@5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\
    5a5a5a\x80\x80\x80\x08\x00";

const EVALUATION: &[u8] =
    b"\x03\x02\x051.9.7)https://firmware.example/gw-200/1.9.7.img@5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\
    5a5a5a5a5a5a5a5a5a5a5a5a5a\x80\x80\x80\x08\x00\x01\x052.4.1\x02\x01\xa0\xa7\xac\x9a\r\x03\x08\x050.9.0\
    \x0f>=1.0.0, <3.0.0\x0f\x050.9.0\x052.4.1\x12\x052.0.0\x051.9.7";

/// The code of a reason is its name in JSON, and its position is its number in postcard.
#[test]
fn reasons_keep_their_codes_and_numbers() {
    let version = || "1.0.0".parse().unwrap();
    let now = crate::builder::at(crate::builder::MONDAY_NOON);
    let all = [
        Reason::ModelNotSelected { model: String::new() },
        Reason::HardwareRevisionNotSelected {
            revision: String::new(),
        },
        Reason::HardwareRevisionUnknown,
        Reason::LabelNotSelected {
            label: String::new(),
            value: None,
        },
        Reason::VersionNotReported,
        Reason::VersionUnreadable { text: String::new() },
        Reason::Blocked {
            version: version(),
            because: None,
        },
        Reason::BelowMinimum {
            version: version(),
            minimum: version(),
        },
        Reason::OutsideRange {
            version: version(),
            range: String::new(),
        },
        Reason::PrereleaseNotPermitted { version: version() },
        Reason::NoTarget,
        Reason::OnTarget { version: version() },
        Reason::AheadOfTarget {
            version: version(),
            target: version(),
        },
        Reason::DowngradeNotAllowed {
            version: version(),
            target: version(),
        },
        Reason::Downgrade {
            version: version(),
            target: version(),
        },
        Reason::BehindTarget {
            version: version(),
            target: version(),
        },
        Reason::OtherBuild {
            version: version(),
            target: version(),
        },
        Reason::TakenAsOldest { target: version() },
        Reason::SteppingStone {
            below: version(),
            through: version(),
        },
        Reason::RolloutStopped,
        Reason::NotInRollout {
            turn: "1%".parse().unwrap(),
            rollout: "1%".parse().unwrap(),
        },
        Reason::OutsideWindow { opens: now },
        Reason::LocalTimeUnknown,
        Reason::DeadlinePassed { deadline: now },
        Reason::LeavesAtOnce,
        Reason::ImageUnsigned { version: version() },
        Reason::SignatureWrong { version: version() },
    ];
    for (number, reason) in all.iter().enumerate() {
        survives(reason);
        let json = serde_json::to_value(reason).unwrap();
        let name = json
            .as_str()
            .unwrap_or_else(|| json.as_object().unwrap().keys().next().unwrap());
        assert_eq!(name, reason.code());
        assert_eq!(
            usize::from(postcard::to_allocvec(reason).unwrap()[0]),
            number,
            "{reason:?}"
        );
        let sentence = reason.to_string();
        assert!(
            sentence.ends_with('.') && sentence.starts_with(char::is_uppercase),
            "{sentence}"
        );
    }
}

#[test]
fn an_evaluation_is_plain_json() {
    let evaluation = evaluate_at_noon(&rich_policy(), &gateway("2.4.1"));
    assert_eq!(
        serde_json::to_value(&evaluation).unwrap(),
        serde_json::json!({
            "standing": "permitted",
            "decision": "compliant",
            "reasons": [{ "on_target": { "version": "2.4.1" } }],
        })
    );
    assert_eq!(evaluation.standing, Standing::Permitted);
    assert_eq!(evaluation.decision, Decision::Compliant);
    assert!(evaluation.may_run(), "{}", summary(&evaluation));
    let forbidden: Evaluation = evaluate_at_noon(&rich_policy(), &gateway("2.2.0"));
    assert!(!forbidden.may_run());
}
