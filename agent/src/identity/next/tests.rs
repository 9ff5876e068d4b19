use super::*;
use crate::{
    clock::Clock,
    disk::simulated::{Crash, SimulatedDisk},
    identity::Trust,
    testing::{DEVICE, Pki, client},
};
use muster_proto::payload::ClaimAccepted;

/// A registry, and what it let in last.
struct Registry {
    pki: Pki,
    trust: Trust,
}

impl Registry {
    fn new() -> Self {
        let pki = Pki::new();
        let clock = Clock::new(Arc::new(|| 1_796_000_000));
        let trust = Trust::from_pem(pki.root.certificate.pem().as_bytes(), clock).unwrap();
        Self { pki, trust }
    }

    fn issue(&self, key: &DeviceKey) -> Identity {
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
}

/// Keys that the registry lets in: the own until the next was seen, then the next alone.
#[derive(Debug, Clone, Default)]
struct Told {
    own: Vec<u8>,
    issued: Option<Vec<u8>>,
    is_seen: bool,
}

/// A renewal from wherever the disk is; stops with the disk.
fn renew(registry: &Registry, disk: &SimulatedDisk, told: &mut Told) -> Result<(), StateError> {
    let next = Next::load(disk)?;
    // Finished by an earlier start, or just now.
    let own = DeviceKey::load(disk)?.expect("a key, always");
    if told.issued.as_ref() == Some(&own.spki()) {
        return Ok(());
    }
    let next = match next {
        Some(next) => next,
        None => Next::begin(disk)?,
    };
    told.issued = Some(next.key().spki());
    let next = match next.identity() {
        Some(_) => next,
        None => {
            let identity = registry.issue(next.key());
            next.granted(identity, disk)?
        }
    };
    told.is_seen = true;
    next.promote(disk)
}

/// What the next start would show the registry, and whether it lets that in.
fn has_a_way_in(disk: &SimulatedDisk, told: &Told, at: &str) {
    let next = Next::load(disk).unwrap_or_else(|error| panic!("{error} {at}"));
    let own = DeviceKey::load(disk).unwrap().expect("a key").spki();
    assert!(Identity::load(disk).unwrap().is_some(), "{at}");
    let issued = next.filter(|next| next.identity().is_some());
    let keys: Vec<_> = issued.iter().map(|next| next.key().spki()).chain([own]).collect();
    let good = |key: &Vec<u8>| {
        if told.is_seen {
            told.issued.as_ref() == Some(key)
        } else {
            told.own == *key || told.issued.as_ref() == Some(key)
        }
    };
    assert!(keys.iter().any(good), "{told:?} {at}");
}

#[test]
fn c4_a_power_loss_at_any_point_of_a_renewal_leaves_a_way_in() {
    let registry = Registry::new();
    let start = SimulatedDisk::new();
    let (own, _) = DeviceKey::load_or_make(&start).unwrap();
    registry.issue(&own).save(&start).unwrap();
    let begun = Told {
        own: own.spki(),
        ..Told::default()
    };
    let whole = start.crash(Crash::Killed);
    let before = whole.operations();
    renew(&registry, &whole, &mut begun.clone()).unwrap();
    let operations = whole.operations() - before;
    assert!(operations > 10, "{operations}");
    for stop in 0..operations {
        let disk = start.crash(Crash::Killed).stop_after(stop);
        let mut told = begun.clone();
        renew(&registry, &disk, &mut told).unwrap_err();
        for crash in (0..24).map(Crash::PowerLoss).chain([Crash::Killed]) {
            let at = format!("after {stop} operations and {crash:?}");
            let after = disk.crash(crash);
            has_a_way_in(&after, &told, &at);
            // It goes on to the end, whatever stops it once more.
            for second in 0..operations {
                let again = after.crash(Crash::Killed).stop_after(second);
                let mut later = told.clone();
                let _ended = renew(&registry, &again, &mut later);
                has_a_way_in(
                    &again.crash(Crash::PowerLoss(7)),
                    &later,
                    &format!("{at}, then {second}"),
                );
            }
            let mut later = told.clone();
            renew(&registry, &after, &mut later).unwrap_or_else(|error| panic!("{error} {at}"));
            let own = DeviceKey::load(&after).unwrap().unwrap();
            assert_eq!(Some(own.spki()), later.issued, "{at}");
            assert!(Next::load(&after).unwrap().is_none(), "{at}");
        }
    }
}

#[test]
fn the_key_of_a_renewal_that_was_not_answered_is_kept() {
    let disk = SimulatedDisk::new();
    DeviceKey::load_or_make(&disk).unwrap();
    let begun = Next::begin(&disk).unwrap();
    let kept = Next::load(&disk).unwrap().unwrap();
    assert_eq!(kept.key().spki(), begun.key().spki());
    assert!(kept.identity().is_none());
    assert!(!format!("{kept:?}").contains("pkcs8"), "{kept:?}");
}
