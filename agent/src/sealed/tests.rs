//! What is kept, what opens, and what becomes of files.

use super::*;
use crate::{
    clock::Clock,
    disk::simulated::SimulatedDisk,
    hpke,
    testing::{DEVICE, OTHER_DEVICE, Pki, desired, seal_secrets},
};
use muster_proto::{
    payload::{Binary, Digest},
    topic::Encoding,
};
use p256::{PublicKey, pkcs8::DecodePublicKey as _};
use sha2::Sha256;
use std::sync::Arc;

fn mark(generation: u64) -> Option<Mark> {
    Some(Mark {
        generation,
        digest: desired(DEVICE, generation).digest,
        content: Digest([0; 32]),
    })
}

/// What a registry seals for the desired state of tests.
pub(crate) fn sealed(device: &str, generation: u64, spki: &[u8], values: &[(&str, u32, &str)]) -> Sealed {
    let digest = desired(DEVICE, generation).digest;
    let key = PublicKey::from_public_key_der(spki).unwrap();
    let seal = |&(name, revision, value): &(&str, u32, &str)| {
        let info = Sealed::info(device, generation, &digest, &format!("{name}@{revision}"));
        let (encapsulated, ciphertext) = hpke::seal(&key, &info, value.as_bytes());
        SealedSecret {
            name: name.into(),
            revision,
            encapsulated: Binary(encapsulated),
            ciphertext: Binary(ciphertext),
        }
    };
    Sealed {
        device_id: device.into(),
        generation,
        digest,
        recipient: Digest(<Sha256 as sha2::Digest>::digest(spki).into()),
        secrets: values.iter().map(seal).collect(),
    }
}

fn key() -> DeviceKey {
    DeviceKey::load_or_make(&SimulatedDisk::new()).unwrap().0
}

fn wanting(generation: u64, content: &str) -> Desired {
    let mut desired = desired(DEVICE, generation);
    desired.files[0].content = content.into();
    desired
}

fn kept(disk: &SimulatedDisk, held: u64, key: &DeviceKey, sealed: Sealed) -> News {
    keep(disk, ProvenSealed::for_tests(sealed), mark(held), key).unwrap()
}

fn filled(disk: &SimulatedDisk, key: &DeviceKey, desired: &Desired) -> Result<String, Lacking> {
    let secrets = Secrets::open(disk, desired, key)?;
    let filled = secrets.fill(&desired.files[0].content)?;
    Ok(String::from_utf8(filled.to_vec()).unwrap())
}

#[test]
fn values_stand_where_their_placeholders_stood() {
    let (disk, key) = (SimulatedDisk::new(), key());
    let sealed = sealed(
        DEVICE,
        3,
        &key.spki(),
        &[("psk", 2, "⧼secret pin@1⧽"), ("pin", 1, "1234")],
    );
    assert_eq!(kept(&disk, 2, &key, sealed), News::Kept);
    let check = |content: &str, expected: Result<&str, Lacking>| {
        let found = filled(&disk, &key, &wanting(3, content));
        assert_eq!(found.as_deref().map_err(Clone::clone), expected, "{content}");
    };
    check("no secret", Ok("no secret"));
    check("a ⧼secret pin@1⧽⧼secret pin@1⧽ b", Ok("a 12341234 b"));
    // A value is put in as it is, and not looked into.
    check("⧼secret psk@2⧽", Ok("⧼secret pin@1⧽"));
    check("⧼secret psk@1⧽", Err(Lacking::Missing("psk@1".into())));
    // What is no placeholder is text.
    for text in [
        "⧼",
        "⧼secret psk⧽",
        "⧼secret psk@⧽",
        "⧼secret @2⧽",
        "⧼psk@2⧽",
        "⧼⧼secret pin@1",
        "⧼secret p k@1⧽",
    ] {
        check(text, Ok(text));
    }
    check("⧼⧼secret pin@1⧽", Ok("⧼1234"));
}

#[test]
fn what_is_sealed_opens_for_its_device_generation_content_and_name_alone() {
    let (disk, key) = (SimulatedDisk::new(), key());
    let good = sealed(DEVICE, 3, &key.spki(), &[("psk", 2, "value")]);
    let desired = wanting(3, "⧼secret psk@2⧽");
    let attempt = |change: &dyn Fn(&mut Sealed), key: &DeviceKey, desired: &Desired| {
        let mut sealed = good.clone();
        change(&mut sealed);
        record::save(&disk, &place(), &vec![sealed]).unwrap();
        filled(&disk, key, desired)
    };
    assert_eq!(attempt(&|_| {}, &key, &desired).as_deref(), Ok("value"));
    let closed = Err(Lacking::Closed("psk@2".into()));
    // Stolen for another device: it has another id, and another key.
    assert_eq!(
        attempt(&|sealed| sealed.device_id = OTHER_DEVICE.into(), &key, &desired),
        closed
    );
    assert_eq!(attempt(&|_| {}, &self::key(), &desired), closed);
    let other = |sealed: &mut Sealed| sealed.secrets[0].revision = 1;
    let older = wanting(3, "⧼secret psk@1⧽");
    assert_eq!(
        attempt(&other, &key, &older),
        Err(Lacking::Closed("psk@1".into()))
    );
    let other = |sealed: &mut Sealed| sealed.secrets[0].name = "pin".into();
    let named = wanting(3, "⧼secret pin@2⧽");
    assert_eq!(
        attempt(&other, &key, &named),
        Err(Lacking::Closed("pin@2".into()))
    );
    let later = wanting(4, "⧼secret psk@2⧽");
    let moved = |sealed: &mut Sealed| (sealed.generation, sealed.digest) = (4, later.digest);
    assert_eq!(attempt(&moved, &key, &later), closed);
    assert_eq!(
        attempt(&|_| {}, &key, &later),
        Err(Lacking::Missing("psk@2".into()))
    );
}

#[test]
fn what_is_held_and_what_comes_are_kept_and_nothing_else() {
    let (disk, old, key) = (SimulatedDisk::new(), key(), key());
    let of = |generation, key: &DeviceKey| sealed(DEVICE, generation, &key.spki(), &[("psk", 1, "x")]);
    let generations = || {
        load(&disk)
            .unwrap()
            .iter()
            .map(|one| one.generation)
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(&disk, 0, &old, of(1, &old)), News::Kept);
    assert_eq!(
        kept(&disk, 1, &old, of(1, &old)),
        News::Known,
        "sealed anew, and the same"
    );
    assert_eq!(kept(&disk, 1, &old, of(2, &old)), News::Kept);
    assert_eq!(generations(), [1, 2]);
    assert_eq!(
        kept(&disk, 2, &old, of(1, &old)),
        News::Known,
        "older than what is held"
    );
    assert_eq!(kept(&disk, 2, &old, of(3, &old)), News::Kept);
    assert_eq!(generations(), [2, 3]);
    // The device goes on with another key: what was sealed to the former one is replaced.
    assert_eq!(kept(&disk, 3, &key, of(3, &old)), News::Known, "no use for it");
    assert_eq!(kept(&disk, 3, &key, of(3, &key)), News::Kept);
    assert_eq!(generations(), [3]);
    assert!(filled(&disk, &key, &wanting(3, "⧼secret psk@1⧽")).is_ok());
}

#[test]
fn only_what_the_registry_signed_for_this_device_is_believed() {
    let (pki, key) = (Pki::new(), key());
    let clock = Clock::new(Arc::new(|| 1_796_000_000));
    let trust = Trust::from_pem(pki.root.certificate.pem().as_bytes(), clock).unwrap();
    let device = DeviceId::parse(DEVICE).unwrap();
    let good = seal_secrets(&pki.config, &sealed(DEVICE, 3, &key.spki(), &[("psk", 1, "x")]));
    assert_eq!(prove(&good, &device, &trust).unwrap().generation(), 3);
    let other = seal_secrets(&pki.config, &sealed(OTHER_DEVICE, 3, &key.spki(), &[]));
    assert_eq!(prove(&other, &device, &trust).unwrap_err(), Unproven::OtherDevice);
    let foreign = seal_secrets(&Pki::new().config, &sealed(DEVICE, 3, &key.spki(), &[]));
    assert!(prove(&foreign, &device, &trust).is_err());
    assert!(
        prove(&pki.seal(&desired(DEVICE, 3)), &device, &trust).is_err(),
        "desired state is none"
    );
    for bit in (0..good.len() * 8).step_by(7) {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(prove(&flipped, &device, &trust).is_err(), "bit {bit}");
    }
}

/// Another implementation sealed it, in another language.
#[test]
fn the_vector_of_the_wire_contract_opens() {
    let file = |name: &str| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/proto/");
        std::fs::read_to_string([path, name].concat()).unwrap()
    };
    let pem = file("pki/device.key");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
    let key = DeviceKey::parse(Zeroizing::new(der)).unwrap();
    let sealed: Sealed =
        muster_proto::payload::decode(file("sealed.json").as_bytes(), Encoding::Json).unwrap();
    assert_eq!(sealed.recipient, key.digest());
    let value = unseal(&sealed, &sealed.secrets[0], &key).unwrap();
    assert_eq!(**value, *b"correct horse battery staple");
}

#[test]
fn nothing_shows_a_value() {
    let (disk, key) = (SimulatedDisk::new(), key());
    kept(
        &disk,
        1,
        &key,
        sealed(DEVICE, 1, &key.spki(), &[("psk", 1, "planted")]),
    );
    let kept = disk.read(&place(), 1 << 20).unwrap().unwrap();
    assert!(!kept.windows(7).any(|window| window == b"planted"));
    let lacking = filled(&disk, &self::key(), &wanting(1, "⧼secret psk@1⧽")).unwrap_err();
    assert!(!format!("{lacking:?} {lacking}").contains("planted"));
}
