//! The messages of the vectors. None holds a secret: the keys beside them are published.

use crate::{
    fixture::{pem, unhex},
    trust_versions,
};
use muster_firmware_policy::FirmwarePolicy;
use muster_proto::{
    envelope::{Envelope, sealed_signing_input, signing_input},
    payload::{
        self, Binary, CertificateIssued, CertificateUpdate, Claim, ClaimAccepted, ClaimRefused, ClaimResult,
        Coordinates, Departure, Desired, Digest, Facet, FacetState, FacetStatus, File, Firmware, Hello,
        Location, Presence, Renew, Report, Sealed, SealedSecret, Trusted,
    },
    topic::Encoding,
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::{DecodePrivateKey as _, EncodePublicKey as _},
};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::fmt::Debug;

pub(crate) const DEVICE: &str = "01m8qedc00m5zjs7ab7sc0c7vq";
/// 2026-12-01T10:00:00Z.
pub(crate) const ISSUED_AT: u64 = 1_796_119_200;

/// What every message can do.
pub(crate) trait Message: Serialize + DeserializeOwned + PartialEq + Debug {}
impl<T: Serialize + DeserializeOwned + PartialEq + Debug> Message for T {}

/// A walk over all vectors.
pub(crate) trait Visit {
    /// A vector. An envelope differs by encoding, since its payload is written in the encoding of the envelope;
    /// everything else is the same twice.
    fn message<T: Message>(&mut self, name: &str, postcard: &T, json: &T);
}

fn same<T: Message>(visit: &mut impl Visit, name: &str, message: &T) {
    visit.message(name, message, message);
}

/// Shows every vector.
pub(crate) fn visit(visit: &mut impl Visit) {
    same(visit, "claim", &claim());
    same(visit, "claim_accepted", &claim_accepted());
    same(visit, "claim_refused", &claim_refused());
    same(visit, "claim_throttled", &claim_throttled());
    same(visit, "renew", &renew());
    same(visit, "cert_issued", &certificate_issued());
    same(visit, "cert_refused", &certificate_refused());
    same(visit, "cert_due", &CertificateUpdate::Due);
    same(visit, "trusted", &Trusted { version: 1 });
    same(visit, "trust", &trust_versions::bundle());
    same(visit, "hello_first", &hello_first());
    same(visit, "hello", &hello());
    same(visit, "report", &report());
    same(visit, "report_troubled", &report_troubled());
    same(visit, "presence_online", &presence_online());
    same(visit, "presence_offline", &presence_offline());
    same(visit, "desired_bare", &desired_bare());
    same(visit, "desired", &desired());
    same(visit, "sealed", &sealed());
    let [postcard, json] = [Encoding::Postcard, Encoding::Json].map(seal_secrets);
    visit.message("sealed_envelope", &postcard, &json);
    for (name, content) in [("envelope_bare", desired_bare()), ("envelope", desired())] {
        let [postcard, json] = [Encoding::Postcard, Encoding::Json].map(|encoding| seal(&content, encoding));
        visit.message(name, &postcard, &json);
    }
}

pub(crate) fn claim() -> Claim {
    Claim {
        csr: Binary(pem("device.csr")),
    }
}

fn claim_accepted() -> ClaimResult {
    ClaimResult::Accepted(ClaimAccepted {
        device_id: DEVICE.into(),
        chain: ["device.pem", "device-authority.pem"]
            .map(|name| Binary(pem(name)))
            .into(),
        roots: vec![Binary(pem("root.pem"))],
    })
}

fn claim_refused() -> ClaimResult {
    ClaimResult::Refused(ClaimRefused {
        code: 4001,
        reason: "CLAIM_REFUSED".into(),
        message: "M4001: serial and activation code do not open a claim".into(),
        help: "Serial and activation code do not open a claim: one of them is wrong, or the code is used up. Check the \
               label; an operator can issue a new code."
            .into(),
        retry_after_seconds: None,
    })
}

fn claim_throttled() -> ClaimResult {
    ClaimResult::Refused(ClaimRefused {
        code: 4007,
        reason: "CLAIM_THROTTLED".into(),
        message: "M4007: too many claims from this address or for this serial".into(),
        help: "Too many claims from here or for this device. Wait for the time given and send again.".into(),
        retry_after_seconds: Some(300),
    })
}

fn renew() -> Renew {
    Renew {
        csr: Binary(pem("device.csr")),
    }
}

fn certificate_issued() -> CertificateUpdate {
    CertificateUpdate::Issued(CertificateIssued {
        chain: ["device.pem", "device-authority.pem"]
            .map(|name| Binary(pem(name)))
            .into(),
    })
}

fn certificate_refused() -> CertificateUpdate {
    CertificateUpdate::Refused(ClaimRefused {
        code: 4006,
        reason: "KEY_IN_USE".into(),
        message: "M4006: csr: another device holds this key".into(),
        help: "Another device holds this key. Make a new key on the device.".into(),
        retry_after_seconds: None,
    })
}

fn hello_first() -> Hello {
    Hello {
        generation: 0,
        digest: Digest::default(),
        agent_version: "0.1.0".into(),
        firmware: None,
        boot_id: 5,
    }
}

pub(crate) fn hello() -> Hello {
    Hello {
        generation: 300,
        digest: digest("content 300"),
        agent_version: "acme-agent 2.0".into(),
        firmware: Some("2.3.1".into()),
        boot_id: 0x0123_4567_89ab_cdef,
    }
}

fn status(facet: Facet, state: FacetState) -> FacetStatus {
    FacetStatus { facet, state }
}

fn report() -> Report {
    let applied = |facet| status(facet, FacetState::Applied);
    Report {
        device_id: DEVICE.into(),
        generation: 300,
        digest: digest("content 300"),
        facets: [Facet::Config, Facet::Location, Facet::Firmware]
            .map(applied)
            .into(),
        firmware: Some("2.4.1".into()),
    }
}

fn report_troubled() -> Report {
    let reason = String::from;
    let failed = FacetState::Failed {
        reason: reason("hook ended with 1"),
    };
    let drifted = FacetState::Drifted {
        reason: reason("location.json was removed"),
    };
    let waiting = FacetState::Waiting {
        reason: reason("window opens at 2026-12-01T21:00:00Z"),
    };
    Report {
        facets: vec![
            status(Facet::Config, failed),
            status(Facet::Location, drifted),
            status(Facet::Firmware, waiting),
        ],
        firmware: None,
        ..report()
    }
}

fn presence_online() -> Presence {
    Presence {
        device_id: DEVICE.into(),
        online: true,
        at_millis: ISSUED_AT * 1000,
        reason: None,
        source: "192.0.2.7".into(),
        session: 300,
    }
}

fn presence_offline() -> Presence {
    Presence {
        online: false,
        at_millis: ISSUED_AT * 1000 + 61_250,
        reason: Some(Departure::ShutOut),
        ..presence_online()
    }
}

pub(crate) fn desired_bare() -> Desired {
    Desired {
        device_id: DEVICE.into(),
        generation: 1,
        issued_at: ISSUED_AT,
        digest: digest("content 1"),
        profile: None,
        files: Vec::new(),
        location: None,
        firmware: None,
    }
}

pub(crate) fn desired() -> Desired {
    let file = |key: &str, content: &str| File {
        key: key.into(),
        content: content.into(),
    };
    Desired {
        device_id: DEVICE.into(),
        generation: 300,
        issued_at: ISSUED_AT,
        digest: digest("content 300"),
        profile: Some("gateway@12".into()),
        files: vec![
            file("modem.conf", "apn=m2m.example\npin=\n"),
            file(
                "network.toml",
                "hostname = \"gw2-7000001\"\nuplink = \"Zürich\"\n",
            ),
        ],
        location: Some(Location {
            site: "ZRH-1".into(),
            name: "Depot Zürich".into(),
            country: "CH".into(),
            coordinates: Some(Coordinates {
                latitude: 47.3769,
                longitude: -8.5417,
            }),
            time_zone: "Europe/Zurich".into(),
            utc_offset_seconds: 3600,
            position: Some("Hall 1".into()),
        }),
        firmware: Some(Firmware {
            name: "gw-200-stable".into(),
            revision: 3,
            model: "GW-200".into(),
            hardware: Some("C2".into()),
            labels: BTreeMap::from([("ring".into(), "early".into())]),
            policy: policy(),
        }),
    }
}

/// The value is `correct horse battery staple`; the library of another language sealed it, to `pki/device.key`.
pub(crate) fn sealed() -> Sealed {
    let encapsulated = "0440e724b993fb95865824d7048b83f87cdb87f01a0dae472e462b7831aa09ed18\
                        b527764778ee3d1630853deaaf4b21e27dbff3c838321bd5f3b8881775a6627c";
    let ciphertext =
        "dcc9e4340c9cc2b9766528b54ec7ff23a7cc0a4e9b285b7047471f1f97edbfbf5d6718c6a824120cc9d5cb89";
    let device = p256::SecretKey::from_pkcs8_der(&pem("device.key")).unwrap();
    let spki = device.public_key().to_public_key_der().unwrap();
    Sealed {
        device_id: DEVICE.into(),
        generation: 300,
        digest: digest("content 300"),
        recipient: Digest(sha2::Sha256::digest(spki.as_bytes()).into()),
        secrets: vec![SealedSecret {
            name: "wifi-psk".into(),
            revision: 3,
            encapsulated: Binary(unhex(encapsulated)),
            ciphertext: Binary(unhex(ciphertext)),
        }],
    }
}

/// Sealed secrets in their envelope.
pub(crate) fn seal_secrets(encoding: Encoding) -> Envelope {
    let content = payload::encode(&sealed(), encoding).unwrap();
    let signature = sign(&key("config-signer.key"), &sealed_signing_input(&content));
    Envelope::new(pem("config-signer.pem"), content, signature)
}

/// In the canonical form, in which a registry sends it.
pub(crate) fn policy() -> FirmwarePolicy {
    serde_json::from_str(
        r#"{
            "name": "gw-200-stable",
            "applies_to": {
                "models": ["GW-200"], "hardware_revisions": ["B", "C*"], "labels": { "ring": ["early", "late"] }
            },
            "permit": {
                "range": ">=1.0.0, <3.0.0", "prereleases": false, "minimum": "2.0.0",
                "blocked": [{ "version": "2.2.0", "because": "it loses the modem" }]
            },
            "update": {
                "allow_downgrade": false, "unreadable_version": "treat-as-oldest", "when_forbidden": "wait",
                "windows": ["Mon-Fri 22:00-05:00"], "rollout": "12.5%", "rollout_salt": "gw-200",
                "deadline": "2027-01-31T00:00:00Z",
                "target": {
                    "version": "2.4.1", "url": "https://firmware.example/gw-200/2.4.1.img",
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "size": 4,
                    "signature": "MEUCID1vruBRyxiBH1ShzVsSB4dRz/sHkwOo94DRQ6CAp26gAiEAoS8QXKQueHRs65Ox4Tr8raFtK0YIwpCbQcrMcwu2rm4="
                },
                "stepping_stones": [{
                    "below": "2.0.0",
                    "through": {
                        "version": "1.9.7", "url": "https://firmware.example/gw-200/1.9.7.img",
                        "sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
                        "size": 16777216
                    }
                }]
            }
        }"#,
    )
    .unwrap()
}

/// Digests of content are the registry's own; a device only repeats them.
fn digest(of: &str) -> Digest {
    Digest(sha2::Sha256::digest(of).into())
}

pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_pkcs8_der(&pem(name)).unwrap()
}

/// The signature is that of RFC 6979, so that it comes out the same each time.
pub(crate) fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let signature: Signature = key.sign(message);
    signature.to_der().as_bytes().to_vec()
}

/// Desired state in an envelope, by the true signer.
pub(crate) fn seal(desired: &Desired, encoding: Encoding) -> Envelope {
    seal_bytes(payload::encode(desired, encoding).unwrap(), "config-signer.pem")
}

/// Whatever bytes, by the signer's key under this certificate.
pub(crate) fn seal_bytes(content: Vec<u8>, certificate: &str) -> Envelope {
    let signature = sign(&key("config-signer.key"), &signing_input(&content));
    Envelope::new(pem(certificate), content, signature)
}
