//! Images of authors and of others, under policies that are all the registry's.

use super::*;
use crate::{
    apply::assess,
    clock::Believed,
    disk::{Disk as _, Place, simulated::SimulatedDisk},
    testing::{DEVICE, desired},
};
use muster_firmware_policy::{ArtifactSource, PolicySource, Running, Signature, SteppingStoneSource};
use muster_proto::payload::{Desired, FacetState, Firmware};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fs};

/// A Monday, 12:00 UTC; local time at the site is an hour ahead.
const NOON: Believed = Believed::Shown(1_772_452_800);

/// An image, signed by whom.
fn image(version: &str, author: Option<&KeyPair>) -> ArtifactSource {
    let bytes = version.as_bytes();
    let signed = |author: &KeyPair| Signature::from_der(&author.sign(bytes).unwrap()).unwrap();
    let digits = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    ArtifactSource {
        version: version.into(),
        url: format!("https://firmware.example/{version}.img"),
        sha256: digits,
        size: 5,
        signature: author.map(|author| signed(author).to_string()),
    }
}

/// From below 2.0.0 through 1.9.7, and then to 2.4.1.
fn policy(target: ArtifactSource, stone: ArtifactSource) -> PolicySource {
    let mut source: PolicySource = serde_json::from_str(
        r#"{"name": "p", "applies_to": {"models": ["*"]}, "update": {
            "target": {"version": "", "url": "", "sha256": "", "size": 0}}}"#,
    )
    .unwrap();
    if let Some(update) = &mut source.update {
        update.target = target;
        update.stepping_stones = vec![SteppingStoneSource {
            below: "2.0.0".into(),
            through: stone,
        }];
    }
    source
}

fn wanted(policy: PolicySource) -> Desired {
    let firmware = Firmware {
        name: "p".into(),
        revision: 1,
        model: "GW-200".into(),
        hardware: None,
        labels: BTreeMap::new(),
        policy: FirmwarePolicy::parse(policy).unwrap(),
    };
    Desired {
        firmware: Some(firmware),
        ..desired(DEVICE, 1)
    }
}

fn of(keys: &[&KeyPair]) -> Authors {
    let pem = |key: &&KeyPair| {
        let key = pem(&key.subject_public_key_info());
        AuthorKey::from_pem(&key).unwrap()
    };
    Authors::Of(keys.iter().map(pem).collect())
}

fn pem(spki: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(spki)
    )
}

/// How the facet stands, and what the decision file says.
fn judged(authors: &Authors, policy: PolicySource, running: &str) -> (FacetState, serde_json::Value) {
    let disk = SimulatedDisk::new();
    let state = assess(
        &disk,
        &wanted(policy),
        authors,
        Running::from_report(running),
        NOON,
    )
    .state;
    let file = disk
        .read(&Place::fixed("firmware.json"), 1 << 16)
        .unwrap()
        .unwrap();
    (state, serde_json::from_slice(&file).unwrap())
}

#[test]
fn only_what_an_author_signed_is_to_be_installed() {
    let [author, next, other] = [(); 3].map(|()| KeyPair::generate().unwrap());
    let both = |key: Option<&KeyPair>| policy(image("2.4.1", key), image("1.9.7", key));
    let unsigned = "image_unsigned";
    let wrong = "signature_wrong";
    for (case, keys, policy, running, expected) in [
        ("signed", &[&author][..], both(Some(&author)), "2.3.0", None),
        (
            "by the second key",
            &[&author, &next],
            both(Some(&next)),
            "2.3.0",
            None,
        ),
        (
            "by two authors",
            &[&author, &next],
            policy(image("2.4.1", Some(&author)), image("1.9.7", Some(&next))),
            "1.0.0",
            None,
        ),
        ("unsigned", &[&author], both(None), "2.3.0", Some(unsigned)),
        (
            "by another",
            &[&author, &next],
            both(Some(&other)),
            "2.3.0",
            Some(wrong),
        ),
        // A stepping stone counts before the device is at it, and where it would never be.
        (
            "stone on the way",
            &[&author],
            policy(image("2.4.1", Some(&author)), image("1.9.7", None)),
            "1.0.0",
            Some(unsigned),
        ),
        (
            "target behind a stone",
            &[&author],
            policy(image("2.4.1", None), image("1.9.7", Some(&author))),
            "1.0.0",
            Some(unsigned),
        ),
        (
            "stone elsewhere",
            &[&author],
            policy(image("2.4.1", Some(&author)), image("1.9.7", Some(&other))),
            "2.3.0",
            Some(wrong),
        ),
    ] {
        let (state, file) = judged(&of(keys), policy.clone(), running);
        let install = &file["decision"]["install"]["artifact"];
        let Some(reason) = expected else {
            assert!(matches!(state, FacetState::Waiting { .. }), "{case}: {state:?}");
            // The installer can check it again.
            let next = if running == "1.0.0" { "1.9.7" } else { "2.4.1" };
            assert_eq!(install["version"], next, "{case}");
            assert!(install["signature"].is_string(), "{case}: {file}");
            continue;
        };
        let FacetState::Failed { reason: told } = state else {
            panic!("{case}: {state:?}");
        };
        assert!(told.contains("sign"), "{case}: {told}");
        assert_eq!(file["decision"], "stuck", "{case}");
        assert_eq!(file["explanation"], told, "{case}");
        assert!(
            file["reasons"]
                .as_array()
                .unwrap()
                .iter()
                .any(|told| told.get(reason).is_some()),
            "{case}: {file}"
        );
        // Without keys the registry decides.
        let (state, file) = judged(&Authors::Any, policy, running);
        assert!(matches!(state, FacetState::Waiting { .. }), "{case}: {state:?}");
        assert!(file["decision"]["install"].is_object(), "{case}");
    }
}

#[test]
fn nothing_signed_is_needed_where_nothing_is_installed() {
    let author = KeyPair::generate().unwrap();
    let unsigned = || policy(image("2.4.1", None), image("1.9.7", None));
    let permit_only = PolicySource {
        update: None,
        ..unsigned()
    };
    let elsewhere = || {
        let mut policy = unsigned();
        policy.applies_to.models = vec!["GW-300".into()];
        policy
    };
    for (policy, running) in [
        (unsigned(), "2.4.1"),
        (permit_only, "2.3.0"),
        (elsewhere(), "2.3.0"),
    ] {
        let (state, _) = judged(&of(&[&author]), policy, running);
        assert_eq!(state, FacetState::Applied, "{running}");
    }
    // What has to wait for its window is refused before it opens.
    let mut later = unsigned();
    if let Some(update) = &mut later.update {
        update.windows = vec!["22:00-05:00".into()];
    }
    let (state, file) = judged(&of(&[&author]), later.clone(), "2.3.0");
    assert!(matches!(state, FacetState::Failed { .. }), "{state:?}");
    assert_eq!(file["decision"], "stuck");
    assert!(matches!(
        judged(&Authors::Any, later, "2.3.0").0,
        FacetState::Waiting { .. }
    ));
}

#[test]
fn a_key_that_cannot_be_used_is_told_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let author = KeyPair::generate().unwrap();
    let good = pem(&author.subject_public_key_info());
    let rsa = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf\n\
               9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n-----END PUBLIC KEY-----\n";
    for (text, expected) in [
        (Some(good.as_str()), None),
        (None, Some("No such file")),
        (Some(""), Some("not a public key in PEM")),
        (Some("not PEM"), Some("not a public key in PEM")),
        (Some(rsa), Some("not a P-256 key")),
        (Some(author.serialize_pem().as_str()), Some("a private key")),
        (
            Some([&good[..], &good].concat().as_str()),
            Some("more than one PEM block"),
        ),
    ] {
        let path = directory.path().join("author.pem");
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => drop(fs::remove_file(&path)),
        }
        let settings = Settings::builder("a:1", "s", "/x")
            .root_pem("x")
            .firmware_keys([&path])
            .build()
            .unwrap();
        let told = Authors::load(&settings).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", source.unwrap_or_default())
        });
        match (told, expected) {
            (Ok(Authors::Of(keys)), None) => assert_eq!(keys.len(), 1),
            (Err(told), Some(expected)) => {
                assert!(told.contains("author.pem") && told.contains(expected), "{told}");
            }
            (told, _) => panic!("{told:?} for {text:?}"),
        }
    }
    let none = Settings::builder("a:1", "s", "/x").root_pem("x").build().unwrap();
    assert!(matches!(Authors::load(&none), Ok(Authors::Any)));
}
