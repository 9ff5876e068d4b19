//! A device in every state.

use muster_domain::{
    Timestamp,
    activation::{ActivationCode, CodeHash, CodeKey},
    certificate::{CertificateSerial, SpkiDigest},
    desired::Target,
    device::{ClaimIntent, ClaimWindow, Credential, Device, Lifecycle, Origin, Transition, Verification},
    ids::{BatchId, DeviceId},
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const EXPIRY: Timestamp = Timestamp::from_seconds(1000);

pub(crate) const fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

pub(crate) fn code(seed: u8) -> CodeHash {
    ActivationCode::from_random([seed; 15]).hash(&CodeKey::from_bytes([9; 32]))
}

/// An intent for the key `key`, with a certificate of its own.
pub(crate) fn intent(key: u8, certificate: u128) -> ClaimIntent {
    ClaimIntent {
        spki: SpkiDigest([key; 32]),
        certificate: CertificateSerial::from_u128(certificate),
        not_before: at(1),
        not_after: at(9000),
        profile: muster_domain::certificate::CertificateProfile::Device,
        issuer: None,
        source: None,
    }
}

/// Registered, with code 1, at generation 3.
pub(crate) fn registered() -> Device {
    let credential = Credential::Code {
        hash: code(1),
        window: ClaimWindow::until(Some(EXPIRY)),
        bound: None,
        intent: None,
    };
    Device {
        id: DeviceId::from_u128(7),
        serial: "GW2-7000001".parse().unwrap(),
        mac: Some("00:1B:C5:00:70:01".parse().unwrap()),
        model: "GW-200".parse().unwrap(),
        hardware: Some("B0".into()),
        factory_firmware: Some("2.3.1".parse().unwrap()),
        site: Some("MUC-01".parse().unwrap()),
        position: None,
        labels: BTreeMap::from([("env".into(), "lab".into())]),
        variables: BTreeMap::from([("port".into(), "8080".into())]),
        kept: BTreeMap::new(),
        origin: Origin {
            batch: BatchId::from_u128(5),
            row: 12,
        },
        created: at(100),
        updated: at(200),
        revision: 1,
        lifecycle: Lifecycle::Registered { credential },
        target: Target {
            generation: 3,
            digest: [3; 32],
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

/// After these transitions, which must all be allowed.
pub(crate) fn after(transitions: impl IntoIterator<Item = Transition>) -> Device {
    transitions
        .into_iter()
        .fold(registered(), |device, transition| Device {
            lifecycle: device.lifecycle.step(transition, at(50)).unwrap(),
            ..device
        })
}

/// Claimed with key 1 and certificate 11.
pub(crate) fn claimed() -> Device {
    after([Transition::Intend(intent(1, 11)), Transition::Certify])
}
