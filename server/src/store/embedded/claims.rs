//! Claims and the certificates they end in.

use super::{
    Store,
    batches::UNDOING,
    certificates, devices, index, keys,
    record::{Record as _, load},
    registry,
    tables::{CERTIFICATES, DEVICES, KEYS, SERIALS},
    txn::Txn,
};
use crate::store::{ClaimBegun, ClaimStart, FinishedClaim, Holder, StoreError};
use muster_domain::{
    Refusal, Timestamp,
    audit::{Action, Actor, Event},
    certificate::{
        AuthorityId, CertificateProfile, CertificateRecord, CertificateSerial, CertificateState, SpkiDigest,
    },
    claim::{self, ClaimPermit, Decision},
    device::{ClaimIntent, CloneAlarm, Device, Lifecycle, Transition},
    ids::DeviceId,
};
use redb::{ReadTransaction, ReadableTable};
use std::{hint::black_box, iter, net::IpAddr};

impl Store {
    /// Decides a claim. `Issue` means that the intent is durable; the same claim again gets the same intent.
    /// Guesses and repetitions are answered from a snapshot: they cost the writer nothing.
    pub async fn begin_claim(&self, start: ClaimStart) -> Result<ClaimBegun, StoreError> {
        if let Some(answer) = glance(&self.read()?, &start)? {
            return Ok(answer);
        }
        self.write(move |txn| begin(txn, &start)).await
    }

    /// Records a signed certificate; durable when this returns. Of two that raced, the first recorded counts and both
    /// get it. Refused when the claim was undone meanwhile: the device suspended or retired, the code replaced.
    pub async fn finish_claim(
        &self,
        record: CertificateRecord,
        now: Timestamp,
        source: IpAddr,
    ) -> Result<Result<FinishedClaim, Refusal>, StoreError> {
        self.write(move |txn| finish(txn, &record, now, source)).await
    }

    /// The device that may connect with this certificate (`der`, over the key of this name): it is on record byte by byte
    /// and current, and the device neither suspended nor retired. The serial would not do: a pinned certificate has one
    /// that its maker chose. Reads by key take microseconds.
    pub fn holder(&self, key: SpkiDigest, der: &[u8]) -> Result<Option<Holder>, StoreError> {
        let txn = self.read()?;
        let Some(id) = txn.open_table(KEYS)?.get(&key.0)?.map(|id| id.value()) else {
            return Ok(None);
        };
        let device = load::<Device>(&txn.open_table(DEVICES)?, id)?;
        let device = device.ok_or_else(|| StoreError::missing("devices", DeviceId::from_u128(id)))?;
        let Some(identity) = device.lifecycle.identity() else {
            return Ok(None);
        };
        let certificates = txn.open_table(CERTIFICATES)?;
        let successor = identity.successor.filter(|successor| successor.issued);
        let successor = successor.map(|successor| (successor.intent.certificate, true));
        for (serial, is_successor) in iter::once((identity.certificate, false)).chain(successor) {
            let record = load::<CertificateRecord>(&certificates, serial.as_u128())?;
            if let Some(record) = record
                && record.state == CertificateState::Current
                && record.der == der
            {
                return Ok(Some(Holder {
                    device: device.id,
                    model: device.model,
                    serial,
                    not_before: record.not_before,
                    not_after: record.not_after,
                    is_successor,
                }));
            }
        }
        Ok(None)
    }

    /// Is this certificate (`der`) the one on record under its own serial? One of our own is; a pinned one is on record under
    /// a serial that is not in it.
    pub fn is_certificate(&self, serial: CertificateSerial, der: &[u8]) -> Result<bool, StoreError> {
        let record: Option<CertificateRecord> =
            load(&self.read()?.open_table(CERTIFICATES)?, serial.as_u128())?;
        Ok(record.is_some_and(|record| record.der == der))
    }

    /// The record of a certificate.
    pub async fn certificate(
        &self,
        serial: CertificateSerial,
    ) -> Result<Option<CertificateRecord>, StoreError> {
        load(&self.read()?.open_table(CERTIFICATES)?, serial.as_u128())
    }

    /// How many certificates of an authority are valid at `now`. `issuer` reads the authority of a certificate (DER) whose record
    /// does not name it: of an older program. Reads every record.
    pub async fn valid_certificates(
        &self,
        authority: AuthorityId,
        issuer: fn(&[u8]) -> Option<AuthorityId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.blocking(move |txn| {
            let mut count = 0;
            for entry in txn.open_table(CERTIFICATES)?.iter()? {
                let record = CertificateRecord::from_guard(entry?.1)?;
                let is_valid = record.state == CertificateState::Current && now < record.not_after;
                let by = || record.issuer.or_else(|| issuer(&record.der));
                count += u64::from(is_valid && by() == Some(authority));
            }
            Ok(count)
        })
        .await
    }
}

/// The answer, if nothing has to be written for it.
fn glance(txn: &ReadTransaction, start: &ClaimStart) -> Result<Option<ClaimBegun>, StoreError> {
    let (serials, devices) = (txn.open_table(SERIALS)?, txn.open_table(DEVICES)?);
    let Some(device) = devices::by_serial(&serials, &devices, &start.serial)? else {
        // An unknown serial takes the work of a known one (A1): its neighbour is loaded and asked instead.
        let behind = serials.range(start.serial.as_str()..)?.next().transpose()?;
        let neighbour = match behind {
            None => serials.last()?,
            behind => behind,
        };
        if let Some((neighbour, _)) = neighbour
            && let Some(device) = devices::by_serial(&serials, &devices, neighbour.value())?
        {
            black_box(claim::decide(&device, &start.presented, start.fresh, start.now));
        }
        return Ok(Some(ClaimBegun::Refused(claim::refusal())));
    };
    Ok(
        match claim::decide(&device, &start.presented, start.fresh, start.now) {
            Decision::Issue(_)
            | Decision::Refuse {
                clone_suspected: true,
            } => None,
            Decision::Refuse {
                clone_suspected: false,
            } => Some(ClaimBegun::Refused(claim::refusal())),
            Decision::Repeat(serial) => Some(repeat(&txn.open_table(CERTIFICATES)?, device, serial)?),
        },
    )
}

pub(super) fn repeat(
    certificates: &impl ReadableTable<u128, &'static [u8]>,
    device: Device,
    serial: CertificateSerial,
) -> Result<ClaimBegun, StoreError> {
    let certificate = load(certificates, serial.as_u128())?;
    let certificate = certificate.ok_or_else(|| StoreError::missing("certificates", serial))?;
    Ok(ClaimBegun::Repeat {
        device: Box::new(device),
        certificate,
    })
}

pub(super) fn actor(device: &Device, source: IpAddr) -> Actor {
    Actor::Device {
        name: device.id.to_string(),
        source: source.to_string(),
    }
}

/// What is to be signed for a device whose certificates have this form.
fn fitting(profile: CertificateProfile, start: &ClaimStart) -> ClaimIntent {
    if profile != CertificateProfile::Gateway {
        return start.fresh;
    }
    let (not_before, not_after) = start.gateway;
    ClaimIntent {
        profile,
        not_before,
        not_after,
        ..start.fresh
    }
}

fn begin(txn: &mut Txn<'_>, start: &ClaimStart) -> Result<ClaimBegun, StoreError> {
    let tables = txn.tables();
    let Some(device) = devices::by_serial(&tables.serials, &tables.devices, &start.serial)? else {
        return Ok(ClaimBegun::Refused(claim::refusal()));
    };
    let kind = tables.open_batches.get(device.origin.batch.as_u128())?;
    if kind.is_some_and(|kind| kind.value() == UNDOING) {
        return Ok(ClaimBegun::Refused(claim::refusal()));
    }
    let fresh = fitting(txn.catalog.certificate_profile(&device.model), start);
    match claim::decide(&device, &start.presented, fresh, start.now) {
        Decision::Repeat(serial) => repeat(&tables.certificates, device, serial),
        Decision::Refuse { clone_suspected } => {
            if clone_suspected {
                alarm(txn, &device, start)?;
            }
            Ok(ClaimBegun::Refused(claim::refusal()))
        }
        Decision::Issue(permit) if has_intent(&device) => Ok(ClaimBegun::Issue {
            permit,
            device: Box::new(device),
        }),
        Decision::Issue(permit) => intend(txn, &device, permit, start),
    }
}

/// A second key came with the right code: operators must hear of it, and see where both came from.
fn alarm(txn: &mut Txn<'_>, device: &Device, start: &ClaimStart) -> Result<(), StoreError> {
    let (key, source) = (start.presented.spki, start.source);
    let first_source = device.lifecycle.source();
    let raised = CloneAlarm::raised(device.alarm, start.now, key, source, first_source);
    let mut after = device.clone();
    after.alarm = Some(raised);
    index::replace(txn, device, &after.touched(start.now))?;
    let event = Event::new(
        start.now,
        actor(device, source),
        Action::CloneSuspected,
        device.name(),
    );
    let first = first_source.map_or_else(|| "unknown".to_owned(), |first| first.to_string());
    txn.audit(&event.with("key", key).with("first_source", first))?;
    Ok(())
}

fn has_intent(device: &Device) -> bool {
    match &device.lifecycle {
        Lifecycle::Registered { credential } => credential.intent().is_some(),
        Lifecycle::Claimed { .. }
        | Lifecycle::Active { .. }
        | Lifecycle::Suspended { .. }
        | Lifecycle::Retired { .. } => false,
    }
}

/// May what is intended be signed, as far as the clock, the key and the serial are concerned?
pub(super) fn may_intend(
    txn: &Txn<'_>,
    device: &Device,
    intent: &ClaimIntent,
    now: Timestamp,
) -> Result<Result<(), Refusal>, StoreError> {
    if let Err(refusal) = registry::clock_runs(txn, now)? {
        return Ok(Err(refusal));
    }
    if let Err(refusal) = keys::may_have(txn, device.id, intent.spki)? {
        return Ok(Err(refusal.at("csr")));
    }
    if txn
        .tables()
        .certificates
        .get(intent.certificate.as_u128())?
        .is_some()
    {
        return Err(StoreError::duplicate("certificates", intent.certificate));
    }
    Ok(Ok(()))
}

/// Records what will be signed, and whose key it is.
pub(super) fn record_intent(
    txn: &mut Txn<'_>,
    device: &Device,
    intent: &ClaimIntent,
    now: Timestamp,
) -> Result<(), StoreError> {
    let record = CertificateRecord::intended(device.id, intent);
    certificates::create(txn, &record)?;
    txn.write().keys.insert(&record.spki.0, device.id.as_u128())?;
    registry::set_last_issued(txn, now)
}

/// Records what will be signed for a claim.
fn intend(
    txn: &mut Txn<'_>,
    device: &Device,
    permit: ClaimPermit,
    start: &ClaimStart,
) -> Result<ClaimBegun, StoreError> {
    // 1. Everything that can say no.
    let (intent, now) = (*permit.intent(), start.now);
    if let Err(refusal) = may_intend(txn, device, &intent, now)? {
        return Ok(ClaimBegun::Refused(refusal));
    }
    let mut after = device.clone();
    after.lifecycle = match after.lifecycle.step(Transition::Intend(intent), now) {
        Ok(lifecycle) => lifecycle,
        Err(refusal) => return Ok(ClaimBegun::Refused(refusal)),
    };
    let after = after.touched(now);
    // 2. The intent, before anything is signed (I1).
    record_intent(txn, device, &intent, now)?;
    index::replace(txn, device, &after)?;
    let event = Event::new(
        now,
        actor(device, start.source),
        Action::ClaimStarted,
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

/// The device that a certificate is of.
pub(super) fn holder_of(txn: &Txn<'_>, record: &CertificateRecord) -> Result<Device, StoreError> {
    let missing = || StoreError::missing("devices", &record.holder);
    let id = record.holder.device().ok_or_else(missing)?;
    devices::find(txn, id)?.ok_or_else(missing)
}

fn finish(
    txn: &mut Txn<'_>,
    record: &CertificateRecord,
    now: Timestamp,
    source: IpAddr,
) -> Result<Result<FinishedClaim, Refusal>, StoreError> {
    let stored = certificates::known(txn, record.serial)?;
    let device = holder_of(txn, &stored)?;
    match &device.lifecycle {
        Lifecycle::Claimed { identity } | Lifecycle::Active { identity }
            if identity.certificate == stored.serial =>
        {
            return Ok(Ok(FinishedClaim {
                device,
                certificate: stored,
            }));
        }
        Lifecycle::Registered { credential }
            if credential
                .intent()
                .is_some_and(|intent| intent.certificate == stored.serial) => {}
        Lifecycle::Registered { .. }
        | Lifecycle::Claimed { .. }
        | Lifecycle::Active { .. }
        | Lifecycle::Suspended { .. }
        | Lifecycle::Retired { .. } => return Ok(Err(claim::refusal())),
    }
    let mut after = device.clone();
    after.lifecycle = match after.lifecycle.step(Transition::Certify, now) {
        Ok(lifecycle) => lifecycle,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let after = after.touched(now);
    // Everything but the signed bytes was decided when the claim began.
    let certificate = stored.signed(record.der.clone());
    certificates::replace(txn, &certificate)?;
    index::replace(txn, &device, &after)?;
    let event = Event::new(now, actor(&device, source), Action::ClaimFinished, device.name());
    txn.audit(&event.with("certificate", certificate.serial))?;
    Ok(Ok(FinishedClaim {
        device: after,
        certificate,
    }))
}
