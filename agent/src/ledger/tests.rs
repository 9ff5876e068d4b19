//! What an agent finds that was updated: a ledger of the one before.

use super::*;
use crate::{
    disk::simulated::SimulatedDisk,
    machine::Stale,
    testing::{self, DEVICE, Pki, seal_bytes},
};
use muster_firmware_policy::FirmwarePolicy;
use muster_proto::{
    payload::{Digest, Firmware, encode},
    topic::Encoding,
};
use std::collections::BTreeMap;

/// A device and what its registry tells it.
struct World {
    pki: Pki,
    trust: Trust,
    clock: Clock,
    disk: Arc<dyn Disk>,
}

/// Desired state with an image that nobody signed.
fn unsigned(generation: u64) -> Desired {
    let policy: FirmwarePolicy = serde_json::from_str(
        r#"{"name": "p", "applies_to": {"models": ["*"]}, "update": {"target": {"version": "2.4.1", "size": 1000,
            "url": "https://firmware.example/2.4.1.img",
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}}"#,
    )
    .unwrap();
    Desired {
        firmware: Some(Firmware {
            name: "p".into(),
            revision: 1,
            model: "GW-200".into(),
            hardware: None,
            labels: BTreeMap::new(),
            policy,
        }),
        ..testing::desired(DEVICE, generation)
    }
}

impl World {
    fn new() -> Self {
        let pki = Pki::new();
        let clock = Clock::new(Arc::new(|| 1_800_000_000));
        let trust = Trust::from_pem(pki.root.certificate.pem().as_bytes(), clock.clone()).unwrap();
        Self {
            pki,
            trust,
            clock,
            disk: Arc::new(SimulatedDisk::new()),
        }
    }

    fn proven(&self, desired: &Desired) -> Proven {
        let device = DeviceId::parse(DEVICE).unwrap();
        desired::prove(&self.pki.seal(desired), &device, &self.trust, self.clock.now()).unwrap()
    }

    /// What an agent left behind to which images had no signatures: neither the place of one on the wire, nor in its digest.
    fn leave_former(&self, desired: &Desired) -> Mark {
        let mut payload = encode(desired, Encoding::Postcard).unwrap();
        // The last byte is the length of the list of stepping stones, and before it is the signature that there is not.
        assert_eq!(payload.split_off(payload.len() - 2), [0, 0]);
        payload.push(0);
        let mark = Mark {
            content: Digest([7; 32]),
            ..self.proven(desired).mark()
        };
        let held = Held {
            mark,
            proven_at: 1_800_000_000,
            envelope: Binary(seal_bytes(&self.pki.config, payload)),
        };
        let former = Record {
            floor: 1_799_000_000,
            held: Some(held),
            applied: Some(Applied {
                mark,
                files: Vec::new(),
            }),
        };
        record::save(&*self.disk, &place(), &former).unwrap();
        mark
    }

    fn started(&self) -> Ledger {
        let mut ledger = Ledger::open(Arc::clone(&self.disk), &self.clock).unwrap();
        ledger.revive(&DeviceId::parse(DEVICE).unwrap(), &self.trust);
        ledger
    }
}

#[test]
fn what_an_older_agent_kept_bars_what_is_older_and_comes_again() {
    let world = World::new();
    let mark = world.leave_former(&unsigned(7));
    let mut ledger = world.started();
    assert!(ledger.desired().is_none(), "it cannot be read");
    assert_eq!(ledger.held(), Some(mark), "the generation stays");
    assert_eq!(ledger.applied().map(|applied| applied.mark), Some(mark));

    let mut offer = |desired: &Desired| ledger.keep(world.proven(desired), &world.clock);
    let older = offer(&unsigned(6)).unwrap_err();
    let barred = matches!(older, NotKept::Stale(Stale::Older { held: 7, offered: 6 }));
    assert!(barred, "{older}");
    let other = Desired {
        digest: Digest([9; 32]),
        ..unsigned(7)
    };
    let other = offer(&other).unwrap_err();
    let barred = matches!(other, NotKept::Stale(Stale::Contradiction { generation: 7 }));
    assert!(barred, "{other}");
    // The registry sends the same again, as this agent reads it.
    assert_eq!(offer(&unsigned(7)).unwrap(), Admission::Repeat);

    let mut ledger = world.started();
    assert_eq!(
        ledger.desired(),
        Some(&unsigned(7)),
        "and from now on it is held as any other"
    );
    let mut altered = unsigned(7);
    altered.files.clear();
    let altered = ledger.keep(world.proven(&altered), &world.clock).unwrap_err();
    assert!(
        matches!(altered, NotKept::Stale(Stale::Contradiction { generation: 7 })),
        "{altered}"
    );
}

#[test]
fn what_is_not_believed_any_more_is_held_to_its_content_all_the_same() {
    let world = World::new();
    let mark = world.leave_former(&unsigned(7));
    // Whoever's key it was, the device does not trust it now: there is no digest that it proves.
    let others = World {
        disk: Arc::clone(&world.disk),
        ..World::new()
    };
    let mut ledger = others.started();
    assert_eq!(ledger.held(), Some(mark));
    let refused = ledger
        .keep(others.proven(&unsigned(7)), &others.clock)
        .unwrap_err();
    assert!(
        matches!(refused, NotKept::Stale(Stale::Contradiction { generation: 7 })),
        "{refused}"
    );
}
