//! Devices: finding one, and what happens to one.

use super::{
    Store,
    batches::UNDOING,
    certificates, changes, index, keys,
    record::load,
    tables::{DEVICES, SERIALS},
    txn::Txn,
};
use crate::store::{AlarmChange, DeviceChange, StoreError};
use muster_domain::{
    Code, Refusal, Timestamp,
    audit::{Action, Actor, Event},
    certificate::{CertificateRecord, CertificateSerial, RevocationReason},
    desired::ContentDigest,
    device::{Device, Hello, HelloAnswer, LifecycleState, Report, Transition},
    ids::{ChangeId, DeviceId},
};
use redb::ReadableTable;
use std::time::Duration;

/// A hello that says nothing new is not written when the last one is younger than this: "last heard" is right to
/// within a minute, and a device that flaps costs no commits.
const HEARD_GRANULARITY: Duration = Duration::from_secs(60);

impl Store {
    /// The device of that id. A read by key takes microseconds from the cache, less than handing it to
    /// another thread would.
    pub async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        let txn = self.read()?;
        let device = load(&txn.open_table(DEVICES)?, id.as_u128())?;
        self.present(&txn, device)
    }

    /// The same, as it is on record.
    fn recorded(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        load(&self.read()?.open_table(DEVICES)?, id.as_u128())
    }

    /// Is there a device of that serial? A look into the cache, for threads that may wait.
    pub fn has_serial(&self, serial: &str) -> Result<bool, StoreError> {
        Ok(self.read()?.open_table(SERIALS)?.get(serial)?.is_some())
    }

    /// The device of that serial.
    pub async fn device_by_serial(&self, serial: &str) -> Result<Option<Device>, StoreError> {
        let txn = self.read()?;
        let device = by_serial(&txn.open_table(SERIALS)?, &txn.open_table(DEVICES)?, serial)?;
        self.present(&txn, device)
    }

    /// Suspends, resumes, retires a device, or gives it a new code.
    pub async fn transition(
        &self,
        id: DeviceId,
        change: DeviceChange,
    ) -> Result<Result<Device, Refusal>, StoreError> {
        let changed = self.write(move |txn| transition(txn, id, &change)).await?;
        self.changed(changed)
    }

    /// Notes that operators have looked into a possible clone; where there is no alarm, nothing changes.
    pub async fn clear_clone_alarm(
        &self,
        id: DeviceId,
        change: AlarmChange,
    ) -> Result<Result<Device, Refusal>, StoreError> {
        let changed = self.write(move |txn| clear_alarm(txn, id, &change)).await?;
        self.changed(changed)
    }

    /// Gives a device another content under the next generation, unless another writer moved it on from `generation`
    /// meanwhile. The device as it is then; `None` when there is none.
    pub async fn retarget(
        &self,
        id: DeviceId,
        generation: u64,
        digest: ContentDigest,
        now: Timestamp,
    ) -> Result<Option<Device>, StoreError> {
        self.write(move |txn| retarget(txn, id, generation, digest, now))
            .await
    }

    /// Notes a hello, and says what the device needs. Only a device that may connect is heard.
    pub async fn record_hello(
        &self,
        id: DeviceId,
        hello: Hello,
        now: Timestamp,
    ) -> Result<Result<(Device, HelloAnswer), Refusal>, StoreError> {
        if let Some(device) = self.recorded(id)?
            && let Some(answer) = nothing_new(&device, &hello, now)
        {
            return Ok(Ok((device, answer)));
        }
        self.write(move |txn| greet(txn, id, &hello, now)).await
    }

    /// Notes by which version of the trusted roots a device trusts, as it says. Only a device that may connect is heard.
    pub async fn record_trust(&self, id: DeviceId, version: u64) -> Result<Result<(), Refusal>, StoreError> {
        let known = self.recorded(id)?;
        if known.is_some_and(|device| device.trust == version && device.lifecycle.identity().is_some()) {
            return Ok(Ok(()));
        }
        self.write(move |txn| trust(txn, id, version)).await
    }

    /// Notes a report and its verdict; durable when this returns. Only a device that may connect is heard.
    pub async fn record_report(
        &self,
        id: DeviceId,
        report: Report,
        now: Timestamp,
    ) -> Result<Result<Device, Refusal>, StoreError> {
        self.write(move |txn| hear(txn, id, &report, now)).await
    }
}

pub(super) fn by_serial(
    serials: &impl ReadableTable<&'static str, u128>,
    devices: &impl ReadableTable<u128, &'static [u8]>,
    serial: &str,
) -> Result<Option<Device>, StoreError> {
    let Some(id) = serials.get(serial)?.map(|id| id.value()) else {
        return Ok(None);
    };
    let device = load(devices, id)?;
    device
        .ok_or_else(|| StoreError::missing("devices", DeviceId::from_u128(id)))
        .map(Some)
}

pub(super) fn find(txn: &Txn<'_>, id: DeviceId) -> Result<Option<Device>, StoreError> {
    load(&txn.tables().devices, id.as_u128())
}

/// The same device in another standing, with the fields that the index follows unchanged but for that.
fn stepped(device: &Device, transition: Transition, now: Timestamp) -> Result<Device, Refusal> {
    let mut after = device.clone();
    after.lifecycle = after.lifecycle.step(transition, now)?;
    Ok(after.touched(now))
}

/// What the audit log calls an operator's transition; `None` for those that operators cannot ask for.
fn action(transition: &Transition) -> Option<(Action, Option<&str>)> {
    match transition {
        Transition::Suspend(reason) => Some((Action::DeviceSuspended, Some(reason))),
        Transition::Resume => Some((Action::DeviceResumed, None)),
        Transition::Retire(reason) => Some((Action::DeviceRetired, Some(reason))),
        Transition::Reissue { .. } => Some((Action::CodeReissued, None)),
        Transition::Arm { .. } => Some((Action::ClaimArmed, None)),
        // A revocation begins at its certificate.
        Transition::Revoke { .. }
        | Transition::Intend(_)
        | Transition::Certify
        | Transition::Renew(_)
        | Transition::CertifyRenewal
        | Transition::Promote
        | Transition::Activate => None,
    }
}

/// Why a transition ends the certificates of its device; `None` if it does not.
const fn ending(transition: &Transition) -> Option<RevocationReason> {
    match transition {
        Transition::Retire(_) => Some(RevocationReason::CessationOfOperation),
        Transition::Reissue { .. } => Some(RevocationReason::Superseded),
        Transition::Suspend(_)
        | Transition::Resume
        | Transition::Arm { .. }
        | Transition::Revoke { .. }
        | Transition::Intend(_)
        | Transition::Certify
        | Transition::Renew(_)
        | Transition::CertifyRenewal
        | Transition::Promote
        | Transition::Activate => None,
    }
}

/// The device, if it has the revision that the caller knows.
fn expected(
    txn: &Txn<'_>,
    id: DeviceId,
    revision: Option<u64>,
) -> Result<Result<Device, Refusal>, StoreError> {
    let Some(device) = find(txn, id)? else {
        let refusal = Refusal::new(Code::NotFound, format!("no device has the id {id}"));
        return Ok(Err(refusal.at("name")));
    };
    Ok(match revision {
        Some(expected) if expected != device.revision => {
            let why = format!("the device has revision {}, not {expected}", device.revision);
            Err(Refusal::new(Code::EtagMismatch, why).at("etag"))
        }
        Some(_) | None => Ok(device),
    })
}

fn clear_alarm(
    txn: &mut Txn<'_>,
    id: DeviceId,
    change: &AlarmChange,
) -> Result<Result<Device, Refusal>, StoreError> {
    let before = match expected(txn, id, change.expected_revision)? {
        Ok(device) => device,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(alarm) = before.alarm else {
        return Ok(Ok(before));
    };
    let mut after = before.clone();
    after.alarm = None;
    let after = after.touched(change.now);
    index::replace(txn, &before, &after)?;
    let event = Event::new(
        change.now,
        change.actor.clone(),
        Action::CloneAlarmCleared,
        after.name(),
    );
    txn.audit(
        &event
            .with("reason", &change.reason)
            .with("claims", alarm.count)
            .with("key", alarm.key),
    )?;
    Ok(Ok(after))
}

fn transition(
    txn: &mut Txn<'_>,
    id: DeviceId,
    change: &DeviceChange,
) -> Result<Result<Device, Refusal>, StoreError> {
    if action(&change.transition).is_none() {
        return Ok(Err(not_by_operators()));
    }
    match expected(txn, id, change.expected_revision)? {
        Ok(before) => live_on(txn, &before, &change.transition, &change.actor, None, change.now),
        Err(refusal) => Ok(Err(refusal)),
    }
}

fn not_by_operators() -> Refusal {
    let why = "claims, reports and revocations make this step, operators do not";
    Refusal::new(Code::TransitionForbidden, why)
}

/// A device whose batch is being taken back is not changed on its way out.
pub(super) fn is_staying(txn: &Txn<'_>, device: &Device) -> Result<Result<(), Refusal>, StoreError> {
    let kind = txn.tables().open_batches.get(device.origin.batch.as_u128())?;
    if kind.is_none_or(|kind| kind.value() != UNDOING) {
        return Ok(Ok(()));
    }
    let why = format!("batches/{} is being taken back", device.origin.batch);
    Ok(Err(Refusal::new(Code::BatchState, why)))
}

/// Takes a device a step further in its life, by itself or as a part of a change.
pub(super) fn live_on(
    txn: &mut Txn<'_>,
    before: &Device,
    transition: &Transition,
    actor: &Actor,
    change: Option<ChangeId>,
    now: Timestamp,
) -> Result<Result<Device, Refusal>, StoreError> {
    let Some((action, reason)) = action(transition) else {
        return Ok(Err(not_by_operators()));
    };
    if let Err(refusal) = is_staying(txn, before)? {
        return Ok(Err(refusal));
    }
    let after = match stepped(before, transition.clone(), now) {
        Ok(after) => after,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Some(key) = keys::gained(before, &after)
        && let Err(refusal) = keys::may_have(txn, before.id, key)?
    {
        return Ok(Err(refusal.at("spki_sha256")));
    }
    if let Some(reason) = ending(transition) {
        end_certificates(txn, before, reason, now)?;
    }
    keys::replace(txn, before, &after)?;
    index::replace(txn, before, &after)?;
    let event = Event::new(now, actor.clone(), action, after.name());
    let mut event = match action {
        Action::ClaimArmed | Action::CodeReissued => on_terms(event, &after),
        _ => event,
    };
    if let Some(reason) = reason {
        event = event.with("reason", reason);
    }
    if let Some(change) = change {
        event = event.with("change", change);
    }
    txn.audit(&event)?;
    Ok(Ok(after))
}

fn retarget(
    txn: &mut Txn<'_>,
    id: DeviceId,
    generation: u64,
    digest: ContentDigest,
    now: Timestamp,
) -> Result<Option<Device>, StoreError> {
    let Some(before) = find(txn, id)? else {
        return Ok(None);
    };
    if before.target.generation != generation || before.target.digest == digest {
        return Ok(Some(before));
    }
    let after = before.clone().retargeted(digest, now);
    index::replace(txn, &before, &after)?;
    let event = Event::new(now, Actor::System, Action::DeviceRetargeted, after.name());
    txn.audit(&event.with("generation", after.target.generation))?;
    Ok(Some(after))
}

/// Revokes what the device has or was about to get, and frees its keys for others.
pub(super) fn release(
    txn: &mut Txn<'_>,
    device: &Device,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    for key in device.lifecycle.keys() {
        txn.write().keys.remove(&key.0)?;
    }
    end_certificates(txn, device, reason, now)
}

/// Revokes what the device has or was about to get.
fn end_certificates(
    txn: &mut Txn<'_>,
    device: &Device,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    for held in device.lifecycle.held() {
        revoke(txn, held.serial, reason, now)?;
    }
    Ok(())
}

/// Says on which terms the device may be claimed now.
pub(super) fn on_terms(event: Event, device: &Device) -> Event {
    let Some(terms) = device.lifecycle.claim_terms() else {
        return event;
    };
    let said = [
        ("key", terms.key.map(|key| key.to_string())),
        ("opens", terms.window.opens.map(|at| at.to_string())),
        ("closes", terms.window.closes.map(|at| at.to_string())),
    ];
    said.into_iter().fold(event, |event, (name, value)| match value {
        Some(value) => event.with(name, value),
        None => event,
    })
}

/// Marks a certificate as no longer accepted.
pub(super) fn revoke(
    txn: &mut Txn<'_>,
    serial: CertificateSerial,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<CertificateRecord, StoreError> {
    let record = certificates::known(txn, serial)?.revoked(now, reason);
    certificates::replace(txn, &record)?;
    Ok(record)
}

/// Loads a device that may connect.
fn admitted(txn: &Txn<'_>, id: DeviceId) -> Result<Result<Device, Refusal>, StoreError> {
    let device = find(txn, id)?;
    Ok(device
        .filter(|device| device.lifecycle.identity().is_some())
        .ok_or_else(|| Refusal::new(Code::DeviceBarred, "the device is not one that may connect")))
}

/// The answer to a hello that need not be written.
fn nothing_new(device: &Device, hello: &Hello, now: Timestamp) -> Option<HelloAnswer> {
    device.lifecycle.identity()?;
    let reported = device.reported.as_ref()?;
    let recent = reported.at <= now && now < reported.at.plus(HEARD_GRANULARITY);
    let (greeted, answer) = device.clone().greet(hello, now);
    let mut same = greeted;
    same.reported.as_mut()?.at = reported.at;
    (recent && same == *device).then_some(answer)
}

fn greet(
    txn: &mut Txn<'_>,
    id: DeviceId,
    hello: &Hello,
    now: Timestamp,
) -> Result<Result<(Device, HelloAnswer), Refusal>, StoreError> {
    let before = match admitted(txn, id)? {
        Ok(before) => before,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (after, answer) = before.clone().greet(hello, now);
    index::replace(txn, &before, &after)?;
    Ok(Ok((after, answer)))
}

fn trust(txn: &mut Txn<'_>, id: DeviceId, version: u64) -> Result<Result<(), Refusal>, StoreError> {
    let before = match admitted(txn, id)? {
        Ok(before) => before,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let after = Device {
        trust: version,
        ..before.clone()
    };
    index::replace(txn, &before, &after)?;
    Ok(Ok(()))
}

fn hear(
    txn: &mut Txn<'_>,
    id: DeviceId,
    report: &Report,
    now: Timestamp,
) -> Result<Result<Device, Refusal>, StoreError> {
    let before = match admitted(txn, id)? {
        Ok(before) => before,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let after = match before.clone().hear(report, now) {
        Ok(after) => after,
        Err(refusal) => return Ok(Err(refusal)),
    };
    index::replace(txn, &before, &after)?;
    changes::heard(txn, id, report, now)?;
    let activated = |device: &Device| device.lifecycle.state() == LifecycleState::Active;
    if activated(&after) && !activated(&before) {
        let actor = Actor::Device {
            name: id.to_string(),
            source: String::new(),
        };
        let event = Event::new(now, actor, Action::DeviceActivated, after.name());
        txn.audit(&event.with("generation", report.generation))?;
    }
    Ok(Ok(after))
}
