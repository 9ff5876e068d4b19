//! Renewals: the next certificate is recorded beside the one in hand, and takes its place when its device comes with it.

use super::{
    Store, certificates, changes,
    claims::{actor, holder_of, may_intend, record_intent, repeat},
    devices, index, keys,
    record::load,
    txn::Txn,
};
use crate::store::{ClaimBegun, FinishedClaim, RenewalStart, StoreError};
use muster_domain::{
    Code, Refusal, Timestamp,
    audit::{Action, Actor, Event},
    certificate::{CertificateRecord, CertificateSerial, RevocationReason},
    claim::ClaimPermit,
    device::{Device, Lifecycle, Successor, Transition},
    ids::DeviceId,
    renewal::{self, Decision},
};
use std::net::IpAddr;

impl Store {
    /// Decides a renewal. `Issue` means that the intent is durable; the same renewal again gets the same intent.
    pub async fn begin_renewal(&self, start: RenewalStart) -> Result<ClaimBegun, StoreError> {
        self.write(move |txn| begin(txn, &start)).await
    }

    /// Records a signed certificate; durable when this returns. Of two that raced, the first recorded counts and both get it.
    /// Refused when the renewal was undone meanwhile.
    pub async fn finish_renewal(
        &self,
        record: CertificateRecord,
        now: Timestamp,
        source: IpAddr,
    ) -> Result<Result<FinishedClaim, Refusal>, StoreError> {
        self.write(move |txn| finish(txn, &record, now, source)).await
    }

    /// The device came with the certificate of its renewal: from now on it is the one, and the former is revoked. Nothing
    /// happens if it is the one already, or no more.
    pub async fn promote(
        &self,
        id: DeviceId,
        serial: CertificateSerial,
        now: Timestamp,
        source: IpAddr,
    ) -> Result<(), StoreError> {
        self.write(move |txn| promote(txn, id, serial, now, source)).await
    }

    /// An operator wants the certificates of these devices renewed, each from an instant on. How many that changed; those that
    /// have no certificate, or wait for the same already, are left alone.
    pub async fn order_renewals(
        &self,
        orders: Vec<(DeviceId, Timestamp)>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.write_rows(orders.len(), move |txn| order(txn, &orders, &actor, now))
            .await
    }
}

fn barred() -> Refusal {
    Refusal::new(Code::DeviceBarred, "the device is not one that may connect")
}

fn begin(txn: &mut Txn<'_>, start: &RenewalStart) -> Result<ClaimBegun, StoreError> {
    let Some(device) = devices::find(txn, start.device)? else {
        return Ok(ClaimBegun::Refused(barred()));
    };
    match renewal::decide(&device, start.fresh.spki, start.fresh) {
        Decision::Refuse(refusal) => Ok(ClaimBegun::Refused(refusal)),
        Decision::Repeat(serial) => repeat(&txn.tables().certificates, device, serial),
        Decision::Issue(permit) if successor(&device).is_some_and(|next| next.intent == *permit.intent()) => {
            Ok(ClaimBegun::Issue {
                permit,
                device: Box::new(device),
            })
        }
        Decision::Issue(permit) => intend(txn, &device, permit, start),
    }
}

fn successor(device: &Device) -> Option<Successor> {
    device
        .lifecycle
        .identity()
        .and_then(|identity| identity.successor)
}

/// Records what will be signed; what an earlier renewal left is void.
fn intend(
    txn: &mut Txn<'_>,
    device: &Device,
    permit: ClaimPermit,
    start: &RenewalStart,
) -> Result<ClaimBegun, StoreError> {
    let (intent, now) = (*permit.intent(), start.now);
    if let Err(refusal) = may_intend(txn, device, &intent, now)? {
        return Ok(ClaimBegun::Refused(refusal));
    }
    let mut after = device.clone();
    after.lifecycle = match after.lifecycle.step(Transition::Renew(intent), now) {
        Ok(lifecycle) => lifecycle,
        Err(refusal) => return Ok(ClaimBegun::Refused(refusal)),
    };
    let after = after.touched(now);
    if let Some(unfinished) = successor(device) {
        devices::revoke(
            txn,
            unfinished.intent.certificate,
            RevocationReason::Superseded,
            now,
        )?;
        keys::free(txn, device, &after)?;
    }
    record_intent(txn, device, &intent, now)?;
    index::replace(txn, device, &after)?;
    let event = Event::new(
        now,
        actor(device, start.source),
        Action::RenewalStarted,
        device.name(),
    );
    txn.audit(
        &event
            .with("certificate", intent.certificate)
            .with("key", intent.spki),
    )?;
    Ok(ClaimBegun::Issue {
        permit,
        device: Box::new(after),
    })
}

fn finish(
    txn: &mut Txn<'_>,
    record: &CertificateRecord,
    now: Timestamp,
    source: IpAddr,
) -> Result<Result<FinishedClaim, Refusal>, StoreError> {
    let stored = load::<CertificateRecord>(&txn.tables().certificates, record.serial.as_u128())?;
    let stored = stored.ok_or_else(|| StoreError::missing("certificates", record.serial))?;
    let device = holder_of(txn, &stored)?;
    let next = successor(&device).filter(|next| next.intent.certificate == stored.serial);
    let seen = device
        .lifecycle
        .identity()
        .is_some_and(|identity| identity.certificate == stored.serial);
    match next {
        Some(Successor { issued: false, .. }) => {}
        Some(Successor { issued: true, .. }) => {
            return Ok(Ok(FinishedClaim {
                device,
                certificate: stored,
            }));
        }
        // Another answer to the same renewal was faster, and its device is back already.
        None if seen => {
            return Ok(Ok(FinishedClaim {
                device,
                certificate: stored,
            }));
        }
        None => return Ok(Err(barred())),
    }
    let mut after = device.clone();
    after.lifecycle = match after.lifecycle.step(Transition::CertifyRenewal, now) {
        Ok(lifecycle) => lifecycle,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let after = after.touched(now);
    // Everything but the signed bytes was decided when the renewal began.
    let certificate = stored.signed(record.der.clone());
    certificates::replace(txn, &certificate)?;
    index::replace(txn, &device, &after)?;
    let event = Event::new(
        now,
        actor(&device, source),
        Action::RenewalFinished,
        device.name(),
    );
    txn.audit(&event.with("certificate", certificate.serial))?;
    Ok(Ok(FinishedClaim {
        device: after,
        certificate,
    }))
}

fn promote(
    txn: &mut Txn<'_>,
    id: DeviceId,
    serial: CertificateSerial,
    now: Timestamp,
    source: IpAddr,
) -> Result<(), StoreError> {
    let Some(device) = devices::find(txn, id)? else {
        return Ok(());
    };
    let (Lifecycle::Claimed { identity } | Lifecycle::Active { identity }) = &device.lifecycle else {
        return Ok(());
    };
    let former = identity.certificate;
    if !successor(&device).is_some_and(|next| next.issued && next.intent.certificate == serial) {
        return Ok(());
    }
    let mut after = device.clone();
    after.lifecycle = match after.lifecycle.step(Transition::Promote, now) {
        Ok(lifecycle) => lifecycle,
        // Asked above.
        Err(_) => return Ok(()),
    };
    // Its serial says when it was asked for. One that is older than the order of a change does not answer it, so the order stands:
    // the device hears of it when it says hello.
    if !changes::promoted(txn, &device, serial.time(), now)? {
        after.renew_from = None;
    }
    let after = after.touched(now);
    devices::revoke(txn, former, RevocationReason::Superseded, now)?;
    keys::free(txn, &device, &after)?;
    index::replace(txn, &device, &after)?;
    let event = Event::new(now, actor(&device, source), Action::RenewalSeen, device.name());
    txn.audit(&event.with("certificate", serial).with("former", former))?;
    Ok(())
}

fn order(
    txn: &mut Txn<'_>,
    orders: &[(DeviceId, Timestamp)],
    actor: &Actor,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut ordered = 0;
    for &(id, from) in orders {
        let Some(device) = devices::find(txn, id)? else {
            continue;
        };
        if device.lifecycle.identity().is_none() || device.renew_from == Some(from) {
            continue;
        }
        let mut after = device.clone();
        after.renew_from = Some(from);
        index::replace(txn, &device, &after.touched(now))?;
        let event = Event::new(now, actor.clone(), Action::RenewalOrdered, device.name());
        txn.audit(&event.with("from", from.seconds()))?;
        ordered += 1;
    }
    Ok(ordered)
}
