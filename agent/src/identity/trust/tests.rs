//! Bundles: where they lead, and that a device does not forget.

use super::*;
use crate::{
    clock::system_time,
    disk::RealDisk,
    testing::{Signer, config_signing},
};
use muster_proto::payload::TrustVersion;
use rcgen::SigningKey as _;
use std::fs;

fn pinned(roots: &[&Signer]) -> Trust {
    let pem: String = roots.iter().map(|root| root.certificate.pem()).collect();
    Trust::from_pem(pem.as_bytes(), Clock::new(system_time())).unwrap()
}

fn version(version: u64, roots: &[&Signer], signer: &Signer) -> TrustVersion {
    let roots: Vec<_> = roots.iter().map(|root| trust::digest(&root.der())).collect();
    let signature = signer.key.sign(&trust::signing_input(version, &roots)).unwrap();
    TrustVersion {
        version,
        roots,
        signer: trust::digest(&signer.der()),
        signature: Binary(signature),
    }
}

/// Does it believe a signer of desired state under this root?
fn believes(trust: &Trust, root: &Signer) -> bool {
    let signer = root.issue(config_signing());
    trust.signer(&signer.der(), trust.clock().now()).is_ok()
}

#[test]
fn a_device_follows_its_roots_and_does_not_forget() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(directory.path()).unwrap();
    let [old, new, other] = ["old", "new", "other"].map(Signer::root);
    let bundle = |versions| TrustBundle {
        certificates: vec![Binary(old.der()), Binary(new.der())],
        versions,
    };
    let both = bundle(vec![version(1, &[&old, &new], &old)]);
    let alone = bundle(vec![version(2, &[&new], &new)]);
    let trust = pinned(&[&old]).remembered(&disk).unwrap();
    assert!((trust.version(), believes(&trust, &old), believes(&trust, &new)) == (0, true, false));
    assert!(trust.advance(&alone).unwrap().is_none(), "signed by a stranger");
    // 1. Both.
    let trust = trust.advance(&both).unwrap().unwrap();
    trust.save(&disk).unwrap();
    assert!((trust.version(), believes(&trust, &old), believes(&trust, &new)) == (1, true, true));
    // 2. A restart later, the new one alone.
    let trust = pinned(&[&old]).remembered(&disk).unwrap();
    let trust = trust.advance(&alone).unwrap().unwrap();
    trust.save(&disk).unwrap();
    let trust = pinned(&[&old]).remembered(&disk).unwrap();
    assert!((trust.version(), believes(&trust, &old), believes(&trust, &new)) == (2, false, true));
    // 3. Whoever has the old key has no way back.
    let back = bundle(vec![version(3, &[&old], &old)]);
    assert!(trust.advance(&back).unwrap().is_none());
    assert!(trust.advance(&both).unwrap().is_none());
    // 4. Other pins are a person's word.
    let trust = pinned(&[&other]).remembered(&disk).unwrap();
    assert!((trust.version(), believes(&trust, &other), believes(&trust, &new)) == (0, true, false));
    // 5. A record that is not what was written is no reason to go back to the pins.
    let place = disk.path(&place());
    let mut bytes = fs::read(&place).unwrap();
    bytes[40] ^= 1;
    fs::write(place, bytes).unwrap();
    let damaged = pinned(&[&old]).remembered(&disk).unwrap_err();
    assert!(matches!(damaged, StateError::Damaged(_)), "{damaged}");
}

#[test]
fn what_a_root_did_not_sign_moves_nothing() {
    let [old, new] = ["old", "new"].map(Signer::root);
    let trust = pinned(&[&old]);
    let honest = version(1, &[&new], &old);
    for (what, wrong) in [
        (
            "by another key",
            TrustVersion {
                signature: version(1, &[&new], &new).signature,
                ..honest.clone()
            },
        ),
        ("another number", TrustVersion { version: 2, ..honest }),
    ] {
        let bundle = TrustBundle {
            certificates: vec![Binary(new.der())],
            versions: vec![wrong],
        };
        let error = trust.advance(&bundle).unwrap_err();
        assert!(matches!(error, TrustError::Bundle(_)), "{what}: {error}");
    }
    // A certificate that is none, under a good signature.
    let roots = vec![trust::digest(b"no certificate")];
    let signature = old.key.sign(&trust::signing_input(1, &roots)).unwrap();
    let bundle = TrustBundle {
        certificates: vec![Binary(b"no certificate".to_vec())],
        versions: vec![TrustVersion {
            version: 1,
            roots,
            signer: trust::digest(&old.der()),
            signature: Binary(signature),
        }],
    };
    assert_eq!(trust.advance(&bundle).unwrap_err(), TrustError::Root);
}
