//! Envelopes: the true one opens, and no other.

use crate::{
    fixture::{golden, hex, pem, unhex},
    messages::{DEVICE, ISSUED_AT, desired, desired_bare, key, seal, seal_bytes, seal_secrets, sealed, sign},
    trust::by_root,
};
use muster_proto::{
    envelope::{Envelope, EnvelopeError, signing_input},
    payload::{self, Binary, Desired, Digest, Hello},
    topic::Encoding,
};
use serde::{Deserialize, Serialize};

const ENCODINGS: [Encoding; 2] = [Encoding::Postcard, Encoding::Json];
/// The life of the true signer's certificate: 2026-01-01 and 2028-01-01.
const LIFE: (u64, u64) = (1_767_225_600, 1_830_297_600);

fn open(bytes: &[u8], encoding: Encoding) -> Result<Desired, EnvelopeError> {
    Envelope::open(bytes, encoding, |certificate| by_root(certificate, ISSUED_AT))
}

/// A step of the check that an envelope fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    KeyId,
    Certificate,
    Signature,
    Payload,
    /// It is genuine, and not for this device.
    Device,
    /// It is genuine, and generation 0 stands for none.
    Generation,
}

/// The step at which a device refuses.
fn refused_at(bytes: &[u8], encoding: Encoding) -> Option<Step> {
    match open(bytes, encoding) {
        Err(EnvelopeError::Envelope(error)) => panic!("not even an envelope: {error}"),
        Err(EnvelopeError::KeyId) => Some(Step::KeyId),
        Err(EnvelopeError::Certificate(_)) => Some(Step::Certificate),
        Err(EnvelopeError::Signature) => Some(Step::Signature),
        Err(EnvelopeError::Payload(_)) => Some(Step::Payload),
        Ok(desired) if desired.device_id != DEVICE => Some(Step::Device),
        Ok(desired) if desired.generation == 0 => Some(Step::Generation),
        Ok(_) => None,
    }
}

/// A check of a certificate, as [`Envelope::open`] takes it.
type Trust<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, String> + 'a;

type Forgery = (&'static str, Step, fn(Encoding) -> Envelope);

fn content(encoding: Encoding) -> Vec<u8> {
    payload::encode(&desired_bare(), encoding).unwrap()
}

fn with_signature(signature: Vec<u8>, encoding: Encoding) -> Envelope {
    Envelope::new(pem("config-signer.pem"), content(encoding), signature)
}

fn with_desired(change: impl FnOnce(&mut Desired), encoding: Encoding) -> Envelope {
    let mut desired = desired_bare();
    change(&mut desired);
    seal(&desired, encoding)
}

/// One for each reason. Whatever is not named is true: certificates that should not be believed are for the true
/// signer's key, and what they sign is signed well.
const FORGERIES: [Forgery; 17] = [
    ("key id of another certificate", Step::KeyId, |encoding| {
        Envelope {
            key_id: Digest([0; 32]),
            ..seal(&desired_bare(), encoding)
        }
    }),
    ("certificate replaced under its key id", Step::KeyId, |encoding| {
        Envelope {
            certificate: Binary(pem("signer-for-clients.pem")),
            ..seal(&desired_bare(), encoding)
        }
    }),
    ("certificate of another root", Step::Certificate, |encoding| {
        seal_bytes(content(encoding), "signer-of-other-root.pem")
    }),
    (
        "certificate without extended key usage",
        Step::Certificate,
        |encoding| seal_bytes(content(encoding), "signer-without-usage.pem"),
    ),
    ("certificate for TLS clients", Step::Certificate, |encoding| {
        seal_bytes(content(encoding), "signer-for-clients.pem")
    }),
    ("certificate that has ended", Step::Certificate, |encoding| {
        seal_bytes(content(encoding), "signer-expired.pem")
    }),
    ("no certificate", Step::Certificate, |encoding| {
        Envelope::new(
            Vec::new(),
            content(encoding),
            seal(&desired_bare(), encoding).signature.0,
        )
    }),
    ("payload of another signature", Step::Signature, |encoding| {
        Envelope {
            payload: seal(&desired(), encoding).payload,
            ..seal(&desired_bare(), encoding)
        }
    }),
    ("signature by another key", Step::Signature, |encoding| {
        let input = signing_input(&content(encoding));
        with_signature(sign(&key("device.key"), &input), encoding)
    }),
    ("signature without the context", Step::Signature, |encoding| {
        with_signature(sign(&key("config-signer.key"), &content(encoding)), encoding)
    }),
    (
        "signature of 64 raw bytes instead of DER",
        Step::Signature,
        |encoding| {
            let der = seal(&desired_bare(), encoding).signature.0;
            let raw = p256::ecdsa::Signature::from_der(&der)
                .unwrap()
                .to_bytes()
                .to_vec();
            with_signature(raw, encoding)
        },
    ),
    ("no signature", Step::Signature, |encoding| {
        with_signature(Vec::new(), encoding)
    }),
    ("signed, but not desired state", Step::Payload, |encoding| {
        let hello = Hello {
            generation: 1,
            digest: Digest([0; 32]),
            agent_version: "0".into(),
            firmware: None,
            boot_id: 0,
        };
        seal_bytes(payload::encode(&hello, encoding).unwrap(), "config-signer.pem")
    }),
    ("signed, with bytes after the end", Step::Payload, |encoding| {
        seal_bytes([content(encoding), b"x".to_vec()].concat(), "config-signer.pem")
    }),
    ("signed, in the other encoding", Step::Payload, |encoding| {
        let other = match encoding {
            Encoding::Postcard => Encoding::Json,
            Encoding::Json => Encoding::Postcard,
        };
        seal_bytes(content(other), "config-signer.pem")
    }),
    ("for another device", Step::Device, |encoding| {
        with_desired(
            |desired| desired.device_id = "01m8qedc00m5zjs7ab7sc0c7vr".into(),
            encoding,
        )
    }),
    ("generation 0", Step::Generation, |encoding| {
        with_desired(|desired| desired.generation = 0, encoding)
    }),
];

/// How a forgery stands in `envelopes_refused.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    name: String,
    refused_at: Step,
    /// Hexadecimal.
    postcard: String,
    /// As a string.
    json: String,
}

#[test]
fn forgeries_are_refused_each_at_its_step() {
    let written = FORGERIES.map(|(name, refused_at, forge)| {
        let [postcard, json] = ENCODINGS.map(|encoding| payload::encode(&forge(encoding), encoding).unwrap());
        Refused {
            name: name.into(),
            refused_at,
            postcard: hex(&postcard),
            json: String::from_utf8(json).unwrap(),
        }
    });
    let text = serde_json::to_string_pretty(&written).unwrap() + "\n";
    let stored: Vec<Refused> = serde_json::from_str(&golden("envelopes_refused.json", &text)).unwrap();
    assert_eq!(stored, written);
    for forgery in stored {
        let name = &forgery.name;
        let expected = Some(forgery.refused_at);
        assert_eq!(
            refused_at(&unhex(&forgery.postcard), Encoding::Postcard),
            expected,
            "{name}, postcard"
        );
        assert_eq!(
            refused_at(forgery.json.as_bytes(), Encoding::Json),
            expected,
            "{name}, JSON"
        );
    }
}

#[test]
fn the_true_envelope_opens() {
    for encoding in ENCODINGS {
        for desired in [desired_bare(), desired()] {
            let envelope = seal(&desired, encoding);
            assert_eq!(
                envelope.key_id.0[..],
                <sha2::Sha256 as sha2::Digest>::digest(pem("config-signer.pem"))[..]
            );
            let bytes = payload::encode(&envelope, encoding).unwrap();
            assert_eq!(open(&bytes, encoding), Ok(desired));
        }
    }
}

#[test]
fn the_signers_certificate_holds_from_its_first_second_to_its_last() {
    let bytes = payload::encode(&seal(&desired_bare(), Encoding::Json), Encoding::Json).unwrap();
    for (at, holds) in [
        (LIFE.0 - 1, false),
        (LIFE.0, true),
        (LIFE.1, true),
        (LIFE.1 + 1, false),
    ] {
        let opened = Envelope::open(&bytes, Encoding::Json, |certificate| by_root(certificate, at));
        assert_eq!(opened.is_ok(), holds, "{at}: {opened:?}");
    }
}

#[test]
fn nothing_of_the_payload_is_read_before_certificate_and_signature_hold() {
    // Not desired state, and wrong in every other way, too: the first check that fails is the one that is told.
    let mut envelope = seal_bytes(b"no message".to_vec(), "config-signer.pem");
    envelope.signature.0.clear();
    let open = |envelope: &Envelope, trust: &Trust<'_>| {
        let bytes = payload::encode(envelope, Encoding::Postcard).unwrap();
        Envelope::open(&bytes, Encoding::Postcard, trust).unwrap_err()
    };
    assert_eq!(
        open(&envelope, &|_| Err("no".into())),
        EnvelopeError::Certificate("no".into())
    );
    assert_eq!(
        open(&envelope, &|_| Ok(vec![1])),
        EnvelopeError::Certificate("not a P-256 key".into())
    );
    assert_eq!(
        open(&envelope, &|der| by_root(der, ISSUED_AT)),
        EnvelopeError::Signature
    );
    envelope.key_id = Digest([0; 32]);
    assert_eq!(
        open(&envelope, &|_| panic!(
            "asked about a certificate under another name"
        )),
        EnvelopeError::KeyId
    );
}

#[test]
fn sealed_secrets_and_desired_state_are_never_taken_for_each_other() {
    for encoding in [Encoding::Postcard, Encoding::Json] {
        let trust = |der: &[u8]| by_root(der, ISSUED_AT);
        let secrets = payload::encode(&seal_secrets(encoding), encoding).unwrap();
        assert_eq!(Envelope::open_sealed(&secrets, encoding, trust), Ok(sealed()));
        assert_eq!(
            Envelope::open(&secrets, encoding, trust),
            Err(EnvelopeError::Signature)
        );
        let desired = payload::encode(&seal(&desired(), encoding), encoding).unwrap();
        assert_eq!(
            Envelope::open_sealed(&desired, encoding, trust),
            Err(EnvelopeError::Signature)
        );
    }
}
