//! Valid things to start from.

use muster_domain::{
    Timestamp,
    activation::{ActivationCode, CodeKey, Seed},
    batch::{Batch, BatchSpec},
    desired::Target,
    device::{ClaimWindow, Credential, Device, Lifecycle, Origin, Verification},
    ids::{BatchId, DeviceId},
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(1000 + seconds)
}

pub(crate) fn batch() -> Batch {
    let spec = BatchSpec {
        file_name: "line7.csv".to_owned(),
        ..BatchSpec::default()
    };
    let seed = Seed::from_bytes([1; 16]);
    let author = "alice".parse().unwrap();
    Batch::new(
        BatchId::from_u128(5),
        "request".to_owned(),
        spec,
        author,
        seed,
        at(0),
    )
}

/// Registered by row 12 of batch 5, with a code.
pub(crate) fn device() -> Device {
    let hash = ActivationCode::from_random([1; 15]).hash(&CodeKey::from_bytes([2; 32]));
    let credential = Credential::Code {
        hash,
        window: ClaimWindow::ALWAYS,
        bound: None,
        intent: None,
    };
    Device {
        id: DeviceId::from_u128(7),
        serial: "GW2-7000001".parse().unwrap(),
        mac: Some("00:1B:C5:00:70:01".parse().unwrap()),
        model: "GW-200".parse().unwrap(),
        hardware: None,
        factory_firmware: None,
        site: Some("MUC-01".parse().unwrap()),
        position: None,
        labels: BTreeMap::new(),
        variables: BTreeMap::from([("port".into(), "8080".into())]),
        kept: BTreeMap::new(),
        origin: Origin {
            batch: BatchId::from_u128(5),
            row: 12,
        },
        created: at(0),
        updated: at(0),
        revision: 1,
        lifecycle: Lifecycle::Registered { credential },
        target: Target {
            generation: 1,
            digest: [0; 32],
            profile: None,
            firmware_policy: None,
        },
        reported: None,
        verification: Verification::Pending,
        alarm: None,
        renew_from: None,
        trust: 0,
        groups: BTreeSet::new(),
        presence: None,
    }
}
