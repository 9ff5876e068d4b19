//! Secrets: kept under a key of their own, and sealed to devices.

use super::*;
use crate::ca::{Destination, OpenSecret, seal_to_device};
use muster_domain::names::SecretName;
use muster_proto::payload::Digest;
use std::fs;
use zeroize::Zeroizing;

fn name() -> SecretName {
    "wifi-psk".parse().unwrap()
}

#[test]
fn a_kept_value_opens_for_its_name_and_revision_alone() {
    let ca = ca();
    let kept = ca.keep_secret(&name(), 3, b"correct horse").unwrap();
    assert!(!kept.windows(7).any(|part| part == b"correct"));
    assert_eq!(**ca.open_secret(&name(), 3, &kept).unwrap(), *b"correct horse");
    assert_ne!(
        ca.keep_secret(&name(), 3, b"correct horse").unwrap(),
        kept,
        "another nonce"
    );
    let other: SecretName = "wifi-psk2".parse().unwrap();
    for (name, number) in [(&name(), 2), (&other, 3)] {
        assert!(ca.open_secret(name, number, &kept).is_err(), "{name}@{number}");
    }
    for bit in 0..kept.len() * 8 {
        let mut flipped = kept.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(ca.open_secret(&name(), 3, &flipped).is_err(), "bit {bit}");
    }
    for cut in 0..kept.len() {
        assert!(ca.open_secret(&name(), 3, &kept[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn an_authority_of_an_older_program_gets_its_key_of_secrets_once() {
    let copied = copy_of_the_fixture();
    let path = copied.path().join("ca/keys/secrets.key");
    let foreign = ca().keep_secret(&name(), 1, b"a value").unwrap();
    fs::remove_file(&path).unwrap();
    let made = Ca::open(copied.path(), &passphrase()).unwrap();
    let kept = made.keep_secret(&name(), 1, b"a value").unwrap();
    assert!(
        made.open_secret(&name(), 1, &foreign).is_err(),
        "it is another key"
    );
    let pem = fs::read(&path).unwrap();
    let again = Ca::open(copied.path(), &passphrase()).unwrap();
    assert_eq!(**again.open_secret(&name(), 1, &kept).unwrap(), *b"a value");
    assert_eq!(fs::read(&path).unwrap(), pem);
}

#[test]
fn what_is_sealed_to_a_device_shows_nothing_and_is_another_each_time() {
    // Any certificate over a key of P-256.
    let certificate = ca().device_anchors().remove(0);
    let to = Destination {
        device_id: "01m8qedc00m5zjs7ab7sc0c7vq",
        generation: 3,
        digest: Digest([7; 32]),
        certificate: &certificate,
    };
    let values: [OpenSecret; 1] = [(name(), 2, Zeroizing::new(b"correct horse".to_vec()))];
    let [first, second] = [(), ()].map(|()| seal_to_device(to, &values).unwrap());
    assert_eq!(first.recipient, second.recipient);
    assert_eq!(first.secrets[0].reference(), "wifi-psk@2");
    assert_eq!(first.secrets[0].encapsulated.0.len(), 65);
    assert_eq!(first.secrets[0].ciphertext.0.len(), 13 + 16);
    assert_ne!(first.secrets[0].encapsulated, second.secrets[0].encapsulated);
    assert_ne!(first.secrets[0].ciphertext, second.secrets[0].ciphertext);
    let garbled = Destination {
        certificate: b"no certificate",
        ..to
    };
    assert!(seal_to_device(garbled, &values).is_err());
}
