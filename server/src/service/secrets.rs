//! Secrets: values come in, are kept encrypted, and leave sealed to one device. Nothing gives one back.

use super::{OrFault as _, Service, actor, blocking, operator};
use crate::{
    ca::{self, CaError, Destination, OpenSecret},
    fault::{Failure, Fault},
    store::{NewSecret, SecretRetirement},
};
use bytes::Bytes;
use muster_domain::{
    Code, Refusal,
    access::Permit,
    catalog::{MESSAGE_LIMIT, Pins, Revision, RevisionNumber, Secret, check_value},
    device::Device,
    ids::DeviceId,
    names::SecretName,
};
use muster_proto::{
    payload::{self, Digest},
    topic::Encoding,
};
use std::sync::Arc;
use zeroize::Zeroizing;

/// How often a value is sealed for the next number that others take meanwhile.
const ATTEMPTS: usize = 4;

impl Service {
    /// Keeps a value as the next revision of a secret.
    pub async fn put_secret(
        &self,
        permit: &Permit,
        name: SecretName,
        value: Zeroizing<Vec<u8>>,
        message: String,
    ) -> Result<Arc<Revision<Secret>>, Failure> {
        let author = operator(permit)?.name.clone();
        let is_tame = check_value(&value)?;
        if message.len() > MESSAGE_LIMIT {
            let why = format!("is longer than {MESSAGE_LIMIT} bytes");
            return Err(Refusal::new(Code::SecretInvalid, why).at("message").into());
        }
        for _ in 0..ATTEMPTS {
            let catalog = self.store.catalog();
            let last = catalog.secrets.get(&name).and_then(|revisions| revisions.last());
            let number = last.map_or(1, |last| last.number + 1);
            let sealed = self.ca().keep_secret(&name, number, &value);
            let fresh = NewSecret {
                name: name.clone(),
                number,
                author: author.clone(),
                message: message.clone(),
                is_tame,
                sealed: sealed.or_fault("keep a secret")?,
                now: self.clock.now(),
            };
            if let Some(revision) = self.store.put_secret(fresh).await.or_fault("keep a secret")? {
                return Ok(revision);
            }
        }
        Err(Refusal::new(Code::Busy, "others put this secret at the same time").into())
    }

    /// Erases the value of a revision. Refused while something has it, unless it is forced.
    pub async fn retire_secret(
        &self,
        permit: &Permit,
        name: SecretName,
        number: RevisionNumber,
        is_forced: bool,
    ) -> Result<Arc<Revision<Secret>>, Failure> {
        let used = self.store.secret_use(name.clone(), number).await;
        let devices = used.or_fault("count the devices of a secret")?.devices;
        if devices > 0 && !is_forced {
            let why = format!("{devices} devices have secrets/{name}@{number}");
            return Err(Refusal::new(Code::SecretPinned, why).into());
        }
        let retirement = SecretRetirement {
            name,
            number,
            is_forced,
            devices,
            actor: actor(permit)?,
            now: self.clock.now(),
        };
        let retired = self.store.retire_secret(retirement).await;
        Ok(retired.or_fault("retire a secret")??)
    }

    /// The secrets of a device: what its profile revision pins.
    pub(super) fn secrets_of(&self, device: &Device) -> Pins {
        let catalog = self.store.catalog();
        let profile = device.target.profile.as_ref();
        let profile = profile.and_then(|(name, number)| catalog.profile_at(name, *number));
        profile.map_or_else(Pins::new, |profile| profile.content.secrets.clone())
    }

    /// The encoded envelope with the secrets of what the device must be now, sealed to its key; `None` when it has none. Asked
    /// before [`Service::desired`], so that both speak of one generation.
    pub(crate) async fn sealed(&self, id: DeviceId, encoding: Encoding) -> Result<Option<Bytes>, Failure> {
        let Some(device) = self.store.device(id).await.or_fault("load a device")? else {
            return Ok(None);
        };
        if self.secrets_of(&device).is_empty() {
            return Ok(None);
        }
        let Some((device, _)) = self.current(device).await? else {
            return Ok(None);
        };
        let Some(certificate) = self.certificate_of(&device).await? else {
            return Ok(None);
        };
        let values = self.open(&self.secrets_of(&device))?;
        let (ca, now) = (self.ca(), self.clock.now());
        let sealed = blocking(
            "seal the secrets of a device",
            move || -> Result<Vec<u8>, Fault> {
                let to = Destination {
                    device_id: &device.id.to_string(),
                    generation: device.target.generation,
                    digest: Digest(device.target.digest),
                    certificate: &certificate,
                };
                let sealed = ca::seal_to_device(to, &values).or_fault("seal the secrets of a device")?;
                let inner = payload::encode(&sealed, encoding).or_fault("encode sealed secrets")?;
                let envelope = ca.sign_sealed(inner, now).or_fault("sign sealed secrets")?;
                payload::encode(&envelope, encoding).or_fault("encode an envelope")
            },
        );
        Ok(Some(sealed.await??.into()))
    }

    /// The certificate with which the device connects, DER.
    async fn certificate_of(&self, device: &Device) -> Result<Option<Vec<u8>>, Failure> {
        let Some(identity) = device.lifecycle.identity() else {
            return Ok(None);
        };
        let record = self.store.certificate(identity.certificate).await;
        Ok(record.or_fault("load a certificate")?.map(|record| record.der))
    }

    /// The values of pinned revisions. One that was retired is left out: the device says that it lacks it.
    fn open(&self, pins: &Pins) -> Result<Vec<OpenSecret>, Fault> {
        let ca = self.ca();
        let mut values = Vec::new();
        for (name, &number) in pins {
            match self.store.sealed_secret(name, number).or_fault("load a secret")? {
                Some(kept) => {
                    let value = ca.open_secret(name, number, &kept).or_fault("open a secret")?;
                    values.push((name.clone(), number, value));
                }
                None => tracing::warn!(secret = %name, revision = number, "a device needs a retired secret"),
            }
        }
        Ok(values)
    }

    /// Opens one value that is kept, so that a key that got lost, and was made anew, is told at the start and not by devices.
    pub(crate) fn check_secret_key(&self) -> Result<(), CaError> {
        let catalog = self.store.catalog();
        let held = catalog.secrets.iter().flat_map(|(name, revisions)| {
            let held = revisions.iter().filter(|revision| revision.content.is_held);
            held.map(move |revision| (name, revision.number))
        });
        for (name, number) in held.take(1) {
            let kept = self.store.sealed_secret(name, number).ok().flatten();
            self.ca().open_secret(name, number, &kept.unwrap_or_default())?;
        }
        Ok(())
    }
}
