//! The identity that is to take the place of this device's own: a key that was made for it, and the chain once the registry has
//! issued it. One record holds both, and the device's own stays as it is until the registry has let the device in with the
//! next one: a power loss at any point leaves a way in.

use super::{DeviceKey, Identity};
use crate::{
    disk::{Disk, Place},
    record::{self, StateError},
};
use muster_proto::payload::Binary;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::Zeroize as _;

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Record {
    /// PKCS#8.
    key: Binary,
    identity: Option<Identity>,
}

impl Drop for Record {
    fn drop(&mut self) {
        self.key.0.zeroize();
    }
}

/// The next identity, as far as there is one.
#[derive(Debug, Clone)]
pub(crate) struct Next {
    key: Arc<DeviceKey>,
    identity: Option<Identity>,
}

fn place() -> Place {
    Place::fixed("next")
}

impl Next {
    /// What an earlier start left. When that was the middle of [`Next::promote`], it is finished.
    pub(crate) fn load(disk: &dyn Disk) -> Result<Option<Self>, StateError> {
        let Some(record) = record::load::<Record>(disk, &place())? else {
            return Ok(None);
        };
        let key =
            DeviceKey::parse(record.key.0.clone().into()).ok_or_else(|| StateError::damaged(&place()))?;
        let next = Self {
            key: Arc::new(key),
            identity: record.identity.clone(),
        };
        // What a killed agent wrote last is there to read, and need not outlive a power loss yet. It must, before the registry
        // sees it and takes the own certificate for done with.
        let place = place();
        disk.sync(&place)
            .and_then(|()| disk.sync(&place.parent()))
            .map_err(|error| StateError::io("sync", &place, error))?;
        let own = DeviceKey::load(disk)?;
        if next.identity.is_some() && own.is_some_and(|own| own.spki() == next.key.spki()) {
            next.promote(disk)?;
            return Ok(None);
        }
        Ok(Some(next))
    }

    /// A fresh key; durable before this returns, and so before anything is said about it.
    pub(crate) fn begin(disk: &dyn Disk) -> Result<Self, StateError> {
        let next = Self {
            key: Arc::new(DeviceKey::make()?),
            identity: None,
        };
        next.save(disk)?;
        Ok(next)
    }

    /// With the chain that was issued for it; durable on return.
    pub(crate) fn granted(self, identity: Identity, disk: &dyn Disk) -> Result<Self, StateError> {
        let next = Self {
            identity: Some(identity),
            ..self
        };
        next.save(disk)?;
        Ok(next)
    }

    /// Makes it this device's own; durable on return. The key goes first: a crash before the end is recognised by it.
    pub(crate) fn promote(&self, disk: &dyn Disk) -> Result<(), StateError> {
        let Some(identity) = &self.identity else {
            return Ok(());
        };
        self.key.save(disk)?;
        identity.save(disk)?;
        let place = place();
        disk.remove(&place)
            .and_then(|()| disk.sync(&place.parent()))
            .map_err(|error| StateError::io("remove", &place, error))
    }

    pub(crate) const fn key(&self) -> &Arc<DeviceKey> {
        &self.key
    }

    /// Once it was issued.
    pub(crate) const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    fn save(&self, disk: &dyn Disk) -> Result<(), StateError> {
        let record = Record {
            key: Binary(self.key.pkcs8().to_vec()),
            identity: self.identity.clone(),
        };
        record::save(disk, &place(), &record)
    }
}

#[cfg(test)]
mod tests;
