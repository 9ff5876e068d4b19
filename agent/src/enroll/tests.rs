//! Answers that are lies, and codes that leave no trace.

use super::*;
use crate::{
    clock::Clock,
    disk::simulated::SimulatedDisk,
    testing::{DEVICE, Pki, Signer, client, config_signing, params},
};
use muster_proto::payload::ClaimAccepted;
use rcgen::{CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, date_time_ymd};
use std::sync::Arc;

struct Device {
    pki: Pki,
    trust: Trust,
    key: DeviceKey,
}

impl Device {
    fn new(shown: u64) -> Self {
        let pki = Pki::new();
        let clock = Clock::new(Arc::new(move || shown));
        let trust = Trust::from_pem(pki.root.certificate.pem().as_bytes(), clock).unwrap();
        let (key, _) = DeviceKey::load_or_make(&SimulatedDisk::new()).unwrap();
        Self { pki, trust, key }
    }

    /// A certificate for this device's key.
    fn leaf(&self, issuer: &Signer, params: CertificateParams) -> Binary {
        let csr = CertificateSigningRequestParams::from_der(&self.key.request().unwrap().into()).unwrap();
        Binary(
            params
                .signed_by(&csr.public_key, &issuer.issuer())
                .unwrap()
                .der()
                .to_vec(),
        )
    }

    fn good(&self) -> ClaimAccepted {
        ClaimAccepted {
            device_id: DEVICE.into(),
            chain: vec![
                self.leaf(&self.pki.issuing, client(DEVICE)),
                Binary(self.pki.issuing.der()),
            ],
            roots: Vec::new(),
        }
    }

    fn answer(&self, accepted: ClaimAccepted) -> Answer {
        let bytes = payload::encode(&ClaimResult::Accepted(accepted), ENCODING).unwrap();
        answer(&bytes, &self.key, &self.trust)
    }
}

#[test]
fn only_the_own_chain_to_the_pinned_root_is_believed() {
    let device = Device::new(1_800_000_000);
    assert!(matches!(device.answer(device.good()), Answer::Granted(_)));
    let issuing = || Binary(device.pki.issuing.der());
    let with_chain = |chain: Vec<Binary>| ClaimAccepted {
        chain,
        ..device.good()
    };
    let with_id = |id: &str| ClaimAccepted {
        device_id: id.into(),
        ..device.good()
    };
    let other = Device::new(1_800_000_000);
    let mut ended = client(DEVICE);
    ended.not_after = date_time_ymd(2024, 1, 1);
    let mut server = params(DEVICE);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for (name, accepted, reason) in [
        (
            "another's key",
            with_chain(vec![other.leaf(&device.pki.issuing, client(DEVICE)), issuing()]),
            "another key",
        ),
        ("another's root", other.good(), "UnknownIssuer|InvalidSignature"),
        (
            "no intermediate",
            with_chain(vec![device.leaf(&device.pki.issuing, client(DEVICE))]),
            "UnknownIssuer",
        ),
        ("no chain", with_chain(Vec::new()), "0 certificates"),
        ("a long chain", with_chain(vec![issuing(); 9]), "9 certificates"),
        ("an authority", with_chain(vec![issuing()]), "CaUsedAsEndEntity"),
        (
            "noise",
            with_chain(vec![Binary(vec![1, 2, 3])]),
            "not a certificate",
        ),
        (
            "a server's",
            with_chain(vec![device.leaf(&device.pki.issuing, server), issuing()]),
            "RequiredEku",
        ),
        (
            "a config signer's",
            with_chain(vec![device.leaf(&device.pki.root, config_signing())]),
            "RequiredEku",
        ),
        (
            "one that ended",
            with_chain(vec![device.leaf(&device.pki.issuing, ended), issuing()]),
            "Expired",
        ),
        (
            "an id with a wildcard",
            with_id("01jnb3zv8k6c2q4x7d9ftg5h/#"),
            "device id",
        ),
        ("a short id", with_id("a"), "device id"),
        ("an id in capitals", with_id(&DEVICE.to_uppercase()), "device id"),
    ] {
        match device.answer(accepted) {
            Answer::Disbelieved(told) => {
                assert!(
                    reason.split('|').any(|reason| told.contains(reason)),
                    "{name}: {told}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let noise = answer(b"noise", &device.key, &device.trust);
    assert!(matches!(noise, Answer::Disbelieved(_)), "{noise:?}");
}

#[test]
fn refusals_are_told_without_control_characters() {
    let device = Device::new(1_800_000_000);
    let refused = ClaimRefused {
        code: 2001,
        reason: "CLAIM_REFUSED".into(),
        message: "no\u{1b}[2J\nno".into(),
        help: "x".repeat(10_000),
        retry_after_seconds: Some(5),
    };
    let bytes = payload::encode(&ClaimResult::Refused(refused), ENCODING).unwrap();
    let Answer::Refused { reason, retry_after } = answer(&bytes, &device.key, &device.trust) else {
        panic!()
    };
    assert!(
        reason.starts_with("claim refused: 2001 CLAIM_REFUSED: no[2Jno; xxx"),
        "{reason}"
    );
    assert!(reason.len() < 1000);
    assert_eq!(retry_after, Some(Duration::from_secs(5)));
}

#[test]
fn requests_are_signed_by_the_key_that_they_carry() {
    let device = Device::new(0);
    let bytes = claim(&device.key).unwrap();
    let claim: Claim = payload::decode(&bytes, ENCODING).unwrap();
    assert!(claim.csr.0.len() < 300);
    let csr = CertificateSigningRequestParams::from_der(&claim.csr.0.clone().into()).unwrap();
    assert_eq!(
        rcgen::PublicKeyData::subject_public_key_info(&csr.public_key),
        device.key.spki()
    );
    let mut forged = claim.csr.0;
    let last = forged.len() - 1;
    forged[last] ^= 1;
    CertificateSigningRequestParams::from_der(&forged.into()).unwrap_err();
}

#[test]
fn codes_are_read_without_blanks_and_wiped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("code");
    let source = CodeSource::File(path.clone());
    for (content, expected) in [
        ("K7Q2M", Some("K7Q2M")),
        ("  K7Q2M-X9F4T \r\n", Some("K7Q2M-X9F4T")),
        ("", None),
        (" \n", None),
        (&"K".repeat(257), None),
    ] {
        fs::write(&path, content).unwrap();
        assert_eq!(
            code(&source).ok().as_ref().map(|code| code.as_str()),
            expected,
            "{content:?}"
        );
    }
    // What another name of the file sees: the bytes themselves are gone.
    fs::write(&path, "K7Q2M").unwrap();
    let other = directory.path().join("other");
    fs::hard_link(&path, &other).unwrap();
    wipe(&source);
    assert!(!path.exists());
    assert_eq!(fs::read(&other).unwrap(), b"00000");
    wipe(&source);
    code(&source).unwrap_err();
    code(&CodeSource::Absent).unwrap_err();
    let text = CodeSource::Text(Zeroizing::new("K7Q2M".into()));
    assert!(!format!("{text:?}").contains("K7Q2M"));
}
