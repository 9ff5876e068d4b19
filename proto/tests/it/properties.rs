//! Properties over all messages: what is written is read back, and no bytes make a reader panic.

use crate::messages::{Message, Visit, policy, seal, visit};
use muster_firmware_policy::FirmwarePolicy;
use muster_proto::{
    envelope::Envelope,
    payload::{
        self, Binary, Claim, ClaimAccepted, ClaimRefused, ClaimResult, Coordinates, Desired, Digest, Facet,
        FacetState, FacetStatus, File, Firmware, Hello, Location, Report, TrustBundle, TrustVersion, Trusted,
    },
    topic::Encoding,
};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
    test_runner::RngSeed,
};

const ENCODINGS: [Encoding; 2] = [Encoding::Postcard, Encoding::Json];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ -~]{1,20}", ".{0,12}"]
}

fn binary() -> impl Strategy<Value = Binary> {
    vec(any::<u8>(), 0..200).prop_map(Binary)
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn claims() -> impl Strategy<Value = Claim> {
    binary().prop_map(|csr| Claim { csr })
}

fn claim_results() -> impl Strategy<Value = ClaimResult> {
    let accepted =
        (text(), vec(binary(), 0..4), vec(binary(), 0..3)).prop_map(|(device_id, chain, roots)| {
            ClaimResult::Accepted(ClaimAccepted {
                device_id,
                chain,
                roots,
            })
        });
    let refused = (any::<u16>(), text(), text(), text(), option::of(any::<u32>())).prop_map(
        |(code, reason, message, help, retry_after_seconds)| {
            ClaimResult::Refused(ClaimRefused {
                code,
                reason,
                message,
                help,
                retry_after_seconds,
            })
        },
    );
    prop_oneof![accepted, refused]
}

fn bundles() -> impl Strategy<Value = TrustBundle> {
    let version = (any::<u64>(), vec(digest(), 0..3), digest(), binary()).prop_map(
        |(version, roots, signer, signature)| TrustVersion {
            version,
            roots,
            signer,
            signature,
        },
    );
    (vec(binary(), 0..3), vec(version, 0..3)).prop_map(|(certificates, versions)| TrustBundle {
        certificates,
        versions,
    })
}

fn hellos() -> impl Strategy<Value = Hello> {
    (any::<u64>(), digest(), text(), option::of(text()), any::<u64>()).prop_map(
        |(generation, digest, agent_version, firmware, boot_id)| Hello {
            generation,
            digest,
            agent_version,
            firmware,
            boot_id,
        },
    )
}

fn reports() -> impl Strategy<Value = Report> {
    let state = prop_oneof![
        Just(FacetState::Applied),
        text().prop_map(|reason| FacetState::Failed { reason }),
        text().prop_map(|reason| FacetState::Drifted { reason }),
        text().prop_map(|reason| FacetState::Waiting { reason }),
    ];
    let facet = select(vec![Facet::Config, Facet::Location, Facet::Firmware]);
    let status = (facet, state).prop_map(|(facet, state)| FacetStatus { facet, state });
    (
        text(),
        any::<u64>(),
        digest(),
        vec(status, 0..5),
        option::of(text()),
    )
        .prop_map(|(device_id, generation, digest, facets, firmware)| Report {
            device_id,
            generation,
            digest,
            facets,
            firmware,
        })
}

/// Degrees with six digits behind the point, as sites have them. (The JSON reader is exact up to 15 digits; beyond, the
/// last bit of a number may differ.)
fn coordinates() -> impl Strategy<Value = Coordinates> {
    let degrees = |most: i32| (-most * 1_000_000..=most * 1_000_000).prop_map(|micro| f64::from(micro) / 1e6);
    (degrees(90), degrees(180)).prop_map(|(latitude, longitude)| Coordinates { latitude, longitude })
}

fn policies() -> impl Strategy<Value = FirmwarePolicy> {
    let read = |text: &str| serde_json::from_str(text).unwrap();
    let watching = read(r#"{"name":"watch","applies_to":{"models":["*"]}}"#);
    let plain = read(
        r#"{"name":"plain","applies_to":{"models":["GW-*","TS-10"]},"update":{"target":{"version":"1.0.0+b.7",
            "url":"http://a.example/x","sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "size":18446744073709551615}}}"#,
    );
    select(vec![policy(), watching, plain])
}

fn firmware() -> impl Strategy<Value = Firmware> {
    let labels = proptest::collection::btree_map(text(), text(), 0..3);
    (
        text(),
        any::<u32>(),
        text(),
        option::of(text()),
        labels,
        policies(),
    )
        .prop_map(|(name, revision, model, hardware, labels, policy)| Firmware {
            name,
            revision,
            model,
            hardware,
            labels,
            policy,
        })
}

fn locations() -> impl Strategy<Value = Location> {
    let names = (text(), text(), text(), text(), option::of(text()));
    (names, option::of(coordinates()), any::<i32>()).prop_map(|(names, coordinates, utc_offset_seconds)| {
        let (site, name, country, time_zone, position) = names;
        Location {
            site,
            name,
            country,
            coordinates,
            time_zone,
            utc_offset_seconds,
            position,
        }
    })
}

fn desired_states() -> impl Strategy<Value = Desired> {
    let file = (text(), text()).prop_map(|(key, content)| File { key, content });
    let head = (text(), any::<u64>(), any::<u64>(), digest(), option::of(text()));
    let body = (vec(file, 0..4), option::of(locations()), option::of(firmware()));
    (head, body).prop_map(|(head, (files, location, firmware))| {
        let (device_id, generation, issued_at, digest, profile) = head;
        Desired {
            device_id,
            generation,
            issued_at,
            digest,
            profile,
            files,
            location,
            firmware,
        }
    })
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    (digest(), binary(), binary(), binary()).prop_map(|(key_id, certificate, payload, signature)| Envelope {
        key_id,
        certificate,
        payload,
        signature,
    })
}

fn round_trips<T: Message>(message: &T) {
    for encoding in ENCODINGS {
        let bytes = payload::encode(message, encoding).unwrap();
        assert_eq!(payload::decode::<T>(&bytes, encoding).as_ref(), Ok(message));
    }
}

/// Whatever the bytes: what is read can be written, and reads as itself.
fn survives<T: Message>(bytes: &[u8]) {
    for encoding in ENCODINGS {
        if let Ok(message) = payload::decode::<T>(bytes, encoding) {
            // A number that is no number has no JSON, and equals nothing.
            let again = payload::encode(&message, encoding).unwrap();
            let read =
                payload::decode::<T>(&again, encoding).map(|message| payload::encode(&message, encoding));
            assert_eq!(read, Ok(Ok(again)));
        }
    }
}

fn survives_all(bytes: &[u8]) {
    survives::<Claim>(bytes);
    survives::<ClaimResult>(bytes);
    survives::<Hello>(bytes);
    survives::<Report>(bytes);
    survives::<Desired>(bytes);
    survives::<Envelope>(bytes);
    survives::<Trusted>(bytes);
    survives::<TrustBundle>(bytes);
    for encoding in ENCODINGS {
        let opened = Envelope::open(bytes, encoding, |_| Err("nobody".into()));
        assert!(opened.is_err());
    }
}

/// Every vector in both encodings.
fn vectors() -> Vec<Vec<u8>> {
    struct All(Vec<Vec<u8>>);
    impl Visit for All {
        fn message<T: Message>(&mut self, _: &str, postcard: &T, json: &T) {
            self.0
                .push(payload::encode(postcard, Encoding::Postcard).unwrap());
            self.0.push(payload::encode(json, Encoding::Json).unwrap());
        }
    }
    let mut all = All(Vec::new());
    visit(&mut all);
    all.0
}

/// A way to spoil a message.
#[derive(Debug, Clone)]
enum Damage {
    Replace(Index, u8),
    Remove(Index),
    Insert(Index, u8),
    Repeat(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<(Index, u8)>().prop_map(|(at, byte)| Damage::Replace(at, byte)),
        any::<Index>().prop_map(Damage::Remove),
        any::<(Index, u8)>().prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<(Index, Index)>().prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

fn spoil(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let at = |index: &Index| index.index(bytes.len());
    match damage {
        Damage::Replace(index, byte) => {
            let place = at(index);
            bytes[place] = *byte;
        }
        Damage::Remove(index) => drop(bytes.remove(at(index))),
        Damage::Insert(index, byte) => bytes.insert(at(index), *byte),
        Damage::Repeat(from, to) => {
            let part = bytes[at(from).min(at(to))..at(from).max(at(to))].to_vec();
            bytes.extend(part);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(20_261_201), failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn claims_round_trip(message in claims()) {
        round_trips(&message);
    }

    #[test]
    fn answers_to_claims_round_trip(message in claim_results()) {
        round_trips(&message);
    }

    #[test]
    fn hellos_round_trip(message in hellos()) {
        round_trips(&message);
    }

    #[test]
    fn reports_round_trip(message in reports()) {
        round_trips(&message);
    }

    #[test]
    fn desired_states_round_trip(message in desired_states()) {
        round_trips(&message);
    }

    #[test]
    fn envelopes_round_trip(message in envelopes()) {
        round_trips(&message);
    }

    #[test]
    fn bundles_round_trip(message in bundles()) {
        round_trips(&message);
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..600)) {
        survives_all(&bytes);
        // The version is right, so that the rest is read.
        survives_all(&[&[payload::VERSION], &bytes[..]].concat());
    }

    #[test]
    fn no_text_panics(text in r#"[{}\[\]",:a-f0-9 \\u]{0,80}"#) {
        survives_all(text.as_bytes());
    }

    #[test]
    fn no_spoilt_message_panics(of in any::<Index>(), damages in vec(damage(), 1..6)) {
        let all = vectors();
        let mut bytes = of.get(&all).clone();
        damages.iter().for_each(|damage| spoil(&mut bytes, damage));
        survives_all(&bytes);
    }

    #[test]
    fn what_is_sealed_is_what_is_opened(desired in desired_states()) {
        for encoding in ENCODINGS {
            let bytes = payload::encode(&seal(&desired, encoding), encoding).unwrap();
            let at = crate::messages::ISSUED_AT;
            let opened = Envelope::open(&bytes, encoding, |certificate| crate::trust::by_root(certificate, at));
            prop_assert_eq!(opened.as_ref(), Ok(&desired));
        }
    }
}
