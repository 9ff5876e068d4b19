//! Desired state as a device gets it: rendered, signed, sealed.

use super::{OrFault as _, Service, blocking};
use crate::fault::{Failure, Fault};
use bytes::Bytes;
use muster_domain::{
    Code, Refusal, Timestamp,
    catalog::Catalog,
    desired::{self, Content, ContentDigest},
    device::Device,
    ids::DeviceId,
};
use muster_proto::{
    payload::{self, Coordinates, Desired, Digest, File, Firmware, Location},
    topic::Encoding,
};

/// How often a device is looked at again that others change meanwhile.
const ATTEMPTS: usize = 4;

/// Why a stored target does not render: what it pins was checked when it was stored, so this is a fault, or its site was
/// edited since to what the profile cannot take, and the device keeps what it has.
#[derive(Debug, thiserror::Error)]
enum DesiredError {
    #[error("desired state of {device} does not render: {why}")]
    Unrenderable { device: DeviceId, why: String },
}

fn message(device: &Device, content: Content, now: Timestamp) -> Desired {
    let location = content.location.map(|location| Location {
        site: location.site.to_string(),
        name: location.name,
        country: location.country,
        coordinates: location
            .coordinates
            .map(|(latitude, longitude)| Coordinates { latitude, longitude }),
        utc_offset_seconds: crate::zone::utc_offset(&location.time_zone, now),
        time_zone: location.time_zone,
        position: location.position,
    });
    let labels = content.labels;
    let firmware = content.firmware.map(|firmware| Firmware {
        name: firmware.name.to_string(),
        revision: firmware.revision,
        model: device.model.to_string(),
        hardware: device.hardware.clone(),
        labels,
        policy: firmware.policy,
    });
    Desired {
        device_id: device.id.to_string(),
        generation: device.target.generation,
        issued_at: now.seconds(),
        digest: Digest(device.target.digest),
        profile: content.profile.map(|(name, number)| format!("{name}@{number}")),
        files: content
            .files
            .into_iter()
            .map(|(key, content)| File { key, content })
            .collect(),
        location,
        firmware,
    }
}

fn unrenderable(device: DeviceId, why: &[Refusal]) -> DesiredError {
    let why = why.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; ");
    DesiredError::Unrenderable { device, why }
}

fn render(catalog: &Catalog, device: &Device) -> Result<(Content, ContentDigest), DesiredError> {
    let content = desired::of_device(catalog, device).map_err(|why| unrenderable(device.id, &why))?;
    let digest = content.digest();
    Ok((content, digest))
}

impl Service {
    /// What the device must be, and its content. Revisions are immutable, sites are not: a device whose site was edited
    /// gets its next generation here, when it is next served.
    pub(super) async fn current(&self, mut device: Device) -> Result<Option<(Device, Content)>, Failure> {
        for _ in 0..ATTEMPTS {
            let (catalog, pinned) = (self.store.catalog(), device.clone());
            let rendered = blocking("render desired state", move || render(&catalog, &pinned)).await?;
            let (content, digest) = rendered.or_fault("render desired state")?;
            if digest == device.target.digest {
                return Ok(Some((device, content)));
            }
            content
                .check_files()
                .map_err(|why| unrenderable(device.id, &why))
                .or_fault("render desired state")?;
            let moved = self
                .store
                .retarget(device.id, device.target.generation, digest, self.clock.now());
            let Some(moved) = moved.await.or_fault("retarget a device")? else {
                return Ok(None);
            };
            device = moved;
        }
        Err(Refusal::new(
            Code::Busy,
            "the device is being changed faster than it can be served",
        )
        .into())
    }

    /// Must a device that has its current generation become something else all the same?
    pub(super) async fn is_outdated(&self, device: &Device) -> Result<bool, Failure> {
        let (catalog, pinned) = (self.store.catalog(), device.clone());
        let rendered = blocking("render desired state", move || render(&catalog, &pinned)).await?;
        let (_, digest) = rendered.or_fault("render desired state")?;
        Ok(digest != device.target.digest)
    }

    /// The encoded envelope with what the device must be now; `None` when no such device.
    pub(crate) async fn desired(&self, id: DeviceId, encoding: Encoding) -> Result<Option<Bytes>, Failure> {
        let Some(device) = self.store.device(id).await.or_fault("load a device")? else {
            return Ok(None);
        };
        let Some((device, content)) = self.current(device).await? else {
            return Ok(None);
        };
        let (ca, now) = (self.ca(), self.clock.now());
        let generation = device.target.generation;
        let sealed = blocking("seal desired state", move || -> Result<Vec<u8>, Fault> {
            let inner = payload::encode(&message(&device, content, now), encoding)
                .or_fault("encode desired state")?;
            let envelope = ca.seal_desired(inner, now).or_fault("sign desired state")?;
            payload::encode(&envelope, encoding).or_fault("encode an envelope")
        });
        let envelope = sealed.await??.into();
        let sending = self.deliveries.sent(id, generation, now);
        self.bus.meter().delivers(sending);
        Ok(Some(envelope))
    }
}
