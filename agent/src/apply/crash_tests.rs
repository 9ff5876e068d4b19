//! Crashes at every operation of a device's life: key, identity, ledger, slots.

use super::*;
use crate::{
    clock::Clock,
    desired::{Proven, prove},
    disk::{
        Disk, Place,
        simulated::{Crash, SimulatedDisk},
    },
    identity::{DeviceId, DeviceKey, Identity, Trust},
    ledger::{Ledger, NotKept},
    machine::{Admission, Stale},
    record::StateError,
    sealed::{self, ProvenSealed, Secrets},
    testing::{DEVICE, Pki, client, desired},
};
use muster_proto::payload::{Binary, ClaimAccepted, Desired, Sealed};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// One device's life on a disk that may stop: key, identity, two generations. `told` notes what was promised to
/// the outside before the stop.
struct Life {
    pki: Pki,
    trust: Trust,
    clock: Clock,
    proven: [Proven; 2],
    sealed: Mutex<BTreeMap<(u64, Vec<u8>), Sealed>>,
}

fn value(generation: u64) -> String {
    format!("value {generation}")
}

/// Desired state with a secret of its own.
fn wanting(generation: u64) -> Desired {
    let mut desired = desired(DEVICE, generation);
    desired.files[0].content += &format!("psk = \"⧼secret psk@{generation}⧽\"\n");
    desired
}

/// What comes of it.
fn filled(offer: &Proven) -> Desired {
    let (mut desired, generation) = (offer.desired().clone(), offer.mark().generation);
    let file = &mut desired.files[0];
    file.content = file
        .content
        .replace(&format!("⧼secret psk@{generation}⧽"), &value(generation));
    desired
}

#[derive(Default, Debug)]
struct Told {
    key: Option<Vec<u8>>,
    identity: Option<Identity>,
    held: u64,
    applied: u64,
}

impl Life {
    fn new() -> Self {
        let pki = Pki::new();
        let clock = Clock::new(Arc::new(|| 1_796_000_000));
        let trust = Trust::from_pem(pki.root.certificate.pem().as_bytes(), clock.clone()).unwrap();
        let device = DeviceId::parse(DEVICE).unwrap();
        let proven = [1, 2]
            .map(|generation| prove(&pki.seal(&wanting(generation)), &device, &trust, clock.now()).unwrap());
        Self {
            pki,
            trust,
            clock,
            proven,
            sealed: Mutex::default(),
        }
    }

    /// Sealed once for each key: thousands of lives ask for it.
    fn sealed(&self, generation: u64, key: &DeviceKey) -> ProvenSealed {
        let mut known = self.sealed.lock().unwrap();
        let sealed = known.entry((generation, key.spki())).or_insert_with(|| {
            let number = u32::try_from(generation).unwrap();
            let value = value(generation);
            let values = [("psk", number, value.as_str())];
            sealed::tests::sealed(DEVICE, generation, &key.spki(), &values)
        });
        ProvenSealed::for_tests(sealed.clone())
    }

    fn grant(&self, key: &DeviceKey) -> Identity {
        let csr = rcgen::CertificateSigningRequestParams::from_der(&key.request().unwrap().into()).unwrap();
        let leaf = client(DEVICE)
            .signed_by(&csr.public_key, &self.pki.issuing.issuer())
            .unwrap();
        let chain = vec![Binary(leaf.der().to_vec()), Binary(self.pki.issuing.der())];
        let accepted = ClaimAccepted {
            device_id: DEVICE.into(),
            chain,
            roots: Vec::new(),
        };
        self.trust.identity(accepted, key).unwrap()
    }

    /// Lives from wherever the disk is; stops with the disk.
    fn live(&self, disk: &Arc<SimulatedDisk>, told: &mut Told) -> Result<(), Box<dyn std::error::Error>> {
        let (key, _) = DeviceKey::load_or_make(&**disk)?;
        told.key = Some(key.spki());
        let identity = match Identity::load(&**disk)? {
            Some(identity) => identity,
            None => {
                let identity = self.grant(&key);
                identity.save(&**disk)?;
                identity
            }
        };
        told.identity = Some(identity);
        let mut ledger = Ledger::open(Arc::clone(disk) as Arc<dyn Disk>, &self.clock)?;
        ledger.revive(&DeviceId::parse(DEVICE).unwrap(), &self.trust);
        for offer in &self.proven {
            let generation = offer.mark().generation;
            // As they are sent: secrets first.
            sealed::keep(&**disk, self.sealed(generation, &key), ledger.held(), &key)?;
            match ledger.keep(offer.clone(), &self.clock) {
                Ok(_) => told.held = told.held.max(offer.mark().generation),
                Err(NotKept::Stale(Stale::Older { .. })) => continue,
                Err(error) => return Err(error.into()),
            }
            let secrets = Secrets::open(&**disk, offer.desired(), &key)?;
            let applied = commit(&**disk, stage(&**disk, offer.desired(), offer.mark(), &secrets)?)?;
            ledger.note_applied(applied)?;
            told.applied = offer.mark().generation;
        }
        Ok(())
    }

    /// What must hold on a disk after a crash.
    fn check(&self, disk: &Arc<SimulatedDisk>, told: &Told, at: &str) {
        let identity = Identity::load(&**disk).unwrap_or_else(|error| panic!("{error} {at}"));
        if told.identity.is_some() {
            assert_eq!(identity, told.identity, "{at}");
        }
        if let Some(spki) = &told.key {
            assert_eq!(&DeviceKey::load_or_make(&**disk).unwrap().0.spki(), spki, "{at}");
        }
        let ledger = Ledger::open(Arc::clone(disk) as Arc<dyn Disk>, &self.clock).unwrap();
        let held = ledger.held().map_or(0, |mark| mark.generation);
        assert!(held >= told.held, "{at}: {held} {told:?}");
        // What runs is one generation, whole; at least the last one that was told; at most the one held.
        let place = Place::fixed("current");
        match disk.link_target(&place).unwrap() {
            None => assert_eq!(told.applied, 0, "{at}"),
            Some(_) => {
                let fits = [1, 2].into_iter().find(|generation| {
                    let offer = &self.proven[generation - 1];
                    let reference = SimulatedDisk::new();
                    let staged = stage(&reference, &filled(offer), offer.mark(), &Secrets::default());
                    let applied = commit(&reference, staged.unwrap()).unwrap();
                    inspect(&**disk, &applied).is_none()
                });
                let generation = u64::try_from(fits.unwrap_or_else(|| panic!("a mixture {at}"))).unwrap();
                assert!(
                    (told.applied..=held).contains(&generation),
                    "{at}: {generation} runs, {told:?}"
                );
            }
        }
    }
}

#[test]
fn c4_c5_a_crash_at_any_operation_leaves_old_or_new_and_loses_no_identity() {
    let life = Life::new();
    let whole = Arc::new(SimulatedDisk::new());
    life.live(&whole, &mut Told::default()).unwrap();
    let operations = whole.operations();
    assert!(operations > 50, "{operations}");
    for stop in 0..operations {
        let disk = Arc::new(SimulatedDisk::stopping_after(stop));
        let mut told = Told::default();
        life.live(&disk, &mut told).unwrap_err();
        for crash in (0..24).map(Crash::PowerLoss).chain([Crash::Killed]) {
            let at = format!("after {stop} operations and {crash:?}");
            let after = Arc::new(disk.crash(crash));
            life.check(&after, &told, &at);
            // And it goes on from there, to the same end, with the same key.
            let mut later = Told::default();
            life.live(&after, &mut later)
                .unwrap_or_else(|error| panic!("{error} {at}"));
            assert_eq!((later.held, later.applied), (2, 2), "{at}");
            if told.key.is_some() {
                assert_eq!(later.key, told.key, "{at}");
            }
            life.check(&after, &later, &at);
        }
    }
}

#[test]
fn c5_a_second_crash_while_going_on_is_survived_too() {
    let life = Life::new();
    let whole = Arc::new(SimulatedDisk::new());
    life.live(&whole, &mut Told::default()).unwrap();
    for stop in (0..whole.operations()).step_by(3) {
        let disk = Arc::new(SimulatedDisk::stopping_after(stop));
        let mut told = Told::default();
        life.live(&disk, &mut told).unwrap_err();
        for second in (0..40).step_by(2) {
            let seed = u64::try_from(stop * 64 + second).unwrap();
            let after = Arc::new(disk.crash(Crash::PowerLoss(seed)).stop_after(second));
            let mut later = Told {
                key: told.key.clone(),
                identity: told.identity.clone(),
                ..Told::default()
            };
            let _ended = life.live(&after, &mut later);
            later.held = later.held.max(told.held);
            later.applied = later.applied.max(told.applied);
            let last = Arc::new(after.crash(Crash::PowerLoss(seed + 1)));
            life.check(&last, &later, &format!("after {stop} and {second} operations"));
        }
    }
}

#[test]
fn c2_a_replay_after_a_power_loss_while_applying_is_refused() {
    let life = Life::new();
    let disk = Arc::new(SimulatedDisk::new());
    let mut ledger = Ledger::open(Arc::clone(&disk) as Arc<dyn Disk>, &life.clock).unwrap();
    assert_eq!(
        ledger.keep(life.proven[1].clone(), &life.clock).unwrap(),
        Admission::Fresh
    );
    // Nothing of it was applied yet.
    let after = Arc::new(disk.crash(Crash::PowerLoss(1)));
    let mut ledger = Ledger::open(after as Arc<dyn Disk>, &life.clock).unwrap();
    let error = ledger.keep(life.proven[0].clone(), &life.clock).unwrap_err();
    assert!(
        matches!(error, NotKept::Stale(Stale::Older { held: 2, offered: 1 })),
        "{error}"
    );
    assert_eq!(
        ledger.keep(life.proven[1].clone(), &life.clock).unwrap(),
        Admission::Repeat
    );
}

#[test]
fn a_kept_envelope_outlives_its_signer_but_not_its_root() {
    let life = Life::new();
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new());
    let mut ledger = Ledger::open(Arc::clone(&disk), &life.clock).unwrap();
    ledger.keep(life.proven[0].clone(), &life.clock).unwrap();
    let revived = |trust: &Trust| {
        let mut ledger = Ledger::open(Arc::clone(&disk), &life.clock).unwrap();
        ledger.revive(&DeviceId::parse(DEVICE).unwrap(), trust);
        assert_eq!(ledger.held(), Some(life.proven[0].mark()), "the generation stays");
        ledger.desired().is_some()
    };
    let later = Clock::new(Arc::new(|| 2_900_000_000));
    let pem = life.pki.root.certificate.pem();
    assert!(revived(&Trust::from_pem(pem.as_bytes(), later).unwrap()));
    let other = Pki::new().root.certificate.pem();
    assert!(!revived(
        &Trust::from_pem(other.as_bytes(), life.clock.clone()).unwrap()
    ));
}

#[test]
fn a_full_disk_is_an_error_and_no_damage() {
    let life = Life::new();
    let disk = Arc::new(SimulatedDisk::new());
    life.live(&disk, &mut Told::default()).unwrap();
    let full = Arc::new(disk.crash(Crash::Killed).stop_after(0));
    let mut ledger = Ledger::open(Arc::clone(&full) as Arc<dyn Disk>, &life.clock).unwrap();
    let newer = desired(DEVICE, 3);
    let proven = prove(
        &life.pki.seal(&newer),
        &DeviceId::parse(DEVICE).unwrap(),
        &life.trust,
        life.clock.now(),
    )
    .unwrap();
    let error = ledger.keep(proven, &life.clock).unwrap_err();
    assert!(matches!(error, NotKept::State(StateError::Io { .. })), "{error}");
    assert_eq!(
        ledger.held().map(|mark| mark.generation),
        Some(2),
        "not durable, so not held"
    );
}
