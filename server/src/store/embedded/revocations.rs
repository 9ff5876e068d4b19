//! Revocations: of a certificate, and of what depends on it.

use super::{
    Store, certificates,
    devices::{self, find},
    index, keys, operators,
    record::load,
    txn::Txn,
};
use crate::store::{Revocation, RevokedCertificate, StoreError};
use muster_domain::{
    Code, Refusal, Timestamp,
    audit::{Action, Event},
    certificate::{
        CertificateHolder, CertificateRecord, CertificateSerial, CertificateState, RevocationReason,
        SpkiDigest,
    },
    device::{Device, Transition},
    ids::DeviceId,
    names::OperatorName,
};
use redb::ReadableTable as _;

impl Store {
    /// Revokes a certificate. A device without its own is registered with no way in; an operator without theirs is
    /// disabled. The same reason again changes nothing; another one is refused, but for the compromise of the key, which
    /// takes every certificate over that key with it and blocks the key for ever.
    pub async fn revoke_certificate(
        &self,
        revocation: Revocation,
    ) -> Result<Result<RevokedCertificate, Refusal>, StoreError> {
        self.write(move |txn| revoke(txn, &revocation)).await
    }
}

fn revoke(
    txn: &mut Txn<'_>,
    revocation: &Revocation,
) -> Result<Result<RevokedCertificate, Refusal>, StoreError> {
    let Revocation {
        serial, reason, now, ..
    } = *revocation;
    // 1. Everything that can say no.
    let record = load::<CertificateRecord>(&txn.tables().certificates, serial.as_u128())?;
    let Some(record) = record else {
        let why = format!("there is no certificate {serial}");
        return Ok(Err(Refusal::new(Code::NotFound, why).at("name")));
    };
    let compromised = reason == RevocationReason::KeyCompromise;
    match record.state {
        CertificateState::Revoked { reason: before, .. } if before == reason => {
            return Ok(Ok(RevokedCertificate {
                certificate: record,
                devices: Vec::new(),
            }));
        }
        CertificateState::Revoked { reason: before, .. } if !compromised => {
            let why = format!("it is revoked already ({before})");
            return Ok(Err(Refusal::new(Code::RevocationFinal, why).at("reason")));
        }
        CertificateState::Intended | CertificateState::Current | CertificateState::Revoked { .. } => {}
    }
    // 2. Who loses it. An operator may be the last admin, so that comes first.
    let operator = match &record.holder {
        CertificateHolder::Operator(name) => Some(name.clone()),
        CertificateHolder::Device(_) if compromised => operator_with(txn, record.spki)?,
        CertificateHolder::Device(_) => None,
    };
    if let Some(name) = operator
        && let Err(refusal) = operators::disable(txn, &name, reason, now)?
    {
        return Ok(Err(refusal));
    }
    let mut losers = Vec::new();
    for device in devices_of(txn, &record, compromised)? {
        losers.push(device.id);
        strip(txn, device, &record, reason, now)?;
    }
    // 3. The certificate itself, where nobody held it any more or its reason is another now.
    let record = certificates::known(txn, serial)?;
    let record = match record.state {
        CertificateState::Revoked { at, .. } => CertificateRecord {
            state: CertificateState::Revoked { at, reason },
            ..record
        },
        CertificateState::Intended | CertificateState::Current => record.revoked(now, reason),
    };
    certificates::replace(txn, &record)?;
    if compromised {
        certificates::block(txn, &record)?;
    }
    let event = Event::new(
        now,
        revocation.actor.clone(),
        Action::CertificateRevoked,
        record.name(),
    );
    let event = event.with("holder", &record.holder).with("reason", reason);
    let event = if revocation.comment.is_empty() {
        event
    } else {
        event.with("comment", &revocation.comment)
    };
    txn.audit(&event)?;
    Ok(Ok(RevokedCertificate {
        certificate: record,
        devices: losers,
    }))
}

/// The operator with this key, if there is one: a key that others have opens nothing, whoever it is of.
fn operator_with(txn: &Txn<'_>, key: SpkiDigest) -> Result<Option<OperatorName>, StoreError> {
    let Some(name) = txn.tables().operator_keys.get(&key.0)? else {
        return Ok(None);
    };
    let name = name.value().parse();
    name.map(Some)
        .map_err(|why| StoreError::damaged("operator_keys", why))
}

/// Devices that have the certificate, or a compromised key.
fn devices_of(
    txn: &Txn<'_>,
    record: &CertificateRecord,
    compromised: bool,
) -> Result<Vec<Device>, StoreError> {
    let mut ids: Vec<u128> = record
        .holder
        .device()
        .map(DeviceId::as_u128)
        .into_iter()
        .collect();
    if compromised {
        ids.extend(txn.tables().keys.get(&record.spki.0)?.map(|id| id.value()));
    }
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::new();
    for id in ids {
        // A device whose import was taken back is gone; its certificates stay known.
        if let Some(device) = find(txn, DeviceId::from_u128(id))?
            && lost(&device, record, compromised).next().is_some()
        {
            found.push(device);
        }
    }
    Ok(found)
}

/// What the device loses: the certificate, and whatever else is over a compromised key.
fn lost(
    device: &Device,
    record: &CertificateRecord,
    compromised: bool,
) -> impl Iterator<Item = CertificateSerial> {
    let (serial, key) = (record.serial, record.spki);
    device
        .lifecycle
        .held()
        .filter(move |held| held.serial == serial || compromised && held.spki == key)
        .map(|held| held.serial)
}

/// The device without what it loses; keys that it has no more are free for others.
fn strip(
    txn: &mut Txn<'_>,
    before: Device,
    record: &CertificateRecord,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    let compromised = reason == RevocationReason::KeyCompromise;
    let mut after = before.clone();
    for certificate in lost(&before, record, compromised) {
        // The first may have taken the others with it.
        if after.lifecycle.held().any(|held| held.serial == certificate) {
            let step = Transition::Revoke { certificate, reason };
            after.lifecycle = match after.lifecycle.step(step, now) {
                Ok(lifecycle) => lifecycle,
                Err(refusal) => return Err(StoreError::damaged("devices", refusal)),
            };
        }
    }
    let kept: Vec<_> = after.lifecycle.held().map(|held| held.serial).collect();
    for held in before
        .lifecycle
        .held()
        .filter(|held| !kept.contains(&held.serial))
    {
        let direct = held.serial == record.serial || held.spki == record.spki;
        // A renewed certificate over another key is good in itself; who asked for it may not have been its device.
        let reason = if compromised && !direct {
            RevocationReason::PrivilegeWithdrawn
        } else {
            reason
        };
        devices::revoke(txn, held.serial, reason, now)?;
    }
    keys::free(txn, &before, &after)?;
    index::replace(txn, &before, &after.touched(now))
}
