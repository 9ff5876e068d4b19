//! Taking a batch back: what blocks it, and what a device becomes again.

use crate::{
    Code, Refusal, Timestamp,
    device::{ClaimTerms, Credential, Device, Lifecycle, Standing, Verification},
    ids::DeviceId,
    manifest::RowClaim,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Why a batch cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoBlock {
    /// The device that stands in the way.
    pub device: DeviceId,
    /// The row of the batch that touched it.
    pub row: u32,
    /// Why.
    pub refusal: Refusal,
}

/// What a row can set of a device, as a digest: the first half of a SHA-256. Tells whether somebody changed it since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuesDigest(pub [u8; 16]);

/// What a change set, and so what goes back with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Values alone: the terms of its claim are others' business.
    Values,
    /// The terms of its claim, too.
    Terms,
}

impl Reach {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Values, Self::Terms];

    /// Of an update that changed these fields.
    pub fn of(changes: &[String]) -> Self {
        if changes
            .iter()
            .any(|change| RowClaim::FIELDS.contains(&change.as_str()))
        {
            Self::Terms
        } else {
            Self::Values
        }
    }
}

impl ValuesDigest {
    /// Of a device as it is.
    pub fn of(device: &Device) -> Self {
        Self::reaching(device, Reach::Values)
    }

    /// Of a device as an update made it that changed as much.
    pub fn reaching(device: &Device, reach: Reach) -> Self {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        let mac = device.mac.map(|mac| mac.to_string());
        let firmware = device.factory_firmware.as_ref().map(ToString::to_string);
        let site = device.site.as_ref().map(|site| site.as_str());
        add(device.model.as_str().as_bytes());
        for value in [
            mac.as_deref(),
            device.hardware.as_deref(),
            firmware.as_deref(),
            site,
            device.position.as_deref(),
        ] {
            add(&[u8::from(value.is_some())]);
            add(value.unwrap_or_default().as_bytes());
        }
        for map in [&device.labels, &device.variables, &device.kept] {
            entries(map, &mut add);
        }
        let revisions = [
            device
                .target
                .profile
                .as_ref()
                .map(|(name, number)| (name.as_str(), *number)),
            device
                .target
                .firmware_policy
                .as_ref()
                .map(|(name, number)| (name.as_str(), *number)),
        ];
        for (name, number) in revisions.into_iter().map(Option::unwrap_or_default) {
            add(name.as_bytes());
            add(&number.to_le_bytes());
        }
        match reach {
            // As programs wrote it that knew no terms.
            Reach::Values => {}
            Reach::Terms => terms(device, &mut add),
        }
        let full: [u8; 32] = hash.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        Self(half)
    }

    /// How far the change reached that made the device what it is; `None` where it is something else by now.
    pub fn reach(self, device: &Device) -> Option<Reach> {
        let mut both = Reach::ALL.into_iter();
        both.find(|reach| Self::reaching(device, *reach) == self)
    }
}

fn entries(map: &BTreeMap<String, String>, add: &mut impl FnMut(&[u8])) {
    add(&(map.len() as u64).to_le_bytes());
    for (key, value) in map {
        add(key.as_bytes());
        add(value.as_bytes());
    }
}

/// What a claim must meet, and whether one is awaited.
fn terms(device: &Device, add: &mut impl FnMut(&[u8])) {
    add(b"terms");
    let Some(ClaimTerms { window, key }) = device.lifecycle.claim_terms() else {
        return;
    };
    add(key.as_ref().map_or(&[], |key| &key.0));
    for at in [window.opens, window.closes] {
        let millis = at.map(|at| at.millis().to_le_bytes());
        add(millis.as_ref().map_or(&[], |millis| millis));
    }
}

fn blocked(device: &Device, why: &str) -> Refusal {
    Refusal::new(Code::UndoBlocked, format!("{} {why}", device.name()))
}

/// May this device, which the batch created, be taken back? `updated` is what a later row of the same batch made of it.
pub fn undo_created(device: &Device, updated: Option<ValuesDigest>) -> Result<(), Refusal> {
    // A certificate that came with the import is none that the device claimed.
    let enrolled = device.reported.is_some();
    match &device.lifecycle {
        Lifecycle::Registered {
            credential: Credential::Code { intent: Some(_), .. } | Credential::Pinned { intent: Some(_), .. },
        } => return Err(blocked(device, "has begun to claim its identity")),
        Lifecycle::Claimed { identity } if identity.spent.is_some() || enrolled => {
            return Err(blocked(device, "has claimed its identity"));
        }
        Lifecycle::Active { .. } => return Err(blocked(device, "is active")),
        Lifecycle::Suspended { .. } => return Err(blocked(device, "is suspended")),
        Lifecycle::Retired { .. } => return Err(blocked(device, "is retired")),
        Lifecycle::Registered { .. } | Lifecycle::Claimed { .. } => {}
    }
    let untouched = match updated {
        Some(made) => made.reach(device).is_some(),
        None => device.revision == 1,
    };
    if untouched {
        Ok(())
    } else {
        Err(blocked(device, "has changed since"))
    }
}

/// Where a device stands, as far as an undo is concerned.
#[derive(PartialEq, Eq)]
enum Stand {
    Expected,
    Claiming,
    Enrolled,
    Shut,
    Gone,
}

const fn stand(lifecycle: &Lifecycle) -> Stand {
    match lifecycle {
        Lifecycle::Registered {
            credential: Credential::Code { intent: None, .. } | Credential::Pinned { intent: None, .. },
        } => Stand::Expected,
        Lifecycle::Registered {
            credential: Credential::Withdrawn { .. },
        } => Stand::Shut,
        Lifecycle::Registered {
            credential: Credential::Code { intent: Some(_), .. } | Credential::Pinned { intent: Some(_), .. },
        } => Stand::Claiming,
        Lifecycle::Claimed { .. } | Lifecycle::Active { .. } => Stand::Enrolled,
        Lifecycle::Suspended {
            was: Standing::Registered(_) | Standing::Claimed(_) | Standing::Active(_),
            ..
        } => Stand::Shut,
        Lifecycle::Retired { .. } => Stand::Gone,
    }
}

/// May this device, which the batch made of `before`, be what it was? Says what goes back.
pub fn undo_updated(device: &Device, before: &Device, made: ValuesDigest) -> Result<Reach, Refusal> {
    if stand(&device.lifecycle) != stand(&before.lifecycle) {
        let why = format!("is {} since", device.lifecycle.state());
        return Err(blocked(device, &why));
    }
    made.reach(device)
        .ok_or_else(|| blocked(device, "has changed since"))
}

/// The device with the values it had before, at a higher generation (I7) if it must become something else for them.
#[must_use]
pub fn reverted(device: Device, before: Device, reach: Reach, now: Timestamp) -> Device {
    let moved = device.target.digest != before.target.digest;
    let mut target = before.target;
    target.generation = device.target.generation + u64::from(moved);
    let verification = if moved {
        Verification::Pending
    } else {
        device.verification.clone()
    };
    let lifecycle = match (reach, before.lifecycle.claim_terms()) {
        (Reach::Terms, Some(terms)) => device.lifecycle.on_terms(terms),
        (Reach::Terms, None) | (Reach::Values, _) => device.lifecycle,
    };
    Device {
        lifecycle,
        mac: before.mac,
        hardware: before.hardware,
        factory_firmware: before.factory_firmware,
        site: before.site,
        position: before.position,
        labels: before.labels,
        variables: before.variables,
        kept: before.kept,
        target,
        verification,
        ..device
    }
    .touched(now)
}
