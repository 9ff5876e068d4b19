//! Envelopes under attack: nothing is proven but what the registry signed, for this device.

use super::*;
use crate::{
    clock::Clock,
    testing::{self, DEVICE, OTHER_DEVICE, Pki, Signer, authority, client, config_signing, seal},
};
use muster_proto::payload::{Binary, File};
use rcgen::{SigningKey as _, date_time_ymd};
use std::sync::Arc;

/// 1970: wrong, and known to be. 2027: right. 2099: wrong, and known to be.
const CLOCKS: [u64; 3] = [0, 1_800_000_000, 4_070_908_800];
/// Before the build time of any agent that runs this test.
const LONG_AGO: (i32, u8, u8) = (2023, 1, 1);

fn trust(pki: &Pki, shown: u64) -> Trust {
    let clock = Clock::new(Arc::new(move || shown));
    Trust::from_pem(pki.root.certificate.pem().as_bytes(), clock).unwrap()
}

fn attempt(pki: &Pki, shown: u64, envelope: &[u8]) -> Result<Proven, Unproven> {
    let trust = trust(pki, shown);
    prove(
        envelope,
        &DeviceId::parse(DEVICE).unwrap(),
        &trust,
        trust.clock().now(),
    )
}

#[test]
fn c1_no_single_bit_flip_of_an_envelope_is_believed() {
    let pki = Pki::new();
    let mut desired = testing::desired(DEVICE, 3);
    desired.files.push(File {
        key: "padding".into(),
        content: "x".repeat(1420),
    });
    let good = pki.seal(&desired);
    assert!((2000..2200).contains(&good.len()), "{} bytes", good.len());
    let trust = trust(&pki, CLOCKS[1]);
    let device = DeviceId::parse(DEVICE).unwrap();
    let now = trust.clock().now();
    prove(&good, &device, &trust, now).unwrap();
    let believed = (0..good.len() * 8).filter(|bit| {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        prove(&flipped, &device, &trust, now).is_ok()
    });
    assert_eq!(believed.collect::<Vec<_>>(), Vec::<usize>::new());
}

#[test]
fn c1_no_cut_and_no_addition_is_believed() {
    let pki = Pki::new();
    let good = pki.seal(&testing::desired(DEVICE, 3));
    for end in 0..good.len() {
        attempt(&pki, CLOCKS[1], &good[..end]).unwrap_err();
    }
    for more in [0, 1, 255] {
        attempt(&pki, CLOCKS[1], &[&good[..], &[more]].concat()).unwrap_err();
    }
}

/// An attack: its name, the envelope it sends, and the word by which it is refused.
type Attack = (&'static str, fn(&Pki) -> Vec<u8>, &'static str);

fn altered(pki: &Pki, alter: impl FnOnce(&mut Envelope)) -> Vec<u8> {
    let sealed = pki.seal(&testing::desired(DEVICE, 3));
    let mut envelope: Envelope = payload::decode(&sealed, ENCODING).unwrap();
    alter(&mut envelope);
    payload::encode(&envelope, ENCODING).unwrap()
}

const ATTACKS: [Attack; 14] = [
    (
        "fast-forward of another device",
        |pki| pki.seal(&testing::desired(OTHER_DEVICE, 9)),
        "another device",
    ),
    (
        "signer of another root",
        |_| Pki::new().seal(&testing::desired(DEVICE, 3)),
        "InvalidSignatureForPublicKey",
    ),
    (
        "certificate of a device",
        |pki| seal(&pki.issuing.issue(client(DEVICE)), &testing::desired(DEVICE, 3)),
        "RequiredEkuNotFound",
    ),
    (
        "certificate of the root without the usage",
        |pki| seal(&pki.root.issue(client("a server")), &testing::desired(DEVICE, 3)),
        "RequiredEkuNotFound",
    ),
    (
        "certificate of the root with no usage",
        |pki| {
            seal(
                &pki.root.issue(testing::params("anything")),
                &testing::desired(DEVICE, 3),
            )
        },
        "RequiredEkuNotFound",
    ),
    (
        "an authority as signer",
        |pki| {
            let mut params = authority("an authority");
            params.extended_key_usages = config_signing().extended_key_usages;
            seal(&pki.root.issue(params), &testing::desired(DEVICE, 3))
        },
        "CaUsedAsEndEntity",
    ),
    (
        "certificate that ended",
        |pki| {
            let mut params = config_signing();
            params.not_after = date_time_ymd(LONG_AGO.0, LONG_AGO.1, LONG_AGO.2);
            let mut desired = testing::desired(DEVICE, 3);
            desired.issued_at = 1_650_000_000;
            seal(&pki.root.issue(params), &desired)
        },
        "Expired",
    ),
    (
        "signed after the certificate's end",
        |pki| {
            seal(
                &pki.config,
                &Desired {
                    issued_at: 2_850_000_000,
                    ..testing::desired(DEVICE, 3)
                },
            )
        },
        "after its signer's certificate ended",
    ),
    (
        "another key behind a good certificate",
        |pki| {
            altered(pki, |envelope| {
                let forger = Signer::root("forger");
                envelope.signature = Binary(forger.key.sign(&input(&envelope.payload.0)).unwrap());
            })
        },
        "signature",
    ),
    (
        "signature over the bare payload",
        |pki| {
            altered(pki, |envelope| {
                envelope.signature = Binary(pki.config.key.sign(&envelope.payload.0).unwrap());
            })
        },
        "signature",
    ),
    (
        "payload of one envelope in another",
        |pki| {
            altered(pki, |envelope| {
                let other = payload::encode(&testing::desired(DEVICE, 4), ENCODING).unwrap();
                envelope.payload = Binary(other);
            })
        },
        "signature",
    ),
    (
        "no signature",
        |pki| altered(pki, |envelope| envelope.signature = Binary(Vec::new())),
        "signature",
    ),
    (
        "the root itself as signer",
        |pki| seal(&pki.root, &testing::desired(DEVICE, 3)),
        "CaUsedAsEndEntity",
    ),
    (
        "generation 0",
        |pki| pki.seal(&testing::desired(DEVICE, 0)),
        "generation 0",
    ),
];

fn input(payload: &[u8]) -> Vec<u8> {
    muster_proto::envelope::signing_input(payload)
}

#[test]
fn c2_no_attack_is_believed_at_any_clock() {
    let pki = Pki::new();
    for shown in CLOCKS {
        // The attacks differ from this in one thing each.
        attempt(&pki, shown, &pki.seal(&testing::desired(DEVICE, 3))).unwrap();
        for (name, attack, reason) in ATTACKS {
            let error = attempt(&pki, shown, &attack(&pki)).expect_err(name);
            assert!(error.to_string().contains(reason), "{name} at {shown}: {error}");
        }
    }
}

#[test]
fn c6_a_certificate_that_begins_tomorrow_is_refused_by_a_clock_that_is_right() {
    let pki = Pki::new();
    let mut params = config_signing();
    params.not_before = date_time_ymd(2035, 1, 1);
    let signer = pki.root.issue(params);
    let envelope = seal(
        &signer,
        &Desired {
            issued_at: 2_060_000_000,
            ..testing::desired(DEVICE, 3)
        },
    );
    let error = attempt(&pki, CLOCKS[1], &envelope).unwrap_err();
    assert!(error.to_string().contains("NotValidYet"), "{error}");
    // A device that only knows that it is 2026 or later takes it.
    for shown in [CLOCKS[0], CLOCKS[2]] {
        attempt(&pki, shown, &envelope).unwrap();
    }
}

#[test]
fn a_delivery_anew_is_the_same_content_and_nothing_else_is() {
    let pki = Pki::new();
    let base = testing::desired(DEVICE, 3);
    let mark = |desired: &Desired| attempt(&pki, CLOCKS[1], &pki.seal(desired)).unwrap().mark();
    let same: [fn(&mut Desired); 2] = [
        |desired| desired.issued_at += 86_400,
        |desired| desired.location.as_mut().unwrap().utc_offset_seconds = 7200,
    ];
    for change in same {
        let mut again = base.clone();
        change(&mut again);
        assert_eq!(mark(&again), mark(&base));
    }
    let other: [fn(&mut Desired); 5] = [
        |desired| desired.files[0].content.push(' '),
        |desired| desired.files[1].key.push('x'),
        |desired| desired.location = None,
        |desired| desired.profile = None,
        |desired| desired.digest = Digest([9; 32]),
    ];
    for change in other {
        let mut different = base.clone();
        change(&mut different);
        assert_ne!(mark(&different), mark(&base));
    }
}
